"""One place per op: the base class of every definition.

A definition is a class; `@define_op` checks it, makes its one instance and registers it. It holds name, docstring,
signature, kind (the base class it derives from, see `kinds`), eager rule, type inference, gradient, decomposition or
loop rule, properties and samples. Tests, documentation, passes and code generator ask the instance; none of them
lists ops by name.
"""

from __future__ import annotations

import dis
import inspect
import re
import types as python_types
from collections import namedtuple
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, wraps
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np

from tracegraph.dtypes import from_numpy
from tracegraph.errors import IRError, TracegraphError, UndecidableError
from tracegraph.ir import Kind, Op, TensorType, register
from tracegraph.ir.op import REGISTRY
from tracegraph.ir.undecided import name_operands
from tracegraph.ops.core.autocast import CASTING, Autocast, apply_cast, is_casting, not_casting
from tracegraph.ops.core.binding import Signature
from tracegraph.ops.core.dispatch import dispatch
from tracegraph.ops.core.error_names import CALL_ERRORS, TITLES, enclosing_function, name_call
from tracegraph.ops.core.samples import Sampler
from tracegraph.ops.numerics.quiet import quiet

#: a tensor handle of any kind, eager or traced; rules on handles serve both
Handle: TypeAlias = Any
#: a gradient, a function that computes it if it is needed, or None where there is none
Gradient: TypeAlias = Any


class Reads(NamedTuple):
    """What a gradient formula reads: each operand, and the results (but for `Definition.unread_results`)."""

    operands: tuple[bool, ...]
    results: bool


