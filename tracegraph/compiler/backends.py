"""The registry of backends: what turns a captured graph into a callable on tensors.

A backend is a callable `(graph_module, example_inputs) -> callable(*tensors) -> sequence of tensors`, as in
`torch.compile`. `llvm` and `interpreter` run the whole pipeline and differ in how the final graphs are executed;
`eager` runs the captured graph op by op.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar, overload

from tracegraph.compiler.options import Options
from tracegraph.errors import ArgumentError, OptionError
from tracegraph.ops.core.arguments import described
from tracegraph.ops.graphs.graph_module import GraphModule
from tracegraph.tensor import Tensor

Compiled: TypeAlias = Callable[..., Sequence[Any]]
Backend: TypeAlias = Callable[..., Compiled]
B = TypeVar("B", bound=Callable[..., Any])

_BACKENDS: dict[str, Backend] = {}


@overload
def register_backend(name: str) -> Callable[[B], B]: ...
@overload
def register_backend(name: str, backend: B) -> B: ...
def register_backend(name: str, backend: Any = None) -> Any:
    """Register a backend under `name`; usable as a decorator.

    A backend that takes a keyword argument `options` is given the `Options` of the compile call.

    Raises:
        ArgumentError: the name is no str, or the backend cannot be called.
        OptionError: the name is taken by another backend.
    """
    if not isinstance(name, str):
        raise ArgumentError(f"register_backend(): name must be a str, got {described(name)}")
    if backend is None:
        return lambda function: register_backend(name, function)
    if not callable(backend):
        raise ArgumentError(f"register_backend({name!r}): a backend must be callable, got {described(backend)}")
    if _BACKENDS.get(name, backend) is not backend:
        raise OptionError(f"a backend called {name!r} is registered already")
    _BACKENDS[name] = backend
    return backend


def list_backends() -> list[str]:
    """Names of the registered backends."""
    return sorted(_BACKENDS)


def get_default_backend() -> str | Backend:
    """The backend of `tracegraph.compile` calls that name none; see `set_default_backend`."""
    return _DEFAULT[0]


def set_default_backend(backend: str | Backend | None) -> None:
    """Set the backend of later `tracegraph.compile` calls that name none; None: "llvm" again.

    Raises:
        OptionError: there is no backend of that name.
    """
    _DEFAULT[0] = _FIRST if backend is None else backend if callable(backend) else _known(backend)


_FIRST = "llvm"
_DEFAULT: list[str | Backend] = [_FIRST]
#: backends of PyTorch's, and what does the same here
_COUNTERPARTS = {"inductor": "llvm", "aot_eager": "interpreter", "aot_eager_decomp_partition": "interpreter"}


def resolve(backend: str | Backend | None) -> Backend:
    """The backend of this name, or the callable itself; None: the default one.

    Raises:
        OptionError: no such name; the nearest is suggested.
    """
    chosen = get_default_backend() if backend is None else backend
    return chosen if callable(chosen) else _BACKENDS[_known(chosen)]


def _known(backend: object) -> str:
    if isinstance(backend, str) and backend in _BACKENDS:
        return backend
    near = difflib.get_close_matches(str(backend), _BACKENDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "pass a name or a callable"
    if (counterpart := _COUNTERPARTS.get(str(backend))) is not None:
        hint = f"what PyTorch's {backend!r} does, {counterpart!r} does here"
    raise OptionError(f"unknown backend {backend!r}: one of {', '.join(list_backends())}; {hint}")


@register_backend("llvm")
def llvm(module: GraphModule, example_inputs: Sequence[Tensor], *, options: Options) -> Compiled:
    """Differentiate, optimise and compile to native code.

    With TRACEGRAPH_NATIVE=0 in the environment the graphs are interpreted instead: no machine code is made.
    """
    from tracegraph.compiler import pipeline

    is_native = os.environ.get("TRACEGRAPH_NATIVE", "1") != "0"
    finish = pipeline.native if is_native else pipeline.interpreted
    return pipeline.compile_graph(module.graph, example_inputs, options, finish)


@register_backend("interpreter")
def interpreter(module: GraphModule, example_inputs: Sequence[Tensor], *, options: Options) -> Compiled:
    """Differentiate and optimise, then interpret the graphs with the eager rules: the pipeline without codegen."""
    from tracegraph.compiler import pipeline

    return pipeline.compile_graph(module.graph, example_inputs, options, pipeline.interpreted)


@register_backend("eager")
def eager(module: GraphModule, example_inputs: Sequence[Tensor]) -> Compiled:
    """Run the captured graph op by op on tensors: capture without compilation."""
    return module
