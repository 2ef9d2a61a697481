"""What can be called and was made during the trace: functions and their cells, methods, partials."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.drivers.rebuilding.containers import dict_display
from tracegraph.capture.stack.values import STAND_INS
from tracegraph.capture.trace.adapters import CallableAdapter, DecisionAdapter, KeyAdapter
from tracegraph.capture.trace.native_draws import GENERATORS
from tracegraph.capture.trace.replaced_methods import is_own
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor


def _function(reconstructor: Reconstructor, value: types.FunctionType) -> str:
    closure = reconstructor.tuple_display(value.__closure__) if value.__closure__ else "None"
    make = reconstructor.pool.name(types.FunctionType)
    code, space = reconstructor.pool.name(value.__code__), reconstructor.pool.name(value.__globals__)
    defaults = reconstructor.expression(value.__defaults__)
    name = reconstructor.assign(value, f"{make}({code}, {space}, {value.__name__!r}, {defaults}, {closure})", "f")
    for attribute, content in (("__kwdefaults__", value.__kwdefaults__), ("__dict__", value.__dict__ or None)):
        if content is not None:
            reconstructor.lines.append(f"{name}.{attribute} = {dict_display(reconstructor, content)}")
    plain = types.FunctionType(value.__code__, value.__globals__, value.__name__, None, value.__closure__)
    for attribute in ("__qualname__", "__doc__", "__module__", "__annotations__"):
        content = getattr(value, attribute)
        if content != getattr(plain, attribute):
            reconstructor.lines.append(f"{name}.{attribute} = {reconstructor.expression(content)}")
    return name


def _cell(reconstructor: Reconstructor, value: types.CellType) -> str:
    name = reconstructor.assign(value, f"{reconstructor.pool.name(types.CellType)}()", "cell")

    def fill() -> None:
        try:
            content = value.cell_contents
        except ValueError:
            return
        reconstructor.lines.append(f"{name}.cell_contents = {reconstructor.expression(content)}")

    reconstructor.later.append(fill)
    return name


def _method(reconstructor: Reconstructor, value: types.MethodType) -> str:
    owner = reconstructor.expression(value.__self__)
    kind = type(value.__self__)
    is_programs = kind is Traced and isinstance(value.__func__, types.FunctionType) and not is_own(value.__func__)
    if (kind in STAND_INS and not is_programs) or kind in GENERATORS:
        return reconstructor.assign(value, f"{owner}.{value.__func__.__name__}")
    cls = reconstructor.pool.name(types.MethodType)
    return reconstructor.assign(value, f"{cls}({reconstructor.expression(value.__func__)}, {owner})")


def _partial(reconstructor: Reconstructor, value: functools.partial[Any]) -> str:
    keywords = f", **{dict_display(reconstructor, value.keywords)}" if value.keywords else ""
    args = reconstructor.expressions((value.func, *value.args))
    name = reconstructor.assign(value, f"{reconstructor.pool.name(functools.partial)}({args}{keywords})")
    if value.__dict__:
        reconstructor.later.append(
            lambda: reconstructor.lines.append(f"{name}.__dict__.update({dict_display(reconstructor, value.__dict__)})")
        )
    return name


def _super(reconstructor: Reconstructor, value: Any) -> str:
    parts = (object.__getattribute__(value, n) for n in ("__thisclass__", "__self__"))
    return reconstructor.assign(value, f"super({reconstructor.expressions(parts)})")


def _adapted(reconstructor: Reconstructor, value: CallableAdapter) -> str:
    return reconstructor.expression(value.function)


BUILDERS: dict[type, Callable[[Reconstructor, Any], str]] = {
    types.FunctionType: _function,
    types.CellType: _cell,
    types.MethodType: _method,
    functools.partial: _partial,
    super: _super,
    **dict.fromkeys((CallableAdapter, DecisionAdapter, KeyAdapter), _adapted),
}
