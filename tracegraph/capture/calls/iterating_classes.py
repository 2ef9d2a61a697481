"""Classes written in C that iterate what they are given: containers, and iterators over iterators.

C code is to run none of the program's special methods on its own: what a class calls, counts by, compares or asks for
its truth is handed to it in a form that traces that.

    list(filter(None, objects))   -->   filter(DecisionAdapter(None), objects)      each object's __bool__ is traced
"""

from __future__ import annotations

import collections
import itertools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracegraph.capture.calls.container_calls import hashable_items
from tracegraph.capture.calls.native_arguments import adapted_argument, called_argument, known, refuse_objects
from tracegraph.capture.protocols.containers import index
from tracegraph.capture.stack.values import is_instance_of_python_class, is_python_class
from tracegraph.capture.trace.adapters import CallableAdapter, DecisionAdapter, KeyAdapter
from tracegraph.capture.trace.safety import flatten
from tracegraph.ops.core.size import Size

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Place = int | str


@dataclass(frozen=True)
class _Uses:
    """What a class does with arguments, by position and name, that it does not iterate.

    Attributes:
        called: functions.
        decides: functions whose answers are asked for their truth; None asks the items.
        compared: functions whose answers are compared; None compares the items.
        counts: ints, or what has an `__index__`; asked before anything is iterated.
        taken: ints and nothing else.
        asked: iterables whose items are asked for their truth.
        default: a function for `called`, if none is given.
        keeps: whether nothing is iterated.
    """

    called: tuple[Place, ...] = ()
    decides: tuple[Place, ...] = ()
    compared: tuple[Place, ...] = ()
    counts: tuple[Place, ...] = ()
    taken: tuple[Place, ...] = ()
    asked: tuple[Place, ...] = ()
    default: Callable[..., Any] | None = None
    keeps: bool = False


_PLAIN = _Uses()
_COUNTED = _Uses(counts=(1, "r"))
_DECIDING = _Uses(decides=(0,))
_USES: dict[Any, _Uses] = {
    **dict.fromkeys((list, tuple, Size, dict, set, frozenset, zip, reversed, collections.OrderedDict), _PLAIN),
    **dict.fromkeys((itertools.chain, itertools.zip_longest, itertools.cycle, itertools.pairwise), _PLAIN),
    **dict.fromkeys((filter, itertools.filterfalse, itertools.takewhile, itertools.dropwhile), _DECIDING),
    **dict.fromkeys((itertools.combinations, itertools.combinations_with_replacement), _COUNTED),
    itertools.permutations: _Uses(taken=(1, "r")),
    collections.defaultdict: _PLAIN,
    collections.deque: _Uses(taken=(1, "maxlen")),
    map: _Uses(called=(0,)),
    enumerate: _Uses(counts=(1, "start")),
    itertools.islice: _Uses(counts=(1, 2, 3)),
    itertools.product: _Uses(counts=("repeat",)),
    itertools.starmap: _Uses(called=(0,)),
    itertools.accumulate: _Uses(called=(1, "func"), default=operator.add),
    itertools.groupby: _Uses(compared=(1, "key")),
    itertools.compress: _Uses(asked=(1, "selectors")),
    itertools.repeat: _Uses(counts=(1, "times"), keeps=True),
    itertools.count: _Uses(keeps=True),
    **{vars(itertools)[name]: _Uses(counts=(1, "n")) for name in ("batched",) if name in vars(itertools)},
}
#: parameters that are iterated
_ITERATED = frozenset({"iterable", "data", "selectors"})
_HASHING = (dict, set, frozenset, collections.OrderedDict, collections.defaultdict)


def is_iterating(cls: type) -> bool:
    """Whether instances of `cls` are iterators over their arguments, or containers of them."""
    return cls in _USES


def call_iterating(tracer: Tracer, cls: type, args: Args, kwargs: Kwargs) -> Any:
    """An instance of such a class.

    Raises:
        Observed: an argument is refused.
        Break: items are not known, or cannot be hashed or compared in a trace.
    """
    uses = _USES[cls]
    if cls in _HASHING and len(args) > (2 if cls is collections.defaultdict else 1):
        return tracer.native(cls, *args)  # which raises
    factory: Args = ()
    if cls is collections.defaultdict:
        factory, args = tuple(_factory(tracer, f) for f in args[:1]), args[1:]
    if cls in _HASHING:
        args = hashable_items(tracer, {} if issubclass(cls, dict) else (), args)
    if uses.keeps:
        args = known(tracer, args)
    if cls is itertools.count:  # it adds what it is given
        refuse_objects(tracer, cls, args, kwargs)
    if uses.default is not None or uses.compared:
        args, kwargs = _with_function(uses, args, kwargs)
    args = tuple(index(tracer, value) if place in uses.counts else value for place, value in enumerate(args))
    kwargs = {name: index(tracer, value) if name in uses.counts else value for name, value in kwargs.items()}
    given = [_argument(tracer, uses, place, value) for place, value in enumerate(args)]
    named = {name: _argument(tracer, uses, name, value) for name, value in kwargs.items()}
    return tracer.native(cls, *factory, *given, **named)


def _factory(tracer: Tracer, function: Any) -> Any:
    """What makes the values of a defaultdict: the trace calls it, so classes written in C stay what they are."""
    is_native = function is None or (isinstance(function, type) and not is_python_class(function))
    return function if is_native else called_argument(tracer, function)


def _with_function(uses: _Uses, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """The arguments with a function where the class has one of its own."""
    position, name = uses.called or uses.compared
    assert isinstance(position, int) and isinstance(name, str)
    if len(args) > position:
        function = uses.default if args[position] is None else args[position]
        return (*args[:position], function, *args[position + 1 :]), kwargs
    return args, {**kwargs, name: uses.default if kwargs.get(name) is None else kwargs[name]}


def _argument(tracer: Tracer, uses: _Uses, place: Place, value: Any) -> Any:
    if place in uses.called:
        return called_argument(tracer, value)
    if place in uses.decides:
        return DecisionAdapter(tracer, value)
    if place in uses.compared:
        return KeyAdapter(tracer, value)
    if place in (*uses.counts, *uses.taken) or uses.keeps or (isinstance(place, str) and place not in _ITERATED):
        return value
    items = adapted_argument(tracer, value)
    is_simple = isinstance(value, list | tuple) and not any(map(is_instance_of_python_class, flatten(value)))
    return map(CallableAdapter(tracer, bool), items) if place in uses.asked and not is_simple else items
