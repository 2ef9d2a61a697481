"""Recurrence written as loops, dynamic programming over sequences."""

import torch
import torch.nn as nn

from graph_programs import program


@program("5x2x8")
class LSTMByHand(nn.Module):
    def __init__(self, n=8, h=4):
        super().__init__()
        self.h = h
        self.w = nn.Parameter(torch.zeros(n, 4 * h))
        self.u = nn.Parameter(torch.zeros(h, 4 * h))
        self.b = nn.Parameter(torch.zeros(4 * h))

    def forward(self, x, init=None):
        T, B, _ = x.shape
        h, c = init if init is not None else (torch.zeros(B, self.h).to(x.device), torch.zeros(B, self.h).to(x.device))
        seq = []
        for t in range(T):
            gates = x[t] @ self.w + h @ self.u + self.b
            i, f, g, o = (
                torch.sigmoid(gates[:, : self.h]),
                torch.sigmoid(gates[:, self.h : 2 * self.h]),
                torch.tanh(gates[:, 2 * self.h : 3 * self.h]),
                torch.sigmoid(gates[:, 3 * self.h :]),
            )
            c = f * c + i * g
            h = o * torch.tanh(c)
            seq.append(h.unsqueeze(0))
        return torch.cat(seq, 0), (h, c)


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
