"""A graph-capture compiler for eager tensor programs.

`import tracegraph as tg` gives a torch-shaped library: tensors, autograd, `nn`, `optim`, `data`; `tg.compile` captures
a function or module as graphs and compiles them with LLVM. Every op is a function here (`tg.exp`, `tg.matmul`). The
compiler and what it depends on are imported when first used.
"""

from __future__ import annotations

import importlib
from math import e, inf, nan, pi
from typing import Any

from tracegraph import autograd, dtypes, module_names, ops
from tracegraph.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from tracegraph.dtypes import (
    DType,
    bfloat16,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    uint8,
)
from tracegraph.errors import TracegraphError
from tracegraph.ops.core.size import Size
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.providers import provide
from tracegraph.tensor import Tensor, as_tensor, from_numpy, set_printoptions, tensor
from tracegraph.version import __version__

#: an index that adds a dimension
newaxis = None

# PyTorch's further names of types; `bool`, `int` and `float` shadow builtins only as attributes of this module
_DTYPE_NAMES: dict[str, DType] = {
    "bool": dtypes.bool_,
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "dtype": DType,  # type: ignore[dict-item]
    "Size": Size,  # type: ignore[dict-item]
}

# questions about values and dtypes; functions of a module of their own, so that capture sees through them
_QUESTIONS = (
    *("broadcast_shapes", "can_cast", "finfo", "get_default_dtype", "iinfo", "is_complex", "is_floating_point"),
    *("is_nonzero", "is_signed", "is_tensor", "numel", "result_type", "set_default_dtype"),
)

_MATMUL = ("get_float32_matmul_precision", "set_float32_matmul_precision")
_TYPED = (
    *("BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor"),
    *("IntTensor", "LongTensor", "ShortTensor"),
)
_PRECISION = (
    *("autocast", "get_autocast_dtype", "is_autocast_cache_enabled", "is_autocast_enabled"),
    *("set_autocast_cache_enabled", "set_autocast_dtype", "set_autocast_enabled"),
)
_DETERMINISM = (
    *("are_deterministic_algorithms_enabled", "is_deterministic_algorithms_warn_only_enabled"),
    "use_deterministic_algorithms",
)

# functions of neural networks that PyTorch has here too, with the arguments that they have there
_FUNCTIONAL = (
    *("alpha_dropout", "dropout", "feature_alpha_dropout", "cosine_embedding_loss", "hinge_embedding_loss"),
    *("margin_ranking_loss", "pairwise_distance", "poisson_nll_loss", "triplet_margin_loss"),
)

# subpackages and names that are imported when first asked for: name -> (module, attribute or None for the module)
_LAZY: dict[str, tuple[str, str | None]] = {
    "nn": ("tracegraph.nn", None),
    "optim": ("tracegraph.optim", None),
    "data": ("tracegraph.data", None),
    "utils": ("tracegraph.utils", None),
    "compiler": ("tracegraph.compiler", None),
    "library": ("tracegraph.library", None),
    "compile": ("tracegraph.compiler.api", "compile"),
    "device": ("tracegraph.ops.core.device", "Device"),
    "amp": ("tracegraph.amp", None),
    "backends": ("tracegraph.backends", None),
    "cuda": ("tracegraph.tensor.cuda", None),
    "layout": ("tracegraph.ops.core.memory_layout", "Layout"),
    "strided": ("tracegraph.ops.core.memory_layout", "strided"),
    "set_num_threads": ("tracegraph.runtime.threads", "set_num_threads"),
    "get_num_threads": ("tracegraph.runtime.threads", "get_num_threads"),
    "linalg": ("tracegraph.tensor.linalg", None),
    "special": ("tracegraph.tensor.special", None),
    "manual_seed": ("tracegraph.ops.random.generator", "manual_seed"),
    "Generator": ("tracegraph.ops.random.generator", "Generator"),
    "default_generator": ("tracegraph.ops.random.generator", "default_generator"),
    "seed": ("tracegraph.ops.random.generator", "seed"),
    "initial_seed": ("tracegraph.ops.random.generator", "initial_seed"),
    "get_rng_state": ("tracegraph.ops.random.generator", "get_rng_state"),
    "set_rng_state": ("tracegraph.ops.random.generator", "set_rng_state"),
    "distributions": ("tracegraph.distributions", None),
    "_higher_order_ops": ("tracegraph._higher_order_ops", None),
    "random": ("tracegraph.random", None),
    "func": ("tracegraph.func", None),
    "vmap": ("tracegraph.func.vmap", "vmap"),
    "jit": ("tracegraph.jit", None),
    "testing": ("tracegraph.testing", None),
    "version": ("tracegraph.version", None),
    "_dynamo": ("tracegraph.compiler", None),
    "profiler": ("tracegraph.profiler", None),
    "_assert": ("tracegraph.tensor.assertions", "_assert"),
    "_assert_async": ("tracegraph.tensor.assertions", "_assert_async"),
    "asarray": ("tracegraph.tensor.factory", "as_tensor"),
    "save": ("tracegraph.tensor.serialization", "save"),
    "load": ("tracegraph.tensor.serialization", "load"),
} | {name: ("tracegraph.tensor.questions", name) for name in _QUESTIONS}
_LAZY |= {name: ("tracegraph.tensor.matmul_precision", name) for name in _MATMUL}
_LAZY |= {name: ("tracegraph.tensor.typed", name) for name in _TYPED}
_LAZY |= {name: ("tracegraph.amp", name) for name in _PRECISION}
_LAZY |= {name: ("tracegraph.tensor.determinism", name) for name in _DETERMINISM}
_LAZY |= {name: ("tracegraph.nn.functional", name) for name in _FUNCTIONAL}


def __getattr__(name: str) -> Any:
    if name in _DTYPE_NAMES:
        return _DTYPE_NAMES[name]
    if name in _LAZY:
        module, attribute = _LAZY[name]
        found = importlib.import_module(module)
        value = found if attribute is None else getattr(found, attribute)
        globals()[name] = value
        return value
    try:
        value = getattr(ops.functional, name)
    except AttributeError:
        raise AttributeError(f"module 'tracegraph' has no attribute {name!r}") from None
    globals()[name] = value
    return value


module_names.install()
provide("compile", lambda: __getattr__("compile"))
provide("joined_to_untaken", lambda: importlib.import_module("tracegraph.capture.untaken").joined_to)
provide(
    "arguments_of_driver",
    lambda: importlib.import_module("tracegraph.capture.drivers.driver_code").arguments_of_driver,
)
REPLACEMENTS.seal(Tensor)


def __dir__() -> list[str]:
    return sorted({*globals(), *_DTYPE_NAMES, *_LAZY, *ops.names()})


__all__ = [
    "DType",
    "Tensor",
    "TracegraphError",
    "__version__",
    "as_tensor",
    "autograd",
    "bfloat16",
    "e",
    "enable_grad",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "inf",
    "inference_mode",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "nan",
    "newaxis",
    "no_grad",
    "pi",
    "promote_types",
    "set_grad_enabled",
    "set_printoptions",
    "tensor",
    "uint8",
]
