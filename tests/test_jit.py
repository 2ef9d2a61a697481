"""Code written with TorchScript in mind runs as it is."""

from __future__ import annotations

from captured import check

import tracegraph as tg


@tg.jit.script
def scripted(x):
    return x * 2 if tg.jit.is_scripting() or tg.jit.is_tracing() else x + 1


@tg.jit.ignore
def ignored(x):
    return tg.jit.annotate(tg.Tensor, x)


@tg.jit.ignore(drop=True)
def dropped(x):
    return tg.jit.unused(tg.jit.export(scripted))(x)


def test_marks_change_nothing() -> None:
    check(lambda x: (scripted(x), ignored(x), dropped(x)), graphs=1, fullgraph=True)
