"""The compiler: capture, differentiate, optimise, generate code; and the means to look inside.

`tracegraph.compile` is `api.compile`; `pipeline` reads like the table of stages; backends are registered in `backends`;
`stages.recorded()` shows every product on the way.
"""

from tracegraph.compiler.api import compile
from tracegraph.compiler.backends import list_backends, register_backend
from tracegraph.compiler.options import Options
from tracegraph.ops.graph_module import GraphModule

__all__ = ["GraphModule", "Options", "compile", "list_backends", "register_backend"]
