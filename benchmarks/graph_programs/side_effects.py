"""What users report as lost or doubled by compilers: writes to lists, classes, globals and objects, and their order."""

import collections
import contextlib
import weakref
from typing import ClassVar

import torch
import torch.nn as nn

from graph_programs import made, program

SEEN: list = []
DEPTH = 0


@program("3", "3")
def list_grown_while_iterated(x):
    values = [x.sum()]

    def growing():
        for item in values:
            if len(values) < 4:
                values.append(item + 1)
            yield item

    return torch.stack(list(growing())).sum(), len(values)


@made("2x4", "2x4")
def list_of_a_class():
    class Recorder(nn.Module):
        items: ClassVar[list] = []
        total = 0

        def forward(self, x):
            Recorder.items.append(x.shape)
            type(self).total += len(Recorder.items)
            return x * len(self.items), self.total

    return Recorder()


@program("3", "3")
def try_return_finally(x):
    log = []

    def work():
        try:
            return x + len(log)
        finally:
            log.append("done")

    return work() + work(), log


@program("3", "3")
def counter_in_a_context(x):
    @contextlib.contextmanager
    def deeper():
        global DEPTH
        DEPTH += 1
        try:
            yield DEPTH
        finally:
            DEPTH -= 1

    with deeper() as a, deeper() as b:
        y = x * a + b + DEPTH
    return y, DEPTH


@program("3~", "3~")
def generator_between_contexts(x):
    def halves(x):
        with torch.no_grad():
            a = x / 2
            yield a
            b = x / 3
        yield b

    results = []
    for h in halves(x):
        results.append((h * x, torch.is_grad_enabled()))
    return results, torch.is_grad_enabled()


@program("3", "3")
def global_list_trimmed(x):
    SEEN.append(x.mean())
    while len(SEEN) > 2:
        SEEN.pop(0)
    return torch.stack(SEEN).mean()


@made("3", "3", "3")
def object_identity_decides():
    class Node:
        def __init__(self, value):
            self.value, self.visits = value, 0

    first, second = Node(1.0), Node(2.0)
    state = {"current": first}

    def step(x):
        current = state["current"]
        current.visits += 1
        state["current"] = second if current is first else first
        return x * current.value, first.visits, second.visits, state["current"] is first

    return step


@made("3", "3", "3")
def module_setattr_override():
    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.log = []
            self.scale = 1.0

        def __setattr__(self, name, value):
            if "log" in self.__dict__:
                self.__dict__["log"].append(name)
            super().__setattr__(name, value)

        def forward(self, x):
            self.scale = self.scale * 2
            self.last = x * self.scale
            return self.last, len(self.log)

    return Watched()


@made("3", "3")
def property_with_checks():
    class Bounded:
        def __init__(self):
            self._value, self.clipped = 0.5, 0

        @property
        def value(self):
            return self._value

        @value.setter
        def value(self, v):
            if v > 1:
                self.clipped += 1
                v = 1.0
            self._value = v

        @value.deleter
        def value(self):
            self._value = 0.0

    bounded = Bounded()

    def step(x):
        bounded.value += 0.4
        y = x * bounded.value
        bounded.value *= 3
        if bounded.clipped > 2:
            del bounded.value
        return y + bounded.value, bounded.clipped

    return step


@program("3", "3")
def invalid_writes_caught(x):
    class Slotted:
        __slots__ = ("a",)

    class Frozen:
        @property
        def size(self):
            return 3

    s, f, caught = Slotted(), Frozen(), []
    for target, name in ((s, "b"), (f, "size"), (s, "a"), (3, "real"), (len, "x")):
        try:
            setattr(target, name, 1)
        except (AttributeError, TypeError) as e:
            caught.append(type(e).__name__)
    return x + s.a + f.size, caught


@made("3", "3", "3")
def weak_listeners():
    class Listener:
        def __init__(self):
            self.heard = []

        def notify(self, value):
            self.heard.append(value)

    listeners = [Listener() for _ in range(2)]
    registered = weakref.WeakSet(listeners)
    table = weakref.WeakKeyDictionary({listeners[0]: 2.0, listeners[1]: 3.0})

    def step(x):
        for index, listener in enumerate(listeners):
            if listener in registered:
                listener.notify(index)
        return x * sum(table[l] for l in listeners), [len(l.heard) for l in listeners]

    return step


@made("3", "3", "3")
def defaults_as_caches():
    def memo(key, make, cache={}):
        if key not in cache:
            cache[key] = make()
        return cache[key]

    def step(x, history=[]):
        history.append(len(history))
        table = memo(("table", x.shape[0]), lambda: torch.arange(x.shape[0]).float())
        return x + table * len(history)

    return step


@made("3", "3", "3")
def ring_buffer_of_tensors():
    buffer = collections.deque(maxlen=2)

    def step(x):
        buffer.append(x.detach() * (len(buffer) + 1))
        buffer.rotate(1)
        return torch.stack(tuple(buffer)).sum(0), buffer.maxlen, len(buffer)

    return step


