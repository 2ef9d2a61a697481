"""Programs that fail: exception, traceback, side effects until then and handlers are eager's, wherever it happens."""

from __future__ import annotations

import collections
import contextlib
import io
import traceback
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captured import capture_of
from failing_programs import EFFECTS, FAILURES, PLACES, source
from folded import folded

import tracegraph as tg


def loaded(text: str, path: Path) -> types.ModuleType:
    """The module with this text, in a file of its own."""
    path.write_text(text)
    module = types.ModuleType(path.stem)
    exec(compile(text, str(path), "exec"), vars(module))
    return module


def make_args(module: Any) -> tuple[Any, ...]:
    slot = module.Slotted()
    slot.value = 0
    state = types.SimpleNamespace(
        index=tg.tensor([7]),
        integers=tg.tensor([4, 2]),
        zero=tg.tensor([1, 0]),
        bad=module.Bad(),
        table={"k": 1, "j": 2},
        weight=tg.ones(3),
        deque=collections.deque([1, 2, 3]),
        set={1},
        slot=slot,
    )
    return tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), state, []


def plain(value: Any) -> Any:
    """State as plain data, to compare."""
    if isinstance(value, tg.Tensor):
        return value.tolist(), value.requires_grad
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | collections.deque):
        return [plain(v) for v in value]
    if hasattr(value, "__slots__"):
        return {name: getattr(value, name) for name in value.__slots__}
    return plain(vars(value)) if hasattr(value, "__dict__") else value


def described(error: BaseException | None, file: str) -> Any:
    """An exception with the frames of `file` in its traceback, and all that hang on it."""
    if error is None:
        return None
    entries = traceback.extract_tb(error.__traceback__)
    frames = [(f.lineno, f.name, f.line, f.colno, f.end_colno) for f in entries if f.filename == file]
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    linked = [described(e, file) for e in (error.__cause__, error.__context__, *members)]
    notes = getattr(error, "__notes__", None)
    return type(error), str(error), notes, error.__suppress_context__, frames, linked


def everything_seen(module: Any, program: Callable[..., Any]) -> dict[str, Any]:
    """All that a call leaves behind."""
    tg.manual_seed(0)
    module.COUNTER = 0
    args, printed, error, result = make_args(module), io.StringIO(), None, None
    with contextlib.redirect_stdout(printed):
        try:
            result = program(*args)
        except BaseException as e:
            error = described(e, module.program.__code__.co_filename)
    return {
        "error": error,
        "result": plain(result),
        "arguments": plain(args),
        "printed": printed.getvalue(),
        "counter": module.COUNTER,
        "random state": tg.get_rng_state(),
        "grad mode": tg.is_grad_enabled(),
    }


def effect_for(place: str, failure: str) -> str:
    """One effect for each pair, such that each effect meets every place and every failure."""
    position = list(PLACES).index(place) * 5 + list(FAILURES).index(failure)
    return list(EFFECTS)[position % len(EFFECTS)]


@folded("failure", FAILURES)
@pytest.mark.parametrize("place", PLACES)
def test_failures_are_eagers(place: str, failure: str, tmp_path: Path) -> None:
    path = tmp_path / f"module{list(FAILURES).index(failure)}.py"
    module = loaded(source(place, effect_for(place, failure), failure), path)
    expected = everything_seen(module, module.program)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = capture_of(module.program)
        for _ in range(2):
            assert everything_seen(module, compiled) == expected


@pytest.mark.parametrize("backend", ["llvm", "interpreter", "eager"])
@pytest.mark.parametrize("effect", EFFECTS)
def test_effects_before_a_failing_operation(effect: str, backend: str, tmp_path: Path) -> None:
    module = loaded(source("handler that catches", effect, "operation"), tmp_path / "module.py")
    expected = everything_seen(module, module.program)
    compiled = tg.compile(module.program, backend=backend)
    for _ in range(2):
        assert everything_seen(module, compiled) == expected
