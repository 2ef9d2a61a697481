"""The kinds of ops: each supplies inference, eager execution and the rule the code generator reads."""

from tracegraph.ops.kinds.composite import Composite
from tracegraph.ops.kinds.element import Creation, Element
from tracegraph.ops.kinds.other import Contraction, Effect, Library, ScanOp, ScatterOp
from tracegraph.ops.kinds.pointwise import Pointwise
from tracegraph.ops.kinds.reduction import Reduction
from tracegraph.ops.kinds.view import View

__all__ = [
    "Composite",
    "Contraction",
    "Creation",
    "Effect",
    "Element",
    "Library",
    "Pointwise",
    "Reduction",
    "ScanOp",
    "ScatterOp",
    "View",
]
