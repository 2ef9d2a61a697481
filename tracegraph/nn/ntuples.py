"""One number for all dimensions, or one for each: what layers written by hand ask (`nn.modules.utils` in PyTorch)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from tracegraph.nn.state import consume_prefix_in_state_dict_if_present

__all__ = ["consume_prefix_in_state_dict_if_present"]


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    """The function that gives a tuple of what is iterable, and of everything else `n` times the same."""

    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: Iterable[Any], n: int) -> tuple[Any, ...]:
    """(1, 2) --> (2, 2, 1, 1) for n = 2: paddings of dimensions as `pad` takes them."""
    return tuple(x for x in reversed(tuple(t)) for _ in range(n))


def _list_with_default(out_size: Any, defaults: list[Any]) -> Any:
    """Sizes, those that are None taken from the end of `defaults`; one number is given back as it is."""
    if not isinstance(out_size, list | tuple):
        return out_size
    return [d if v is None else v for v, d in zip(out_size, defaults[-len(out_size) :], strict=True)]
