"""The compiler: capture, differentiate, optimise, generate code; and the means to steer it and to look inside.

`tracegraph.compile` is `api.compile`; `pipeline` reads like the table of stages; backends are registered in `backends`;
`stages.recorded()` shows every product on the way. What users say to the compiler has the names of `torch.compiler`
(docs/compiler.md).
"""

from tracegraph.capture.calls.directives import (
    allow_in_graph,
    assume_constant_result,
    disable,
    graph_break,
    is_compiling,
    is_dynamo_compiling,
    is_exporting,
)
from tracegraph.capture.calls.substitutes import substitute_in_graph
from tracegraph.capture.reporting.logs import set_logs
from tracegraph.capture.stance import config, set_stance
from tracegraph.capture.trace.size_marks import mark_dynamic, mark_static, maybe_mark_dynamic
from tracegraph.compiler.api import compile
from tracegraph.compiler.backends import (
    get_default_backend,
    list_backends,
    register_backend,
    set_default_backend,
)
from tracegraph.compiler.compile_times import compile_times
from tracegraph.compiler.explanation import Explanation, explain
from tracegraph.compiler.options import Options
from tracegraph.compiler.resetting import reset
from tracegraph.ops.graphs.graph_module import GraphModule

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
    "get_default_backend",
    "graph_break",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "maybe_mark_dynamic",
    "register_backend",
    "reset",
    "set_default_backend",
    "set_logs",
    "set_stance",
    "substitute_in_graph",
]
