"""Sources and guards as users write them: `self.layers[0].weight`, `x.shape[0] % 2 == 0`.

`str(source)` is exact and tells a local from a global of the same name; this is the text for people.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from tracegraph.capture.guards import sources
from tracegraph.capture.guards.guard import Guard, GuardKind, Sharing, describe
from tracegraph.capture.guards.sources import Source
from tracegraph.capture.stack.storage import MISSING, values_of
from tracegraph.capture.stack.texts import joined
from tracegraph.ir import Location

#: instance dictionaries that stand for attributes of a Module
_REGISTRIES = ("_parameters", "_buffers", "_modules")


def source_text(source: Source) -> str:
    """The expression by which the user's program reads `source`."""
    return _SOURCES.get(type(source), str)(source)


def _local(source: Any) -> str:
    number = source.name.removeprefix(sources.ON_STACK)
    return source.name if number == source.name else f"<value {number} from before the break>"


def _item(source: Any) -> str:
    holder = source.parent
    if isinstance(holder, sources.Entry) and holder.name in _REGISTRIES:
        owner = source_text(holder.parent)
        return f"{owner}.{source.key}" if str(source.key).isidentifier() else f"{owner}[{source.key}]"
    return f"{source_text(holder)}[{source.key!r}]"


def _attribute(source: Any) -> str:
    return f"{source_text(source.parent)}.{source.name}"


def _computed(source: Any) -> str:
    if source.function.object in (format, joined):
        return f"f{_template(source)!r}"
    texts = list(map(source_text, source.operands))
    if source.function.object is values_of:
        return f"list({texts[0]}.values())"
    if source.function.object is operator.getitem:
        return f"{texts[0]}[{texts[1]}]"
    symbol = sources.OPERATORS.get(source.function.object)
    return f"({f' {symbol} '.join(texts)})" if symbol else f"{source.function.object.__name__}({', '.join(texts)})"


def _template(source: Any) -> str:
    """What stands between the quotes of the f-string that makes a text."""
    if isinstance(source, sources.Constant):
        return str(source.reference.object)
    if not isinstance(source, sources.Computed) or source.function.object not in (format, joined):
        return f"{{{source_text(source)}}}"
    if source.function.object is joined:
        return "".join(map(_template, source.operands))
    value, spec = source.operands
    text = _template(spec)
    return f"{{{source_text(value)}{text and ':'}{text}}}"


def _call(source: Any) -> str:
    text: str = source.text(list(map(source_text, source.parents)))
    return text if source.question is None else f"{source.question}({text})"


_SOURCES: dict[type, Callable[[Any], str]] = {
    sources.Local: _local,
    sources.FrameCell: lambda source: source.name,
    sources.Contents: lambda source: source_text(source.parent),
    sources.Stored: lambda source: source_text(source.parent),
    sources.Constant: str,
    sources.GlobalName: lambda source: source.name,
    sources.FreeVariable: lambda source: source.name,
    sources.Entry: _attribute,
    sources.Slot: _attribute,
    sources.ClassEntry: _attribute,
    sources.Item: _item,
    sources.Keyed: lambda source: f"{source_text(source.parent)}[{source_text(source.key)}]",
    sources.Computed: _computed,
    sources.Call: _call,
    sources.Setting: str,
    sources.Size: lambda source: f"{source_text(source.parent)}.shape[{source.dim}]",
}


# ------------------------------------------------------------------------------------------ guards


def condition_text(guard: Guard) -> str:
    """The guard as a condition of the user's program, near to Python."""
    return _CONDITIONS[guard.kind](guard)


def size_condition(condition: Any) -> str:
    """A condition on symbolic sizes, in the operators and with the expressions that the program has for them."""
    tree = _SizeTerms(dict(condition.symbols)).visit(ast.parse(condition.text, mode="eval"))
    return ast.unparse(tree)


