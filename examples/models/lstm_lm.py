"""A language model of stacked LSTMs with dropout between them (Zaremba et al. 2014, arXiv:1409.2329), on characters.

    python examples/models/lstm_lm.py

trains a small one on the standard library's text, which it reads in several places at once, window after window: the
state at the end of one window is where the next begins, but no gradient crosses from window to window. Then a compiled
step is compared with an eager one.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

from support.data import CharacterText
from support.training import report_agreement

import tracegraph as tg
from tracegraph import nn, optim

#: what is carried from window to window, each [depth, B, channels]: hidden units, and of an LSTM its cells
State = tuple[tg.Tensor, ...]

RECURRENCES = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "tanh": partial(nn.RNN, nonlinearity="tanh"),
    "relu": partial(nn.RNN, nonlinearity="relu"),
}


@dataclass(frozen=True)
class Settings:
    """Sizes and rates; the defaults are those of the paper's medium model.

    `is_tied`: tokens are told apart at the output by the vectors they have at the input (arXiv:1608.05859).
    """

    vocabulary: int = 10_000
    channels: int = 650
    depth: int = 2
    recurrence: str = "lstm"
    dropout: float = 0.5
    largest_weight: float = 0.05
    is_tied: bool = False


class Prediction(NamedTuple):
    """Logits of what follows each token, [B, T, vocabulary], and the state behind the last one."""

    logits: tg.Tensor
    state: State


class Window(NamedTuple):
    """Tokens and those that follow them, both [B, T]."""

    tokens: tg.Tensor
    following: tg.Tensor


class LanguageModel(nn.Module):
    """Embedding, recurrent layers and a linear map to logits, all of the same width."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        if settings.recurrence not in RECURRENCES:
            raise ValueError(f"there is no recurrence {settings.recurrence!r}; there are {', '.join(RECURRENCES)}")
        self.settings = settings
        width = settings.channels
        self.embedding = nn.Embedding(settings.vocabulary, width)
        self.recurrence = RECURRENCES[settings.recurrence](
            width, width, num_layers=settings.depth, dropout=settings.dropout, batch_first=True
        )
        self.head = nn.Linear(width, settings.vocabulary)
        self.drop = nn.Dropout(settings.dropout)
        if settings.is_tied:
            self.head.weight = self.embedding.weight
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -settings.largest_weight, settings.largest_weight)

    def blank(self, batch: int) -> State:
        """The state before any text."""
        parts = 2 if isinstance(self.recurrence, nn.LSTM) else 1
        shape = (self.settings.depth, batch, self.settings.channels)
        return tuple(self.embedding.weight.new_zeros(shape) for _ in range(parts))

    def forward(self, tokens: tg.Tensor, state: State) -> Prediction:
        """`tokens` are int64 [B, T]."""
        vectors = self.drop(self.embedding(tokens))
        if len(state) == 1:
            vectors, *state = self.recurrence(vectors, *state)
        else:
            vectors, state = self.recurrence(vectors, state)
        return Prediction(self.head(self.drop(vectors)), tuple(state))


def windows(text: tg.Tensor, batch: int, length: int) -> Iterator[Window]:
    """Cut a text [N] into `batch` passages and read all of them at once, `length` tokens at a time."""
    passages = text[: len(text) // batch * batch].unflatten(0, (batch, -1))
    pieces = (part.split(length, dim=1) for part in (passages[:, :-1], passages[:, 1:]))
    yield from map(Window, *pieces)


def read(model: LanguageModel, window: Window, state: State) -> tuple[tg.Tensor, State]:
    """The mean loss of a token in nats, and the state to read on from, which has no history."""
    prediction = model(window.tokens, state)
    loss = nn.functional.cross_entropy(prediction.logits.movedim(-1, 1), window.following)
    return loss, tuple(part.detach() for part in prediction.state)


def small() -> LanguageModel:
    """Two LSTMs of 32 units over characters."""
    settings = Settings(vocabulary=96, channels=32, dropout=0.1, largest_weight=0.2, is_tied=True)
    return LanguageModel(settings)


def example_inputs(batch: int = 3) -> tuple[tg.Tensor, State]:
    return tg.randint(96, (batch, 5)), (tg.zeros(2, batch, 32), tg.zeros(2, batch, 32))


def example_batch(batch: int = 3) -> tuple[Window, State]:
    tokens, state = example_inputs(batch)
    return Window(tokens, tg.randint(96, (batch, 5))), state


def loss_of(model: LanguageModel, window: Window, state: State) -> tg.Tensor:
    loss, _ = read(model, window, state)
    return loss


def main(batch: int = 16, length: int = 10, steps: int = 120) -> int:
    tg.manual_seed(0)
    model = small()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    compiled = tg.compile(read)
    text = tg.from_numpy(CharacterText().data)
    state, window, losses = model.blank(batch), None, []
    began = time.perf_counter()
    for window in islice(windows(text, batch, length), steps):
        loss, state = compiled(model, window, state)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
        optimizer.step()
        losses.append(loss.item())
        if len(losses) % 30 == 0:
            recent = sum(losses[-30:]) / 30
            seconds = time.perf_counter() - began
            print(f"{len(losses):4} windows  perplexity of the last 30 {math.exp(recent):6.2f}  {seconds:.2f} s")
    report_agreement(model, loss_of, lambda *args: compiled(*args)[0], (window, state))
    return 0 if sum(losses[-10:]) / 10 < 0.8 * losses[0] else 1


if __name__ == "__main__":
    sys.exit(main())
