"""What generated programs are given: arguments by type, and what they call by name."""

from __future__ import annotations

PARAMETERS: dict[str, str] = {
    "matrix": "leaf(rows, 3, grad=grad) * 1",
    "vector": "leaf(3, grad=grad) + 0.5",
    "scalar": "leaf(grad=grad) * 2",
    "int": "n",
    "float": "r",
    "bool": "flag",
    "str": "name",
    "matrices": "[leaf(rows, 3, grad=grad) - i for i in range(length)]",
    "ints": "[n, 2, 1][:length]",
    "table": "{'a': leaf(3, grad=grad), name: leaf(3) * 0.5}",
    "pair": "(leaf(rows, 3, grad=grad), n)",
    "box": "(Meter if flag else Box)(leaf(rows, 3) + n, r)",
    "function": "(lambda t: t * n) if flag else scale",
    "iterator": "iter([leaf(rows, 3) * i for i in range(length)])",
}

#: what programs call, by name
LIBRARY: dict[str, str] = {
    "SCALE": "SCALE = 0.5",
    "COUNT": "COUNT = 0",
    "LOG": "LOG = []",
    "STATE": "STATE = {'n': 1}",
    "leaf": """
def leaf(*shape, grad=False):
    t = (tg.arange(1.0, 1.0 + math.prod(shape)) / 4 - 1).reshape(shape)
    LEAVES.append(t.requires_grad_(grad))
    return t
""",
    "LEAVES": "LEAVES = []",
    "Pair": "Pair = collections.namedtuple('Pair', 'first second')",
    "Problem": """
class Problem(Exception):
    def __init__(self, code):
        super().__init__(f'problem {code}')
        self.code = code
""",
    "checked": """
def checked(n):
    if n > 1:
        raise Problem(n)
    return n
""",
    "Box": """
class Box:
    limit = 3

    def __init__(self, value, rate=0.5):
        self.value = value
        self.rate = rate
        self.count = 0
        self.items = []
        self.note = None

    def __call__(self, t):
        self.count += 1
        return t * self.rate

    def __len__(self):
        return len(self.items)

    def __bool__(self):
        return self.count < self.limit

    def __iter__(self):
        return iter(self.items)

    def __getitem__(self, i):
        return self.value * i

    def __setitem__(self, i, value):
        self.value = value + i

    def __add__(self, other):
        return type(self)(self.value + other.value, self.rate)

    def __eq__(self, other):
        return self.count == other.count

    def __enter__(self):
        self.count += 1
        return self.value

    def __exit__(self, kind, error, traceback):
        self.note = None if kind is None else kind.__name__
        return False

    @property
    def doubled(self):
        return self.value * 2

    @doubled.setter
    def doubled(self, t):
        self.value = t / 2

    def scaled(self, t, *, by=2):
        return t * self.rate * by

    def bump(self, n=1):
        self.count += n
        return self.count

    def fluent(self, rate):
        self.rate = rate
        return self
""",
    "Meter": """
class Meter(Box):
    def __init__(self, value, rate=0.25):
        super().__init__(value, rate)
        self.extra = 1

    def scaled(self, t, *, by=3):
        self.extra += 1
        return super().scaled(t, by=by) + self.extra

    def __getattr__(self, name):
        if name == 'ghost':
            return 7
        raise AttributeError(name)
""",
    "Guard": """
class Guard:
    def __init__(self, name, swallow=False):
        self.name = name
        self.swallow = swallow

    def __enter__(self):
        LOG.append('enter ' + self.name)
        return self

    def __exit__(self, kind, error, traceback):
        LOG.append(f'exit {self.name} {error!r}')
        return self.swallow
""",
    "scope": """
@contextlib.contextmanager
def scope(name):
    LOG.append(name)
    try:
        yield name * 2
    finally:
        LOG.append('end ' + name)
""",
    "scale": """
def scale(t, by=2.0):
    return t * by
""",
    "helper": """
def helper(t, k=1, *, flip=False):
    global COUNT
    COUNT += k
    if flip:
        return -t
    for _ in range(k):
        t = t + SCALE
    return t
""",
    "spread": """
def spread(t):
    for i in range(2):
        yield t * i
""",
}  # fmt: skip
