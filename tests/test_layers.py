"""The architecture as a test: who may import whom (docs/architecture.md), and what `import tracegraph` costs.

Imports are read from the source, at module level and inside functions alike: a lazy import is no way around.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Each layer and its left neighbours; what those may import, it may import as well.
LEFT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "module_names": (),
    "providers": (),
    "settings": (),
    "version": (),
    "pytree": ("errors",),
    "dtypes": ("errors", "settings"),
    "ir": ("dtypes",),
    "ops": ("ir", "providers", "pytree"),
    "tensor": ("ops",),
    "testing": ("tensor",),
    "profiler": (),
    "autograd": ("tensor", "profiler", "module_names"),
    "distributions": ("autograd",),
    "random": ("ops",),
    "backends": (),
    "jit": (),
    "nn": ("autograd", "providers"),
    "func": ("nn",),
    "optim": ("autograd",),
    "amp": ("optim",),
    "weight_averaging": ("nn", "optim"),
    "data": ("autograd",),
    "capture": ("nn", "optim", "data", "amp", "func", "jit", "profiler", "random", "weight_averaging"),
    "aot": ("ops",),
    "passes": ("ops",),
    "codegen": ("ir",),
    "runtime": ("autograd", "codegen", "aot"),
    "compiler": ("capture", "aot", "passes", "codegen", "runtime"),
    "library": ("compiler",),
    "cli": ("library",),
    "__main__": ("cli",),
}
# Folders of a layer; each loads without those behind it. Functions may import what is behind them: Python's
# semantics is recursive, and gradients and decompositions are written in ops.
FOLDERS = {
    "capture": (
        "reporting",
        "stack",
        "bytecode",
        "guards",
        "trace",
        "tensors",
        "protocols",
        "objects",
        "calls",
        "opcodes",
        "drivers",
    ),
    "ops": (
        "numerics",
        "core",
        "functional",
        "handles",
        "kinds",
        "graphs",
        "effects",
        "pointwise",
        "creation",
        "random",
        "reductions",
        "ordering",
        "shaping",
        "indexing",
        "matrices",
        "neural",
        "control",
    ),
}
# Heavy or special libraries, and the layers that may use them.
RESERVED = {
    "llvmlite": {"codegen", "runtime"},
    "networkx": {"aot", "passes"},
    "click": {"cli"},
    "rich": {"cli"},
}
# Modules allowed to import what lies to their right, inside the named function only.
COMPOSITION_ROOT = {"tracegraph": "__getattr__"}
# What `import tracegraph` must not load.
LAZY = ("llvmlite", "networkx", "click", "rich")
LAZY_LAYERS = ("compiler", "passes", "codegen", "aot", "runtime", "library", "cli")
VAGUE_NAMES = {"utils", "util", "helpers", "common", "misc"}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by the name it is installed under."""
    found = {}
    for top, prefix in (("tracegraph", ""), ("passes", "tracegraph."), ("codegen", "tracegraph.")):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[prefix + ".".join(parts).removesuffix(".__init__")] = path
    return found


def layer_of(module: str) -> str | None:
    """`ir` for `tracegraph.ir.dim`; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


def package_of(module: str) -> str:
    """What relative imports in the module are relative to."""
    return module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]


@cache
def may_import(layer: str) -> frozenset[str]:
    return frozenset({layer, *LEFT[layer]}.union(*(may_import(left) for left in LEFT[layer])))


def imports(tree: ast.AST, package: str) -> Iterator[tuple[str, int, str]]:
    """(imported module, line, enclosing function) for every import statement and `import_module("...")`."""

    def visit(node: ast.AST, function: str) -> Iterator[tuple[str, int, str]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not function:
            function = node.name
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in modules() else base, node.lineno, function
        elif isinstance(node, ast.Call) and name_of(node.func) == "import_module":
            yield from ((a.value, node.lineno, function) for a in node.args if isinstance(a, ast.Constant))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    yield from visit(tree, "")


def name_of(function: ast.expr) -> str:
    """`import_module` for `importlib.import_module`; nothing for what has no name."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def violations(module: str, tree: ast.AST, package: str) -> Iterator[str]:
    """What is wrong with the imports of `tree`, if it were the text of `module`."""
    layer = layer_of(module)
    if layer is not None and layer not in LEFT:
        yield f"{module}: {layer} has no place in the order, add it to LEFT"
        return
    for target, line, function in imports(tree, package):
        where = f"{module}, line {line}"
        top = target.split(".")[0]
        if top in RESERVED and layer not in RESERVED[top]:
            yield f"{where}: {top} is reserved to {', '.join(sorted(RESERVED[top]))}"
        if top != "tracegraph" or (function and COMPOSITION_ROOT.get(module) == function):
            continue
        right = layer_of(target)
        if layer is None:
            if right in LAZY_LAYERS:
                yield f"{where}: {target} must not load at start-up; import it in __getattr__"
        elif right is None:
            yield f"{where}: {layer} must not import the package itself; name the defining layer"
        elif right not in may_import(layer):
            yield f"{where}: {layer} must not import {target}"


