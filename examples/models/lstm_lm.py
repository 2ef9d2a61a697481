"""A word-level LSTM language model in the manner of Zaremba et al. 2014 (arXiv:1409.2329), here on characters.

    python examples/models/lstm_lm.py

trains a small one by truncated backpropagation through time on the standard library's text: the state is carried from
window to window. A compiled step is compared with an eager one.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from support.data import CharacterText
from support.training import report_agreement

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn, optim

Hidden = tuple[tg.Tensor, tg.Tensor] | tg.Tensor


class RNNModel(nn.Module):
    """Encoder, recurrent layers, decoder; the weights of encoder and decoder may be tied."""

    def __init__(
        self,
        rnn_type: str,
        ntoken: int,
        ninp: int,
        nhid: int,
        nlayers: int,
        dropout: float = 0.5,
        tie_weights: bool = False,
    ) -> None:
        super().__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        if rnn_type in ["LSTM", "GRU"]:
            self.rnn = getattr(nn, rnn_type)(ninp, nhid, nlayers, dropout=dropout)
        else:
            try:
                nonlinearity = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}[rnn_type]
            except KeyError as e:
                raise ValueError("rnn_type must be one of LSTM, GRU, RNN_TANH, RNN_RELU") from e
            self.rnn = nn.RNN(ninp, nhid, nlayers, nonlinearity=nonlinearity, dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        if tie_weights:
            if nhid != ninp:
                raise ValueError("When using the tied flag, nhid must be equal to emsize")
            self.decoder.weight = self.encoder.weight

        self.init_weights()
        self.rnn_type = rnn_type
        self.nhid = nhid
        self.nlayers = nlayers

    def init_weights(self) -> None:
        initrange = 0.1
        nn.init.uniform_(self.encoder.weight, -initrange, initrange)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -initrange, initrange)

    def forward(self, input: tg.Tensor, hidden: Hidden) -> tuple[tg.Tensor, Hidden]:
        """Log probabilities [T * B, ntoken] and the new state for tokens [T, B]."""
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        output = self.drop(output)
        decoded = self.decoder(output)
        decoded = decoded.view(-1, self.ntoken)
        return F.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, bsz: int) -> Hidden:
        weight = next(self.parameters())
        if self.rnn_type == "LSTM":
            return (weight.new_zeros(self.nlayers, bsz, self.nhid), weight.new_zeros(self.nlayers, bsz, self.nhid))
        return weight.new_zeros(self.nlayers, bsz, self.nhid)


def repackage_hidden(h: Hidden) -> Hidden:
    """The state without its history, so that backpropagation stops between windows."""
    if isinstance(h, tg.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


def batchify(data: tg.Tensor, bsz: int) -> tg.Tensor:
    """A text as `bsz` parallel columns, [length, bsz]."""
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    return data.view(bsz, -1).t().contiguous()


def get_batch(source: tg.Tensor, i: int, bptt: int) -> tuple[tg.Tensor, tg.Tensor]:
    """The window that begins at row `i`, and what follows each of its tokens."""
    seq_len = min(bptt, len(source) - 1 - i)
    data = source[i : i + seq_len]
    target = source[i + 1 : i + 1 + seq_len].view(-1)
    return data, target


def small() -> RNNModel:
    """Two layers of 32 units, tied weights."""
    return RNNModel("LSTM", ntoken=96, ninp=32, nhid=32, nlayers=2, dropout=0.1, tie_weights=True)


def example_inputs(batch: int = 3) -> tuple[tg.Tensor, tuple[tg.Tensor, tg.Tensor]]:
    return tg.randint(0, 96, (5, batch)), (tg.zeros(2, batch, 32), tg.zeros(2, batch, 32))


def example_batch(batch: int = 3) -> tuple[tg.Tensor, tg.Tensor, tuple[tg.Tensor, tg.Tensor]]:
    data, hidden = example_inputs(batch)
    return data, tg.randint(0, 96, (5 * batch,)), hidden


def step(model: RNNModel, data: tg.Tensor, targets: tg.Tensor, hidden: Hidden) -> tuple[tg.Tensor, Hidden]:
    """Loss of one window, and the state after it."""
    hidden = repackage_hidden(hidden)
    output, hidden = model(data, hidden)
    return F.nll_loss(output, targets), hidden


def loss_of(model: RNNModel, data: tg.Tensor, targets: tg.Tensor, hidden: Hidden) -> tg.Tensor:
    return step(model, data, targets, hidden)[0]


def main(batch: int = 16, bptt: int = 10, steps: int = 120) -> int:
    tg.manual_seed(0)
    source = batchify(tg.from_numpy(CharacterText().data), batch)
    model = small()
    model.train()
    compiled = tg.compile(step)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    hidden = model.init_hidden(batch)
    losses, start = [], time.perf_counter()
    for i in range(steps):
        data, targets = get_batch(source, i * bptt, bptt)
        optimizer.zero_grad()
        loss, hidden = compiled(model, data, targets, hidden)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
        if i % 30 == 0 or i == steps - 1:
            print(f"step {i + 1:4}  loss {losses[-1]:.4f}  {time.perf_counter() - start:.2f} s")
    report_agreement(
        model, loss_of, lambda *args: compiled(*args)[0], (*get_batch(source, 0, bptt), repackage_hidden(hidden))
    )
    return 0 if np.mean(losses[-10:]) < 0.8 * losses[0] else 1


if __name__ == "__main__":
    sys.exit(main())
