"""The compiler: capture, differentiate, optimise, generate code; and the means to steer it and to look inside.

`tracegraph.compile` is `api.compile`; `pipeline` reads like the table of stages; backends are registered in `backends`;
`stages.recorded()` shows every product on the way. What users say to the compiler has the names of `torch.compiler`
(docs/compiler.md).
"""

from tracegraph.capture.directives import (
    allow_in_graph,
    assume_constant_result,
    disable,
    graph_break,
    is_compiling,
)
from tracegraph.capture.logs import set_logs
from tracegraph.capture.size_marks import mark_dynamic, mark_static
from tracegraph.capture.stance import config, set_stance
from tracegraph.compiler.api import compile
from tracegraph.compiler.backends import list_backends, register_backend
from tracegraph.compiler.compile_times import compile_times
from tracegraph.compiler.explanation import Explanation, explain
from tracegraph.compiler.options import Options
from tracegraph.compiler.resetting import reset
from tracegraph.ops.graph_module import GraphModule

__all__ = [
    "Explanation",
    "GraphModule",
    "Options",
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "compile_times",
    "config",
    "disable",
    "explain",
    "graph_break",
    "is_compiling",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "register_backend",
    "reset",
    "set_logs",
    "set_stance",
]
