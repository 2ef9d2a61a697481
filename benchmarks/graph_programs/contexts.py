"""Context managers."""

import contextlib
from collections import deque

import torch
import torch.nn as nn

from graph_programs import made, program


@contextlib.contextmanager
def evaluating(model):
    was = model.training
    model.eval()
    try:
        yield model
    finally:
        model.train(was)


@made("4x8")
def context_for_eval():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))

    def run(x):
        with evaluating(model) as m, torch.no_grad():
            return m(x), m.training

    return run


class Meter:
    def __init__(self):
        self.sum, self.count = 0, 0
        self.history = deque(maxlen=3)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False

    def update(self, val, n=1):
        self.sum += val * n
        self.count += n
        self.history.append(val)

    @property
    def avg(self):
        return self.sum / max(1, self.count)


@program("4x8")
def meter_in_call(x):
    with Meter() as m:
        for row in x:
            m.update(row.mean(), 2)
        return m.avg, m.count, list(m.history)


@made("4x8", "4x8", "4x8")
def meter_kept():
    meter = Meter()

    def run(x):
        meter.update(x.mean())
        return meter.avg, len(meter.history)

    return run


@program("4x8")
def nullcontexts(x, train=False):
    ctx = torch.enable_grad() if train else contextlib.nullcontext()
    with ctx:
        x = x * 2
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        y = x + 1
    with contextlib.suppress(KeyError):
        {}["a"]
    return y, torch.is_grad_enabled()


@program("4x8")
def profiler_and_ranges(x):
    with torch.profiler.record_function("forward"):
        y = x * 2
    with torch.autograd.profiler.record_function("more"):
        return y + 1
