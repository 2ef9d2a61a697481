"""Options of `tracegraph.compile`: names, meanings and defaults in one place."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tracegraph.errors import OptionError
from tracegraph.ir import Graph
from tracegraph.ops.core.arguments import described


@dataclass(frozen=True)
class Options:
    """What the stages of the compiler may be told.

    Attributes:
        fastmath: permit value-changing algebra (reassociation, x*0 == 0, approximate division).
        partitioner: "min_cut" saves as little as recomputation makes cheap; "default" saves all that backward reads.
        verify: verify every graph between passes.
        fuse: fuse elementwise, view and reduction ops into kernels.
        fold_size_limit: largest constant, in elements, that constant folding may create.
        recompile_limit: specialisations of one function before further calls run eagerly; None: as
            `tracegraph.compiler.config` says.
        error_on_recompile: compiling a function again raises RecompileError; None: as the config says.
        strict: a failure inside the compiler raises instead of falling back to eager with a warning.
        custom_passes: functions `Graph -> Graph` that run after the optimising passes and before fusion, in order.
    """

    fastmath: bool = False
    partitioner: str = "min_cut"
    verify: bool = False
    fuse: bool = True
    fold_size_limit: int = 4096
    recompile_limit: int | None = None
    error_on_recompile: bool | None = None
    strict: bool = False
    custom_passes: tuple[Callable[[Graph], Graph], ...] = ()

    def updated(self, changes: Mapping[str, Any] | None) -> Options:
        """These options with `changes` applied.

        Raises:
            OptionError: an unknown name (the nearest is suggested), a value of the wrong type or out of range.
        """
        if not isinstance(changes, Mapping | None):
            raise OptionError(f"options={changes!r}: expected a dict of options, got {type(changes).__name__}")
        given: dict[str, Any] = {name: tuple(v) if type(v) is list else v for name, v in (changes or {}).items()}
        for name, value in given.items():
            _check(name, value)
        result = replace(self, **given)
        if result.partitioner not in PARTITIONERS:
            raise OptionError(f"option partitioner={result.partitioner!r}: one of {', '.join(PARTITIONERS)}")
        for number, custom in enumerate(result.custom_passes):
            if not callable(custom):
                raise OptionError(
                    f"option custom_passes[{number}] must be a function Graph -> Graph, got {described(custom)}"
                )
        for name in ("fold_size_limit", "recompile_limit"):
            if (getattr(result, name) or 0) < 0:
                raise OptionError(f"option {name}={getattr(result, name)}: must not be negative")
        return result


PARTITIONERS = ("min_cut", "default")
#: options whose default is None, which means that something else decides
_DECIDED_ELSEWHERE: dict[str, type] = {"recompile_limit": int, "error_on_recompile": bool}
_TYPES: dict[str, type] = {f.name: _DECIDED_ELSEWHERE.get(f.name, type(f.default)) for f in fields(Options)}
OPTION_NAMES = tuple(_TYPES)


def _check(name: object, value: object) -> None:
    if not isinstance(name, str) or name not in _TYPES:
        near = difflib.get_close_matches(str(name), _TYPES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; options are {', '.join(OPTION_NAMES)}"
        raise OptionError(f"unknown option {name!r}{hint}")
    if type(value) is not _TYPES[name] and not (value is None and name in _DECIDED_ELSEWHERE):
        raise OptionError(f"option {name}={value!r}: expected {_TYPES[name].__name__}, got {type(value).__name__}")
