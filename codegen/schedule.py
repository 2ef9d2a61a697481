"""The default schedule: what pays on its own, in one list. The transformations stand in `transforms`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracegraph.codegen.loops.loop_index import BinaryAtom, Index, IndexFunction
from tracegraph.codegen.loops.loop_ir import For, If, Kernel, Let, Load, Mark, Update, walk
from tracegraph.codegen.transforms.columns import block_columns, column_form
from tracegraph.codegen.transforms.hoisting import drop_single_loops, hoist_invariants
from tracegraph.codegen.transforms.marking import mark
from tracegraph.codegen.transforms.split_reduction import split_reduction
from tracegraph.codegen.transforms.tiling import tile_variable
from tracegraph.errors import VerifyError

# columns reduced at once: long enough runs of memory for the prefetcher, and the sums stay in the first cache
COLUMN_BLOCK = 1024
# a sum of more terms is made of partial sums, one of many partial sums of sums of those
SUM_BLOCKS = (4096, 4096 * 64)
# rounds of a loop that are too few for a vector
SHORT = 3


def schedule(kernel: Kernel) -> Kernel:
    """The kernel as it should run."""
    for step in STEPS:
        kernel = step(kernel)
    return kernel


def block_column_reductions(kernel: Kernel) -> Kernel:
    """Block the loops that reduce down the columns of row-major arrays."""
    for loop in _loops(kernel):
        if _walks_columns(kernel, loop):
            length = _known_length(loop)
            kernel = block_columns(kernel, loop.variable, min(COLUMN_BLOCK, length or COLUMN_BLOCK))
    return kernel


def split_long_sums(kernel: Kernel) -> Kernel:
    """Split the innermost loops that add up more terms than a block, or an unknown number."""
    for loop in _loops(kernel):
        length = _known_length(loop)
        variable = loop.variable
        for block in SUM_BLOCKS if _is_sum(loop) else ():
            if length is None or length > block:
                tiles = tile_variable(kernel, variable)
                kernel = split_reduction(kernel, variable, block)
                variable = tiles
    return kernel


def unroll_short_loops(kernel: Kernel) -> Kernel:
    """Unroll innermost loops of a few rounds, so that the loop around them may be vectorised."""
    inside = {stmt.variable for loop in _loops(kernel) for stmt in loop.body if isinstance(stmt, For)}
    for loop in _loops(kernel):
        length = (loop.stop - loop.start).constant
        is_innermost = not any(isinstance(stmt, For) for stmt in walk(loop.body))
        if loop.variable in inside and is_innermost and length is not None and length <= SHORT * loop.step:
            kernel = mark(kernel, loop.variable, Mark.UNROLL)
    return kernel


def parallelise_outermost(kernel: Kernel) -> Kernel:
    """Mark the outermost loops whose iterations are independent."""
    for stmt in kernel.body:
        if isinstance(stmt, For) and Mark.PARALLEL not in stmt.marks:
            try:
                kernel = mark(kernel, stmt.variable, Mark.PARALLEL)
            except VerifyError:
                # iterations share what they write: the loop stays serial
                continue
    return kernel


# columns first: blocking leaves no reduction for the split to see, and one block where columns are few
STEPS: tuple[Callable[[Kernel], Kernel], ...] = (
    block_column_reductions,
    split_long_sums,
    drop_single_loops,
    hoist_invariants,
    unroll_short_loops,
    parallelise_outermost,
)


def _loops(kernel: Kernel) -> Iterator[For]:
    return iter([stmt for stmt in walk(kernel.body) if isinstance(stmt, For)])


def _walks_columns(kernel: Kernel, loop: For) -> bool:
    """Whether the loop is a column reduction whose loads move by one element with it, and by more with the rows."""
    form = column_form(loop)
    if form is None or loop.step != 1 or Mark.UNROLL in form.rows.marks:
        return False
    strides = {buffer.name: buffer.effective_strides for buffer in kernel.buffers}
    moves = [
        (_stride(stmt.rhs, strides, loop.variable), _stride(stmt.rhs, strides, form.rows.variable))
        for stmt in form.rows.body
        if isinstance(stmt, Let) and isinstance(stmt.rhs, Load)
    ]
    across = [move for move in moves if move[0] is not None and move[0].constant == 1]
    # what stands still along the rows is read once, however it lies
    return bool(across) and all(down is not None and down.constant not in (0, 1) for _, down in across)


def _stride(load: Load, strides: dict[str, tuple[Index, ...]], variable: str) -> Index | None:
    """By how many elements the place of a load moves with a loop variable, None if unknown."""
    total = Index(())
    for position, stride in zip(load.indices, strides.get(load.buffer, ()), strict=False):
        step = position.stride_of(variable)
        if step is None:
            return None
        total = total + step * stride
    return total


def _is_sum(loop: For) -> bool:
    innermost = not any(isinstance(stmt, For | If) for stmt in loop.body)
    adds = any(isinstance(stmt, Update) and stmt.op == "add" for stmt in loop.body)
    return innermost and adds and Mark.REDUCE in loop.marks


def _known_length(loop: For) -> int | None:
    """A constant that the number of iterations does not exceed, if there is one in sight."""
    bounds = [loop.stop]
    for atom in loop.stop.atoms():
        if isinstance(atom, BinaryAtom) and atom.function is IndexFunction.MIN and str(atom) == str(loop.stop):
            bounds += [atom.left, atom.right]
    lengths = [(bound - loop.start).constant for bound in bounds]
    return min((length for length in lengths if length is not None), default=None)
