"""Recurrence written as loops, dynamic programming over sequences."""

from typing import NamedTuple

import torch
import torch.nn as nn

from graph_programs import program


class Memory(NamedTuple):
    """The output of the last step and the state of the cell, both [B, hidden]."""

    output: torch.Tensor
    cell: torch.Tensor


@program("5x2x8")
class LSTMByHand(nn.Module):
    def __init__(self, channels=8, hidden=4):
        super().__init__()
        self.hidden = hidden
        self.seen, self.recalled = (nn.Parameter(torch.zeros(n, 4, hidden)) for n in (channels, hidden))
        self.bias = nn.Parameter(torch.zeros(4, hidden))

    def step(self, driven, memory):
        sums = driven + torch.einsum("bh,hgk->bgk", memory.output, self.recalled)
        keep, write, show = sums[:, :3].sigmoid().unbind(1)
        cell = keep * memory.cell + write * sums[:, 3].tanh()
        return Memory(show * cell.tanh(), cell)

    def forward(self, x, memory=None):
        if memory is None:
            memory = Memory(*x.new_zeros(2, x.shape[1], self.hidden))
        outputs = []
        for driven in torch.tensordot(x, self.seen, dims=1) + self.bias:
            memory = self.step(driven, memory)
            outputs.append(memory.output)
        return torch.stack(outputs), memory


@program("2x5x8")
class AttentionDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRUCell(8, 8), nn.Linear(16, 8)

    def forward(self, enc, teacher_forcing=False):
        h = enc.new_zeros(enc.size(0), 8)
        token, outputs = enc[:, 0], []
        for t in range(enc.size(1)):
            h = self.cell(token, h)
            w = torch.softmax(torch.bmm(enc, h.unsqueeze(2)).squeeze(2), 1)
            ctx = torch.bmm(w.unsqueeze(1), enc).squeeze(1)
            token = torch.tanh(self.out(torch.cat((h, ctx), 1)))
            outputs.append(token)
        return torch.stack(outputs, dim=1)


@program("2x7x8", "2x9x8")
def ssm_scan(x, decay=0.9):
    h = torch.zeros_like(x[:, 0])
    ys = []
    for t in range(x.shape[1]):
        h = decay * h + (1 - decay) * x[:, t]
        ys.append(h)
    return torch.stack(ys, 1)


@program("6x5 6<5")
def crf_forward(emissions, tags):
    trans = torch.arange(25.0).view(5, 5) / 25
    score = emissions[0]
    for i in range(1, emissions.size(0)):
        score = torch.logsumexp(score.unsqueeze(1) + trans + emissions[i].unsqueeze(0), dim=0)
    gold = emissions.gather(1, tags[:, None]).sum() + trans[tags[:-1], tags[1:]].sum()
    return torch.logsumexp(score, 0) - gold


@program("6x5")
def viterbi(emissions):
    trans = torch.arange(25.0).view(5, 5) / 25
    score, history = emissions[0], []
    for e in emissions[1:]:
        best, idx = (score.unsqueeze(1) + trans).max(0)
        score = best + e
        history.append(idx)
    last = score.argmax()
    path = [last]
    for idx in reversed(history):
        last = idx[last]
        path.append(last)
    return torch.stack(path[::-1])
