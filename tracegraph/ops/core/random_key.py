"""The type of random keys, for what passes them on and draws nothing itself."""

from tracegraph import dtypes
from tracegraph.ir import TensorType

#: a seed and the number of a draw
KEY = TensorType(dtypes.int64, (2,))
