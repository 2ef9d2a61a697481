"""Modules under the names that PyTorch's programs import: `tracegraph.utils.data` is `tracegraph.data`.

One table, read by a finder of the import system. A name and what it stands for are the same module object (but for
SHELLS), so that classes and functions exist once; pickles hold their own names. Nothing is imported before it is asked
for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: below `tracegraph`; what is below a name is looked up below what it stands for, unless it has a line of its own
NAMES = {
    "_dynamo": "compiler",
    "_higher_order_ops": "ops.functional",
    "_higher_order_ops.associative_scan": "ops.functional",
    "_higher_order_ops.scan": "ops.functional",
    "_higher_order_ops.while_loop": "ops.functional",
    "autograd.anomaly_mode": "autograd.anomaly",
    "autograd.profiler": "profiler",
    "cuda": "tensor.cuda",
    "distributions.beta": "distributions.dirichlet",
    "distributions.chi2": "distributions.gamma",
    "distributions.geometric": "distributions.bernoulli",
    "distributions.one_hot_categorical": "distributions.categorical",
    "distributions.relaxed_bernoulli": "distributions.relaxed",
    "distributions.relaxed_categorical": "distributions.relaxed",
    "distributions.studentT": "distributions.gamma",
    "distributions.utils": "distributions.parameters",
    "linalg": "tensor.linalg",
    "special": "tensor.special",
    "utils._pytree": "pytree",
    "utils.hooks": "tensor.hooks",
    "utils.checkpoint": "autograd.checkpoint",
    "utils.data": "data",
    "utils.data.dataloader": "data.loader",
    "nn.modules": "nn",
    "nn.modules.batchnorm": "nn.normalization",
    "nn.modules.channelshuffle": "nn.resampling",
    "nn.modules.container": "nn.containers",
    "nn.modules.conv": "nn.convolution",
    "nn.modules.distance": "nn.losses",
    "nn.modules.flatten": "nn.linear",
    "nn.modules.fold": "nn.resampling",
    "nn.modules.instancenorm": "nn.normalization",
    "nn.modules.loss": "nn.losses",
    "nn.modules.pixelshuffle": "nn.resampling",
    "nn.modules.rnn": "nn.recurrent",
    "nn.modules.sparse": "nn.embedding",
    "nn.modules.upsampling": "nn.resampling",
    "nn.modules.utils": "nn.ntuples",
    "nn.utils": "nn.parameter_tools",
    "nn.utils.clip_grad": "nn.gradient_clipping",
    "nn.utils.convert_parameters": "nn.parameter_vectors",
    "nn.utils.parametrizations": "nn.parametrizations",
    "nn.utils.parametrize": "nn.parametrize",
    "nn.utils.rnn": "nn.sequence_tools",
    "nn.utils.stateless": "func",
    "nn.utils.spectral_norm": "nn.spectral_norm",
    "nn.utils.weight_norm": "nn.weight_norm",
    "optim.adamw": "optim.adam",
    "optim.swa_utils": "weight_averaging",
}
#: classes that PyTorch defines in a module of which ours, of that subject, does not hold them: they are the package's
ELSEWHERE = {
    "nn.activation": ("MultiheadAttention",),
    "nn.convolution": tuple(f"Lazy{name}{rank}d" for name in ("Conv", "ConvTranspose") for rank in (1, 2, 3)),
    "nn.linear": ("LazyLinear",),
    "nn.normalization": tuple(f"Lazy{name}{rank}d" for name in ("BatchNorm", "InstanceNorm") for rank in (1, 2, 3)),
}
#: names that are modules of their own and hold others; the package whose attributes they have besides. `nn.modules` is
#: not `nn` itself, since there are both `nn.utils` and `nn.modules.utils`.
SHELLS: dict[str, str | None] = {"utils": None, "nn.modules": "nn"}
_PACKAGE = __name__.partition(".")[0]


def _target(name: str) -> str | None:
    """The full name of the module that `name`, a full one too, stands for; None if it is no name of the table."""
    prefix, dot, below = name.partition(".")
    parts = below.split(".")
    for count in range(len(parts), 0, -1) if prefix == _PACKAGE and dot else ():
        found = NAMES.get(".".join(parts[:count]))
        if found is not None:
            return ".".join([_PACKAGE, found, *parts[count:]])
    return None


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        name = fullname.removeprefix(f"{_PACKAGE}.")
        if name in SHELLS:
            return ModuleSpec(fullname, _ShellLoader(SHELLS[name]), is_package=True)
        target = _target(fullname)
        return ModuleSpec(fullname, _AliasLoader(target)) if target is not None else None


class _AliasLoader(Loader):
    def __init__(self, target: str) -> None:
        self.target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module that the name stands for, which keeps its own name and spec."""
        module = importlib.import_module(self.target)
        self.name = spec.name
        self.spec = module.__spec__
        if not hasattr(module, "__path__"):
            module.__path__ = []  # there may be names below this one
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec again.

        A function of it may have the name of a module below it, as `nn.utils.weight_norm`. Importing that module would
        put it in the place of the function, unless it has been imported before.
        """
        module.__spec__ = self.spec
        for name, target in NAMES.items():
            parent, _, own = f"{_PACKAGE}.{name}".rpartition(".")
            if parent == self.name and callable(getattr(module, own, None)):
                sys.modules.setdefault(f"{parent}.{own}", importlib.import_module(f"{_PACKAGE}.{target}"))


class _ShellLoader(Loader):
    def __init__(self, package: str | None) -> None:
        self.package = package

    def exec_module(self, module: ModuleType) -> None:
        """Import what the module holds when it is asked for."""
        prefix = f"{module.__name__.removeprefix(f'{_PACKAGE}.')}."
        held = [name.removeprefix(prefix) for name in NAMES if name.startswith(prefix)]
        package = importlib.import_module(f"{_PACKAGE}.{self.package}") if self.package is not None else None

        def get(name: str) -> Any:
            if name in held:
                return importlib.import_module(f"{module.__name__}.{name}")
            if package is not None and hasattr(package, name):
                return getattr(package, name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        def names() -> list[str]:
            return sorted({*(name for name in held if "." not in name), *(dir(package) if package is not None else ())})

        module.__doc__ = "What PyTorch keeps under this name."
        module.__getattr__ = get  # type: ignore[method-assign]
        module.__dir__ = names  # type: ignore[method-assign]


def names_below(package: str) -> Callable[[str], ModuleType]:
    """The `__getattr__` of a package: what PyTorch has below it is there without an import of its own."""
    own = package.removeprefix(f"{_PACKAGE}.")
    prefixes = [own, *(name for name, target in NAMES.items() if target == own)]

    def get(name: str) -> ModuleType:
        for prefix in prefixes:
            if f"{prefix}.{name}" in NAMES:
                return importlib.import_module(f"{_PACKAGE}.{prefix}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get


def names_elsewhere(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that PyTorch has more classes in."""
    package, _, own = module.removeprefix(f"{_PACKAGE}.").rpartition(".")

    def get(name: str) -> Any:
        if name in ELSEWHERE[f"{package}.{own}"]:
            return getattr(importlib.import_module(f"{_PACKAGE}.{package}"), name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get


def install() -> None:
    """Let the import system find the names; done once, by the package."""
    sys.meta_path.insert(0, _Finder())
