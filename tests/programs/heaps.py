"""heapq and bisect: the order of items, and the lists left behind."""

from __future__ import annotations

import bisect
import heapq

from captured import ramp

from programs import program


@program(lambda: (ramp(), [5, 3, 8, 1, 9, 2]), lambda: (ramp(), [1]))
def heaps(x, h):
    heapq.heapify(h)
    heapq.heappush(h, 4)
    after_push = list(h)
    popped = heapq.heappop(h), heapq.heappushpop(h, 6), heapq.heapreplace(h, 0)
    return x * popped[0], popped, after_push, h


@program()
def heap_of_tensors(x):
    h = []
    for i, p in enumerate([3, 1, 2, 0.5]):
        heapq.heappush(h, (p, i, x * p))
    return heapq.heappop(h)[2], [e[0] for e in h]


@program()
def largest_and_merged(x):
    a = [4, 1, 7, 7, 2]
    found = heapq.nlargest(2, a), heapq.nsmallest(3, a, key=lambda v: -v), list(heapq.merge([1, 4], [2, 3]))
    return x, found, list(heapq.merge([4, 1], [3], reverse=True))


@program()
def empty_heap(x):
    try:
        heapq.heappop([])
    except IndexError as e:
        return x, str(e)


class Ranked:
    def __init__(self, n):
        self.n = n

    def __lt__(self, other):
        return self.n < other.n


@program()
def heap_of_objects(x):
    h = [Ranked(n) for n in (3, 1, 2)]
    heapq.heapify(h)
    return x * heapq.heappop(h).n, [r.n for r in h], heapq.heappushpop(h, Ranked(0)).n


@program(lambda: (ramp(), [1, 3, 3, 5]), lambda: (ramp(), [2, 9]))
def bisections(x, items):
    bisect.insort(items, 4)
    bisect.insort_left(items, 3, key=lambda v: v)
    found = (
        bisect.bisect_left(items, 3),
        bisect.bisect(items, 3),
        bisect.bisect_right([(1,), (3,)], 2, key=lambda t: t[0]),
    )
    return x * found[1], found, items, bisect.bisect_left(items, 3, 2, 4)