class Definition(Op):
    """Base of all op definitions. Derive from a kind in `tracegraph.ops.kinds`, not from this.

    Class attributes a definition may set:
        name: the op's name; default: the class name in snake case.
        title: what messages call the op, if users know it by another name: `x[...]` for basic_index.
        signature: parameters with their sorts (see `binding`).
        result_names: names of the results if there are several (they come back as a namedtuple).
        aliases: further names users know the op by (`absolute` for abs); graphs and messages use the one name.
        method: whether tensors get the op as a method of its name (and of its aliases).
        operators: special methods tensors get from this op, for example ("__add__", "__radd__" is derived).
        commutative: f(x, y) is f(y, x) to the bit; the first two operands may change places.
        involution: f(f(x)) is x, where the types agree.
        idempotent: f(f(x)) is f(x), with equal attributes.
        gradient_is_slope: `vjp` gives the derivative of the result; False where it is another by definition (a
            straight-through estimate), which finite differences then say nothing about.
        rebinds: positions of the operands, tensors, that lie in other memory after the op.
        read_for: the position of the operand in whose place gradient formulas read the result, in backward.
        autocast: what becomes of the floating operands where a program autocasts; None: they stay what they are.
        samples: inputs for the generated tests and the documentation.
        gradient_is_error: `vjp` raises: there is no gradient, and it is an error to ask for it.
        differentiable_once: the gradient has no gradient of its own, and it is an error to ask for it.
        formula_may_write: the gradient formula is Python of the program, which may write to tensors that it makes.
        reads_as: what messages call the operands that the gradient formula reads, and the operation; by default "an
            operand" of `name`.
        recompute_cost: work to compute one output element again, in flops; the partitioner weighs it.
        checks_elements: elements of the operands can make the op fail; where only some operands' can, `may_raise` says.
        shape_only: parameters of `vjp`, and names of results, of which the formula asks only shape and dtype; a tape
            keeps none of their elements, and later writes to them do not matter.

    Rules (methods, each optional per kind):
        eager(self, *operands, **attrs) -> array or tuple: on numpy arrays.
        vjp(self, g, y, *operands, **attrs): gradients per operand but for scalars, in tensor arithmetic.
        decompose(self, *operands, **attrs): the op in simpler ops, in tensor arithmetic.
        vary(self, operands, attrs): the call in others where its floats vary; an op that takes floats and has no
            decomposition needs it. A pointwise op has scalars instead (see `binding`).
        batched(self, batch): the call for all samples of a batch at once, for `vmap` (see `kinds.batching`); without it
            the decomposition is batched, or samples are computed one by one.
    """

    kind: ClassVar[Kind]
    title: str
    signature: ClassVar[str] = "(input: Tensor)"
    result_names: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[tuple[str, ...]] = ()
    method: ClassVar[bool] = True
    operators: ClassVar[tuple[str, ...]] = ()
    #: an in-place method (`name_`) is generated
    inplace: ClassVar[bool] = False
    #: executes functions of the program, whose errors are told as they are
    runs_program: ClassVar[bool] = False
    #: may be called with numbers only
    takes_scalars: ClassVar[bool] = False
    #: positions of the operands whose elements the op overwrites
    mutates: ClassVar[tuple[int, ...]] = ()
    rebinds: ClassVar[tuple[int, ...]] = ()
    read_for: ClassVar[int | None] = None
    #: whether the sign of a zero result is specified even where zeros of both signs compete, to be the extreme
    zero_signs: ClassVar[bool] = True
    commutative: ClassVar[bool] = False
    involution: ClassVar[bool] = False
    idempotent: ClassVar[bool] = False
    autocast: ClassVar[Autocast | None] = None
    recompute_cost: ClassVar[float] = 1.0
    shape_only: ClassVar[tuple[str, ...]] = ()
    gradient_is_slope: ClassVar[bool] = True
    gradient_is_error: ClassVar[bool] = False
    differentiable_once: ClassVar[bool] = False
    formula_may_write: ClassVar[bool] = False
    reads_as: ClassVar[tuple[str, str] | None] = None
    samples: ClassVar[Sampler | None] = None
    eager: ClassVar[Callable[..., Any] | None] = None
    vjp: ClassVar[Callable[..., Any] | None] = None
    decompose: ClassVar[Callable[..., Any] | None] = None
    #: marks functions that capture calls natively with traced tensors
    __tracegraph_op__ = True

    def __init__(self) -> None:
        cls = type(self)
        self.name = cls.__dict__.get("name") or _snake_case(cls.__name__)
        self.doc = (cls.__doc__ or "").strip()
        self.title = cls.__dict__.get("title") or self.name.replace("linalg_", "linalg.")
        TITLES.update({self.name: self.title, self.title: self.title})
        self.binder = Signature(self.title, cls.signature)
        self._canonicalizes = cls.canonicalize is not Definition.canonicalize
        self.is_view = cls.kind is Kind.VIEW
        #: whether the op changes operands, in their elements or where these lie
        self.changes_operands = bool(cls.mutates or cls.rebinds)
        #: whether gradients flow through the op, by its own rule or through its decomposition
        self.is_differentiable = self.vjp is not None or self.decompose is not None
        self.result_type = namedtuple(self.name, cls.result_names) if cls.result_names else None
        self.__name__ = self.name
        self.__doc__ = f"{self.name}{cls.signature}\n\n{self.doc}"

    # ------------------------------------------------------------------------------------ calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        operands: tuple[Any, ...] = ()
        try:
            try:
                bound = self.binder.bind_fast(*args, **kwargs)
            except TypeError:
                bound = None  # `bind` explains; it runs outside the handler, so that its error stands alone
            if bound is None and "out" in kwargs:
                return self._with_out(args, kwargs)
            operands, attrs = bound or self.binder.bind(args, kwargs)
            return self.apply(operands, attrs)
        except CALL_ERRORS as error:
            if isinstance(error, UndecidableError):
                name_operands(error, self.title, operands)
            self.name_call(error, args, kwargs)
            raise

    def name_call(self, error: TracegraphError, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Let `error`, raised in the call with these arguments, speak of the op and of them."""
        if self.runs_program:
            return
        name_call(error, self.title, self.binder.matched(args, kwargs))
        function = enclosing_function()
        if function is not None:
            name_call(error, *function)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A definition that looks at the arguments itself (`max(x, dim)` is another op) names errors as all do."""
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("__call__")
        if own is not None:
            cls.__call__ = _naming_errors(own)  # type: ignore[method-assign]

    def _with_out(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call without the argument `out`, its result written there."""
        from tracegraph.ops.handles.out_argument import write_out

        out = kwargs.pop("out")
        result = self(*args, **kwargs)
        return result if out is None else write_out(self.name, out, result)

    def apply(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """Execute the op on bound operands and attributes; `attrs` is the op's to keep and change."""
        if CASTING and is_casting():
            return apply_cast(self, operands, attrs)
        if self._canonicalizes:
            operands, attrs = self.canonicalize(operands, attrs)
        return dispatch(self, operands, attrs)

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A last look at a bound call, for what the sorts of the signature cannot say (`reshape(-1)`)."""
        return operands, attrs

    def check_call(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> None:
        self.binder.check(operands, attrs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Ops are methods of tensors: `x.exp` binds like a function."""
        return self if instance is None else python_types.MethodType(self, instance)

    def pack(self, results: Sequence[Any]) -> Any:
        """Results as the caller gets them: one handle, or a (named) tuple."""
        if self.result_type is not None:
            return self.result_type(*results)
        return results[0] if len(results) == 1 else tuple(results)

    @cached_property
    def is_expanded(self) -> bool:
        """Whether the op has no eager rule of its own: eager tensors run its decomposition."""
        return False

    def expand(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        """Run the decomposition; its results as the caller of the op gets them."""
        assert self.decompose is not None
        results = self.decompose(*operands, **attrs)
        return self.pack(results) if isinstance(results, tuple) else results

    def vary(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """The results of a call with floats that vary (`SymFloat`) where the op's rules want to see numbers.

        Written as calls that have them as operands; NotImplemented if there is no such way, or it has another gradient
        at some point than the op: then the graph is made for the values at hand.
        """
        if self.decompose is None or self.vjp is not None:
            return NotImplemented
        with not_casting():
            return self.expand(operands, attrs)

    def batched(self, batch: Any) -> Any:
        """The results of a call for all samples of a `kinds.batching.Batch`, NotImplemented where there is no rule."""
        return NotImplemented

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        assert self.eager is not None
        try:
            with quiet():
                result = self.eager(*operands, **attrs)
        except Exception as error:
            if not isinstance(error, TracegraphError):
                self._explain(operands, attrs)
            raise
        return result if isinstance(result, tuple) else (np.asarray(result),)

    def _explain(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> None:
        """Raise what inference has against a call that numpy has refused in words of its own."""
        given = (TensorType(from_numpy(o.dtype), o.shape) if isinstance(o, np.ndarray) else o for o in operands)
        self.infer(*given, **attrs)

    # ------------------------------------------------------------------------------------ gradients

    def pullback(
        self,
        cotangents: tuple[Handle | None, ...],
        results: tuple[Handle, ...],
        operands: tuple[Any, ...],
        attrs: dict[str, Any],
        needs: Sequence[bool],
        on_read: Callable[[Collection[str]], None] | None = None,
    ) -> tuple[Handle | None, ...]:
        """Gradients of the operands that `needs` marks, None for the others; shapes and dtypes are the operands'.

        `on_read` is told the parameters of `vjp` whose elements are about to be read.
        """
        assert self.vjp is not None
        if on_read is not None:
            on_read(self._vjp_body_reads)
        several = len(results) > 1
        gradients = self.vjp(
            cotangents if several else cotangents[0], results if several else results[0], *operands, **attrs
        )
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        gradients += (None,) * self.binder.scalars
        if len(gradients) != len(operands):
            raise IRError(f"{self.name}.vjp gives {len(gradients)} gradients for {len(operands)} operands")
        fitted: list[Handle | None] = []
        for g, operand, needed in zip(gradients, operands, needs, strict=True):
            if needed and callable(g):
                if on_read is not None:
                    on_read(set(g.__code__.co_freevars) - set(self.shape_only))
                g = g()
            fitted.append(self.fit_gradient(g, operand) if needed and g is not None else None)
        return tuple(fitted)

    def hooked_operand(self, result: int, attrs: Mapping[str, Any]) -> int | None:
        """The position of the operand that this result is, if it only adds a hook of its gradient; else None."""
        return None

    def asks_presence(self, attrs: Mapping[str, Any]) -> bool:
        """Whether gradients depend on which results have one in another way than by zeros for those that have none."""
        return False

    def unversioned_operands(self, attrs: Mapping[str, Any]) -> Collection[int]:
        """Positions of operands that the gradient formula reads as they are in backward, written to or not."""
        return ()

    def is_for_gradient_alone(self, position: int, attrs: Mapping[str, Any]) -> bool:
        """Whether results do not depend on the elements of this operand, which only the gradient formula reads."""
        return False

    def gives_zeros_for_zeros(self, attrs: Mapping[str, Any]) -> bool:
        """Whether gradients are zeros where those of all results are: not if somebody else wrote the formula."""
        return True

    def fit_gradient(self, gradient: Handle, operand: Handle) -> Handle:
        """Bring a gradient to its operand's dtype (and, for broadcasting kinds, shape)."""
        if gradient is not None and gradient.dtype is not operand.dtype:
            gradient = gradient.to(operand.dtype)
        return gradient

    def vjp_reads(self, operands: int) -> Reads:
        """Which of its `operands` operands, and whether its results, the code of `vjp` reads: what a tape must keep."""
        found = self._vjp_reads.get(operands)
        if found is None:
            flags, rest, result = self._vjp_names
            found = Reads(flags[:operands] + (rest,) * (operands - len(flags)), result)
            self._vjp_reads[operands] = found
        return found

    def reads_operand(self, position: int, names: Collection[str]) -> bool:
        """Whether `names`, which `pullback` told `on_read`, say that the operand at `position` is read."""
        _, *named = self.vjp_parameters
        # operands beyond the named ones are read through *operands
        return position >= len(named) or named[position] in names

    @cached_property
    def unread_results(self) -> frozenset[int]:
        """Positions of results whose elements `vjp` does not read even if it reads others."""
        return frozenset(i for i, name in enumerate(self.result_names) if name in self.shape_only)

    @cached_property
    def _vjp_reads(self) -> dict[int, Reads]:
        """What `vjp_reads` gave, by the number of operands."""
        return {}

    @cached_property
    def _vjp_names(self) -> tuple[tuple[bool, ...], bool, bool]:
        """Whether `vjp` reads each of its named operands, those after them (`*operands`), and the results."""
        function = type(self).vjp
        assert function is not None
        code = function.__code__
        read = {*code.co_cellvars}
        for instruction in dis.get_instructions(code):
            if "LOAD_FAST" in instruction.opname:
                value = instruction.argval
                read.update(value if isinstance(value, tuple) else (value,))
        read.difference_update(self.shape_only)
        _, _, result, *operands = code.co_varnames[: code.co_argcount]
        starred = bool(code.co_flags & inspect.CO_VARARGS)
        rest = starred and code.co_varnames[code.co_argcount + code.co_kwonlyargcount] in read
        return tuple(name in read for name in operands), rest, result in read

    @cached_property
    def _vjp_body_reads(self) -> frozenset[str]:
        """Parameters that `vjp` reads itself, not only in the functions it returns."""
        function = type(self).vjp
        assert function is not None
        code = function.__code__
        read: set[str] = set()
        for instruction in dis.get_instructions(code):
            if "LOAD_FAST" in instruction.opname:
                value = instruction.argval
                # a cell is loaded like a local where a closure is made (CPython 3.13)
                read.update({*(value if isinstance(value, tuple) else (value,))} - {*code.co_cellvars})
            elif instruction.opname == "LOAD_DEREF":
                read.add(instruction.argval)
        return frozenset(read - set(self.shape_only))

    @cached_property
    def vjp_parameters(self) -> tuple[str, ...]:
        """Names of the parameters of `vjp` after the cotangent: the results, then the operands, then attributes."""
        function = type(self).vjp
        assert function is not None
        return function.__code__.co_varnames[2 : function.__code__.co_argcount]

    # ------------------------------------------------------------------------------------ documentation

    def incomplete(self) -> list[str]:
        """What the definition lacks; kinds add what they demand."""
        problems = []
        if not self.doc:
            problems.append("it has no docstring")
        if self.samples is None:
            problems.append("it has no samples")
        if self.eager is None and self.decompose is None and type(self).run is Definition.run:
            problems.append("it has neither an eager rule nor a decomposition")
        return problems

    @property
    def summary(self) -> str:
        """First sentence of the docstring."""
        return " ".join(self.doc.split("\n\n")[0].split())


#: ops by alias; `tracegraph.ops.functional` looks here after the registry
ALIASES: dict[str, Definition] = {}


def _naming_errors(call: Callable[..., Any]) -> Callable[..., Any]:
    """`__call__` of a definition, with errors that name the op."""

    @wraps(call)
    def __call__(self: Definition, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self, *args, **kwargs)
        except CALL_ERRORS as error:
            self.name_call(error, args, kwargs)
            raise

    return __call__


D = TypeVar("D", bound=type[Definition])


def define_op(cls: D) -> D:
    """Check and register the op that `cls` defines.

    Raises:
        IRError: the definition lacks a docstring, samples or a rule its kind demands, or a name is taken.
    """
    op = cls()
    problems = op.incomplete()
    if problems:
        raise IRError(f"op {op.name} is incomplete: {'; '.join(problems)}")
    register(op)
    for alias in op.aliases:
        if ALIASES.setdefault(alias, op) is not op or alias in REGISTRY:
            raise IRError(f"op {op.name}: the alias {alias!r} is taken")
    from tracegraph.ops.handles.methods import install

    install(op)
    return cls


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def shape_of(operand: object) -> tuple:
    """Shape of an operand type; a number has none."""
    return operand.shape if isinstance(operand, TensorType) else ()
