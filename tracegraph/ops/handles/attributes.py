"""What model code asks of a tensor besides its elements; most answers follow from there being one device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegraph.dtypes import DType
from tracegraph.errors import ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.device import CPU, Device, check_device
from tracegraph.ops.core.memory_layout import strided
from tracegraph.ops.core.shapes import equal_shapes


class TensorAttributes:
    """Part of `TensorMethods`: attributes and methods that compute nothing."""

    __slots__ = ()

    if TYPE_CHECKING:
        shape: tuple[Dim, ...]
        dtype: DType
        requires_grad: bool

        def __getattr__(self, name: str) -> Any: ...

    def _like_self(self, made: Any) -> Any:
        """`made`, a new tensor, as one for each sample if this one differs from sample to sample (see `vmap`)."""
        return made

    # where there is a choice in PyTorch and none here
    is_cpu = True
    layout = strided
    is_cuda = is_mps = is_xpu = is_meta = is_sparse = is_quantized = is_nested = False

    @property
    def device(self) -> Device:
        """Where the elements live: the CPU."""
        return CPU

    def get_device(self) -> int:
        """-1, the number of the CPU."""
        return -1

    def cpu(self) -> Any:
        """The tensor itself: every tensor lives on the CPU."""
        return self

    def cuda(self, device: Any = "cuda") -> Any:
        """Always an error: there is no such device here.

        Raises:
            ArgumentError: always.
        """
        check_device(device if isinstance(device, str) else f"cuda:{device}")
        return self

    def pin_memory(self) -> Any:
        """The tensor itself: there is no device to copy it to."""
        return self

    def is_pinned(self) -> bool:
        return False

    def share_memory_(self) -> Any:
        """The tensor itself; processes do not share tensors."""
        return self

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def dim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def ndimension(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def numel(self) -> Dim:
        """Number of elements."""
        return dims.product(self.shape)

    def nelement(self) -> Dim:
        """Number of elements."""
        return self.numel()

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Dim:
        """Bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating

    def is_signed(self) -> bool:
        return self.dtype.is_signed

    def is_complex(self) -> bool:
        """False: there are no complex tensors."""
        return False

    def is_nonzero(self) -> bool:
        """Whether the only element is not zero.

        Raises:
            ArgumentError: the tensor does not have exactly one element.
        """
        return bool(self)

    def is_same_size(self, other: Any) -> bool:
        """Whether the shapes are equal."""
        return equal_shapes(tuple(self.shape), tuple(other.shape))

    # the dtype is real: what PyTorch does to complex numbers leaves the tensor as it is

    @property
    def real(self) -> Any:
        return self

    @property
    def T(self) -> Any:
        """The dimensions in reverse order."""
        return F.permute(self, tuple(reversed(range(len(self.shape)))))

    @property
    def mT(self) -> Any:
        """The last two dimensions exchanged: the transposes of a stack of matrices.

        Raises:
            ShapeError: fewer than 2 dimensions.
        """
        if len(self.shape) < 2:
            raise ShapeError(f"mT: needs at least 2 dimensions, got shape {list(self.shape)}")
        return F.transpose(self, -2, -1)

    @property
    def mH(self) -> Any:
        """The transposes of a stack of matrices, as `mT`."""
        return self.mT

    def adjoint(self) -> Any:
        """The transposes of a stack of matrices, as `mT`."""
        return self.mT

    @property
    def H(self) -> Any:
        """The transpose of a matrix.

        Raises:
            ShapeError: not 2 dimensions.
        """
        if len(self.shape) != 2:
            raise ShapeError(f"H: needs 2 dimensions, got shape {list(self.shape)}; use mH for stacks of matrices")
        return F.transpose(self, 0, 1)
