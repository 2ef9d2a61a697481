"""Iteration: itertools, generators, generator expressions, iterator protocols."""

from __future__ import annotations

import collections
import functools
import itertools
import operator

from programs import program


@program()
def chains(x):
    return list(itertools.chain([x], (1,), "a")), list(itertools.chain.from_iterable([[1, 2], [3]]))


@program()
def slices(x):
    return x, list(itertools.islice(itertools.count(5, 2), 3)), list(itertools.islice("abcdef", 1, 5, 2))


@program()
def repeats(x):
    return [t * i for i, t in zip(range(3), itertools.repeat(x))], list(itertools.repeat(1, 2))


@program()
def cycles(x):
    return x, [v for v, _ in zip(itertools.cycle("ab"), range(5))]


@program()
def accumulations(x):
    a = list(itertools.accumulate([x, x, x]))
    b = list(itertools.accumulate([1, 2, 3], operator.mul, initial=2))
    c = list(itertools.accumulate([x, 2, 3], lambda p, q: p * q))
    return a, b, c


@program()
def predicates(x):
    data = [1, 4, 6, 2, 8]
    return (
        x,
        list(itertools.takewhile(lambda v: v < 5, data)),
        list(itertools.dropwhile(lambda v: v < 5, data)),
        list(itertools.filterfalse(lambda v: v % 4, data)),
        list(itertools.compress(data, [1, 0, 1])),
    )


@program()
def combinatorics(x):
    return (
        x,
        list(itertools.product([1, 2], "ab")),
        list(itertools.product([0, 1], repeat=2)),
        list(itertools.permutations([1, 2, 3], 2)),
        list(itertools.combinations("abc", 2)),
        list(itertools.combinations_with_replacement([1, 2], 2)),
    )


@program()
def pairs(x):
    return list(itertools.pairwise([x, x + 1, x + 2])), [b - a for a, b in itertools.pairwise([1, 4, 9])]


@program()
def groups(x):
    data = [("a", 1), ("a", 2), ("b", 3)]
    return x, [(k, [v for _, v in g]) for k, g in itertools.groupby(data, key=lambda p: p[0])]


@program()
def groups_plain(x):
    return x, [(k, len(list(g))) for k, g in itertools.groupby("aabccc")]


@program()
def tees(x):
    a, b = itertools.tee([1, 2, 3])
    next(a)
    return x, list(a), list(b)


@program()
def longest(x):
    return list(itertools.zip_longest([x, x * 2], [1], fillvalue=0))


@program()
def star_maps(x):
    return list(itertools.starmap(lambda a, b: a * b, [(x, 2), (x, 3)])), list(map(pow, [2, 3], [3, 2]))


@program()
def strict_zip(x):
    try:
        list(zip([1, 2], [1], strict=True))
    except ValueError as e:
        return x, str(e), list(zip([x], [1], strict=True))
    return None


@program()
def enumerate_from(x):
    return [t * i for i, t in enumerate([x, x], start=3)], dict(enumerate("ab", 1))


@program()
def maps_of_several(x):
    return (
        list(map(lambda a, b, c: a * b + c, [x, x], [1, 2], [3, 4])),
        list(map(str, [1, 2])),
        sum(map(len, ["a", "bc"])),
    )


@program()
def filters(x):
    return (
        x,
        list(filter(lambda v: v > 1, [1, 2, 3])),
        list(filter(None, [0, "", 1])),
        list(filter(str.isdigit, "a1b2")),
    )


@program()
def sentinel_iterator(x):
    values = [3, 2, 1, 0, 5]
    return x, list(iter(lambda: values.pop(0), 0)), values


@program()
def reversed_things(x):
    return (
        [t * 2 for t in reversed([x, x + 1])],
        list(reversed("abc")),
        list(reversed({"a": 1, "b": 2})),
        list(reversed((1, 2))),
        list(reversed(range(0, 7, 3))),
    )


@program()
def next_defaults(x):
    it = iter([1])
    return x, next(it), next(it, None), next(iter([]), "d"), next((v for v in [1, 2, 3] if v > 1), None)


@program()
def nested_generator_expressions(x):
    rows = ((i * j for j in range(3)) for i in range(2))
    return x, [sum(r) for r in rows], max(v * v for v in (-3, 2)), any(v == 2 for v in (i for i in range(3)))


@program()
def generator_expression_lazy(x):
    log = []

    def note(v):
        log.append(v)
        return v

    g = (note(i) for i in range(5))
    first = next(g)
    log.append("between")
    return x, first, list(itertools.islice(g, 2)), log


@program()
def joined(x):
    return x, ",".join(str(i) for i in range(3)), "".join(reversed("abc")), "-".join(map(str, [1, 2]))


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


@program()
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
    return x, v


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
