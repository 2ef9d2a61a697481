"""The intermediate representation: types with symbolic sizes, graphs, text form, verifier, reference interpreter."""

from tracegraph.ir.builder import Builder, Rebuilder, rebuild
from tracegraph.ir.dim import Dim, SymExpr, sym
from tracegraph.ir.graph import Graph, Location, Node, Operand, Role, Value
from tracegraph.ir.interpreter import Interpreter, bind_sizes, interpret
from tracegraph.ir.op import Kind, Op, lookup, register
from tracegraph.ir.parser import parse, parse_type
from tracegraph.ir.printer import print_graph
from tracegraph.ir.shape_env import ShapeEnv, SizeGuard
from tracegraph.ir.types import TensorType
from tracegraph.ir.verifier import verify

__all__ = [
    "Builder",
    "Dim",
    "Graph",
    "Interpreter",
    "Kind",
    "Location",
    "Node",
    "Op",
    "Operand",
    "Rebuilder",
    "Role",
    "ShapeEnv",
    "SizeGuard",
    "SymExpr",
    "TensorType",
    "Value",
    "bind_sizes",
    "interpret",
    "lookup",
    "parse",
    "parse_type",
    "print_graph",
    "rebuild",
    "register",
    "sym",
    "verify",
]