@made("3", "3", "3", "3")
def ordered_eviction():
    cache = collections.OrderedDict()

    def step(x):
        key = len(cache) + 1
        cache[key] = x * key
        cache.move_to_end(key, last=False)
        if len(cache) > 2:
            old, value = cache.popitem()
            return value + old, list(cache)
        return cache[next(iter(cache))], list(reversed(cache))

    return step


@made("2x3", "2x3")
def writes_through_aliases():
    shared = torch.zeros(2, 3)
    views = {"row": shared[0], "flat": shared.view(-1)}

    def step(x):
        views["row"].add_(x[0])
        before = shared.sum()
        views["flat"][3:] = x[1] * before
        shared.t()[1] *= 2
        return shared.clone(), views["row"].sum()

    return step


@made("3", "3")
def nested_containers_edited():
    state = {"a": [1, {"b": (2, [3])}], "n": {1, 2}}

    def step(x):
        inner = state["a"][1]["b"][1]
        inner.append(len(inner))
        state["a"][0] += 1
        state["n"] |= {state["a"][0]}
        state["n"].discard(1)
        alias = state["a"]
        alias.insert(0, alias.pop())
        alias.reverse()
        return x * sum(inner), state

    return step


@made("3", "3", "3")
def function_attributes():
    def step(x):
        step.calls = getattr(step, "calls", 0) + 1
        step.history = [*getattr(step, "history", []), step.calls]
        return x * step.calls, step.history

    return step


@made("3", "3", "3")
def nonlocal_state_machine():
    state, transitions = "warm", {"warm": "hot", "hot": "cold", "cold": "warm"}
    count = 0

    def advance():
        nonlocal state, count
        state, count = transitions[state], count + (state == "hot")
        return state

    def step(x):
        factor = {"warm": 1.0, "hot": 2.0, "cold": 0.5}[advance()]
        return x * factor, state, count

    return step


@made("3", "3")
def buffers_replaced_and_kept():
    class Tracker(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(3))
            self.register_buffer("seen", torch.tensor(0), persistent=False)
            self.past = []

        def forward(self, x):
            self.past.append(self.mean)
            self.mean = self.mean * 0.9 + x * 0.1
            self.seen += 1
            self._buffers["mean"].add_(1)
            return self.mean.clone(), self.seen.clone(), torch.stack(self.past).sum(0), list(self.state_dict())

    return Tracker()


@made("3", "3")
def order_of_prints_and_writes():
    log = []

    def step(x):
        log.append("a")
        print("first", len(log))
        log.append("b")
        y = x + len(log)
        print("second", log[-2:])
        log.clear()
        return y

    return step


@made("3", "3")
def exception_leaves_what_was_written():
    state = {"calls": 0, "done": 0}

    def step(x):
        state["calls"] += 1
        try:
            if state["calls"] % 2:
                raise KeyError("odd")
            state["done"] += 1
        except KeyError as e:
            return x * 2, e.args, dict(state)
        else:
            return x * 3, (), dict(state)
        finally:
            state["calls"] += 10

    return step


@made("3", "3")
def raises_after_writes():
    log = []

    def step(x):
        log.append(x.shape[0])
        x.add_(1)
        raise RuntimeError(f"stopped after {len(log)}")

    return step


@made("3", "3")
def delattr_and_readd():
    class Holder:
        pass

    holder = Holder()
    holder.temp = 1

    def step(x):
        y = x + holder.temp
        del holder.temp
        missing = not hasattr(holder, "temp")
        holder.temp = 2
        holder.__dict__["extra"] = holder.__dict__.get("extra", 0) + 1
        return y, missing, holder.extra, sorted(vars(holder))

    return step


@made("4", "4")
def sort_and_slice_assignment():
    scores = [3, 1, 2]
    names = ["c", "a", "b"]

    def step(x):
        order = sorted(range(len(scores)), key=scores.__getitem__)
        names[:] = [names[i] for i in order]
        scores.sort(reverse=len(names) % 2 == 0)
        scores[1:2] = [scores[1], 9]
        del scores[-1]
        names[::2] = [n.upper() for n in names[::2]]
        return x * scores[0], names, scores

    return step


@made("3", "3")
def registry_filled_in_forward():
    class Registry(dict):
        def register(self, key):
            def wrap(fn):
                self[key] = fn
                return fn

            return wrap

    registry = Registry()

    def step(x):
        @registry.register(f"op{len(registry)}")
        def scale(v, by=len(registry)):
            return v * by

        return sum(fn(x) for fn in registry.values()), list(registry)

    return step


@made("3", "3", "3")
def counters_of_several_kinds():
    seen = collections.Counter()
    groups = collections.defaultdict(list)

    def step(x):
        seen.update("abca")
        seen["z"] -= 1
        groups[seen["a"] % 3].append(seen["a"])
        top, count = seen.most_common(1)[0]
        return x * count, top, dict(groups), +seen, sum(seen.values())

    return step