class _SizeTerms(ast.NodeTransformer):
    """Symbols become what they stand for, functions of sizes operators, and a number stands on the right."""

    _OPERATORS: dict[str, type[ast.operator]] = {"mod": ast.Mod, "floordiv": ast.FloorDiv}
    _MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt,
                                                        ast.GtE: ast.LtE}  # fmt: skip

    def __init__(self, sources: dict[str, Source]) -> None:
        self._sources = sources

    def visit_Name(self, node: ast.Name) -> ast.AST:
        source = self._sources.get(node.id)
        return node if source is None else ast.Name(source_text(source))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        match node:
            case ast.BinOp(ast.Name(above), ast.Sub(), ast.Name(below)):
                whole = sources.difference(self._sources.get(above), self._sources.get(below))
                return self.generic_visit(node) if whole is None else ast.Name(source_text(whole))
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        operator = self._OPERATORS.get(ast.unparse(node.func))
        return node if operator is None else ast.BinOp(node.args[0], operator(), node.args[1])

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.left, ast.Constant):
            return node
        mirrored = [self._MIRRORED.get(type(op), type(op))() for op in node.ops]
        return ast.Compare(node.comparators[0], mirrored, [node.left])


def names_text(sources: tuple[Source, ...], link: str = ", ") -> str:
    """Several sources in a row."""
    return link.join(map(source_text, sources))


def _subject(guard: Guard) -> str:
    assert guard.source is not None
    return source_text(guard.source)


def _constant(guard: Guard) -> str:
    expected = guard.expected
    relation = "is" if expected is None or isinstance(expected, bool) else "=="
    return f"{_subject(guard)} {relation} {describe(expected)}"


def _identity(guard: Guard) -> str:
    value = guard.expected.reference()
    if value is MISSING and isinstance(guard.source, sources.ClassEntry):
        return f"not hasattr({source_text(guard.source.parent)}, {guard.source.name!r})"
    return f"{_subject(guard)} is {guard.expected}"


def _tensor_methods(replaced: frozenset[tuple[type, str]]) -> str:
    names = sorted(f"{cls.__name__}.{name}" for cls, name in replaced)
    return f"of the methods of tensors, {', '.join(names)} are replaced" if names else "no method of Tensor is replaced"


def _sharing(sharing: Sharing) -> str:
    groups = (f"{names_text(group, ' and ')} share memory" for group in sharing.groups)
    return f"{'; '.join(groups)}, in places as they were"


_CONDITIONS: dict[GuardKind, Callable[[Guard], str]] = {
    GuardKind.TYPE: lambda guard: f"type({_subject(guard)}) is {guard.expected}",
    GuardKind.CONSTANT: _constant,
    GuardKind.INTEGER: lambda guard: f"{_subject(guard)} is {guard.expected}",
    GuardKind.FLOAT: lambda guard: f"type({_subject(guard)}) is float",
    GuardKind.IDENTITY: _identity,
    GuardKind.FUNCTION: lambda guard: f"{_subject(guard)} is the function {guard.expected}",
    GuardKind.LENGTH: lambda guard: f"len({_subject(guard)}) == {guard.expected}",
    GuardKind.KEYS: lambda guard: f"list({_subject(guard)}) == {describe(list(guard.expected))}",
    GuardKind.ELEMENTS: lambda guard: f"{_subject(guard)} == {describe(set(guard.expected))}",
    GuardKind.TENSOR: lambda guard: f"{_subject(guard)} is a {guard.expected}",
    GuardKind.ABSENT: lambda guard: f"{guard.expected!r} not in vars({_subject(guard)})",
    GuardKind.GLOBAL_ABSENT: lambda guard: f"{guard.expected!r} not in {_subject(guard)}",
    GuardKind.NO_HOOKS: lambda guard: f"{_subject(guard)} has no hooks",
    GuardKind.ALIAS: lambda guard: f"{_subject(guard)} is {source_text(guard.expected)}",
    GuardKind.DISTINCT: lambda guard: names_text(guard.expected, " is not "),
    GuardKind.SEPARATE_STORAGE: lambda guard: f"{names_text(sum(guard.expected, ()), ' and ')} share no memory",
    GuardKind.SHARED_STORAGE: lambda guard: _sharing(guard.expected),
    GuardKind.SIZES: lambda guard: size_condition(guard.expected),
    GuardKind.GRAD_MODE: lambda guard: f"is_grad_enabled() is {guard.expected}",
    GuardKind.TENSOR_METHODS: lambda guard: _tensor_methods(guard.expected),
    GuardKind.SETTING: lambda guard: f"{_subject(guard)} is {describe(guard.expected)}",
}


def full_place(location: Location | None) -> str:
    """A line of the user's program with the whole name of its file; "?" if it is not known."""
    return f"{location.file}:{location.line}" if location is not None else "?"
