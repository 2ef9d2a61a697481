"""Which ops count negative positions from the end, and which refuse them: PyTorch's, eager and in native code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from folded import folded

import tracegraph as tg
from tracegraph.nn import functional as F

Function = Callable[[tg.Tensor, tg.Tensor], tg.Tensor]

#: of x, float32[3, 4], and a position along its first dimension
WRAPPING: dict[str, Function] = {
    "x[i]": lambda x, i: x[i],
    "x[i] = value": lambda x, i: x.clone().index_put_((i,), tg.ones(4)),
    "index_fill": lambda x, i: x.index_fill(0, i, 9.0),
    "take": lambda x, i: x.take(i * 4),
    "put_": lambda x, i: x.clone().put_(i * 4, tg.ones(1)),
    "take_along_dim": lambda x, i: tg.take_along_dim(x, i.reshape(1, 1), 0),
}
REFUSING: dict[str, Function] = {
    "index_select": lambda x, i: x.index_select(0, i),
    "index_select of a number": lambda x, i: x[0, 0].index_select(0, i),
    "index_add": lambda x, i: x.index_add(0, i, tg.ones(1, 4)),
    "index_copy": lambda x, i: x.index_copy(0, i, tg.ones(1, 4)),
    "gather": lambda x, i: x.gather(0, i.reshape(1, 1)),
    "scatter": lambda x, i: x.scatter(0, i.reshape(1, 1), tg.ones(1, 1)),
    "scatter of a number": lambda x, i: x.scatter(0, i.reshape(1, 1), 5.0),
    "scatter_add": lambda x, i: x.scatter_add(0, i.reshape(1, 1), tg.ones(1, 1)),
    "scatter_reduce": lambda x, i: x.scatter_reduce(0, i.reshape(1, 1), tg.ones(1, 1), "amax"),
    "embedding": lambda x, i: F.embedding(i, x),
    "embedding_bag": lambda x, i: F.embedding_bag(i.reshape(1, 1), x),
    "take_along_dim of all": lambda x, i: tg.take_along_dim(x, i * 4),
    "nll_loss": lambda x, i: F.nll_loss(x[:1, :3], i),
    "multi_margin_loss": lambda x, i: F.multi_margin_loss(x[:1, :3], i),
    "multilabel_margin_loss": lambda x, i: F.multilabel_margin_loss(x[:1, :1], i.reshape(1, 1) * 2),
}


@folded("name", [*WRAPPING, *REFUSING])
def test_positions_out_of_range_are_index_errors(name: str) -> None:
    function = {**WRAPPING, **REFUSING}[name]
    x = tg.arange(12.0).reshape(3, 4)
    for execute in (function, tg.compile(function, fullgraph=True)):
        execute(x, tg.tensor([0]))
        for position in (3, -4) if name in WRAPPING else (3, -4, -1):
            with pytest.raises(IndexError):
                execute(x, tg.tensor([position]))


@folded("name", WRAPPING)
def test_negative_positions_count_from_the_end(name: str) -> None:
    x = tg.arange(12.0).reshape(3, 4)
    wanted = WRAPPING[name](x, tg.tensor([2]))
    for execute in (WRAPPING[name], tg.compile(WRAPPING[name], fullgraph=True)):
        assert execute(x, tg.tensor([-1])).equal(wanted)


def test_an_index_of_few_bits_counts_from_the_end_of_a_long_dimension() -> None:
    x = tg.arange(200.0).reshape(200, 1)
    assert tg.take_along_dim(x, tg.tensor([[-1]], dtype=tg.int8), 0).item() == 199.0
