"""The standard library in traced code: functools, operator, copy, contextlib, text, regular expressions, typing."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import operator
import pathlib
import re
import string
import textwrap
import typing
from typing import Any, cast

from captured import ramp

from programs import program


def combine(a, b=1, *, c=2):
    return a * b + c


@program()
def partials(x):
    p = functools.partial(combine, x)
    q = functools.partial(p, b=3)
    return p(2), q(c=5), p.func is combine, q.keywords, q.args[0]


@program(lambda: (ramp(), functools.partial(combine, b=3)), lambda: (ramp(), functools.partial(combine, c=7)))
def partial_argument(x, p):
    return p(x)


@program()
def reductions(x):
    return functools.reduce(lambda a, b: a * b, [x, 2, 3]), functools.reduce(max, [3, 9, 2])


@functools.lru_cache(maxsize=None)
def factorial(n):
    return n * factorial(n - 1) if n else 1


@functools.cache
def cached_pair(a, b=2):
    return (a, b)


@program()
def cached_functions(x):
    return x * factorial(5), cached_pair(1), cached_pair(1, b=3)


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return function(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


def with_options(scale):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(x):
            return function(x) * scale

        return wrapper

    return decorate


@with_options(3)
def decorated_with_options(x):
    """Doc."""
    return x + 1


@program()
def decorators(x):
    return decorated_with_options(x), decorated_with_options.__name__, decorated_with_options.__doc__


@program()
def decorator_in_trace(x):
    @logged
    def scale(t):
        """Scale."""
        return t * 2

    return scale(scale(x)), scale.calls, scale.__name__, scale.__doc__, scale.__wrapped__(x)


@functools.singledispatch
def describe(value):
    return "object"


@describe.register
def _(value: int):
    return "int"


@describe.register(list)
def _(value):
    return "list"


@program()
def single_dispatch(x):
    return x, describe(3), describe([1]), describe("s")


class Dispatching:
    @functools.singledispatchmethod
    def show(self, value):
        return "any"

    @show.register
    def _(self, value: int):
        return "int"


@program(breaks=None)
def single_dispatch_method(x):
    return x, Dispatching().show(3), Dispatching().show("s")


@program()
def comparison_key(x):
    return x, sorted([3, 1, 2], key=functools.cmp_to_key(lambda a, b: b - a))


@program()
def operators(x):
    return (
        operator.add(x, 1),
        operator.itemgetter(1)([1, x]),
        operator.itemgetter("a", "b")({"a": 1, "b": 2}),
        operator.attrgetter("shape")(x),
        operator.methodcaller("sum")(x),
        operator.mul(2, 3),
        operator.contains([1, 2], 2),
        operator.not_(0),
        operator.is_(None, None),
        operator.concat([1], [2]),
        operator.iadd([1], [2]),
    )


@program()
def set_and_delete_items(x):
    d = {"a": 1}
    operator.setitem(d, "b", x)
    operator.delitem(d, "a")
    return d, operator.countOf([1, 2, 1], 1), operator.indexOf([5, 6], 6), operator.length_hint([1, 2])


@program()
def mathematics(x):
    return (
        x * math.sqrt(2.0),
        math.prod([1, 2, 3]),
        math.gcd(12, 18),
        math.isclose(0.1 + 0.2, 0.3),
        math.inf > 1e300,
        math.floor(-2.5),
        math.hypot(3, 4),
        math.comb(5, 2),
        math.fsum([0.1] * 10),
        math.copysign(1, -0.0),
        math.log(8, 2),
        math.isnan(math.nan),
    )


@program()
def shallow_copies(x):
    a = [x, [1]]
    b = copy.copy(a)
    b[1].append(2)
    c = copy.copy({"k": a})
    return a, b, c["k"] is a, copy.copy((1, 2)), copy.copy("s")


class Plain:
    def __init__(self, v):
        self.v = v
        self.items = [v]


@program()
def copied_objects(x):
    p = Plain(x)
    q = copy.copy(p)
    q.v = 3
    r = copy.deepcopy(Plain([1, {"k": 2}]))
    r.v[1]["k"] = 5
    return p.v, q.v, q.items is p.items, r.v, r.items[0] is r.v


@program()
def deep_copies(x):
    a = {"l": [1, [2]], "t": (1, [3]), "s": {4}}
    b = copy.deepcopy(a)
    b["l"][1].append(9)
    shared = [1]
    c = copy.deepcopy([shared, shared])
    return x, a, b, c[0] is c[1], copy.deepcopy(3.5)


@program(lambda: (ramp(), {"rates": [1.0, 2.0]}))
def deep_copy_of_argument(x, config):
    c = copy.deepcopy(config)
    c["rates"].append(3.0)
    return x * c["rates"][2], config


@program()
def identities(x):
    a, b = [1], [1]
    return x, id(a) == id(a), id(a) == id(b), len({id(a), id(b), id(a)}), id(a) in {id(a): 1}


@contextlib.contextmanager
def recorded(log, name):
    log.append(f"enter {name}")
    try:
        yield name.upper()
    except ValueError as e:
        log.append(f"caught {e}")
    finally:
        log.append(f"leave {name}")


@program()
def context_managers(x):
    log = []
    with recorded(log, "a") as a, recorded(log, "b"):
        x = x * 2
    with recorded(log, "c"):
        raise ValueError("bad")
    return x, log, a


@program()
def exit_stack(x):
    log = []
    with contextlib.ExitStack() as stack:
        names = [stack.enter_context(recorded(log, n)) for n in "ab"]
        stack.callback(log.append, "callback")
    return x, log, names


@program()
def suppressed(x):
    with contextlib.suppress(KeyError, IndexError):
        x = x + 1
        [][1]
        x = x + 100
    return x


@program()
def null_context(x):
    with contextlib.nullcontext(3) as n:
        return x * n


@program()
def closing_manager(x):
    class Closed:
        done = False

        def close(self):
            self.done = True

    c = Closed()
    with contextlib.closing(c):
        y = x + 1
    return y, c.done


class Managed(contextlib.ContextDecorator):
    def __init__(self, log):
        self.log = log

    def __enter__(self):
        self.log.append("in")
        return self

    def __exit__(self, *error):
        self.log.append("out")
        return False


@program()
def context_decorator(x):
    log = []

    @Managed(log)
    def scale(t):
        log.append("body")
        return t * 2

    return scale(x), log


@contextlib.contextmanager
def decorating(log):
    log.append("before")
    yield
    log.append("after")


@program()
def generator_manager_as_decorator(x):
    log = []

    @decorating(log)
    def scale(t):
        return t * 2

    return scale(x), log


@program()
def text_methods(x):
    s = "Hello, World"
    return (
        x,
        s.lower().split(", "),
        s.replace("l", "L"),
        s.partition(","),
        s.find("W"),
        s.startswith(("He", "x")),
        s.center(20, "*").strip("*"),
        s.encode().decode(),
        s.translate(str.maketrans("lo", "01")),
        "a,b,,c".split(","),
        "  x ".strip(),
        "abc".zfill(5),
        "x".join(["1", "2"]),
        "%s-%d-%.2f" % ("a", 3, 1.5),
        "{:>5}|{:<5}|{!r}".format("a", 1, "q"),
        "{a}{b[0]}{c.real}".format(a=1, b=[2], c=3),
        s[::-1],
        s.isalpha(),
        "ab" * 2,
        "b" in "abc",
        "abc".removeprefix("a"),
        "A".casefold(),
        "x=%(k)s" % {"k": 5},
        "-".join({"a": x, "b": 2}),
        "1\n2".splitlines(),
        s.title().swapcase(),
        s.count("l"),
        ord("a") + len(chr(98)),
    )


@program()
def formatting(x):
    n, r, name = 42, 3.14159, "t"
    return (
        x,
        f"{n:05d} {n:x} {n:,} {r:.3f} {r:e} {name!r:>6} {name=}",
        f"{n:{5}} {'nested ' + f'{n}'}",
        f"{x.shape} {x.dtype} {x.ndim}",
        f"{[1, 'a']} {{literal}} {None} {True}",
        format(n, "b"),
        str(r) + repr(name),
    )


@program()
def regular_expressions(x):
    m = re.match(r"(\w+)_(\d+)", "layer_12")
    return x * int(m.group(2)), m.group(1), re.sub(r"\d", "#", "a1b2"), re.findall(r"\d", "a1b2"), re.split(",", "a,b")


@program()
def expressions_with_flags(x):
    m = re.match("(A)b", "ab", re.IGNORECASE | re.DOTALL)
    return x, m.group(1), m.span(), bool(re.search("q", "ab", flags=re.I)), m.re.pattern


PATTERN = re.compile(r"w(\d+)")


@program()
def compiled_expression(x):
    m = PATTERN.search("xw3")
    return (x * int(m.group(1))) if m else x


@program()
def templates(x):
    return x, string.ascii_lowercase[:3], textwrap.dedent("  a\n  b")


@program()
def typing_helpers(x):
    return cast(Any, x) * 2, typing.get_origin(list[int]), typing.get_args(dict[str, int])


WEIGHTS = pathlib.Path("models") / "small.bin"


@program()
def paths_without_the_file_system(x):
    path = pathlib.PurePosixPath("/data", WEIGHTS.name)
    named = {WEIGHTS: 2, path: 3}
    parts = path.parent / "other", path.with_suffix(".pt"), path.relative_to("/data"), WEIGHTS.joinpath("a", "b")
    texts = f"{WEIGHTS}", str(path), path.stem, path.suffix, path.parts, path.as_posix(), path.is_absolute()
    return x * named[pathlib.Path("models/small.bin")], parts, texts, path == pathlib.PurePosixPath("/data/small.bin")


@program(breaks=("side-effect",))
def paths_and_the_file_system(x):
    return x * 2 if (WEIGHTS / "nowhere").exists() else x * 3
