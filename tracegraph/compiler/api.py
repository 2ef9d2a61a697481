"""`tracegraph.compile`: the decorator and call that put capture and backend together."""

from __future__ import annotations

import difflib
import inspect
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tracegraph.capture.compiled_function import CaptureOptions, CompiledFunction, compiled
from tracegraph.capture.drivers.units import Unit
from tracegraph.capture.reporting.user_frame import warn_user
from tracegraph.capture.specialisations import Observer
from tracegraph.capture.stack.storage import class_lookup
from tracegraph.compiler import stages
from tracegraph.compiler.backends import Backend, Compiled, list_backends, resolve
from tracegraph.compiler.compile_times import PROCESS
from tracegraph.compiler.options import OPTION_NAMES, Options
from tracegraph.errors import ArgumentError, CompileError, OptionError, TracegraphError
from tracegraph.ir import Graph
from tracegraph.ops.core.arguments import described
from tracegraph.ops.graphs.graph_module import GraphModule
from tracegraph.runtime.compiled_graph import CompiledGraph
from tracegraph.tensor import Tensor


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Backend | None = None,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    **unknown: Any,
) -> Any:
    """Compile a function, method or Module: captured as graphs at its first call, and again when guards fail.

    Args:
        model: what to compile; without it, a decorator is returned. Of a class the calls of its objects are compiled,
            in place: its `__call__` is replaced.
        fullgraph: raise CaptureError where the function does not make one graph, instead of breaking it.
        dynamic: sizes of inputs symbolic from the first call (True), never (False), or once they vary (None).
        backend: a registered name (see `list_backends`) or a callable
            `(graph_module, example_inputs) -> callable`; None: "llvm", unless `set_default_backend` says otherwise.
        mode: None or "default"; PyTorch's other modes do not exist here.
        options: see `tracegraph.compiler.Options`.
        disable: return the model as it is.
        recompile_limit: the option of this name.

    Raises:
        ArgumentError: the model is not callable, or a class whose objects are not.
        OptionError: unknown argument, backend, mode or option.

    Example:
        >>> import tracegraph as tg
        >>> @tg.compile
        ... def f(x):
        ...     return (x * 2).sum()
        >>> f(tg.ones(3))
        tensor(6.)
    """
    _refuse_unknown(unknown)
    check_switches("compile", fullgraph=fullgraph, dynamic=dynamic, disable=disable)
    _check_mode(mode)
    chosen, settings = resolve(backend), Options().updated(options)
    if recompile_limit is not None:
        settings = settings.updated({"recompile_limit": recompile_limit})

    def compile_model(model: Any) -> Any:
        check_model("compile", model)
        if disable:
            return model
        compiler = graph_compiler(chosen, settings, fullgraph)
        return compiled(model, compiler, capture_options(settings, fullgraph, dynamic), StageReports())

    return compile_model if model is None else compile_model(model)


def check_model(function: str, model: object) -> None:
    """Refuse what cannot be compiled, in the name of the public `function`.

    Raises:
        ArgumentError: it cannot be called; or a class whose objects cannot.
    """
    if not callable(model):
        raise ArgumentError(f"{function}() takes a function, method or Module, got {described(model)}")
    if isinstance(model, type) and not isinstance(
        class_lookup(model, "__call__"), types.FunctionType | CompiledFunction
    ):
        raise ArgumentError(
            f"{function}() of class {model.__qualname__}: its objects cannot be called; compile the functions and "
            "methods that compute with tensors"
        )


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


def check_switches(function: str, **switches: object) -> None:
    """Refuse switches that are no bools, in the name of the public `function`; `dynamic` may be None.

    Raises:
        OptionError: names the switch and its value.
    """
    for name, value in switches.items():
        allowed: tuple[object, ...] = (True, False, None) if name == "dynamic" else (True, False)
        if not any(value is a for a in allowed):
            raise OptionError(f"{function}(): {name}={value!r} must be one of {', '.join(map(str, allowed))}")


def _refuse_unknown(arguments: Mapping[str, object]) -> None:
    for name, value in arguments.items():
        if name in OPTION_NAMES:
            raise OptionError(f"compile() has no argument {name!r}, it is an option: options={{{name!r}: {value!r}}}")
        known = [n for n, p in inspect.signature(compile).parameters.items() if p.kind is p.KEYWORD_ONLY]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise OptionError(
            f"compile() has no argument {name!r}; {hint}there are {', '.join(known)}; options= is a dict of "
            f"{', '.join(OPTION_NAMES)}"
        )


def _check_mode(mode: object) -> None:
    if mode not in (None, "default"):
        why = f" ({_MODES[mode]})" if isinstance(mode, str) and mode in _MODES else ""
        raise OptionError(
            f"compile(): mode={mode!r} does not exist{why}; leave it out, or pass 'default'. What can be set: "
            f"backend= one of {', '.join(list_backends())}; options= a dict of {', '.join(OPTION_NAMES)}"
        )


#: PyTorch's other modes, and why there is nothing that they could switch on
_MODES = {
    "reduce-overhead": "it asks for CUDA graphs",
    "max-autotune": "it asks to time several kernels for each operation; here they are chosen without",
    "max-autotune-no-cudagraphs": "it asks to time several kernels for each operation; here they are chosen without",
}


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
            if isinstance(e, RecursionError | MemoryError):
                raise  # perhaps another call has more room: the caller runs this one eagerly
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
