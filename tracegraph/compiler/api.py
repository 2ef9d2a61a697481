"""`tracegraph.compile`: the decorator and call that put capture and backend together."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tracegraph.capture.compiled_function import CaptureOptions, compiled
from tracegraph.capture.specialisations import Observer
from tracegraph.capture.units import Unit
from tracegraph.capture.user_frame import warn_user
from tracegraph.compiler import stages
from tracegraph.compiler.backends import Backend, Compiled, list_backends, resolve
from tracegraph.compiler.compile_times import PROCESS
from tracegraph.compiler.options import OPTION_NAMES, Options
from tracegraph.errors import ArgumentError, CompileError, OptionError, TracegraphError
from tracegraph.ir import Graph
from tracegraph.ops.arguments import described
from tracegraph.ops.graph_module import GraphModule
from tracegraph.runtime.compiled_graph import CompiledGraph
from tracegraph.tensor import Tensor


def compile(
    target: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Backend = "llvm",
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """Compile a function, method or Module: captured as graphs at its first call, and again when guards fail.

    Args:
        target: what to compile; without it, a decorator is returned.
        fullgraph: raise CaptureError where the function does not make one graph, instead of breaking it.
        dynamic: sizes of inputs symbolic from the first call (True), never (False), or once they vary (None).
        backend: a registered name (see `list_backends`) or a callable
            `(graph_module, example_inputs) -> callable`.
        mode: None or "default"; PyTorch's other modes do not exist here.
        options: see `tracegraph.compiler.Options`.
        disable: return the target as it is.

    Raises:
        ArgumentError: the target is not callable, or a switch is not a bool.
        OptionError: unknown backend, mode or option.

    Example:
        >>> import tracegraph as tg
        >>> @tg.compile
        ... def f(x):
        ...     return (x * 2).sum()
        >>> f(tg.ones(3))
        tensor(6.)
    """
    if target is None:
        return partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable
        )
    if not callable(target):
        raise ArgumentError(f"compile() takes a function, method or Module, got {type(target).__name__}")
    _check_switches(fullgraph=fullgraph, dynamic=dynamic, disable=disable)
    _check_mode(mode)
    chosen, settings = resolve(backend), Options().updated(options)
    if disable:
        return target
    compiler = graph_compiler(chosen, settings, fullgraph)
    return compiled(target, compiler, capture_options(settings, fullgraph, dynamic), StageReports())


def capture_options(options: Options, fullgraph: bool, dynamic: bool | None) -> CaptureOptions:
    """What capture needs to know of the arguments of `compile`."""
    return CaptureOptions(fullgraph, dynamic, options.recompile_limit, options.error_on_recompile)


class StageReports(Observer):
    """Reports capture as the stage that it is."""

    def captured(self, unit: Unit, graph: Graph | None, seconds: float) -> None:
        if graph is not None:
            stages.report("capture", graph.name, graph, seconds)
        else:
            PROCESS.note("capture", seconds)


def _check_switches(**switches: object) -> None:
    for name, value in switches.items():
        allowed: tuple[object, ...] = (True, False, None) if name == "dynamic" else (True, False)
        if not any(value is a for a in allowed):
            raise OptionError(f"compile(): {name}={value!r} must be one of {', '.join(map(str, allowed))}")


def _check_mode(mode: object) -> None:
    if mode not in (None, "default"):
        raise OptionError(
            f"compile(): mode={mode!r} does not exist; mode is None or 'default'. What can be set: "
            f"backend= one of {', '.join(list_backends())}; options= a dict of {', '.join(OPTION_NAMES)}"
        )


class OpByOp:
    """What runs a graph whose backend failed, and why it did."""

    def __init__(self, module: GraphModule, why: str) -> None:
        self.module = module
        self.why = why

    def __call__(self, inputs: list[Tensor]) -> Sequence[Any]:
        return self.module(*inputs)


def graph_compiler(
    backend: Backend, options: Options, fullgraph: bool = False
) -> Callable[[Graph, list[Tensor]], Callable[[list[Tensor]], Sequence[Any]]]:
    """What capture calls with each graph: (graph, example inputs) -> callable from a list of tensors to results."""
    takes_options = "options" in inspect.signature(backend).parameters

    def compile_captured(graph: Graph, example_inputs: list[Tensor]) -> Callable[[list[Tensor]], Sequence[Any]]:
        module = GraphModule(graph, Tensor)
        start = time.perf_counter()
        try:
            run: Compiled | OpByOp = (
                backend(module, example_inputs, options=options) if takes_options else backend(module, example_inputs)
            )
            if not isinstance(run, OpByOp) and not callable(run):
                raise CompileError(f"it must return a callable, got {type(run).__name__}")
        except Exception as e:
            if options.strict or fullgraph:
                raise CompileError(f"backend {_name(backend)} failed on graph {graph.name}: {_reason(e)}") from e
            warn_user(
                f"tracegraph: backend {_name(backend)} failed on graph {graph.name}, which runs eagerly instead: "
                f"{_reason(e)}. options={{'strict': True}} makes this an error"
            )
            run = OpByOp(module, f"backend {_name(backend)} failed: {_reason(e)}")
        stages.report("backend", graph.name, module, time.perf_counter() - start)
        if isinstance(run, OpByOp):
            return run
        return run.run if isinstance(run, CompiledGraph) else lambda inputs: results_of(run(*inputs), graph)

    def results_of(results: Any, graph: Graph) -> Sequence[Any]:
        if not isinstance(results, list | tuple) or len(results) != len(graph.outputs):
            what = f"{len(results)} of them" if isinstance(results, list | tuple) else described(results)
            raise CompileError(
                f"backend {_name(backend)}: its callable for graph {graph.name} must return a sequence of "
                f"{len(graph.outputs)} results, got {what}"
            )
        return results

    return compile_captured


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, TracegraphError) else f"{type(error).__name__}: {error}"


def _name(backend: Backend) -> str:
    return getattr(backend, "__qualname__", type(backend).__name__)
