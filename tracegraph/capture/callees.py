"""Callees that broke the graph of their caller, called from its driver."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture.calls.directives import disabled_reason
from tracegraph.capture.calls.native_calls import calls_back, is_worth_compiling
from tracegraph.capture.reporting.tracebacks import hide_frames_of
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.capture.stance import STANCE

if TYPE_CHECKING:
    from tracegraph.capture.specialisations import Family


class CalleeCompiler:
    """Calls a callee that broke the graph: a Python function is compiled on its own, anything else runs as it is."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def __call__(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._call(function, *args, **kwargs)
        except BaseException as error:
            hide_frames_of(__file__, error)  # the caller may catch it, and look at its traceback
            raise

    def _call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        if STANCE.is_eager:
            return function(*args, **kwargs)
        if isinstance(function, types.MethodType):
            return self._call(function.__func__, function.__self__, *args, **kwargs)
        if type(function) is functools.partial:
            return self._call(function.func, *function.args, *args, **{**function.keywords, **kwargs})
        if isinstance(function, types.FunctionType):
            if calls_back(function):
                args = tuple(functools.partial(self, a) if isinstance(a, types.FunctionType) else a for a in args)
            if not is_worth_compiling(function) or disabled_reason(function) is not None:
                return function(*args, **kwargs)
            return self.family.entry_point(function, args).call(function, args, kwargs)
        method = class_lookup(type(function), "__call__")
        method = getattr(method, "_tracegraph_original", method)
        if not isinstance(function, type) and isinstance(method, types.FunctionType):
            return self._call(method, function, *args, **kwargs)
        return function(*args, **kwargs)
