"""Names: closures, cells, globals, defaults, decorators, argument kinds, and writes to what exists outside."""

from __future__ import annotations

import inspect
import types

from captured import ramp

from programs import program

STATE = {"count": 0, "log": []}
TOTAL = 0
UNSET: list[int] = []


@program()
def global_dict_written(x):
    STATE["count"] += 1
    STATE["log"].append(STATE["count"])
    count = len(STATE["log"])
    STATE["log"].clear()
    STATE["count"] = 0
    return x * count


@program()
def global_name_made_and_deleted(x):
    global MADE
    MADE = 3
    y = x * MADE
    del MADE
    try:
        return MADE
    except NameError as e:
        return y, str(e)


@program()
def global_in_nested_function(x):
    def bump():
        global TOTAL
        TOTAL += 2
        return TOTAL

    bump()
    bump()
    total = TOTAL

    def reset():
        global TOTAL
        TOTAL = 0

    reset()
    return x * total, TOTAL


@program()
def nonlocal_of_two_levels(x):
    n = 1

    def outer():
        m = 10

        def inner():
            nonlocal n, m
            n += 1
            m += n
            return m

        return inner() + inner() + m

    return x * outer(), n


@program()
def late_binding(x):
    functions = []
    for i in range(3):
        functions.append(lambda t: t * i)
    bound = [lambda t, i=i: t * i for i in range(3)]
    return [f(x) for f in functions], [f(x) for f in bound]


@program()
def unbound_cell(x):
    def read():
        return later

    try:
        read()
    except NameError as e:
        text = str(e)
    later = 4
    return x * read(), text


@program()
def deleted_cell(x):
    v = 3

    def read():
        return v

    first = read()
    del v
    try:
        read()
    except NameError as e:
        return x * first, type(e).__name__
    return None


@program()
def recursive_closure(x):
    def power(n):
        return x if n == 1 else x * power(n - 1)

    return power(4)


@program()
def mutual_recursion(x):
    def even(n):
        return True if n == 0 else odd(n - 1)

    def odd(n):
        return False if n == 0 else even(n - 1)

    return x, even(6), odd(6)


def accumulate(item, into=[]):  # noqa: B006 - the default is shared on purpose
    into.append(item)
    return into


@program()
def mutable_default(x):
    a = accumulate(1)
    b = accumulate(2)
    result = list(b), a is b
    b.clear()
    return x, result


@program()
def mutable_default_in_trace(x):
    def collect(item, into=[]):  # noqa: B006 - the default is shared on purpose
        into.append(item)
        return into

    collect(x)
    return collect(2), collect.__defaults__


def all_kinds(a, b=2, /, c=3, *args, d, e=5, **kwargs):
    return a, b, c, args, d, e, kwargs


@program()
def argument_kinds(x):
    return (
        all_kinds(x, d=1),
        all_kinds(1, 2, 3, 4, 5, d=x, f=6),
        all_kinds(*[1, x], **{"d": 4, "a": 7}),
        all_kinds(1, *(2,), 3, *[4], d=5, **{"z": 6}, **{"y": 7}),
    )


@program()
def wrong_calls(x):
    out = []
    for args, kwargs in (
        ((), {"d": 1}),
        ((1,), {}),
        ((1,), {"d": 1, "b": 2}),
        ((1, 2, 3), {"d": 1, "c": 2}),
    ):
        try:
            out.append(all_kinds(*args, **kwargs))
        except TypeError as e:
            out.append(str(e))
    return x, out


@program()
def repeated_keyword(x):
    out = []
    try:
        all_kinds(1, **{"d": 1}, **{"d": 2})
    except TypeError as e:
        out.append(str(e))
    try:
        all_kinds(**[1])
    except TypeError as e:
        out.append(str(e))
    try:
        all_kinds(*3)
    except TypeError as e:
        out.append(str(e))
    return x, out


@program()
def not_callable(x):
    out = []
    for value in (3, None, "s"):
        try:
            value()
        except TypeError as e:
            out.append(str(e))
    return x, out


def make_counter(start):
    count = start

    def step(by=1):
        nonlocal count
        count += by
        return count

    return step


@program(lambda: (ramp(), make_counter(1)), lambda: (ramp(), make_counter(5)))
def closure_of_argument(x, counter):
    a = counter()
    b = counter(2)
    return x * a + b, counter()


@program()
def closure_made_and_called(x):
    c = make_counter(10)
    d = make_counter(20)
    return c(), c(), d(5), x * c()


@program()
def function_attributes(x):
    def scale(t):
        scale.calls += 1
        return t * scale.factor

    scale.calls = 0
    scale.factor = 3
    y = scale(scale(x))
    return y, scale.calls, scale.__name__, scale.__qualname__.endswith("scale")


