"""Custom operations: a Python function as one op in graphs, with shapes, gradient and kernel of its own.

    @custom_op("mylib::clip_rows")
    def clip_rows(x: Tensor, limit: float) -> Tensor:
        return from_numpy(np.clip(x.numpy(), -limit, limit))

    @clip_rows.register_fake
    def _(x, limit):
        return empty_like(x)

Names and meanings follow `torch.library`.
"""

from tracegraph.library.custom_op import CustomOp
from tracegraph.library.opcheck import OpCheckError, opcheck
from tracegraph.library.registration import custom_op, find_op, register_autograd, register_fake, register_kernel
from tracegraph.library.schema import infer_schema

__all__ = [
    "CustomOp",
    "OpCheckError",
    "custom_op",
    "find_op",
    "infer_schema",
    "opcheck",
    "register_autograd",
    "register_fake",
    "register_kernel",
]
