"""Ints that vary, as what an op asks for: sizes, ranks, windows. One graph must not serve what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agreement import assert_agree

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph.errors import TracegraphError
from tracegraph.tensor import Tensor

#: the second makes the number a symbol; what follows is 0, below 0, 1, too large, or does not divide
ASKED = (2, 3, 4, 0, -1, 6, -2, 1, 5, 24)

FUNCTIONS: dict[str, Callable[[Tensor, int], Any]] = {
    "zeros": lambda x, n: tg.zeros(n),
    "rand": lambda x, n: tg.rand(n, 2),
    "new_full": lambda x, n: x.new_full((n, n), 1.5),
    "linspace": lambda x, n: tg.linspace(0, 1, n),
    "linspace of floats": lambda x, n: tg.linspace(n * 0.5, n * 1.5, n),
    "reshape": lambda x, n: x.reshape(n, -1),
    "view": lambda x, n: x.view(n, 3),
    "unflatten": lambda x, n: x.unflatten(0, (n, -1)),
    "expand": lambda x, n: x.expand(n, 12),
    "expand to itself": lambda x, n: x.expand(2, n),
    "unfold": lambda x, n: x.unfold(0, n, 1),
    "topk": lambda x, n: x.topk(n),
    "kthvalue": lambda x, n: x.kthvalue(n),
    "one_hot": lambda x, n: F.one_hot(tg.arange(3), n),
    "max_pool1d": lambda x, n: F.max_pool1d(x.view(1, 1, 12), n),
    "adaptive_avg_pool1d": lambda x, n: F.adaptive_avg_pool1d(x.view(1, 1, 12), n),
    "interpolate": lambda x, n: F.interpolate(x.view(1, 1, 12), size=n),
    "image windows": lambda x, n: F.unfold(x.view(1, 1, 3, 4), (n, 1)),
    "pow": lambda x, n: tg.arange(1, 5) ** n,
}


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_fits_or_raises_as_eager(name: str, backend: str) -> None:
    function = FUNCTIONS[name]
    compiled = tg.compile(function, backend=backend, options={"recompile_limit": len(ASKED)})
    for n in ASKED:
        state = tg.get_rng_state()
        expected = _outcome(function, n)
        tg.set_rng_state(state)
        actual = _outcome(compiled, n)
        if isinstance(expected, str):
            assert actual == expected, n
        else:
            for found, wanted in zip(actual, expected, strict=True):
                assert_agree(found, wanted, f"{n}")


def _outcome(function: Callable[[Tensor, int], Any], n: int) -> Any:
    """The results, or the error as text."""
    try:
        result = function(tg.arange(12.0).cos(), n)
    except TracegraphError as error:
        return f"{type(error).__name__}: {error}"
    return [t.numpy() for t in ((result,) if isinstance(result, Tensor) else result)]
