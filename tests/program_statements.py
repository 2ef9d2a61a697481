"""Statements of generated programs, as templates (see `program_expressions`)."""

from __future__ import annotations

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
