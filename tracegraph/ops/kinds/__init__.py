"""The kinds of ops: each supplies inference, eager execution and the rule the code generator reads."""

from tracegraph.ops.kinds.composite import Composite
from tracegraph.ops.kinds.creation import Creation, DerivedCreation
from tracegraph.ops.kinds.derived import Derived
from tracegraph.ops.kinds.element import Element, Rearrangement
from tracegraph.ops.kinds.higher_order import HigherOrder
from tracegraph.ops.kinds.other import Contraction, Effect, Library, ScanOp, ScatterOp
from tracegraph.ops.kinds.pointwise import Pointwise
from tracegraph.ops.kinds.reduction import Reduction
from tracegraph.ops.kinds.view import View

__all__ = [
    "Composite",
    "Contraction",
    "Creation",
    "Derived",
    "DerivedCreation",
    "Effect",
    "Element",
    "HigherOrder",
    "Library",
    "Pointwise",
    "Rearrangement",
    "Reduction",
    "ScanOp",
    "ScatterOp",
    "View",
]
