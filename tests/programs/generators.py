"""Generators: made, sent to, thrown into, delegated, closed."""

from __future__ import annotations

import collections
import functools
import operator

from programs import program


def countdown(n):
    while n:
        yield n
        n -= 1
    return "end"


def averager():
    total, count = 0, 0
    value = yield
    while value is not None:
        total, count = total + value, count + 1
        value = yield total / count
    return total


@program()
def send_values(x):
    a = averager()
    next(a)
    outs = [a.send(v) for v in (x, x * 2, x * 3)]
    try:
        a.send(None)
    except StopIteration as s:
        return outs, s.value
    return None


@program()
def delegate(x):
    def outer():
        result = yield from countdown(3)
        yield result
        yield from [x, "list"]
        yield from (i for i in range(2))

    return list(outer())


@program()
def delegate_send(x):
    def outer():
        total = yield from averager()
        yield ("total", total)

    g = outer()
    next(g)
    return g.send(2), g.send(4), g.send(None), x


@program()
def delegate_throw(x):
    log = []

    def inner():
        try:
            yield 1
            yield 2
        except ValueError as e:
            log.append(str(e))
            yield 3
        finally:
            log.append("inner done")

    def outer():
        yield from inner()
        yield 4

    g = outer()
    return next(g), g.throw(ValueError("v")), next(g), log, x


@program()
def delegate_throw_through(x):
    def inner():
        yield 1
        yield 2

    def outer():
        try:
            yield from inner()
        except KeyError as e:
            yield f"caught {e.args[0]}"

    g = outer()
    return next(g), g.throw(KeyError("k")), list(g), x


@program()
def delegate_close(x):
    log = []

    def inner():
        try:
            yield 1
        except GeneratorExit:
            log.append("exit")
            raise
        finally:
            log.append("finally")

    def outer():
        try:
            yield from inner()
        finally:
            log.append("outer")

    g = outer()
    next(g)
    g.close()
    g.close()
    return log, list(g), x


@program()
def generator_is_finished(x):
    g = countdown(1)
    next(g)
    out = []
    for _ in range(2):
        try:
            next(g)
        except StopIteration as s:
            out.append(s.value)
    return out, x


@program()
def generator_raises(x):
    def g():
        yield 1
        raise ValueError("inside")

    it = g()
    next(it)
    try:
        next(it)
    except ValueError as e:
        return str(e), next(it, "over"), x
    return None


@program()
def generator_stop_iteration(x):
    def g():
        yield next(iter([]))

    try:
        next(g())
    except RuntimeError as e:
        return str(e), type(e.__cause__).__name__, x
    return None


@program(breaks=("suspended-generator",))
def generator_try_finally(x):
    log = []

    def g():
        for i in range(3):
            try:
                yield i
            finally:
                log.append(i)

    for v in g():
        if v == 1:
            break
    return x, v, log


@program()
def generator_with_return_in_loop(x):
    def search(items, wanted):
        for i, item in enumerate(items):
            yield item
            if item == wanted:
                return i
        return -1

    g = search([5, 6, 7], 6)
    seen = []
    while True:
        try:
            seen.append(next(g))
        except StopIteration as stop:
            return seen, stop.value, x


@program()
def generator_pipeline(x):
    def numbers(n):
        yield from range(n)

    def squares(it):
        for v in it:
            yield v * v

    def tensors(it):
        for v in it:
            yield x * v

    return list(tensors(squares(numbers(4))))


@program()
def generator_closure(x):
    n = 0

    def ticks():
        nonlocal n
        while n < 3:
            n += 1
            yield n

    return list(ticks()), n, x


@program()
def generator_method(x):
    class_ = Tree(1, Tree(2), Tree(3, Tree(4)))
    return [v * x for v in class_.walk()], sum(class_.walk())


class Tree:
    def __init__(self, value, *children):
        self.value = value
        self.children = children

    def walk(self):
        yield self.value
        for c in self.children:
            yield from c.walk()

    def __iter__(self):
        return self.walk()


