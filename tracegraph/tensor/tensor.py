"""The eager Tensor: a slots wrapper over a numpy array.

A wrapper, not an ndarray subclass: subclassing was measured slower, and would let numpy bypass the tape. Methods
and operators come from `TensorMethods`; this file holds what only a concrete tensor can do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError, AutogradError, DTypeError, ShapeError
from tracegraph.ops.core.device import Device
from tracegraph.ops.core.layout import contiguous_strides
from tracegraph.ops.core.size import SIZES, Size
from tracegraph.ops.handles.methods import TensorMethods
from tracegraph.tensor.hooks import PostAccumulate, RemovableHandle
from tracegraph.tensor.printing import format_tensor
from tracegraph.tensor.storage import Storage, ViewOf

_NATIVE_DTYPES = {d.np: d for d in dtypes.ALL}
# PyTorch's names of tensor types, from before there were dtypes
_TYPE_NAMES = dict(
    zip(
        dtypes.ALL,
        ("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double"),
        strict=True,
    )
)


class Engine(Protocol):
    """What the tape offers to tensors; `tracegraph.autograd` provides it."""

    def backward(
        self, tensor: Tensor, gradient: Tensor | None, retain_graph: bool, create_graph: bool, inputs: Any
    ) -> None: ...
    def refresh_history(self, view: Tensor) -> None: ...


class Tensor(TensorMethods):
    """An n-dimensional array with a dtype and, if asked for, a gradient history.

    Args:
        array: the elements; not copied. Its dtype must be one of tracegraph's ten.
        requires_grad: record operations on this tensor for `backward`.
    """

    __slots__ = (
        "__weakref__",
        "_grad_fn",
        "_grad_index",
        "_hooks",
        "_np",
        "_requires_grad",
        "_storage",
        "_view",
        "dtype",
        "grad",
    )

    #: set by tracegraph.autograd
    engine: ClassVar[Engine]

    _np: np.ndarray
    dtype: DType
    grad: Tensor | None

    def __init__(self, array: np.ndarray, requires_grad: bool = False) -> None:
        try:
            dtype = _NATIVE_DTYPES.get(array.dtype)
        except AttributeError:
            raise ArgumentError(
                f"Tensor() wraps a numpy array, got {type(array).__name__}; make tensors with tracegraph.tensor(...)"
            ) from None
        if dtype is None or array.dtype is not dtype.np:
            # equal dtypes come with different descriptor objects; guards and native code compare by identity
            dtype = dtypes.from_numpy(array.dtype)
            array = array.view(dtype.np) if array.dtype.isnative else array.astype(dtype.np)
        self._np = array
        self.dtype = dtype
        self._requires_grad = requires_grad
        self.grad = None
        self._grad_fn: Any = None
        self._grad_index = 0  # which result of the tape node this tensor is
        self._storage: Storage | None = None
        self._view: ViewOf | None = None
        self._hooks: dict[int, Any] | None = None

    # ------------------------------------------------------------------------------------ layout

    @property
    def shape(self) -> Size:  # type: ignore[override]
        return SIZES[self._np.shape]

    @property
    def ndim(self) -> int:
        return self._np.ndim

    def stride(self, dim: int | None = None) -> Any:
        """Strides in elements, not bytes."""
        itemsize = self._np.itemsize
        strides: tuple[Any, ...] = tuple([s // itemsize for s in self._np.strides])
        if not self._np.size and not any(strides):  # numpy knows no strides of what it makes without elements
            strides = contiguous_strides(self._np.shape)
        return strides if dim is None else strides[dim]

    def storage_offset(self) -> int:
        """Elements between the start of the memory and this tensor's first element."""
        if self._storage is None:
            return 0
        memory = self._storage.memory
        if _owner(memory) is not _owner(self._np):
            memory = _owner(self._np)  # a view in the memory that its base had before, see `data`
        return (self._np.ctypes.data - memory.ctypes.data) // self._np.itemsize

    def is_contiguous(self) -> bool:
        return self._np.flags.c_contiguous

    def data_ptr(self) -> int:
        """Address of the first element."""
        return self._np.ctypes.data

    @property
    def _base(self) -> Tensor | None:
        return self._view.base if self._view is not None else None

    @property
    def storage(self) -> Storage:
        """The version counter shared with all tensors in the same memory."""
        if self._storage is None:
            self._storage = Storage(self._np)
        return self._storage

    @property
    def _version(self) -> int:
        return self._storage.version if self._storage is not None else 0

    def type(self, dtype: Any = None) -> Any:
        """The tensor in another dtype, or without one the name of its type: "tracegraph.FloatTensor".

        Raises:
            DTypeError: `dtype` names no dtype.
        """
        return f"tracegraph.{_TYPE_NAMES[self.dtype]}Tensor" if dtype is None else self.to(dtypes.as_dtype(dtype))

    def reinterpreted(self, dtype: DType) -> Tensor:
        """The same bytes as elements of another dtype, without history; the last dimension takes up the difference.

        Raises:
            ShapeError: elements of another size, and the last dimension is not contiguous or does not come out even.
        """
        try:
            array = self._np.view(dtype.np)
        except ValueError:
            raise ShapeError(
                f"view: a tensor of shape {list(self.shape)}, strides {list(self.stride())} and dtype {self.dtype} "
                f"cannot be seen as {dtype}"
            ) from None
        result = Tensor(array)
        result._storage = self.storage
        return result

    # ------------------------------------------------------------------------------------ values

    def new_tensor(
        self, data: Any, dtype: DType | None = None, device: Device | str | None = None, requires_grad: bool = False
    ) -> Tensor:
        """A tensor with a copy of `data`, by default of this tensor's dtype."""
        from tracegraph.tensor.factory import tensor

        return tensor(data, dtype or self.dtype, requires_grad, device)

    def item(self) -> Any:
        """The only element, as a Python number.

        Raises:
            ArgumentError: the tensor does not have exactly one element.
        """
        if self._np.size != 1:
            raise ArgumentError(f"item() needs a tensor of one element, this one has shape {list(self.shape)}")
        value = self._np.reshape(())[()]
        return float(value) if self.dtype is dtypes.bfloat16 else value.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        array = self._np.astype(np.float32) if self.dtype is dtypes.bfloat16 else self._np
        return array.tolist()

    def numpy(self, force: bool = False) -> np.ndarray:
        """The elements as a numpy array that shares memory with the tensor.

        Raises:
            AutogradError: the tensor requires grad; a write to the array could not be recorded.
        """
        if self.requires_grad and not force:
            raise AutogradError("numpy() on a tensor that requires grad; use tensor.detach().numpy()")
        return self._np

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return np.array(array, dtype=dtype, copy=copy) if copy is not None else np.asarray(array, dtype=dtype)

    def __bool__(self) -> bool:
        if self._np.size != 1:
            raise ArgumentError(
                f"the truth value of a tensor of shape {list(self.shape)} is ambiguous; use .any() or .all()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.is_floating or self._np.size != 1:
            raise ArgumentError("only integer tensors of one element can be used as an index")
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __contains__(self, element: Any) -> bool:
        return bool((self == element).any())

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise ArgumentError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __len__(self) -> int:
        if not self.shape:
            raise ArgumentError("len() of a 0-d tensor")
        return self._np.shape[0]

    def __repr__(self) -> str:
        return format_tensor(self)

    def __format__(self, spec: str) -> str:
        is_number = not self.shape and (spec or type(self) is Tensor)
        return format(self.item(), spec) if is_number else repr(self)

    # identity, as in PyTorch: `==` is elementwise
    __hash__ = object.__hash__

    # ------------------------------------------------------------------------------------ autograd

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded; a view follows its base to a new history."""
        view = self._view
        if view is None:
            return self._requires_grad
        base = view.base
        return self._requires_grad if view.node is base._grad_fn else base._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        self.requires_grad_(requires_grad)

    @property
    def grad_fn(self) -> Any:
        """The tape node that made this tensor, or None for a leaf.

        Raises:
            AutogradError: the base of this view has got a history by an in-place operation, and the view was made
                outside grad mode.
        """
        if self._view is not None and self._view.is_stale:
            Tensor.engine.refresh_history(self)
        return self._grad_fn

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was not made by a recorded operation."""
        return self.grad_fn is None

    @property
    def data(self) -> Tensor:
        """The same elements without history; writes through it are not recorded."""
        return Tensor(self._np)

    @data.setter
    def data(self, value: Tensor) -> None:
        """Replace the elements, and possibly shape and dtype."""
        if not isinstance(value, Tensor):
            raise ArgumentError(f"tensor.data must be set to a Tensor, got {type(value).__name__}")
        storage = self.storage  # the version counter stays, for views in the former memory too
        storage.replacements += 1
        storage.memory = self._np = value._np
        self.dtype = value.dtype

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Start or stop recording operations on this leaf; returns the tensor.

        Raises:
            AutogradError: the tensor is not a leaf, or its dtype is not floating.
        """
        if self.grad_fn is not None and not requires_grad:
            raise AutogradError("requires_grad can only be turned off on a leaf; use tensor.detach()")
        if requires_grad and not self.dtype.is_floating:
            raise DTypeError(f"only floating tensors can require gradients, this one is {self.dtype}")
        self._requires_grad = requires_grad
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Accumulate d(self)/d(leaf) into `leaf.grad` of every leaf that requires grad.

        Args:
            gradient: cotangent of this tensor, of its shape; may be left out for a single element.
            retain_graph: keep saved values for another backward pass; default: as `create_graph`.
            create_graph: record the backward pass itself, for higher derivatives.
            inputs: a tensor, or several, whose `.grad` is added to, leaves or not; all leaves by default.

        Raises:
            AutogradError: nothing here requires grad, a cotangent is needed, or a saved value has changed.
        """
        retain = create_graph if retain_graph is None else retain_graph
        Tensor.engine.backward(self, gradient, retain, create_graph, inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(grad)` when this tensor's gradient is known; a tensor it returns replaces the gradient."""
        if not self.requires_grad:
            raise AutogradError("register_hook() on a tensor that does not require grad")
        if self._hooks is None:
            self._hooks = {}
            if self.grad_fn is not None:
                self.grad_fn.add_hooks(self)
        return RemovableHandle(self._hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook(tensor)` when a backward pass has added to the `.grad` of this leaf.

        Raises:
            AutogradError: the tensor is no leaf that requires grad.
        """
        if not self.requires_grad or not self.is_leaf:
            raise AutogradError("register_post_accumulate_grad_hook() is for leaves that require grad")
        if self._hooks is None:
            self._hooks = {}
        return RemovableHandle(self._hooks, PostAccumulate(hook))

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in `.grad` too."""
        if self.grad_fn is None:
            return

        def keep(gradient: Tensor) -> None:
            self.grad = gradient if self.grad is None else self.grad + gradient

        self.register_hook(keep)

    # ------------------------------------------------------------------------------------ views in place

    def unsqueeze_(self, dim: int) -> Tensor:
        """Give the tensor itself a new dimension of size 1."""
        return self._become(self.unsqueeze(dim))

    def squeeze_(self, *args: Any, **kwargs: Any) -> Tensor:
        """Take dimensions of size 1 from the tensor itself."""
        return self._become(self.squeeze(*args, **kwargs))

    def transpose_(self, dim0: int, dim1: int) -> Tensor:
        """Exchange two dimensions of the tensor itself."""
        return self._become(self.transpose(dim0, dim1))

    swapaxes_ = swapdims_ = transpose_

    def t_(self) -> Tensor:
        """Transpose the matrix itself."""
        return self._become(self.t())

    def as_strided_(self, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
        """Let the tensor itself be seen with other sizes and strides."""
        return self._become(self.as_strided(size, stride, storage_offset))

    def detach_(self) -> Tensor:
        """Cut the tensor itself off its history.

        Raises:
            AutogradError: it is a view; the history belongs to its base.
        """
        if self._view is not None and self.requires_grad:
            raise AutogradError("detach_() of a view: it shares its base's history; use detach()")
        self._grad_fn, self._grad_index, self._requires_grad = None, 0, False
        return self

    def _become(self, view: Tensor) -> Tensor:
        """Turn into `view`, a view of this tensor, which keeps its other views and their histories.

        Raises:
            AutogradError: a recorded change of a leaf that requires grad.
        """
        if view is self:
            return self
        if view.requires_grad and self.is_leaf:
            raise AutogradError(
                f"a leaf tensor that requires grad (shape {list(self.shape)}) cannot change its shape in place; do it "
                "under tracegraph.no_grad(), or out of place"
            )
        self.storage.version += 1  # what the tape saved had another shape
        if self.is_leaf and self.requires_grad:
            self._np = view._np  # not recorded: it stays the leaf it is
            return self
        view_of = view._view
        assert view_of is not None
        if self._view is None:
            view_of._base = self._as_hidden_base()
        self._view = view_of
        self._np, self._grad_fn, self._grad_index = view._np, view._grad_fn, view._grad_index
        self._hooks = None  # those there are belong to the tensor of the former shape
        return self

    def _as_hidden_base(self) -> Tensor:
        """A tensor that takes this one's place as a base, with its elements, version and history."""
        base = Tensor(self._np, self.requires_grad)
        base._storage = self.storage
        base._grad_fn, base._grad_index = self._grad_fn, self._grad_index
        return base

    # ------------------------------------------------------------------------------------ copying

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if self.grad_fn is not None:
            raise AutogradError("only leaf tensors can be pickled or deep-copied; use tensor.detach()")
        return _rebuild, (type(self), np.ascontiguousarray(self._np).reshape(self.shape), self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]
        if self.grad_fn is not None:
            raise AutogradError("only leaf tensors can be pickled or deep-copied; use tensor.detach().clone()")
        copy = _rebuild(type(self), self._np.copy(), self.requires_grad)
        if self.grad is not None:
            copy.grad = self.grad.__deepcopy__(memo)
        memo[id(self)] = copy
        return copy


def _owner(array: np.ndarray) -> np.ndarray:
    """The array that all arrays in the same memory are views of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _rebuild(cls: type[Tensor], array: np.ndarray, requires_grad: bool) -> Tensor:
    tensor = cls.__new__(cls)
    Tensor.__init__(tensor, array, requires_grad)
    return tensor
