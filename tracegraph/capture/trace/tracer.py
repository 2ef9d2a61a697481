"""The state of one trace: graph being recorded, guards, side effects, and where every outside value came from.

Every read of the outside world goes through `Tracer.read`, which records the guard that makes the value reusable
and returns what the symbolic machine may work on: the value itself, a tracked copy, or a tensor proxy.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from tracegraph.autograd.outside_state import OutsideState
from tracegraph.capture.guards import eager
from tracegraph.capture.guards.guard import GuardKind, GuardSet, Stride
from tracegraph.capture.guards.sources import ClassEntry, Computed, Constant, Reference, Slot, Source, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.numpy_numbers import NumpyNumber
from tracegraph.capture.stack.storage import MISSING, class_lookup
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import (
    IDENTITY_TYPES,
    STAND_INS,
    Observed,
    is_instance_of_python_class,
    is_python_class,
    is_varying,
)
from tracegraph.capture.trace.backward_reads import BackwardReads
from tracegraph.capture.trace.dynamism import Dynamism
from tracegraph.capture.trace.effects import Effects
from tracegraph.capture.trace.foresight import Foresight
from tracegraph.capture.trace.generators import SymbolicGenerator
from tracegraph.capture.trace.made_classes import MadeClass
from tracegraph.capture.trace.memories import root_of
from tracegraph.capture.trace.native_draws import NativeDraws
from tracegraph.capture.trace.numbers import TraceNumbers
from tracegraph.capture.trace.random_streams import RandomStreams
from tracegraph.capture.trace.recorder import CaptureRecorder
from tracegraph.capture.trace.settings import TraceSettings
from tracegraph.capture.trace.sizes import Sizes
from tracegraph.capture.trace.tensor_states import GradFn, TensorStates
from tracegraph.capture.trace.weak_mappings import WeakMappings
from tracegraph.errors import ControlFlowError, DataDependentError, TracegraphError
from tracegraph.ir import Builder, Location, Node, Role, TensorType, Value
from tracegraph.nn.parameter import Parameter
from tracegraph.nn.uninitialized import is_uninitialized
from tracegraph.ops.graphs.batched import BatchedMethods
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import from_numpy

if TYPE_CHECKING:
    from tracegraph.capture.tensors.gradient_hooks import HookedTensor
    from tracegraph.capture.tensors.module_hooks import WatchedCall
    from tracegraph.capture.trace.early_reads import EarlyRead

MAX_STEPS = 1_000_000
#: asked for at every instruction
_location = lru_cache(maxsize=4096)(Location)


class Stop(BaseException):
    """The root frame has reached the instruction at which this trace is to end."""


@dataclass
class Input:
    """A tensor that enters the graph.

    Attributes:
        value: the placeholder; the value of `handle` until the trace changes the state of the tensor.
        convert: makes the tensor of what is found at `source`; None if that is the tensor.
        is_made: the trace makes the tensor, a leaf, and `source` the object for it before the graph runs.
    """

    source: Source
    tensor: Any
    handle: Traced
    value: Value
    convert: Callable[[Any], Any] | None = None
    is_made: bool = False

    @property
    def has_memory(self) -> bool:
        """Whether it lies in memory that the program knows."""
        return (
            not self.is_made
            and not isinstance(self.tensor, OutsideState)
            and (self.convert is None or self.convert is from_numpy)
        )


@dataclass
class Tracer:
    """Accumulates one trace; see the module docstring.

    Args:
        name: the graph's name.
        dynamism: which sizes become symbolic.
        stop_at: number of the root instruction before which the trace ends, if a break is known there.
        foresight: what earlier attempts have found out.
        owns_arguments: the arguments may die where the trace drops them; those of a function are held by its caller.
    """

    name: str
    dynamism: Dynamism
    stop_at: int | None = None
    foresight: Foresight = field(default_factory=Foresight)
    owns_arguments: bool = False
    guards: GuardSet = field(default_factory=GuardSet)
    effects: Effects = field(default_factory=Effects)
    sizes: Sizes = field(default_factory=Sizes)
    inputs: list[Input] = field(default_factory=list)
    #: nodes that backward passes inside the trace have gone through for good
    undone: set[Node] = field(default_factory=set)
    #: how many nodes there were when gradients were last taken inside the trace
    last_pass: int = 0
    #: tensors of the trace with hooks on their gradients, by the ids of their handles
    hooked: dict[int, HookedTensor] = field(default_factory=dict)
    #: calls of Modules with backward hooks, by the ids of the library's objects for them
    watched_calls: dict[int, WatchedCall] = field(default_factory=dict)
    #: what was traced before eager execution would call it
    early_reads: list[EarlyRead] = field(default_factory=list)
    #: root instructions executed so far
    step: int = 0
    _total_steps: int = 0

    def __post_init__(self) -> None:
        self.builder = Builder(self.name)
        self.numbers = TraceNumbers(self)
        self.sizes.env.varying_float = partial(self.numbers.compute, float)
        self.tensors = TensorStates(self)
        self.random = RandomStreams(self)
        self.draws = NativeDraws(self)
        self.recorder = CaptureRecorder(self.builder, self.numbers, self.tensors, self.random)
        self.initial_grad_mode = self.recorder.grad_enabled = eager.is_grad_enabled()
        self.guards.add(GuardKind.GRAD_MODE, None, self.initial_grad_mode)
        self.backward_reads = BackwardReads(self)
        self.settings = TraceSettings(self)
        #: what the program has changed of tensor classes
        self.replaced_methods = REPLACEMENTS.names
        self._proxies: dict[int, Any] = {}
        self._sources: dict[int, Source] = {}
        self._fresh: dict[int, int] = {}
        self._opaque: set[int] = set()
        self._keep: list[Any] = []
        #: the frames being executed, innermost last
        self.frames: list[Any] = []
        self._identified: list[Any] = []
        #: constants that were read, and where; by their ids
        self._constants: dict[int, tuple[Any, set[Source]]] = {}
        #: the generators that the trace has made
        self.generators: list[SymbolicGenerator] = []
        #: lazy layers whose class or attributes the program has asked for, by their ids
        self.looked_at: set[int] = set()
        #: the classes that functions of the standard library made in the trace
        self.made_classes: dict[type, MadeClass] = {}
        self.weak_mappings = WeakMappings(self)
        #: the Modules that were read, by where they are
        self.modules: dict[Source, Any] = {}
        #: whether a dict or set may hold a key that Python code compares
        self.compares_keys = False
        #: what stands for dicts of global variables, by the dicts
        self.namespaces: dict[int, Any] = {}
        #: graph inputs that are numpy arrays outside, by the arrays
        self.array_inputs: dict[int, Traced] = {}

    def release(self) -> None:
        """Let go of everything that the trace holds; it cannot go on."""
        for generator in self.generators:
            generator.release()
        self.__dict__.clear()

    # ------------------------------------------------------------------------------ progress

    def tick(self, is_root: bool) -> None:
        """Count an instruction.

        Raises:
            Stop: this is where the trace is to end.
            Break: the trace is too long.
        """
        self._total_steps += 1
        if self._total_steps > MAX_STEPS:
            raise Break(reasons.TOO_LONG, f"{MAX_STEPS} instructions", Extent.FRAME)
        if is_root:
            self.step += 1
            if self.step == self.stop_at:
                raise Stop

    def at(self, file: str, line: int | None) -> None:
        """Give graph nodes and guards the user's line they come from."""
        if line is not None:
            location = _location(file, line)
            self.builder.location = self.guards.location = self.sizes.env.location = location

    def handled_exception(self) -> BaseException | None:
        """The exception that the innermost active handler of the trace handles."""
        active = (a.exception for frame in reversed(self.frames) for a in reversed(frame.exceptions))
        return next((e for e in active if e is not None), None)

    # ------------------------------------------------------------------------------ native execution

    def native(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call `function` for real, on values of the trace.

        Raises:
            Observed: it raised; the traced program sees the exception.
            Break: it needs the values of a tensor.
        """
        if any(type(a) is VaryingText for a in (*args, *kwargs.values())):
            args, kwargs = tuple(map(_plain, args)), {k: _plain(v) for k, v in kwargs.items()}
        try:
            return function(*args, **kwargs)
        except DataDependentError as e:
            raise Break(reasons.DATA_DEPENDENT, str(e)) from None
        except ControlFlowError as e:
            raise Break(reasons.CONTROL_FLOW, str(e)) from None
        except RecursionError as e:
            raise Break(reasons.RECURSION, str(e), Extent.FRAME) from None
        except TracegraphError as e:
            if any(map(_mentions_symbols, (*args, *kwargs.values()))):
                # the program may look at the message, which names sizes that differ from call to call
                raise Break(reasons.USER_EXCEPTION, f"{type(e).__name__}: {e}") from None
            raise Observed(e) from None
        except TypeError as e:
            raise Observed(_in_terms_of_the_program(e)) from None
        except Exception as e:
            raise Observed(e) from None

    # ------------------------------------------------------------------------------ provenance

    def source_of(self, value: Any) -> Source | None:
        """Where an object of the outside world came from; None for constants and what the trace made."""
        return self._sources.get(id(value))

    def is_outside(self, value: Any) -> bool:
        return id(value) in self._sources

    def is_fresh(self, value: Any) -> bool:
        """Whether the trace itself made this object (asked of instances, functions, cells and iterators)."""
        return id(value) in self._fresh

    def fresh(self, value: Any) -> Any:
        """Mark an object as made by the trace."""
        self._fresh[id(value)] = self.step
        self._keep.append(value)
        return value

    def fresh_objects(self, cls: type) -> list[Any]:
        """The objects of class `cls` that the trace has made."""
        return [value for value in self._keep if isinstance(value, cls) and self.is_fresh(value)]

    def step_of_creation(self, value: Any) -> int | None:
        """The root instruction during which `value` was made."""
        return self._fresh.get(id(value))

    def known(self, original: Any) -> Any:
        """What stands for `original` in the trace, or MISSING if it has not been read yet."""
        return self._proxies.get(id(original), MISSING)

    def adopt(self, original: Any, proxy: Any, source: Source) -> Any:
        """Let `proxy` stand for `original`, which was read from `source`."""
        self._keep.append((original, proxy))
        self._proxies[id(original)] = proxy
        self._sources[id(proxy)] = source
        return proxy

    def adopt_opaque(self, value: Any, source: Source) -> Any:
        """Let an object whose contents are not followed stand for itself."""
        self._opaque.add(id(value))
        return self.adopt(value, value, source)

    def is_marked_opaque(self, value: Any) -> bool:
        """Whether `value` is a container too large or too odd to copy and guard."""
        return id(value) in self._opaque

    def outside_objects(self) -> Iterator[tuple[Any, Source]]:
        """Every object that was read, as it stands in the trace, and its first source."""
        return ((p, self._sources[id(p)]) for p in self._proxies.values())

    def owner_of(self, source: Source) -> int | None:
        """Identifies the Module that `source` is reached through, the nearest one."""
        step: Source | None = source
        while step is not None and step not in self.modules:
            step = step.base
        return None if step is None else id(self.modules[step])

    def varies(self, source: Source, value: Any) -> bool:
        """Whether a constant that was found at `source` is to be read as a symbol."""
        return self.dynamism.varies(source, value, self.owner_of(source))

    def originals(self) -> set[int]:
        """The ids of all objects from outside that were read."""
        return set(self._proxies)

    def read(self, value: Any, source: Source) -> Any:
        """A value from outside: guard it and return what the trace works on."""
        from tracegraph.capture.trace.reading import read

        return read(self, value, source)

    # ------------------------------------------------------------------------------ tensors

    def read_tensor(self, tensor: Any, source: Source) -> Traced:
        """Make `tensor` an input of the graph.

        Raises:
            Break: it has no shape yet.
        """
        if is_uninitialized(tensor):
            raise Break(reasons.UNSUPPORTED_VALUE, "a parameter without shape, before the module's first call")
        self._check_tensor_class(tensor.__class__)
        shape, facts = self.dynamism.tensor(self, tensor, source)
        self.guards.add(GuardKind.TENSOR, source, facts)
        type = TensorType(tensor.dtype, shape)
        handle = self.add_input(source, tensor, type, eager.role_of(tensor, source))
        if facts.layout != "contiguous":
            self.recorder.strides[handle.value] = tuple(
                s.of(shape) if isinstance(s, Stride) else s for s in facts.layout
            )
        return handle

    def _check_tensor_class(self, cls: type) -> None:
        """A tensor of a class derived by the program is traced as any other, if that makes no difference.

        Raises:
            Break: the class redefines something that operations on its tensors ask.
        """
        if issubclass(cls, BatchedMethods):
            raise Break(reasons.UNSUPPORTED_VALUE, "a tensor of a function that vmap maps", Extent.FRAME)
        for base in eager.derived_classes(cls):
            name = eager.redefined(base)
            if name:
                what = f"a tensor of class {cls.__name__}, which redefines {name}"
                raise Break(reasons.UNSUPPORTED_VALUE, what, Extent.FRAME)
            self.guards.add(GuardKind.KEYS, Slot(self.class_source(base), "__dict__"), tuple(vars(base)))

    def note_strides(self, tensor: Traced) -> None:
        """The program asks for strides: those of dimensions of size 1 and 0, which are all alike else, are guarded."""
        root = root_of(tensor.value)
        asked = next((i for i in self.inputs if i.value is root), None)
        if asked is None or asked.convert is not None or all(n > 1 for n in asked.tensor.shape):
            return
        strides = asked.tensor.stride()
        self.guards.add(GuardKind.CONSTANT, Computed(Reference(eager.strides_of), (asked.source,)), strides)
        inputs = {i.value: s for i in self.inputs if (s := self.recorder.strides.get(i.value))}
        # those of views are derived anew
        self.recorder.strides = {**inputs, root: strides}

    def add_input(
        self, source: Source, tensor: Any, type: TensorType, role: Role, convert: Callable[[Any], Any] | None = None
    ) -> Traced:
        """A new input of the graph; `convert` makes the tensor from what the source holds."""
        value = self.builder.placeholder(type, eager.input_name(source), role)
        handle = self.recorder.traced(value, bool(tensor.requires_grad))
        self.inputs.append(Input(source, tensor, handle, value, convert))
        return handle

    def note_made(self, source: Source, tensor: Any, handle: Traced) -> None:
        """Let `handle`, a leaf that the trace makes, be what `source` makes before the graph runs."""
        self._keep.append(handle)
        self._sources[id(handle)] = source
        self.inputs.append(Input(source, tensor, handle, handle.value, is_made=True))

    def input_of(self, handle: Traced) -> Input | None:
        """The graph input whose handle this is."""
        return next((i for i in self.inputs if i.handle is handle), None)

    # ------------------------------------------------------------------------------ classes

    def type_of(self, value: Any) -> type:
        """`type(value)` as the traced program sees it."""
        self.backward_reads.use(value)
        if type(value) is Traced and (graph_input := self.input_of(value)) is not None:
            return type(graph_input.tensor)
        if type(value) is Traced and self.tensors.is_made_parameter(value):
            return Parameter
        if type(value) is NumpyNumber:
            return type(value.value)
        if type(value) is GradFn:
            raise Break(reasons.TENSOR_ATTRIBUTE, "the type of Tensor.grad_fn")
        return STAND_INS.get(type(value)) or type(value)

    def class_source(self, cls: type) -> Source:
        """A source for a class that a type guard already fixes."""
        return self._sources.get(id(cls)) or constant_source(cls)

    def class_entry(self, cls: type, name: str, after: type | None = None) -> Any:
        """An attribute of a class as stored (MISSING if there is none), guarded where Python code could change it."""
        raw = class_lookup(cls, name, after)
        if not is_python_class(cls):
            return raw
        if self.is_fresh(cls) or self.effects.is_class_entry_written(name):
            return self._entry_base_by_base(cls, name, after)
        source = self.entry_source(cls, name, after)
        if raw is MISSING:
            self.guards.add(GuardKind.IDENTITY, source, MISSING)
            return raw
        return self.read(raw, source)

    def _entry_base_by_base(self, cls: type, name: str, after: type | None) -> Any:
        """An attribute of a class that the trace made or has written to: guarded where a base from outside is asked."""
        order = cls.__mro__[cls.__mro__.index(after) + 1 if after is not None else 0 :]
        for base in order:
            written = self.effects.pending(base, name)
            if written is not None and written.value is not MISSING:
                return written.value
            if written is not None:
                continue
            if name in base.__dict__:
                pending = self.effects.pending(base, name)
                if pending is not None:
                    return pending.value
                raw = base.__dict__[name]
                is_guarded = is_python_class(base) and not self.is_fresh(base)
                return self.read(raw, self.entry_source(base, name)) if is_guarded else raw
            if is_python_class(base) and not self.is_fresh(base):
                self.guards.add(GuardKind.ABSENT, constant_source(base), name)
        return MISSING

    def entry_source(self, cls: type, name: str, after: type | None = None) -> ClassEntry:
        parent = Constant(Reference(cls), cls.__name__)
        return ClassEntry(parent, name, Reference(after) if after is not None else None)

    def note_metaclass(self, cls: type) -> None:
        """Guard that the class of `cls` stays what it is, where a program may change that."""
        if is_python_class(type(cls)) and not self.is_fresh(cls):
            self.guards.add(GuardKind.TYPE, self.class_source(cls), type(cls))

    def note_identity(self, a: Any, b: Any) -> None:
        """Guard the answer of `a is b` where it depends on which objects the next call is given."""
        first, second = self.source_of(a), self.source_of(b)
        if first is None or second is None or a is b or type(a) is not type(b):
            return
        if not isinstance(a, IDENTITY_TYPES):
            self.guards.add(GuardKind.DISTINCT, None, (first, second))

    def note_constant(self, value: Any, source: Source) -> None:
        """Remember that a constant was read from `source`; guards compare its value only."""
        self._constants.setdefault(id(value), (value, set()))[1].add(source)

    def is_read_twice(self, value: Any) -> bool:
        """Whether a constant was read from several places, which in another call may hold equal objects instead."""
        return len(self._constants.get(id(value), (value, ()))[1]) > 1

    def note_identified(self, value: Any) -> None:
        """The program tells `value` from others by its id: keep those from outside apart."""
        if any(other is value for other in self._identified):
            return
        for other in self._identified:
            self.note_identity(other, value)
        self._identified.append(value)

    def pin(self, value: Any) -> None:
        """Guard the identity of an outside object whose identity the program has made use of."""
        source = self.source_of(value)
        if source is not None and (is_instance_of_python_class(value) or isinstance(value, types.FunctionType)):
            self.guards.add(GuardKind.IDENTITY, source, self.effects.original(value))


def _in_terms_of_the_program(error: TypeError) -> TypeError:
    """The error, which may name classes of ours, naming those that the program sees."""
    if len(error.args) == 1 and type(error.args[0]) is str:
        text = error.args[0]
        for own, seen in STAND_INS.items():
            if seen is not None and f"'{own.__name__}'" in text:
                text = text.replace(f"'{own.__name__}'", f"'{seen.__name__}'")
        error.args = (text,)
    return error


def _plain(argument: Any) -> Any:
    return argument.plain() if type(argument) is VaryingText else argument


def _mentions_symbols(argument: Any) -> bool:
    """Whether an argument of an operation depends on sizes or numbers that vary."""
    if type(argument) is Traced:
        return not argument.value.type.is_static
    if isinstance(argument, tuple | list):
        return any(map(_mentions_symbols, argument))
    return is_varying(argument)
