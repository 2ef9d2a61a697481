"""Iteration: itertools, generators, generator expressions, iterator protocols."""

from __future__ import annotations

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


@program(breaks=None)
def endless_iterators_cross_a_break(x):
    iterators = [itertools.count(3, 2), itertools.cycle("abc"), itertools.cycle([1, 2]), itertools.cycle("de")]
    iterators.append(itertools.repeat("r", 2))
    first = [next(i) for i in iterators[:3]], [next(iterators[2]) for _ in range(2)]
    y = x * len(first)
    print("break")
    return y + 1, first, [list(itertools.islice(i, 5)) for i in iterators]
