"""The grammar of generated programs: templates of expressions by type, templates of statements, and what they call.

A template is Python text with holes, filled from left to right:

    $int            an expression of this type
    $any_int        a variable
    $var_int        a variable that this function may assign to
    $new_int        a new name, known in the statement's blocks only
    $name_int       a new name, known from here on
    $count_int      the same, but only this template assigns to it, so that loops end
    $param_int      a parameter, known in the block of its `def`
    $outer_int      a variable of the enclosing function, for `nonlocal`
    $block, $loop   statements; in a `loop` they may break and continue
    $return         an expression of what the function returns
    $pick(a|b)      one of these texts

Holes with the same digit, as in `$var1_ints`, are the same name. Expressions are put in parentheses where needed. The
first templates of a list are the simplest: failing programs shrink towards them.

Types: matrix (f32, as many rows as the arguments say, 3 columns), vector (3), scalar, int, small (0 to 3), float, bool,
str, matrices and ints (lists), table (dict from str to vector), pair (of matrix and int), box (Box), function (matrix
to matrix), producer (matrix to an iterator of matrices), iterator (of matrices).
"""

from __future__ import annotations

ATOMS: dict[str, tuple[str, ...]] = {
    "matrix": ("x",),
    "vector": ("tg.ones(3)",),
    "scalar": ("tg.tensor(1.5)",),
    "int": (
        "0",
        "1",
        "2",
        "5",
        "-1",
    ),
    "small": (
        "0",
        "1",
        "2",
        "3",
    ),
    "float": (
        "0.0",
        "0.5",
        "2.0",
        "-1.5",
    ),
    "bool": (
        "True",
        "False",
    ),
    "str": (
        "'a'",
        "'b'",
        "'c'",
    ),
    "matrices": ("[$matrix]",),
    "ints": ("[1, 2]",),
    "table": ("{'a': $vector}",),
    "pair": ("($matrix, $int)",),
    "box": ("Box($matrix)",),
    "function": (
        "scale",
        "tg.relu",
    ),
    "producer": ("spread",),
    "iterator": ("iter($matrices[:4])",),
}

EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "matrix": (
        "$matrix + $matrix",
        "$matrix * $float",
        "$matrix - $int",
        "$matrix * $matrix",
        "$matrix - $vector",
        "$matrix * $scalar",
        "$int - $matrix",
        "$matrix / (abs($int) + 1)",
        "-$matrix",
        "$matrix.relu()",
        "$matrix.tanh()",
        "$matrix.sin()",
        "$matrix.abs()",
        "$matrix.clamp(min=$float)",
        "$matrix.softmax(-1)",
        "$matrix.clone()",
        "$matrix.detach()",
        "$matrix[:]",
        "$matrix.view(-1, 3)",
        "$matrix.reshape(-1).reshape(-1, 3)",
        "$matrix.t().t()",
        "$matrix @ tg.ones(3, 3)",
        "tg.where($matrix > $float, $matrix, $matrix)",
        "tg.zeros_like($matrix)",
        "tg.stack($matrices).sum(0)",
        "tg.cat([$matrix, $matrix])[: $matrix.shape[0]]",
        "$matrix if $bool else $matrix",
        "$matrices[0]",
        "$matrices[-1]",
        "$matrices[$int]",
        "sum($matrices)",
        "functools.reduce(lambda a, b: a * 0.5 + b, $matrices)",
        "max($matrices, key=lambda t: t.shape[0])",
        "$pair[0]",
        "$box.value",
        "$box.doubled",
        "$box.scaled($matrix)",
        "$box.scaled($matrix, by=$float)",
        "$box($matrix)",
        "$box[$small]",
        "($box + $box).value",
        "$function($matrix)",
        "scale($matrix, by=$float)",
        "helper($matrix, $small)",
        "helper($matrix, flip=$bool)",
        "next($iterator, $matrix)",
        "sum($producer($matrix), $matrix)",
        "(lambda t, k=$float: t * k)($matrix)",
        "(lambda *args, **named: args[0] * named['k'])($matrix, k=$int)",
        "[t for t in $matrices][-1]",
        "getattr($box, $pick('value'|'doubled'))",
        "$any_matrix.mul_($float)",
        "$any_matrix.add_($matrix)",
    ),
    "vector": (
        "$matrix[0]",
        "$matrix[-1]",
        "$matrix.sum(0)",
        "$matrix.mean(0)",
        "$matrix.max(0).values",
        "$vector + $vector",
        "$vector * $scalar",
        "$vector * $float",
        "$vector.cumsum(0)",
        "$vector.flip(0)",
        "$vector.sort().values",
        "$table['a']",
        "$table.get($str, $vector)",
        "list($table.values())[0]",
        "sum($table.values())",
        "tg.tensor([1.0, $float, $float])",
        "$matrix[$int]",
        "$table[max($table)]",
        "$any_table.pop('b', $vector)",
        "$any_table.setdefault($str, $vector)",
    ),
    "scalar": (
        "$matrix.sum()",
        "$vector.max()",
        "$matrix.mean()",
        "$vector[$pick(0|1|-1)]",
        "$scalar + $scalar",
        "$scalar * $float",
        "$scalar + $int",
        "tg.tensor($float)",
        "$vector @ $vector",
    ),
    "int": (
        "$int + $int",
        "$int - $int",
        "$int * $small",
        "$int // 2",
        "$int % 5",
        "-$int",
        "abs($int)",
        "min($int, $int)",
        "int($bool)",
        "int($float)",
        "len($matrices)",
        "len($table)",
        "len($str)",
        "len($box)",
        "$matrix.shape[0]",
        "$matrix.size(1)",
        "$matrix.numel()",
        "$box.count",
        "Box.limit",
        "COUNT",
        "STATE['n']",
        "$pair[1]",
        "sum($ints)",
        "max($ints, default=0)",
        "$ints[0]",
        "$int if $bool else $int",
        "$int and $int",
        "$int or $int",
        "int($scalar.clamp(-5, 5).item())",
        "$any_ints.pop()",
        "divmod($int, 3)[1]",
        "int($scalar > $float)",
        "$any_box.bump()",
        "len(LOG)",
        "$ints.count($int)",
        "sum(1 for t in $iterator)",
    ),
    "small": (
        "$int % 3",
        "$int & 1",
        "min(max($int, 0), 2)",
    ),
    "float": (
        "$float + $float",
        "$float * 0.5",
        "$float - $int",
        "$float / 4",
        "$float if $bool else $float",
        "float($int)",
        "$box.rate",
        "SCALE",
        "math.sqrt(abs($float))",
        "min($float, $float)",
        "round($float, 1)",
        "$scalar.item()",
        "float($scalar)",
        "$int / 4",
    ),
    "bool": (
        "$int > $int",
        "$int == $int",
        "$int < $small",
        "$float < $float",
        "$small <= $int < 4",
        "not $bool",
        "$bool and $bool",
        "$bool or $bool",
        "$matrix.shape[0] > $small",
        "$matrix.shape == $matrix.shape",
        "$matrix.requires_grad",
        "tg.is_grad_enabled()",
        "len($matrices) > $small",
        "$int in $ints",
        "$int not in $ints",
        "$str in $table",
        "$str == $str",
        "bool($ints)",
        "$matrix is $matrix",
        "$box is $box",
        "$box.note is None",
        "$box == $box",
        "isinstance($box, Meter)",
        "hasattr($box, 'extra')",
        "any(t.shape[0] > $small for t in $matrices)",
        "all(i > 0 for i in $ints)",
        "any(i > 1 for i in $ints)",
        "bool($box)",
        "bool($scalar > $float)",
        "$scalar.item() > $float",
        "$scalar > $scalar",
    ),
    "str": (
        "str($int)",
        "$str + 'c'",
        "f'{$any_int}'",
        "f'{$any_float:.2f}'",
        "f'{$any_str!r}'",
        "f'{$any_str:>3}'",
        "f'{$any_matrix.shape} {$any_bool}'",
        "f'{$any_box.count + 1=}'",
        "'%d' % $int",
        "'{}{}'.format($int, $str)",
        "'-'.join($table)",
        "type($box).__name__",
        "$str.upper()",
        "str($bool)",
        "min($table)",
        "$str * 2",
    ),
    "matrices": (
        "[$matrix, $matrix]",
        "$matrices + [$matrix]",
        "[*$matrices[:3], $matrix]",
        "[t * $float for t in $matrices]",
        "[t for t in $matrices if t.shape[0] > $small] or [$matrix]",
        "list(reversed($matrices))",
        "$matrices[:2]",
        "$matrices[::-1]",
        "sorted($matrices, key=lambda t: t.shape[0])",
        "list(map(lambda t: t + $int, $matrices))",
        "list(map($function, $matrices))",
        "[a + b for a, b in zip($matrices, $matrices)]",
        "[t * i for i, t in enumerate($matrices)]",
        "list($producer($matrix)) or [$matrix]",
        "list($iterator) or [$matrix]",
        "[*$producer($matrix), $matrix]",
        "[f() for f in [lambda k=k: $matrix * k for k in range(2)]]",
        "[f() for f in [lambda: $matrix * k for k in range(2)]]",
        "$box.items or [$matrix]",
        "[y for y in $box] or [$matrix]",
        "$matrices * 1",
        "$matrices",
    ),
    "ints": (
        "[$int, $int]",
        "[3, $int, 1]",
        "list(range($small + 1))",
        "[i * 2 for i in $ints]",
        "[i for i in $ints if i % 2 == 0]",
        "[i + j for i in $ints for j in range(2)][:6]",
        "sorted($ints, reverse=True)",
        "sorted($ints, key=lambda i: (i % 2, -i))",
        "list({i % 3 for i in $ints})",
        "list($matrix.shape)",
        "$ints[:4] + [$int]",
        "list(itertools.accumulate($ints[:4]))",
        "[i for i, t in enumerate($matrices)]",
    ),
    "table": (
        "{'a': $vector, 'b': $vector}",
        "{**$table, 'c': $vector}",
        "{k: v * 2 for k, v in $table.items()}",
        "dict($table)",
        "$table | {$str: $vector}",
        "dict(sorted($table.items()))",
        "dict(zip('ab', [$vector, $vector]))",
        "dict(a=$vector)",
        "collections.OrderedDict($table)",
        "$table",
    ),
    "pair": (
        "tuple([$matrix, $int])",
        "Pair($matrix, $int)",
        "(lambda *args: args)($matrix, $int)",
        "next(zip($matrices, $ints), ($matrix, 0))",
        "$pair if $bool else $pair",
        "$pair[::1]",
        "(*$matrices, $int)[-2:]",
    ),
    "box": (
        "Box($matrix, rate=$float)",
        "Meter($matrix)",
        "$box + $box",
        "copy.copy($box)",
        "$box if $bool else $box",
        "$box or $box",
        "$box.fluent($float)",
    ),
    "function": (
        "lambda t: t * $float + $matrix",
        "lambda t, k=$int: t + k",
        "(lambda k: lambda t: t * k)($float)",
        "functools.partial(scale, by=$float)",
        "$box.scaled",
        "$box",
        "operator.neg",
        "$function if $bool else $function",
    ),
    "producer": (
        "lambda t: (t * i for i in range($small))",
        "lambda t: iter([t, $matrix])",
    ),
    "iterator": (
        "$producer($matrix)",
        "(t * i for i, t in enumerate($matrices[:4]))",
        "map($function, $matrices[:4])",
        "itertools.chain($matrices[:4], [$matrix])",
        "itertools.islice($producer($matrix), 2)",
        "itertools.accumulate($matrices[:4])",
        "reversed($matrices[:4])",
        "filter(lambda t: t.shape[0] > $small, $matrices[:4])",
        "itertools.takewhile(lambda t: t.ndim > 1, $matrices[:4])",
    ),
}

