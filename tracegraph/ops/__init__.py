"""All op definitions. Importing this package registers every op; add a family here, each on a line of its own."""
# ruff: noqa: F401 - families are imported for what that does: register their ops

from tracegraph.ir.op import REGISTRY
from tracegraph.ops import functional
from tracegraph.ops.control import (
    associative_scan,
    cond,
    custom_gradients,
    scan,
    while_loop,
)
from tracegraph.ops.creation import (
    creation,
    signal_windows,
)
from tracegraph.ops.effects import (
    assertions,
    effects,
)
from tracegraph.ops.indexing import (
    advanced_index,
    basic_index,
    embedding,
    gathering,
    index_functions,
    masking,
)
from tracegraph.ops.matrices import (
    decompositions,
    distance,
    einsum,
    least_squares,
    linear,
    linear_algebra,
    matmul,
    matrix_functions,
    products,
)
from tracegraph.ops.neural import (
    adaptive_pooling,
    attention,
    classification_losses,
    convolution,
    dropout,
    grid_sampling,
    losses,
    normalization,
    pooling,
    recurrent,
    resampling,
    softmax,
    volumes,
    windows,
)
from tracegraph.ops.ordering import (
    combinatorics,
    quantiles,
    searching,
    sorting,
    uniqueness,
)
from tracegraph.ops.pointwise import (
    activation,
    arithmetic,
    bitwise,
    clamping,
    comparison,
    complex_parts,
    conversion,
    divisors,
    exponential,
    interpolation,
    powers,
    rectifiers,
    rounding,
    selection,
    special_functions,
    trigonometric,
)
from tracegraph.ops.random import (
    random_bits,
    sampling,
    variates,
)
from tracegraph.ops.reductions import (
    differences,
    extrema,
    predicates,
    reductions,
    scans,
    statistics,
)
from tracegraph.ops.shaping import (
    aliases,
    joining,
    padding,
    rearranging,
    reordering,
    repeating,
    strided,
    views,
)


def names() -> list[str]:
    """Names of all ops, sorted."""
    return sorted(REGISTRY)
