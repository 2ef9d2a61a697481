"""The op that a user's function becomes: executed by the function, differentiated by the user's formula.

In graphs it is one node of kind Library. Ops that write to arguments add to this (`mutating_op`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.autograd import no_grad
from tracegraph.autograd.tape import attach
from tracegraph.autograd.tape import handle as run_eagerly
from tracegraph.errors import ArgumentError, AutogradError, DataDependentError, ReadOnlyError
from tracegraph.ir import Builder, TensorType
from tracegraph.library.application import ApplicationNode, OpContext
from tracegraph.library.schema import Parameter, Schema
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle, Reads
from tracegraph.ops.core.dispatch import creation
from tracegraph.ops.graphs.recording import Recorder, Traced
from tracegraph.ops.kinds import Library
from tracegraph.tensor import Tensor

#: types of results by types of operands: as many are remembered per op
_REMEMBERED = 256


class CustomOp(Library):
    """Base of the ops that `custom_op` makes; what it returns is the one instance of a subclass.

    Called like the function. `register_fake`, `register_autograd` and `register_kernel` complete it.
    """

    method = False
    runs_program = True
    formula_may_write = True
    schema: ClassVar[Schema]

    def __init__(self) -> None:
        super().__init__()
        self._kernel: Callable[..., Any] = type(self).__dict__["function"]
        self._fake: Callable[..., Any] | None = None
        self._backward: Callable[..., Any] | None = None
        self._setup_context: Callable[..., Any] | None = None
        self._types: dict[Any, tuple[TensorType, ...]] = {}
        #: gradients are wanted of any op; one without a formula says so when they are
        self.is_differentiable = True

    # ------------------------------------------------------------------------------------ registration

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Say what the results look like: `fn` takes what the op takes, with stand-ins for tensors.

        It returns tensors of the right shapes and dtypes, made from its arguments (`x.new_empty`, `empty_like(x)`);
        sizes may be symbolic, elements cannot be read. A later registration replaces an earlier one.

        Raises:
            ArgumentError: `fn` is not callable.
        """
        self._fake = _callable(f"{self.name}.register_fake", fn)
        self._types.clear()
        return fn

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """Give the gradient formula.

        Args:
            backward: `(ctx, *gradients of the results) -> gradients of the inputs`, one per parameter of the op, None
                for what has none; written in tensor operations, since it becomes part of graphs.
            setup_context: `(ctx, inputs, output)`, called after the op, keeps what backward needs:
                `ctx.save_for_backward(...)` for tensors, attributes for the rest. With keyword-only parameters:
                `(ctx, inputs, keyword_only_inputs, output)`.

        Raises:
            ArgumentError: an argument is not callable, or the op writes to its arguments.
        """
        if self.schema.mutated:
            raise ArgumentError(
                f"{self.name}.register_autograd: an op that writes to its arguments has no gradient; make one that "
                "returns new tensors, and register its gradient"
            )
        self._backward = _callable(f"{self.name}.register_autograd", backward)
        self._setup_context = _callable(f"{self.name}.register_autograd", setup_context) if setup_context else None

    def register_kernel(self, device_types: Any = "cpu", fn: Any = None, /) -> Any:
        """Execute the op by another function from now on; usable as a decorator.

        Args:
            device_types: "cpu", the only kind of device.

        Raises:
            ArgumentError: another device, or `fn` is not callable.
        """
        devices = (device_types,) if isinstance(device_types, str) else tuple(device_types or ("cpu",))
        if devices != ("cpu",):
            raise ArgumentError(f"{self.name}.register_kernel: device_types={device_types!r}; there is only cpu")
        if fn is None:
            return lambda function: self.register_kernel("cpu", function)
        self._kernel = _callable(f"{self.name}.register_kernel", fn)
        return fn

    @property
    def has_fake(self) -> bool:
        return self._fake is not None

    @property
    def has_gradient(self) -> bool:
        return self._backward is not None

    # ------------------------------------------------------------------------------------ arguments

    def grouped(self, operands: Sequence[Any]) -> Iterator[tuple[Parameter, Any]]:
        """What stands for each tensor parameter in a row of one entry per operand; a list of tensors has a list."""
        parameters = [p for p in self.schema.parameters if p.is_operand]
        rest = iter(operands)
        for p in parameters:
            several = len(operands) - len(parameters) + 1
            yield p, [next(rest) for _ in range(several)] if p.sort == "Tensors" else next(rest)

    def arguments(self, operands: Sequence[Any], attrs: dict[str, Any]) -> Iterator[tuple[Parameter, Any]]:
        """Parameters and values in the order of the function."""
        tensors = {p.name: value for p, value in self.grouped(operands)}
        return ((p, tensors[p.name] if p.is_operand else attrs[p.name]) for p in self.schema.parameters)

    def _call(self, function: Callable[..., Any], operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        positional, keywords = self._split(operands, attrs)
        return function(*positional, **keywords)

    def _split(self, operands: Sequence[Any], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = list(self.arguments(operands, attrs))
        keywords = {p.name: v for p, v in given if p.keyword_only}
        return tuple(v for p, v in given if not p.keyword_only), keywords

    # ------------------------------------------------------------------------------------ execution

    def infer(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        """Result types, by the fake function.

        Raises:
            DataDependentError: there is none, or it reads elements: the graph has to end before the op.
            ArgumentError: it does not return what the op returns.
        """
        if self._fake is None:
            raise DataDependentError(
                f"the results of {self.name}, known only when it has run; {self.name}.register_fake tells them before"
            )
        recorder = Recorder(Builder(f"{self.name}.fake"))
        handles = [
            recorder.traced(recorder.builder.placeholder(o, f"input{i}")) if isinstance(o, TensorType) else o
            for i, o in enumerate(operands)
        ]
        with recorder.active():
            results = self._listed(self._call(self._fake, handles, attrs), Traced, "fake function")
        return tuple(r.value.type for r in results)

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        """Execute on arrays, by the kernel; what it may not write to is read-only while it runs."""
        inputs = [Tensor(read_only(o)) if isinstance(o, np.ndarray) else o for o in operands]
        results = self.execute(inputs, attrs)
        self._check_types(operands, attrs, results)
        return results

    def execute(self, inputs: Sequence[Any], attrs: dict[str, Any]) -> tuple[np.ndarray, ...]:
        """Run the kernel on tensors, outside any trace and without history; its results as arrays."""
        with creation(run_eagerly), no_grad():
            try:
                found = self._call(self._kernel, inputs, attrs)
            except ValueError as error:
                written = self._undeclared(error, inputs)
                if written is not None:
                    raise ArgumentError(written) from error
                raise
            results = self._listed(found, Tensor, "function")
        taken: list[np.ndarray] = [t._np for t in inputs if isinstance(t, Tensor)]
        arrays = []
        for result in results:
            if any(np.may_share_memory(result._np, other) for other in taken):
                raise ArgumentError(
                    f"{self.name}: a result shares memory with an argument or another result; return a clone()"
                )
            taken.append(result._np)
            arrays.append(result._np)
        return tuple(arrays)

    def _undeclared(self, error: ValueError, inputs: Sequence[Any]) -> str | None:
        """What `error` says if it is of a write to an argument that `mutates_args` does not name."""
        protected = {
            p.name: [t for t in (value if isinstance(value, list) else [value]) if isinstance(t, Tensor)]
            for p, value in self.grouped(inputs)
            if not p.is_mutated
        }
        if isinstance(error, ReadOnlyError):
            memory = error.memory
            names = [n for n, held in protected.items() if any(np.may_share_memory(t._np, memory) for t in held)]
        else:  # numpy's, which does not say what was written to
            names = [n for n, held in protected.items() if held] if "read-only" in str(error) else []
        if not names:
            return None
        which = " or ".join(map(repr, names))
        return (
            f"{self.name}: its function writes to its argument {which}, which mutates_args={self.schema.mutated!r} "
            "does not name; name it there, or write to a clone()"
        )

    def _listed(self, results: Any, kind: type, what: str) -> tuple[Any, ...]:
        """The results of one of the user's functions, checked for number and type."""
        expected = self.schema.returns
        listed = results if isinstance(results, tuple) else () if results is None else (results,)
        if len(listed) != expected or not all(isinstance(r, kind) for r in listed):
            types = ", ".join(type(r).__name__ for r in listed) or "None"
            raise ArgumentError(
                f"{self.name}: its {what} must return {expected} tensor{'' if expected == 1 else 's'}, got {types}"
            )
        return listed

    def _check_types(self, operands: Sequence[Any], attrs: dict[str, Any], results: Sequence[np.ndarray]) -> None:
        """Require of the results what the fake function said of them."""
        if self._fake is None:
            return
        key = (*((o.dtype.str, o.shape) if isinstance(o, np.ndarray) else (type(o), o) for o in operands),
               *sorted((n, type(v), v) for n, v in attrs.items()))  # fmt: skip
        types = self._types.get(key)
        if types is None:
            given = (type_of(o) if isinstance(o, np.ndarray) else o for o in operands)
            types = self.infer(*given, **attrs)
            if len(self._types) >= _REMEMBERED:
                self._types.clear()
            self._types[key] = types
        for expected, array in zip(types, results, strict=True):
            if type_of(array) != expected:
                raise ArgumentError(f"{self.name} returned {type_of(array)}, its fake function said {expected}")

    # ------------------------------------------------------------------------------------ gradients

    def expand(self, operands: Sequence[Any], attrs: Any) -> Any:
        """Execute on eager tensors and leave the application on the tape."""
        arrays = [o._np if isinstance(o, Tensor) else o for o in operands]
        results = tuple(Tensor(a) for a in self.run(*arrays, **attrs))
        context = OpContext()
        needs = [isinstance(o, Tensor) and o.requires_grad for o in operands]
        attach(ApplicationNode(self, context, operands, dict(attrs), results), results)
        with no_grad():
            self._fill(context, operands, dict(attrs), results, needs)
        return self.pack(results)

    def asks_presence(self, attrs: Mapping[str, Any]) -> bool:
        return self.schema.returns > 1  # its formula may have set_materialize_grads(False)

    def gives_zeros_for_zeros(self, attrs: Mapping[str, Any]) -> bool:
        return False

    def vjp_reads(self, operands: int) -> Reads:
        """All of them may be read; which ones are, `pullback` tells."""
        return Reads((True,) * operands, True)

    @property
    def vjp_parameters(self) -> tuple[str, ...]:
        count = sum(p.is_operand and p.sort != "Tensors" for p in self.schema.parameters)
        return ("results", *(f"operand{i}" for i in range(count)))

    def pullback(
        self,
        cotangents: tuple[Handle | None, ...],
        results: tuple[Handle, ...],
        operands: tuple[Any, ...],
        attrs: dict[str, Any],
        needs: Sequence[bool],
        on_read: Callable[[Collection[str]], None] | None = None,
    ) -> tuple[Handle | None, ...]:
        """Gradients on handles, for the joint graph."""
        context = OpContext()
        self._fill(context, operands, attrs, results, needs)
        if on_read is not None:
            on_read(_read_names(context, operands, results))
        try:
            return self.gradients(context, cotangents, results, operands, attrs, needs)
        except DataDependentError as e:
            raise AutogradError(
                f"the backward function of {self.name} reads elements of tensors ({e}); make that part a custom op"
            ) from None

    def _fill(
        self, context: OpContext, operands: Sequence[Any], attrs: dict[str, Any], results: Any, needs: Sequence[bool]
    ) -> None:
        """Let the user's `setup_context` keep what backward needs."""
        wanted = {p.name: any(flag) if p.sort == "Tensors" else flag for p, flag in self.grouped(needs)}
        context.needs_input_grad = tuple(wanted.get(p.name, False) for p in self.schema.parameters)
        if self._setup_context is None:
            return
        positional, keywords = self._split(operands, attrs)
        given: dict[str, Any] = {"inputs": positional, "output": self.pack(results)}
        if any(p.keyword_only for p in self.schema.parameters):
            given["keyword_only_inputs"] = keywords
        self._setup_context(context, **given)

    def gradients(
        self,
        context: OpContext,
        cotangents: Sequence[Any],
        results: Sequence[Any],
        operands: Sequence[Any],
        attrs: dict[str, Any],
        needs: Sequence[bool],
    ) -> tuple[Any, ...]:
        """Gradients of the operands from those of the results."""
        if self._backward is None:
            raise AutogradError(f"{self.name} has no gradient; give one by {self.name}.register_autograd")
        given = [g if g is not None or not context._materialize else _zeros(r)
                 for g, r in zip(cotangents, results, strict=True)]  # fmt: skip
        found = self._backward(context, *given)
        listed = found if isinstance(found, tuple) else (found,)
        if len(listed) != len(self.schema.parameters):
            raise AutogradError(
                f"the backward function of {self.name} must return one gradient per parameter, "
                f"{len(self.schema.parameters)}, and returned {len(listed)}"
            )
        flat: list[Any] = []
        for (p, value), gradient in zip(self.arguments(operands, attrs), listed, strict=True):
            if p.sort == "Tensors":
                flat += gradient if gradient is not None else [None] * len(value)
            elif p.is_operand:
                flat.append(gradient)
            elif gradient is not None:
                raise AutogradError(f"the backward function of {self.name} gives a gradient of {p.name!r}, no tensor")
        return tuple(self._fitted(g, o) if n else None for g, o, n in zip(flat, operands, needs, strict=True))

    def _fitted(self, gradient: Any, operand: Any) -> Any:
        if gradient is None:
            return None
        if tuple(gradient.shape) != tuple(operand.shape):
            raise AutogradError(
                f"the backward function of {self.name} gives a gradient of shape {list(gradient.shape)} for an input "
                f"of shape {list(operand.shape)}"
            )
        return self.fit_gradient(gradient, operand)


def type_of(array: np.ndarray) -> TensorType:
    """The type of an array."""
    return TensorType(dtypes.from_numpy(array.dtype), array.shape)


def read_only(array: np.ndarray) -> np.ndarray:
    """A view of `array` through which nothing can be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def _zeros(like: Any) -> Any:
    return F.zeros(tuple(like.shape), dtype=like.dtype)


def _callable(what: str, function: Any) -> Callable[..., Any]:
    if not callable(function):
        raise ArgumentError(f"{what} takes a function, got {type(function).__name__}")
    found: Callable[..., Any] = function
    return found


def _read_names(context: OpContext, operands: Sequence[Any], results: Sequence[Any]) -> set[str]:
    """Which operands and results of a graph the context holds, by their names in `vjp_parameters`."""
    held = [part for h in context.held() for part in (h if isinstance(h, list | tuple) else (h,))]
    values = {h.value for h in held if isinstance(h, Traced)}
    names = {f"operand{i}" for i, o in enumerate(operands) if isinstance(o, Traced) and o.value in values}
    return names | ({"results"} if any(r.value in values for r in results) else set())
