"""Functions of one sample as functions of a batch (`torch.func.vmap`, `jax.vmap`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tracegraph.errors import ValueRangeError, VmapError
from tracegraph.func.samples import Mapped, map_samples
from tracegraph.ops import functional as F
from tracegraph.ops.graphs.batched import RANDOMNESS
from tracegraph.pytree import TreeSpec, tree_flatten, tree_unflatten
from tracegraph.tensor.questions import is_tensor
from tracegraph.tensor.tensor import Tensor

#: a dimension, None, or a tree of these, in which one may stand for a whole subtree
Dims = Any


def vmap(
    func: Callable[..., Any],
    in_dims: Dims = 0,
    out_dims: Dims = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that does for every sample of a batch what `func` does for one, all at once.

    `func` runs once, on tensors without the mapped dimension: of an argument of shape [N, 3] mapped over dimension 0 it
    sees [3], and where it returns [4], the mapped function returns [N, 4]. It may branch on shapes and on anything
    else but the elements of such tensors, may call `vmap`, `grad` and their kin itself, and may be differentiated,
    also by tensors that it closes over. Arguments and results may be nested containers; keyword arguments are the same
    for all samples.

    Args:
        in_dims: the dimension of each positional argument to map over, None for what is the same for all samples; an
            int for all of them, or a tuple with an entry for each, in its structure or one for a whole container.
        out_dims: where in each result the mapped dimension shall be; None for what does not depend on the sample.
        randomness: what becomes of random numbers that `func` draws: "error", "different" for every sample, or the
            "same" for all.
        chunk_size: how many samples to compute at once; None for all.

    Raises:
        ValueRangeError: `randomness` or `chunk_size` is none of those.
        VmapError: arguments or results do not fit `in_dims` or `out_dims`, or mapped sizes differ; `func` asks for the
            elements of a tensor that differs from sample to sample, writes such ones into a tensor that is the same
            for all, gives a result whose shape depends on elements, or draws random numbers unless told how.

    Example:
        >>> import tracegraph as tg
        >>> def loss(w, x, y):
        ...     return (x @ w - y) ** 2
        >>> w, x, y = tg.tensor([1.0, 2.0]), tg.tensor([[1.0, 0.0], [0.0, 1.0]]), tg.tensor([0.0, 1.0])
        >>> tg.vmap(tg.func.grad(loss), in_dims=(None, 0, 0))(w, x, y)  # the gradient of every sample
        tensor([[2., 0.],
                [0., 2.]])
    """
    if randomness not in RANDOMNESS:
        raise ValueRangeError(f"vmap: randomness must be one of {', '.join(map(repr, RANDOMNESS))}, got {randomness!r}")
    if chunk_size is not None and not chunk_size > 0:
        raise ValueRangeError(f"vmap: chunk_size must be None or greater than 0, got {chunk_size}")

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree_flatten(args)
        dims = _input_dims(in_dims, args, leaves, spec)
        size = _mapped_size(leaves, dims)

        def of_sample(samples: Sequence[Any]) -> tuple[list[Any], TreeSpec]:
            return tree_flatten(func(*tree_unflatten(samples, spec), **kwargs))

        if chunk_size is None or size <= chunk_size:
            sizes = [size]
        else:
            sizes = [min(chunk_size, size - start) for start in range(0, size, chunk_size)]
        return _in_chunks(of_sample, leaves, dims, sizes, randomness, out_dims)

    return mapped


def _in_chunks(
    of_sample: Callable[[Sequence[Any]], tuple[list[Any], TreeSpec]],
    leaves: Sequence[Any],
    dims: Sequence[int | None],
    sizes: Sequence[int],
    randomness: str,
    out_dims: Dims,
) -> Any:
    """The results for all samples, computed for so many at a time."""
    chunks: list[list[Any]] = []
    drawn: list[Any] | None = [] if len(sizes) > 1 else None
    places: list[int | None] = []
    structure, start = None, 0
    for size in sizes:
        part = [x if d is None else x.narrow(d, start, size) for x, d in zip(leaves, dims, strict=True)]
        results, structure = map_samples(of_sample, part, dims, size, randomness, drawn)
        places = _output_dims(out_dims, structure)
        chunks.append(_placed(results, places))
        start += size
    joined = [
        parts[0] if place is None or len(parts) == 1 else F.cat(list(parts), place)
        for parts, place in zip(zip(*chunks, strict=True), places, strict=True)
    ]
    assert structure is not None
    return tree_unflatten(joined, structure)


