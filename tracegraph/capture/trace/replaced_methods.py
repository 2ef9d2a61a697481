"""Methods of `Tensor` that the program has replaced, as a trace sees them.

What captured code asks for by name is read from the class like any other attribute, and inlined. What C code asks for
(an operator, a statement) and what library code calls natively would be the methods of the stand-in `Traced`: while a
trace runs, those that are replaced lead back into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.trace.adapters import CallableAdapter
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: attributes of classes whose replacement is not followed: no function is captured as long as it lasts
_NOT_FOLLOWED = frozenset({
    "__getattribute__", "__setattr__", "__delattr__", "__hash__", "__class__", "__bases__", "__init__", "__new__",
    "__del__", "__dict__", "shape", "dtype", "requires_grad", "grad",
})  # fmt: skip


def is_replaced(tracer: Tracer, tensor: Traced, name: str) -> bool:
    """Whether the program has replaced an attribute of this tensor's class; of special methods, whether it has one."""
    return REPLACEMENTS.is_replaced(tracer.type_of(tensor), name)


def is_asked_first(tracer: Tracer, right: Traced, left: Traced, reflected: str) -> bool:
    """Whether an operator asks its right operand first: one of a derived class that has been given a method."""
    own, other = tracer.type_of(right), tracer.type_of(left)
    is_derived = own is not other and issubclass(own, other)
    return is_derived and class_lookup(own, reflected) is not class_lookup(other, reflected)


def read_from_class(tracer: Tracer, tensor: Traced, name: str) -> Any:
    """`tensor.name` as the program's class has it, MISSING if it has none."""
    from tracegraph.capture.protocols.descriptors import bind

    cls = tracer.type_of(tensor)
    raw = tracer.class_entry(cls, name)
    return raw if raw is MISSING else bind(tracer, raw, tensor, cls, name)


# ------------------------------------------------------------------------------------------ the library's own


def _functions_of_library() -> Iterator[tuple[Any, str]]:
    """The methods of eager tensors and of handles, by which the library knows its own."""
    for cls in (*Tensor.__mro__, *Traced.__mro__):
        if cls is not object:
            for name in tuple(vars(cls)):
                original = REPLACEMENTS.original(cls, name)
                if callable(original):
                    yield original, name


_NAMES: dict[int, str] = {id(function): name for function, name in _functions_of_library()}
_OF_HANDLES = {name: class_lookup(Traced, name) for name in dir(Traced)}


def is_own(function: Any) -> bool:
    """Whether `function` is a method of tensors as the library defines it."""
    return id(function) in _NAMES


def own_method(function: Any, tensor: Traced) -> Any:
    """A method of tensors as the library defines it, bound to a handle.

    Raises:
        Break: it has no graph form.
    """
    name = _NAMES[id(function)]
    found = _OF_HANDLES.get(name)
    if found is None:
        raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{name}")
    return found.__get__(tensor, Traced)


# ------------------------------------------------------------------------------------------ while a trace runs


class _Redirection:
    """A method of `Traced` that the program has replaced in `Tensor`: it leads back into the trace."""

    def __init__(self, tracer: Tracer, name: str) -> None:
        self._tracer = tracer
        self._recorder = tracer.recorder
        self._name = name
        self._original = _OF_HANDLES.get(name)

    def __get__(self, tensor: Traced | None, cls: type) -> Any:
        if tensor is None:
            return self._unbound()
        tracer, name = self._tracer, self._name
        if not (tensor.recorder.is_within(self._recorder) and is_replaced(tracer, tensor, name)):
            if self._original is None:
                raise AttributeError(name)
            return self._original.__get__(tensor, cls) if hasattr(self._original, "__get__") else self._original
        if not name.startswith("__"):
            # in eager execution the library's Python code would call it as well
            raise Break(reasons.TENSOR_ATTRIBUTE, f"library code that uses Tensor.{name}, which the program replaced")
        found = read_from_class(tracer, tensor, name)
        if found is MISSING:
            raise AttributeError(name)
        return CallableAdapter(tracer, found) if callable(found) else found

    def _unbound(self) -> Callable[..., Any]:
        def method(tensor: Traced, *args: Any, **kwargs: Any) -> Any:
            return self.__get__(tensor, Traced)(*args, **kwargs)

        method.__tracegraph_op__ = True  # type: ignore[attr-defined]
        return method


#: the attributes of `Traced` that are redirected now, and what they were; there is one trace at a time
_REDIRECTED: dict[str, Any] = {}


def redirect(tracer: Tracer) -> None:
    """Let handles of this trace have the methods that the program has given to tensors, until `end_redirection`.

    Raises:
        Break: something is replaced that every use of a tensor goes through.
    """
    end_redirection()
    names = {name for _, name in REPLACEMENTS.names}
    for name in sorted(names & _NOT_FOLLOWED):
        raise Break(reasons.UNSUPPORTED_VALUE, f"Tensor.{name}, which the program replaced", Extent.FRAME)
    for name in names:
        _REDIRECTED[name] = vars(Traced).get(name, MISSING)
        type.__setattr__(Traced, name, _Redirection(tracer, name))


def end_redirection() -> None:
    """Undo `redirect`. What an interrupt leaves of that, the next trace undoes; for its handles nothing is changed."""
    for name, original in list(_REDIRECTED.items()):
        if original is not MISSING:
            type.__setattr__(Traced, name, original)
        elif name in vars(Traced):
            type.__delattr__(Traced, name)
        _REDIRECTED.pop(name, None)