SIMPLE_STATEMENTS = (
    "$name_matrix = $matrix",
    "$name_vector = $vector",
    "$name_int = $int",
    "$name_float = $float",
    "$name_matrices = $matrices",
    "$name_table = $table",
    "$name_box = $box",
    "$name_function = $function",
    "$name_iterator = $iterator",
    "$name_ints = $ints",
    "$name_scalar = $scalar",
    "$name_bool = $bool",
    "$name_str = $str",
    "$name_pair = $pair",
    "$var_matrix = $matrix",
    "$var_int = $int",
    "$var_float = $float",
    "$var_matrices = $matrices",
    "$var_vector = $vector",
    "$var_box = $box",
    "$var_iterator = $iterator",
    "$var_matrix += $matrix",
    "$var_matrix *= $float",
    "$var_matrix -= $vector",
    "$var_vector += $vector",
    "$var_int += $int",
    "$var_int -= $int",
    "$var_int *= $small",
    "$var_int //= 2",
    "$var_float *= 0.5",
    "$var_float += $float",
    "$var_str += $str",
    "$var_ints += [$int]",
    "$var_matrices += [$matrix]",
    "$var_table |= {$str: $vector}",
    "$any_matrix.mul_($float)",
    "$any_matrix.add_($matrix)",
    "$any_matrix[0].add_($vector)",
    "$any_matrix.t().mul_($float)",
    "$any_matrix[:1].zero_()",
    "$any_matrix.clamp_(max=$float)",
    "$any_matrix.copy_($matrix)",
    "$any_vector.copy_($vector)",
    "$any_matrix[0] = $vector",
    "$any_matrix[:, 1] = $float",
    "$any_matrix[-1] += $vector",
    "$any_matrix[$matrix > $float] = $float",
    "$any_vector[$pick(0|1|-1)] = $float",
    "$any_matrices.append($matrix)",
    "$any_matrices.insert(0, $matrix)",
    "$any_matrices[0] = $matrix",
    "$any_matrices[-1] += $matrix",
    "$any_matrices[1:] = [$matrix]",
    "$any_matrices.extend([$matrix, $matrix])",
    "$any_matrices.reverse()",
    "del $any_matrices[1:]",
    "$any_ints.append($int)",
    "$any_ints.sort(key=lambda i: -i)",
    "$any_ints[0] += $int",
    "$any_ints[:] = $ints",
    "$any_ints.insert($small, $int)",
    "$any_ints.remove($int)",
    "$any_table[$str] = $vector",
    "$any_table['a'] += $vector",
    "$any_table.update(b=$vector)",
    "$any_table.setdefault($str, $vector)",
    "$any_table.pop('b', None)",
    "del $any_table[$str]",
    "$any_box.value = $matrix",
    "$any_box.value += $matrix",
    "$any_box.count += $int",
    "$any_box.rate = $float",
    "$any_box.note = $str",
    "$any_box.doubled = $matrix",
    "$any_box.items.append($matrix)",
    "$any_box.bump()",
    "$any_box.bump($int)",
    "setattr($any_box, 'extra', $int)",
    "$any_box[0] = $matrix",
    "Box.limit = $int",
    "COUNT += $int",
    "SCALE = $float",
    "LOG.append($int)",
    "LOG.append($str)",
    "STATE['n'] += $int",
    "print($int, $str)",
    "print($vector)",
    "print($float)",
    "print('n', $int, sep='=', end=';')",
    "print($matrix.shape, $bool)",
    "tg.compiler.graph_break()",
    "$name1_matrix, $name_int = $pair",
    "*_, $name_matrix = $matrices",
    "$name_matrix, *_ = $matrices",
    "$var1_matrix, $var2_matrix = ($matrix, $matrix)",
    "$name1_int, $name_float = ($int, $float)",
    "$name1_int = $name2_int = $int",
    "$name_ints = [(last := i) for i in (1, $int)] + [last]",
    "$name1_matrices = $name2_matrices = $matrices",
    "$name_vector, *_ = $matrix",
    "($name1_matrix, $name2_int), $name_float = ($pair, $float)",
    "$name_matrix = next($iterator, $matrix)",
    "assert $int < 100, $str",
)