def test_imports_point_left() -> None:
    found = [problem for m in modules() for problem in violations(m, tree_of(m), package_of(m))]
    assert not found, "\n".join(found)


def place(layer: str, module: str) -> int:
    """Where the folder (or file) of a module stands in the order of its layer; files that are not named stand last."""
    folder = [*module.split("."), ""][2]
    return FOLDERS[layer].index(folder) if folder in FOLDERS[layer] else len(FOLDERS[layer])


@pytest.mark.parametrize("layer", FOLDERS)
def test_folders_load_in_order(layer: str) -> None:
    found = []
    for module in (m for m in modules() if layer_of(m) == layer):
        tree = tree_of(module)
        loaded = [node for node in tree.body if not isinstance(node, ast.If | ast.FunctionDef | ast.ClassDef)]
        found += [
            f"{module}, line {line}: {target}"
            for target, line, _ in imports(ast.Module(loaded, []), package_of(module))
            if layer_of(target) == layer and place(layer, target) > place(layer, module)
        ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("tracegraph.ir.x", "from tracegraph.ops import registry", "ir must not import tracegraph.ops"),
        ("tracegraph.ir.x", "from ..ops import registry", "ir must not import tracegraph.ops"),
        ("tracegraph.ops.x", "def f():\n    import tracegraph.nn", "ops must not import tracegraph.nn"),
        ("tracegraph.ops.x", "import_module('tracegraph.nn')", "ops must not import tracegraph.nn"),
        ("tracegraph.codegen.x", "import tracegraph.ops", "codegen must not import tracegraph.ops"),
        ("tracegraph.nn.x", "from tracegraph import Tensor", "nn must not import the package itself"),
        ("tracegraph.tensor.x", "import llvmlite.binding", "llvmlite is reserved to codegen"),
        ("tracegraph", "import tracegraph.compiler", "tracegraph.compiler must not load at start-up"),
        ("tracegraph", "def compile():\n    import tracegraph.compiler", "must not load at start-up"),
        ("tracegraph", "def __getattr__(name):\n    import tracegraph.compiler", None),
        ("tracegraph.compiler.x", "import tracegraph.codegen", None),
        ("tracegraph.passes.x", "import networkx\nfrom tracegraph.ir.dim import sym", None),
    ],
)
def test_checker(module: str, source: str, problem: str | None) -> None:
    found = list(violations(module, ast.parse(source), module.rpartition(".")[0] or module))
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_order_has_no_cycle() -> None:
    seen: list[str] = []
    for layer, left in LEFT.items():
        assert set(left) <= set(seen), f"{layer} stands before something it may import"
        seen.append(layer)


def test_modules_are_named_for_their_subject() -> None:
    assert not [m for m in modules() if m.rpartition(".")[2] in VAGUE_NAMES]


def unfinished(tree: ast.AST) -> Iterator[int]:
    """Lines that raise NotImplementedError outside an abstract method."""
    match tree:
        case ast.FunctionDef(decorator_list=marks) if "abstractmethod" in " ".join(map(ast.unparse, marks)):
            return
        case ast.Raise(exc=ast.expr() as error) if "NotImplementedError" in ast.unparse(error):
            yield tree.lineno
    for child in ast.iter_child_nodes(tree):
        yield from unfinished(child)


def test_nothing_is_left_unimplemented() -> None:
    found = [f"{module}, line {line}" for module in modules() for line in unfinished(tree_of(module))]
    assert not found, "finish it, or mark a base class's method @abstractmethod: " + "; ".join(found)


def test_import_stays_light(tmp_path: Path) -> None:
    """Importing the package loads neither the compiler nor the libraries that only it needs."""
    code = "import sys, tracegraph; print(*sys.modules)"
    # in an empty folder: the checkout must not stand in for the installed package
    output = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path)
    loaded = set(output.split())
    assert "tracegraph" in loaded
    unwanted = {*LAZY, *(f"tracegraph.{layer}" for layer in LAZY_LAYERS)}
    assert not loaded & unwanted