@program()
def generator_as_iter(x):
    return list(Tree(1, Tree(2))), [*Tree(5)], x, min(Tree(4, Tree(2)))


@program()
def unpack_generators(x):
    a, b, c = countdown(3)
    d, *e = (i for i in range(4))
    return x * a, b, c, d, e, (*countdown(2),), {*countdown(2)}


@program()
def call_with_generator(x):
    return (
        max(*countdown(3)),
        dict(zip("ab", countdown(2))),
        set(countdown(2)),
        sorted(countdown(3)),
        tuple(countdown(2)),
        x,
    )


@program()
def unpack_too_many(x):
    out = []
    for values in ([1, 2, 3], [1], (i for i in range(5))):
        try:
            a, b = values
        except ValueError as e:
            out.append(str(e))
    return x, out


@program()
def loop_else(x):
    out = []
    for n in (4, 5):
        for d in range(2, n):
            if n % d == 0:
                out.append((n, d))
                break
        else:
            out.append((n, "prime"))
    return x, out


@program()
def while_else(x):
    n = 3
    while n:
        n -= 1
    else:
        x = x + 1
    return x


@program()
def mutate_while_iterating(x):
    d = {"a": 1}
    try:
        for k in d:
            d[k + "b"] = 2
    except RuntimeError as e:
        return x, str(e)
    return None


@program()
def list_grows_while_iterating(x):
    l = [1]
    for v in l:
        if v < 4:
            l.append(v + 1)
    return x, l


@program()
def comprehension_scopes(x):
    i = 10
    a = [i for i in range(3)]
    b = {i: j for i, j in zip("ab", range(2))}
    c = [y for i in range(2) for y in [i * i] if y]
    return x * i, a, b, c


@program()
def comprehension_nested_lambda(x):
    fs = [lambda t, i=i: t * i for i in range(3)]
    gs = [lambda t: t * i for i in range(3)]
    return [f(x) for f in fs], [g(x) for g in gs]


@program()
def walrus_in_comprehension(x):
    y = [last := v * 2 for v in range(3)]
    return x * last, y, [w for v in range(4) if (w := v % 2)]


@program()
def deque_operations(x):
    d = collections.deque([1, 2, 3], maxlen=4)
    d.appendleft(x)
    d.append(9)
    d.rotate(1)
    d.extendleft([7])
    return list(d)[1:], d.maxlen, d.popleft(), d.pop(), len(d), d


@program()
def reduce_with_initial(x):
    return functools.reduce(lambda a, b: a * b, [2, 3], x), functools.reduce(operator.add, [[1], [2]], [])


@program()
def min_max_forms(x):
    return (
        x,
        max("b", "abc", key=len),
        min([], default=3),
        max({"a": 1, "b": 5}.items(), key=lambda p: p[1]),
        min((3, "x"), (2, "y")),
        max(1.5, 2),
        min(i * i for i in (3, -1)),
    )


@program()
def sums(x):
    return sum([x, x]), sum([1, 2], 10), sum([[1], [2]], []), sum((t for t in (x, x)), x), sum([0.1] * 3)


@program()
def any_all_short_circuit(x):
    seen = []

    def look(v):
        seen.append(v)
        return v > 1

    return x, any(look(v) for v in (1, 2, 3)), all(look(v) for v in (5, 0, 9)), seen


@program()
def iterate_dict_views(x):
    d = {"a": x, "b": 2}
    return (
        [k for k in d.keys()],
        list(d.values())[1],
        [(i, k) for i, (k, _) in enumerate(d.items())],
        d.keys() & {"a"},
        d.keys() - {"a"},
        "a" in d.keys(),
        len(d.items()),
        list(reversed(d.items()))[0][0],
    )


@program()
def iterate_tensor(x):
    a, b = x
    out = [r.sum() for r in x]
    for i, row in enumerate(x):
        out.append(row * i)
    return a + b, out, [c for r in x for c in r][:2], list(zip(x, [1, 2])), len(list(x))