def _input_dims(in_dims: Dims, args: tuple[Any, ...], leaves: Sequence[Any], spec: TreeSpec) -> list[int | None]:
    """The dimension to map over of each leaf of the arguments, counted from 0.

    Raises:
        VmapError: `in_dims` does not fit the arguments.
    """
    if not isinstance(in_dims, int | tuple):
        raise VmapError(
            f"vmap: in_dims must be an int, or a tuple with an entry for each argument, got {type(in_dims).__name__}"
        )
    if not args:
        raise VmapError(
            "vmap: the mapped function is called without positional arguments; there is nothing to map over"
        )
    wanted = _for_leaves("in_dims", "the arguments", in_dims, spec)
    return [_input_dim(dim, leaf) for dim, leaf in zip(wanted, leaves, strict=True)]


def _input_dim(dim: Any, leaf: Any) -> int | None:
    if dim is None:
        return None
    if not isinstance(dim, int):
        raise VmapError(f"vmap: in_dims must hold ints and None, got {dim!r} of type {type(dim).__name__}")
    if not is_tensor(leaf):
        raise VmapError(
            f"vmap: in_dims={dim} for an argument of type {type(leaf).__name__}; only tensors can be mapped over: give "
            "None for it"
        )
    if not -leaf.ndim <= dim < leaf.ndim:
        raise VmapError(
            f"vmap: in_dims={dim} for a tensor of shape {list(leaf.shape)}, which has {leaf.ndim} dimensions"
        )
    return dim + leaf.ndim if dim < 0 else dim


def _mapped_size(leaves: Sequence[Any], dims: Sequence[int | None]) -> int:
    """The size of the mapped dimensions.

    Raises:
        VmapError: there are none, or they differ.
    """
    sizes = [leaf.shape[dim] for leaf, dim in zip(leaves, dims, strict=True) if dim is not None]
    if not sizes:
        raise VmapError("vmap: in_dims maps over no tensor; at least one must be mapped over")
    for size in sizes:
        if size != sizes[0]:
            raise VmapError(f"vmap: the mapped dimensions must be of one size, got sizes {list(sizes)}")
    return sizes[0]


def _output_dims(out_dims: Dims, structure: TreeSpec) -> list[int | None]:
    """Where the mapped dimension goes in each leaf of the results.

    Raises:
        VmapError: `out_dims` does not fit the results.
    """
    places = _for_leaves("out_dims", "the results", out_dims, structure)
    for place in places:
        if place is not None and not isinstance(place, int):
            raise VmapError(f"vmap: out_dims must hold ints and None, got {place!r} of type {type(place).__name__}")
    return places


def _placed(results: Sequence[Mapped], places: Sequence[int | None]) -> list[Any]:
    """The results of a mapped function, with the mapped dimension where it shall be.

    Raises:
        VmapError: a result is no tensor, or depends on the sample although `out_dims` says that it does not.
    """
    return [_result(result, place) for result, place in zip(results, places, strict=True)]


def _result(result: Mapped, place: int | None) -> Any:
    value, varies, size = result
    if place is None:
        if varies:
            raise VmapError(
                f"vmap: out_dims is None for a result of shape {list(value.shape[1:])} that differs between samples"
            )
        return value
    if not is_tensor(value):
        raise VmapError(
            f"vmap: the function must return tensors, got {type(value).__name__}; give None in out_dims for others"
        )
    found: Tensor = value if varies else F.expand(value, (size, *value.shape))
    return found.movedim(0, place) if place else found


def _for_leaves(name: str, what: str, dims: Dims, spec: TreeSpec) -> list[Any]:
    """The entry of `dims` for each leaf of a tree; an int or None stands for all leaves below.

    Raises:
        VmapError: `dims` has another structure.
    """
    if dims is None or isinstance(dims, int) or spec.is_leaf():
        return [dims] * spec.num_leaves
    items, structure = tree_flatten(dims, is_leaf=lambda part: part is not dims)
    if (
        structure.type is not spec.type
        or structure.num_children != spec.num_children
        or (isinstance(dims, dict) and structure.context != spec.context)
    ):
        raise VmapError(f"vmap: {name}={dims} does not have the structure of {what}, {spec}")
    return [
        dim
        for item, child in zip(items, spec.children_specs, strict=True)
        for dim in _for_leaves(name, what, item, child)
    ]