COMPOUND_STATEMENTS = tuple(
    """
if $bool:
    $block

if $bool:
    $block
else:
    $block

if $bool:
    $block
elif $bool:
    $block
else:
    $block

if $scalar > $float:
    $block
else:
    $block

if ($new1_int := $int) > $small:
    $block

if ($new1_matrix := $matrix).shape[0] > $small and $bool:
    $block

if $bool:
    return $return

for $new_int in range($small):
    $loop

for $new_int in range($small):
    $loop
else:
    $block

for $new_matrix in $matrices[:3]:
    $loop

for $new_int, $new_matrix in enumerate($matrices[:3]):
    $loop

for $new_matrix in $iterator:
    $loop

for $new_vector in $matrix:
    $loop

for $new_str, $new_vector in $table.items():
    $loop

for $new_str in list($table):
    $loop

for $new1_matrix, $new2_int in zip($matrices[:2], $ints):
    $loop

for $new_int in $ints[:3]:
    $loop

for $new_matrix in $producer($matrix):
    $loop

$count1_int = $small
while $count1_int > 0:
    $count1_int -= 1
    $loop

$count1_int = 3
while $count1_int > 0 and $bool:
    $count1_int -= 1
    $loop
else:
    $block

$count1_int = 0
while True:
    $count1_int += 1
    if $count1_int > $small:
        break
    $loop

try:
    $block
except ValueError:
    $block

try:
    $block
    if $bool:
        raise ValueError($str)
    $block
except (ValueError, KeyError) as error:
    print(error)
    $block

try:
    $block
    if $bool:
        raise Problem($int)
except Problem as error:
    $name1_int = error.code
    $block
else:
    $block
finally:
    $block

try:
    $block
finally:
    $block

try:
    $name1_int = $ints[$int]
except IndexError as error:
    LOG.append(str(error))
    $block

try:
    $name1_vector = $table[$str]
except KeyError:
    $block
else:
    $block

try:
    $block
    LOG.append(1 // $small)
except ZeroDivisionError as error:
    raise Problem($int) from error

try:
    checked($int)
    $block
except Problem as error:
    LOG.append(error.code)
    $block

if $bool:
    raise Problem($int)

with tg.no_grad():
    $block

with tg.enable_grad():
    $block

with $any_box as $new_matrix:
    $block

with scope($str) as $new_str:
    $block

with Guard($str), Guard('z'):
    $block

with Guard($str, swallow=True):
    $block
    if $bool:
        raise Problem($int)
    $block

with contextlib.suppress(ValueError):
    $block
    if $bool:
        raise ValueError($str)
    $block

match $int % 3:
    case 0:
        $block
    case 1 | 2:
        $block

match $pair:
    case (_, 0):
        $block
    case ($new_matrix, $new_int) if $bool:
        $block
    case _:
        $block

match $box:
    case Meter():
        $block
    case Box(rate=0.5, count=$new_int):
        $block

match $table:
    case {'b': $new_vector}:
        $block
    case {'a': _, **rest}:
        LOG.append(len(rest))

match $ints:
    case [$new_int, *_]:
        $block
    case []:
        $block

def $name_function($param_matrix):
    $block
    return $return

def $name_function($param_matrix, $param_float=$float, *rest):
    $block
    return $return

def $name_function($param_matrix):
    nonlocal $outer1_int
    $outer1_int += 1
    $block
    return $return

def $name_function($param_matrix):
    nonlocal $outer1_matrix
    $outer1_matrix = $matrix
    return $return

def $name_producer($param_matrix):
    for $new_int in range($small):
        $block
        yield $return

def $name_producer($param_matrix):
    try:
        yield $return
        $block
        yield $return
    finally:
        $block

def $name_producer($param_matrix):
    yield from $matrices[:3]
    $block
""".strip().split("\n\n")
)

#: only inside loops
JUMPS = ("if $bool:\n    break", "if $bool:\n    continue", "break", "continue")

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

#: what reads the values of tensors, so that rounding may decide about a program's course
READS_VALUES = (
    ".item()",
    "float($scalar",
    "bool($scalar",
    "int($scalar",
    "$scalar > $",
    "print($vector",
    "[$matrix > $",
)
