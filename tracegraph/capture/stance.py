"""Switches of the whole process: what compiled functions do when they are called, and how often they are compiled.

`set_stance` is `torch.compiler.set_stance`; `config` holds what a `compile` call does not say itself.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from tracegraph.errors import OptionError
from tracegraph.ops.core.arguments import described

F = TypeVar("F", bound=Callable[..., Any])

STANCES = ("default", "eager_then_compile", "force_eager", "eager_on_recompile", "fail_on_recompile")


class _Stance:
    """The stance in force; `is_eager` is asked on every call of a compiled function."""

    __slots__ = ("is_eager", "name")

    def __init__(self) -> None:
        self.set("default")

    def set(self, name: str) -> str:
        """Change the stance; the one that was in force."""
        before = getattr(self, "name", name)
        self.name = name
        self.is_eager = name == "force_eager"
        return before


STANCE = _Stance()


class set_stance:
    """Change what compiled functions do, from here on, for a `with` block, or for a function that it decorates.

    Args:
        stance: "default" compiles as needed; "eager_then_compile" runs each function once eagerly before, so that
            sizes and numbers that differ between the first two calls are symbols of the first graph; "force_eager"
            runs the original functions; "eager_on_recompile" runs compiled code that fits and everything else eagerly;
            "fail_on_recompile" raises RecompileError where a function would have to be compiled.
        skip_guard_eval_unsafe, force_backend: for PyTorch's signature; guards are always checked, and the backend is
            an argument of `compile`.

    Raises:
        OptionError: there is no such stance, or one of the other arguments is set.
    """

    def __init__(
        self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None
    ) -> None:
        if stance not in STANCES:
            near = difflib.get_close_matches(str(stance), STANCES, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise OptionError(f"set_stance({stance!r}): one of {', '.join(STANCES)}{hint}")
        if skip_guard_eval_unsafe is not False:
            raise OptionError(
                f"set_stance(skip_guard_eval_unsafe={skip_guard_eval_unsafe!r}): guards are always checked"
            )
        if force_backend is not None:
            raise OptionError(
                f"set_stance(force_backend={force_backend!r}): not possible; use compiler.set_default_backend, or the "
                "argument backend of compile"
            )
        self.stance = stance
        self._before = STANCE.set(stance)

    def __enter__(self) -> None:
        STANCE.set(self.stance)

    def __exit__(self, *exception: object) -> None:
        STANCE.set(self._before)

    def __call__(self, function: F) -> F:
        """Decorate: the stance holds while `function` runs, and not before."""
        STANCE.set(self._before)

        @functools.wraps(function)
        def with_stance(*args: Any, **kwargs: Any) -> Any:
            before = STANCE.set(self.stance)
            try:
                return function(*args, **kwargs)
            finally:
                STANCE.set(before)

        return with_stance  # type: ignore[return-value]


@dataclass
class Config:
    """Settings for every compiled function whose `compile` call does not give its own.

    Attributes:
        recompile_limit: how often one function is compiled; further kinds of calls run eagerly, with one warning.
        error_on_recompile: compiling a function again raises RecompileError.
    """

    recompile_limit: int = 8
    error_on_recompile: bool = False

    def __setattr__(self, name: str, value: Any) -> None:
        kinds: dict[str, Any] = {f.name: type(f.default) for f in fields(Config)}
        if name not in kinds:
            raise OptionError(f"config has no setting {name!r}; there are {', '.join(kinds)}")
        if type(value) is not kinds[name]:
            raise OptionError(f"config.{name}={value!r}: expected {kinds[name].__name__}, got {described(value)}")
        if value < 0:
            raise OptionError(f"config.{name}={value!r}: must not be negative")
        object.__setattr__(self, name, value)

    @contextmanager
    def patch(self, arg1: str | Mapping[str, Any] | None = None, arg2: Any = None, **kwargs: Any) -> Iterator[None]:
        """Other settings inside the block (or while the decorated function runs): `patch(recompile_limit=2)`,
        `patch("recompile_limit", 2)` or `patch({"recompile_limit": 2})`.

        Raises:
            OptionError: no such setting, or a value that it does not take.
        """
        changes = {**({arg1: arg2} if isinstance(arg1, str) else arg1 or {}), **kwargs}
        before = {name: getattr(self, name, None) for name in changes}
        try:
            for name, value in changes.items():
                setattr(self, name, value)
            yield
        finally:
            for name, value in before.items():
                if value is not None:
                    setattr(self, name, value)


config = Config()