@program()
def lambda_defaults_and_stars(x):
    f = lambda a, *b, c=2, **d: (a, b, c, d)  # noqa: E731 - lambdas are what is tried
    return f(x, 1, c=3, e=4), (lambda: x)(), (lambda *a: len(a))(1, 2)


@program()
def annotated_names(x):
    a: int = 3
    b: "undefined_name"  # noqa: F821, UP037, F842 - never evaluated
    (c): float = 2.0
    return x * a * c


@program()
def chained_assignment(x):
    a = b = [x]
    a.append(1)
    c, d = e = (2, 3)
    i = [0, 1, 2]
    j = 0
    j, i[j] = 1, 9
    return a is b, len(b), c + d, e, i, j, x


@program()
def augmented_targets(x):
    d = {"a": 1}
    n = types.SimpleNamespace(v=2, l=[1])
    l = [1, 2]
    d["a"] += 5
    n.v *= 3
    n.l += [2]
    l[0] -= 4
    l += (7,)
    m = l
    m *= 2
    s = "a"
    s += "b"
    t = (1,)
    t += (2,)
    return x, d, n.v, n.l, l, m is l, s, t


@program()
def conditional_expressions(x):
    a = x if x.ndim == 2 else None
    b = (a is not None and a.shape[0]) or 7
    c = not (b and [])
    d = 1 < b <= 2 != 3
    e = x.ndim == 2 == len(x.shape)
    return a, b, c, d, e


class Config:
    depth = 2
    names = ["a"]

    def __init__(self):
        self.rate = 0.5
        self.history = []
        self.nested = types.SimpleNamespace(level=1, items={"k": [1]})


@program(lambda: (ramp(), Config()))
def outside_written_in_order(x, config):
    config.rate = config.rate * 2
    config.history.append(config.rate)
    config.history.append("second")
    config.nested.level += 1
    config.nested.items["k"].append(config.nested.level)
    config.nested.items["new"] = config.history
    config.added = x * config.rate
    del config.rate
    config.depth = 5
    return config.added, hasattr(config, "rate"), config.depth, Config.depth


@program(lambda: (ramp(), [Config(), Config()]))
def outside_objects_swapped(x, configs):
    a, b = configs
    a.nested, b.nested = b.nested, a.nested
    configs.reverse()
    configs[0].history.extend([1, 2])
    configs.append(a)
    return x * len(configs), configs[0] is b


@program(lambda: (lambda c: (ramp(), c, c))(Config()), lambda: (ramp(), Config(), Config()))
def outside_aliases(x, a, b):
    a.rate = 3.0
    b.rate = b.rate + 1
    return x * a.rate, a is b


@program(lambda: (ramp(), {"a": [1, 2], "b": {"c": ramp()}}))
def nested_containers_written(x, data):
    data["a"][0] = x
    data["b"]["c"] = data["b"]["c"] * 2
    data["b"]["d"] = data["a"]
    data["e"] = data.pop("a")
    return data["e"] is data["b"]["d"], len(data)


@program(lambda: (ramp(), [3, 1, 2], {"z": 1, "a": 2}))
def outside_sorted_and_cleared(x, l, d):
    l.sort(reverse=True)
    first = l[0]
    l.insert(1, x)
    d.update(sorted(d.items()))
    d.clear()
    d["only"] = first
    return x * first


level = 3


@program()
def globals_by_name(x):
    space = globals()
    space["level"] = 4
    seen = level, globals()["level"], "level" in space, space.get("nothing", 1)
    space["level"] = 3
    return x * seen[0], seen, level


def _adds(a, b=2, *rest, c=3, **more):
    del b
    total = a
    listed = locals()
    return sorted(listed), listed["a"], listed["rest"], listed["total"]


@program()
def locals_as_a_dict(x):
    free = 2

    def inner():
        return free, sorted(locals())

    return _adds(x, 1, 5, k=6), inner(), sorted(vars()), dir()


class Listed:
    shared = 1

    def __init__(self):
        self.own = 2

    def method(self):
        return 3


class ListsItself:
    def __dir__(self):
        return ["b", "a"]


@program(lambda: (ramp(), Listed()))
def names_of_an_object(x, o):
    o.added = x
    names = [n for n in dir(o) if not n.startswith("_")]
    own = [n for n in dir(Listed) if not n.startswith("_")]
    return names, own, dir(ListsItself()), vars(o), list(vars(o).keys()), vars(o).keys(), "upper" in dir("text")


@program(lambda: (ramp(), Listed()))
def members_of_an_object(x, o):
    return x, [n for n, _ in inspect.getmembers(o) if not n.startswith("_")], inspect.isclass(Listed)


STORED = Listed()


@program(breaks=None)
def unbound_methods_of_dicts_on_attributes(x):
    STORED.scale = 3
    return (
        x * dict.get(STORED.__dict__, "scale"),
        dict.__contains__(STORED.__dict__, "absent"),
        inspect.getattr_static(STORED, "scale", 5),
    )
