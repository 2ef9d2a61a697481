"""Programs in the plain PyTorch idiom, by subject: what `graph_counts.py` compiles with each library.

They are ordinary torch code. The benchmark reads each file once for every library, with that library in the place of
torch. `program` says what a program is called with; a string stands for the arguments of one call, see `arguments_of`.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Program:
    """What to compile, and the calls.

    Attributes:
        make: makes the callable, its parameters set to seeded numbers.
        calls: the arguments of each call, as text.
        is_random: the values of the results are drawn: only shapes and dtypes are compared.
    """

    name: str
    make: Callable[[], Any]
    calls: tuple[str, ...]
    is_random: bool = False


#: the programs of the file that is being read
collected: list[Program] = []


def program(*calls: str, is_random: bool = False) -> Callable[[Any], Any]:
    """Take a function, or an instance of a class, as a program called like this; one call is made twice."""
    return _taker(calls, is_random, lambda target: seeded(target()) if isinstance(target, type) else target)


def made(*calls: str, is_random: bool = False) -> Callable[[Any], Any]:
    """Take what the function returns as a program called like this."""
    return _taker(calls, is_random, lambda target: seeded(target()))


def _taker(calls: tuple[str, ...], is_random: bool, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def take(target: Any) -> Any:
        collected.append(Program(target.__name__, lambda: make(target), calls, is_random))
        return target

    return take


def seeded(target: Any) -> Any:
    """The same, the parameters of the modules that it holds or closes over drawn from a fixed seed."""
    rng = np.random.default_rng(7)
    for parameter in _parameters_in(target, set()):
        values = rng.standard_normal(tuple(parameter.shape)).astype(np.float32) * 0.3
        parameter.detach().copy_(parameter.new_tensor(values))
    return target


def _parameters_in(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen or isinstance(value, type):
        return
    seen.add(id(value))
    if hasattr(value, "named_parameters"):
        yield from (p for p in value.parameters() if type(p).__name__ == "Parameter")
    elif isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            yield from _parameters_in(cell.cell_contents, seen)
    elif isinstance(value, types.MethodType):
        yield from _parameters_in(value.__self__, seen)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _parameters_in(part, seen)


def arguments_of(text: str, tensor: Callable[[np.ndarray], Any]) -> tuple[Any, ...]:
    """The arguments that a text stands for: equal texts give equal arguments.

    `4x8` floats of a normal distribution, `4x8+` between 0.1 and 2, `4x8~` requiring grad, `6<10` integers below 10,
    `4x4?` bools; `=...` a Python value.

    Args:
        tensor: makes a tensor of an array.
    """
    rng = np.random.default_rng(len(text))
    return tuple(_argument(word, rng, tensor) for word in text.split())


def _argument(word: str, rng: np.random.Generator, tensor: Callable[[np.ndarray], Any]) -> Any:
    if word.startswith("="):
        return eval(word[1:], {})
    sizes, mark, limit = _parts(word)
    shape = tuple(int(n) for n in sizes.split("x") if n)
    if mark == "<":
        return tensor(rng.integers(0, int(limit), shape))
    if mark == "?":
        return tensor(rng.random(shape) < 0.5)
    if mark == "+":
        return tensor(rng.uniform(0.1, 2.0, shape).astype(np.float32))
    made = tensor(rng.standard_normal(shape).astype(np.float32))
    return made.requires_grad_() if mark == "~" else made


def _parts(word: str) -> tuple[str, str, str]:
    for mark in "<?+~":
        if mark in word:
            sizes, _, limit = word.partition(mark)
            return sizes, mark, limit
    return word, "", ""
