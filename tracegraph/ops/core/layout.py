"""Strides, in elements, of dense tensors and of views: what decides whether a reshape can alias.

Fresh results are C-contiguous and views derive their strides from their operand's, so strides are known for traced
values too; sizes and strides may be symbolic.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tracegraph.errors import ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops.core.shapes import equal

Shape: TypeAlias = tuple[Dim, ...]
Strides: TypeAlias = tuple[Dim, ...]


def contiguous_strides(shape: Shape) -> Strides:
    """Strides of a dense row-major tensor: (4, 1) for shape (3, 4)."""
    strides: list[Dim] = []
    step: Dim = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * (1 if _is(size, 0) else size)
    return tuple(reversed(strides))


def is_contiguous(shape: Shape, strides: Strides) -> bool:
    """Whether the elements lie dense in row-major order; the stride of a dimension of size 1 does not matter."""
    if any(_is(size, 0) for size in shape):
        return True
    expected: Dim = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if _is(size, 1):
            continue
        if not equal(stride, expected):
            return False
        expected = expected * size
    return True


def view_strides(shape: Shape, strides: Strides, size: Shape) -> Strides | None:
    """Strides that show memory laid out as `shape` and `strides` as `size`, or None where only a copy can.

    `size` has as many elements as `shape`.
    """
    if is_contiguous(shape, strides):
        return contiguous_strides(size)
    result: list[Dim] = []
    todo = list(size)
    for block, stride in _dense_blocks(shape, strides):
        covered: Dim = 1
        while todo and (_is(todo[-1], 1) or not equal(covered, block)):
            result.append(covered * stride)
            covered = covered * todo.pop()
        if not equal(covered, block):
            return None
    result.extend(1 for _ in todo)
    return tuple(reversed(result))


def _dense_blocks(shape: Shape, strides: Strides) -> list[tuple[Dim, Dim]]:
    """Runs of dimensions that are dense in one another, innermost first: (number of elements, innermost stride)."""
    blocks: list[tuple[Dim, Dim]] = []
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if _is(size, 1):
            continue
        if blocks and equal(stride, blocks[-1][0] * blocks[-1][1]):
            blocks[-1] = (blocks[-1][0] * size, blocks[-1][1])
        else:
            blocks.append((size, stride))
    return blocks


def resolve_size(op: str, size: Shape, shape: Shape) -> Shape:
    """`size` with its -1 replaced by what makes it hold the elements of `shape`.

    Raises:
        ShapeError: several -1, another negative size, or the number of elements does not fit.
    """
    size = tuple(map(dims.settled, size))
    unknown = [i for i, d in enumerate(size) if _is(d, -1)]
    if len(unknown) > 1:
        raise ShapeError(
            f"{op}: only one dimension can be inferred, {list(size)} has {len(unknown)} of size -1; give all but one"
        )
    negative = [d for d in size if isinstance(d, int) and d < -1]
    if negative:
        raise ShapeError(f"{op}: invalid size {negative[0]} in {list(size)}; sizes are 0 or more, or one of them -1")
    total = dims.product(shape)
    known = dims.product(tuple(d for i, d in enumerate(size) if i not in unknown))
    if not unknown:
        if not equal(known, total):
            raise ShapeError(
                f"{op}: shape {list(size)} is invalid for input of size {total} (shape {list(shape)}); make the sizes "
                f"multiply to {total}, or give one of them as -1"
            )
        return size
    if _is(known, 0):
        raise ShapeError(
            f"{op}: cannot reshape a tensor of {total} elements into shape {list(size)}: any value would do for -1"
        )
    missing = dims.floordiv(total, known)
    if not equal(missing * known, total):
        raise ShapeError(
            f"{op}: shape {list(size)} is invalid for input of size {total} (shape {list(shape)}); the sizes beside "
            f"-1 multiply to {known}, which must divide {total}"
        )
    return tuple(missing if i in unknown else d for i, d in enumerate(size))


def matching_blocks(shape: Shape, size: Shape) -> list[tuple[list[int], list[int]]]:
    """Which dimensions of a reshape correspond: pairs of runs (of `shape`, of `size`) with equally many elements.

    Dimensions of size 1 are left out. Runs are as short as can be seen without asking about symbolic sizes.
    """
    left = [i for i, d in enumerate(shape) if not _is(d, 1)]
    right = [i for i, d in enumerate(size) if not _is(d, 1)]
    blocks: list[tuple[list[int], list[int]]] = []
    while left and right:
        a, b = [left.pop(0)], [right.pop(0)]
        count_a, count_b = shape[a[0]], size[b[0]]
        while not dims.same(count_a, count_b) and (left or right):
            if left and (not right or _divides(count_a, count_b)):
                a.append(left.pop(0))
                count_a = count_a * shape[a[-1]]
            else:
                b.append(right.pop(0))
                count_b = count_b * size[b[-1]]
        blocks.append((a, b))
    if left or right:  # sizes that are 1 without saying so
        blocks.append((left, right))
    return blocks


def _divides(a: Dim, b: Dim) -> bool:
    """Whether the run that has `a` elements so far is the one to grow to match `b`."""
    if isinstance(a, int) and isinstance(b, int):
        return a < b
    return _is(dims.mod(b, a), 0)


def _is(size: Dim, value: int) -> bool:
    return isinstance(size, int) and size == value


def overlaps_itself(shape: Shape, strides: Strides) -> bool:
    """Whether several elements may share one place; strides in any unit. Never False where some do."""
    reached: Any = 0
    for step, n in sorted(zip(strides, shape, strict=True)):
        if n != 1 and step <= reached:
            return True
        reached = reached + (n - 1) * step
    return False
