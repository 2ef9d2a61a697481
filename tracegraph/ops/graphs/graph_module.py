"""A graph as a callable: runs on tensors of any kind by dispatch, and prints as Python.

What a custom backend receives. Calling it on eager tensors executes op by op and records on the tape; calling it on
traced handles copies the graph into another one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracegraph.errors import ShapeError
from tracegraph.ir import Graph, Location, Node, Value
from tracegraph.ir.dim import SymExpr
from tracegraph.ir.interpreter import Interpreter, bind_sizes
from tracegraph.ir.printer import attr_text, value_names
from tracegraph.ir.subgraphs import subgraphs
from tracegraph.ir.user_line import note_user_line
from tracegraph.ops.core.autocast import not_casting
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.core.dispatch import dispatch


class _Running(threading.local):
    """Of a thread: the line that the node being executed was recorded on."""

    location: Location | None = None


_RUNNING = _Running()


def running_location() -> Location | None:
    """The user's line whose op a GraphModule executes on this thread now."""
    return _RUNNING.location


class GraphModule:
    """A callable over a `Graph`.

    Example:
        def backend(module: GraphModule, example_inputs):
            print(module.code)
            return module          # run it as it is
    """

    def __init__(self, graph: Graph, wrap: Callable[[np.ndarray], Any]) -> None:
        """Args: `wrap` makes a tensor of the kind the module runs on from a constant's array."""
        self.graph = graph
        self.wrap = wrap

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for these tensors, always as a tuple.

        Raises:
            ShapeError: wrong number of inputs, or one whose shape does not fit its placeholder.
            Exception: whatever an op raises, with a note that gives the user's line.
        """
        return self.run(inputs)

    def run(self, inputs: Sequence[Any], sizes: Mapping[str, int] | None = None) -> tuple[Any, ...]:
        """As calling it; `sizes` gives values of size symbols that no input shows."""
        placeholders = self.graph.placeholders
        if len(inputs) != len(placeholders):
            raise ShapeError(f"{self.graph.name} takes {len(placeholders)} tensors, got {len(inputs)}")
        runner = Interpreter(self.graph)
        runner.sizes = bind_sizes([p.type for p in placeholders], [i.shape for i in inputs], sizes)
        runner.environment = dict(zip(placeholders, inputs, strict=True))
        return self.outputs(runner)

    def outputs(self, runner: Interpreter) -> tuple[Any, ...]:
        """The outputs, computed from the inputs in the runner's environment."""
        with not_casting():
            self._execute(runner)
        return tuple(runner.operand(o) for o in self.graph.outputs)

    def _execute(self, runner: Interpreter) -> None:
        outer = _RUNNING.location
        try:
            self._execute_nodes(runner)
        finally:
            _RUNNING.location = outer

    def _execute_nodes(self, runner: Interpreter) -> None:
        for node in self.graph.nodes:
            if node.op == "constant":
                runner.environment[node.value] = self.wrap(runner.constant(node))
            elif node.op == "call":
                _RUNNING.location = node.location
                try:
                    runner.environment.update(zip(node.values, self.call(node, runner), strict=True))
                except Exception as error:
                    note_user_line(error, node)
                    raise

    def call(self, node: Node, runner: Interpreter) -> tuple[Any, ...]:
        """Execute one call node; one tensor per result."""
        op = node.call_op
        assert isinstance(op, Definition)
        attrs = {k: runner.static(v) for k, v in node.attrs.items()}
        result = dispatch(op, tuple(map(runner.operand, node.args)), attrs)
        if not node.values:
            return ()
        return tuple(result) if isinstance(result, tuple) else (result,)

    @property
    def code(self) -> str:
        """The graph as a Python function."""
        return "\n".join(_function_lines(self.graph, "", ["self"]))

    def print_readable(self) -> str:
        """Print `code` and return it (FX's name)."""
        print(self.code)
        return self.code

    def __repr__(self) -> str:
        return f"GraphModule({self.graph.name}: {sum(1 for _ in self.graph.calls)} calls)"

    def __str__(self) -> str:
        return self.code


def _function_lines(graph: Graph, indent: str, arguments: Sequence[str] = ()) -> list[str]:
    """A graph as a Python function; the graphs that its nodes hold as functions inside."""
    names = value_names(graph)

    def text(operand: object) -> str:
        if isinstance(operand, Value):
            return _identifier(names[operand])
        return str(operand) if isinstance(operand, SymExpr) else attr_text(operand).replace("none", "None")

    inputs = ", ".join([*arguments, *(_identifier(names[p]) for p in graph.placeholders)])
    lines = [f"{indent}def {_identifier(graph.name)}({inputs}):"]
    indent += "    "
    for node in graph.nodes:
        for body in subgraphs(node).values():
            lines += _function_lines(body, indent)
        results = ", ".join(_identifier(names[v]) for v in node.values)
        if node.op == "call":
            given = [text(a) for a in node.args] + [f"{k}={_python(v)}" for k, v in node.attrs.items()]
            call = f"{_function(node.call_op.name)}({', '.join(given)})"
            where = f"  # {node.location}" if node.location else ""
            lines.append(f"{indent}{results + ' = ' if results else ''}{call}{where}")
        elif node.op == "constant":
            lines.append(f"{indent}{results} = self.constants[{results!r}]")
        elif node.op == "output":
            lines.append(f"{indent}return ({', '.join(map(text, node.args))}{',' if len(node.args) == 1 else ''})")
    return lines


def _function(op: str) -> str:
    """How Python code calls an op; one that the user's program adds has a namespace in its name."""
    return f"tg.{op}" if op.isidentifier() else f"tg.library.find_op({op!r})"


def _identifier(name: str) -> str:
    bare = name.removeprefix("%").replace(".", "_").replace("<", "").replace(">", "")
    return f"v{bare}" if bare[:1].isdigit() else bare


def _python(attr: object) -> str:
    if isinstance(attr, Graph):
        return _identifier(attr.name)
    if isinstance(attr, tuple):
        return f"({', '.join(map(_python, attr))}{',' if len(attr) == 1 else ''})"
    return str(attr) if isinstance(attr, SymExpr) else repr(attr)
