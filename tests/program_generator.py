"""A hypothesis strategy of Python programs: functions over tensors, numbers, containers and objects, as source text.

Programs are filled in from the templates of `program_expressions` and `program_statements` under a typed environment,
so that every name is bound when it is used and operations are given what they work on; exceptions that remain belong
to the program. A program is a module with a function `f`, what it calls, and `arguments`, which makes the arguments of
a call anew:

    LEAVES = []
    def leaf(*shape, grad=False): ...

    def f(x, n):
        for i in range(n % 3):
            x += i
        return (x, n)

    def arguments(rows=2, n=1, grad=False, ...):
        x = leaf(rows, 3, grad=grad) * 1
        return (x, n)
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from program_expressions import ATOMS, EXPRESSIONS, READS_VALUES
from program_library import LIBRARY, PARAMETERS
from program_statements import COMPOUND_STATEMENTS, JUMPS, SIMPLE_STATEMENTS

IMPORTS = ("collections", "contextlib", "copy", "functools", "itertools", "math", "operator")
KINDS = ("any", "new", "var", "name", "count", "param", "outer")
HOLE = re.compile(rf"\$(?:pick\(([^()]*)\)|(?:({'|'.join(KINDS)})(\d?)_)?([a-z]+))")
BLOCKS = ("$block", "$loop")
MAX_DEPTH = 3  # of expressions and of nested statements
MAX_LINES = 40
WITHOUT_FUNCTIONS = tuple(t for t in COMPOUND_STATEMENTS if not t.startswith("def"))
#: types of which constants are used as often as variables
VALUES = ("int", "small", "float", "bool", "str", "function")
ARGUMENTS = "rows=2, n=1, r=0.5, flag=True, name='b', length=2, grad=False, share=False"


MAIN = """
if __name__ == "__main__":
    for run in (f, tg.compile(f, backend="eager")):
        for call in CALLS:
            print(run(*arguments(**call)))
"""

#: draws an integer from 0 to a limit, small ones being simpler
Draw = Callable[[int], int]


@dataclass(frozen=True)
class GeneratedProgram:
    """A program, and the keyword arguments of `arguments` for each call, in order."""

    source: str
    calls: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.source}\n\nCALLS = {self.calls!r}\n{MAIN}"

    __repr__ = __str__


@dataclass
class Scope:
    """The names of one function: types by name, and which of them the function may assign to."""

    names: dict[str, str]
    own: set[str]
    returns: str | None
    #: whether statements stand in a loop of this function
    in_loop: bool = False


@dataclass
class Template:
    """One template being filled: names by hole, and the names that wait for the end of the line to become known."""

    bound: dict[str, str] = field(default_factory=dict)
    pending: list[tuple[str, str]] = field(default_factory=list)
    lasting: list[tuple[str, str]] = field(default_factory=list)
    counters: list[tuple[str, str]] = field(default_factory=list)
    parameters: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Needs:
    """What a template asks of the place it is used in: variables by type, a function that returns values."""

    assignable: frozenset[str]
    known: frozenset[str]
    function: bool
    #: it reads the elements of tensors
    values: bool


@functools.cache
def _needs(template: str) -> Needs:
    holes = [(kind, type_) for _, kind, _, type_ in HOLE.findall(template)]
    return Needs(
        frozenset(type_ for kind, type_ in holes if kind in ("var", "outer")),
        frozenset(type_ for kind, type_ in holes if kind == "any"),
        "return $return" in template and not template.startswith("def"),
        any(r in template for r in READS_VALUES),
    )


@functools.cache
def _usable(
    templates: tuple[str, ...], known: frozenset[str], own: frozenset[str], function: bool, values: bool
) -> tuple[str, ...]:
    """The templates that may stand where these types of variables are known, and may be assigned to."""
    wanted = ((t, _needs(t)) for t in templates)
    return tuple(
        t
        for t, n in wanted
        if n.known <= known and n.assignable <= own and function >= n.function and values >= n.values
    )


class Writer:
    """Writes the body of one function of a program."""

    def __init__(self, draw: Draw, parameters: dict[str, str], returns: str | None, reads_values: bool) -> None:
        self.draw = draw
        self.reads_values = reads_values
        self.scopes = [Scope(dict(parameters), set(parameters), returns)]
        self.lines = 0
        self.made = 0
        #: nesting of functions below this one
        self.depth = 0

    @property
    def scope(self) -> Scope:
        return self.scopes[-1]

    # ------------------------------------------------------------------------------ drawing

    def choose(self, options: Sequence[str]) -> str:
        return options[self.draw(len(options) - 1)] if len(options) > 1 else options[0]

    def usable(self, templates: tuple[str, ...]) -> tuple[str, ...]:
        """Those templates whose variables exist here."""
        scope = self.scope
        own = frozenset(t for n, t in scope.names.items() if n in scope.own)
        return _usable(templates, frozenset(scope.names.values()), own, scope.returns is not None, self.reads_values)

    def _known_names(self, type_: str) -> list[str]:
        return [n for n, t in self.scope.names.items() if t == type_]

    def _assignable(self, type_: str) -> list[str]:
        return [n for n in self._known_names(type_) if n in self.scope.own]

    def new_name(self, type_: str) -> str:
        self.made += 1
        return f"{type_}{self.made}"

    # ------------------------------------------------------------------------------ expressions

    def expression(self, type_: str, depth: int = 0) -> str:
        """An expression of the type."""
        names = self._known_names(type_)
        atoms = names or ATOMS[type_]
        if names and type_ in VALUES:
            atoms = [*names, *ATOMS[type_]]
        # the deeper, the simpler; what is mutable is rather shared than new
        simple = depth + 1 if type_ in VALUES or not names else depth + 3
        if depth >= MAX_DEPTH or self.draw(4) < simple:
            template = self.choose(atoms)
        else:
            template = self.choose(self.usable(EXPRESSIONS[type_]))
        return self.fill(template, Template(), depth + 1)

    def fill(self, text: str, template: Template, depth: int = 0) -> str:
        """The text with its holes filled."""
        return HOLE.sub(lambda hole: self._hole(hole, template, depth), text)

    def _hole(self, hole: re.Match[str], template: Template, depth: int) -> str:
        picks, kind, digit, type_ = hole.groups()
        if picks is not None:
            return self.choose(picks.split("|"))
        if kind is None:
            wanted = (self.scope.returns or "matrix") if type_ == "return" else type_
            return self.results() if wanted == "results" else f"({self.expression(wanted, depth)})"
        key = f"{digit}_{type_}"
        if digit and key in template.bound:
            return template.bound[key]
        name = self._bind(kind, type_, template)
        template.bound[key] = name
        return name

    def _bind(self, kind: str, type_: str, template: Template) -> str:
        if kind == "any":
            return self.choose(self._known_names(type_))
        if kind == "var":
            return self.choose(self._assignable(type_))
        if kind == "outer":
            outer = self.scopes[-2]
            name = self.choose([n for n, t in outer.names.items() if t == type_ and n in outer.own])
            self.scope.own.add(name)
            return name
        name = self.new_name(type_)
        names = {
            "new": template.pending,
            "name": template.lasting,
            "count": template.counters,
            "param": template.parameters,
        }
        names[kind].append((name, type_))
        return name

    def results(self) -> str:
        """What the main function returns: some of its variables."""
        names = [n for n, t in self.scope.names.items() if t not in ("function", "producer", "iterator")]
        count = 1 + self.draw(4)
        chosen = dict.fromkeys(names[-1 - self.draw(len(names) - 1)] for _ in range(count))
        return f"({', '.join(chosen)},)"

    # ------------------------------------------------------------------------------ statements

    def block(self, depth: int, most: int = 3) -> list[str]:
        """One or more statements; the names they make are known in them only."""
        with self._names_end():
            lines = self.statement(depth)
            for _ in range(most - 1):
                if not self.draw(1):
                    break
                lines += self.statement(depth)
        return lines

    def statements(self, most: int) -> list[str]:
        """Statements of a function's body, whose names stay known."""
        lines: list[str] = []
        for _ in range(most):
            lines += self.statement(0)
            if not self.draw(5):
                break
        return lines

    def statement(self, depth: int) -> list[str]:
        """One statement, as lines."""
        templates = self.usable(SIMPLE_STATEMENTS)
        if depth < MAX_DEPTH and self.lines < MAX_LINES and self.draw(2) == 2:
            templates = self.usable(COMPOUND_STATEMENTS if depth + self.depth < 2 else WITHOUT_FUNCTIONS)
        if self.scope.in_loop and self.draw(5) == 5:
            templates = JUMPS[:2] if depth < MAX_DEPTH else JUMPS
        return self._compound(self.choose(templates), depth)

    def _compound(self, text: str, depth: int) -> list[str]:
        template, lines = Template(), []
        with self._names_end():
            rows = text.split("\n")
            if rows[0].startswith("def"):
                lines += self._function(rows, template, depth)
            else:
                for row in rows:
                    lines += self._row(row, template, depth)
        self._known(template.lasting)
        self.scope.names.update(template.counters)
        self.lines += len(lines)
        return lines

    def _row(self, row: str, template: Template, depth: int) -> list[str]:
        """One line of a template; a block is many."""
        indent = row[: len(row) - len(row.lstrip())]
        if row.strip() in BLOCKS:
            if row.strip() == "$loop":
                with self._in_loop(True):
                    return [indent + line for line in self.block(depth + 1)]
            return [indent + line for line in self.block(depth + 1)]
        line = self.fill(row, template)
        self._known(template.pending)
        if not indent and not row.endswith(":"):
            self._known(template.lasting)  # assigned before the lines that follow
            self.scope.names.update(template.counters)
        return [line]

    def _function(self, rows: list[str], template: Template, depth: int) -> list[str]:
        first = self.fill(rows[0], template)
        returns = None if "$name_producer" in rows[0] else "matrix"
        self.scopes.append(Scope(dict(self.scope.names), set(), returns))
        self.depth += 1
        self._known(template.parameters)
        lines = [first]
        for row in rows[1:]:
            lines += self._row(row, template, depth)
        self.depth -= 1
        self.scopes.pop()
        return lines

    def _known(self, names: list[tuple[str, str]]) -> None:
        self.scope.names.update(names)
        self.scope.own.update(n for n, _ in names)

    @contextmanager
    def _names_end(self) -> Iterator[None]:
        scope = self.scope
        names, own = dict(scope.names), set(scope.own)
        yield
        scope.names, scope.own = names, own

    @contextmanager
    def _in_loop(self, value: bool) -> Iterator[None]:
        scope = self.scope
        before, scope.in_loop = scope.in_loop, value
        yield
        scope.in_loop = before


# ------------------------------------------------------------------------------------------ programs

#: other arguments than the usual ones
CHANGES: dict[str, tuple[Any, ...]] = {
    "rows": (3, 1, 5),
    "n": (2, 0, 3, -1, 4),
    "r": (1.5, 0.0, -2.0),
    "flag": (False,),
    "name": ("c", "a"),
    "length": (3, 1),
    "grad": (True,),
    "share": (True,),
}


def generate(draw: Draw, reads_values: bool = True, most: int = 8) -> GeneratedProgram:
    """A program with a few calls: equal ones, then with other sizes, values, flags, gradients, aliasing.

    Args:
        draw: makes all decisions.
        reads_values: whether a tensor's elements may decide what the program does, or appear in what it prints.
        most: statements in the main function's body.
    """
    kinds = list(PARAMETERS)
    types = ["matrix", *(kinds[draw(len(kinds) - 1)] for _ in range(1 + draw(4)))]
    parameters = {("x" if i == 0 else f"{t}_{i}"): t for i, t in enumerate(types)}
    writer = Writer(draw, parameters, "results", reads_values)
    lines = [*writer.statements(most), f"return {writer.results()}"]
    written = [g for g in ("SCALE", "COUNT") if any(re.search(rf"\b{g} \+?= ", line) for line in lines)]
    if written:
        lines.insert(0, f"global {', '.join(written)}")
    main = [f"def f({', '.join(parameters)}):", *(f"    {line}" for line in lines)]
    changed = [_changes(draw) for _ in range(1 + draw(2))]
    return GeneratedProgram(_module("\n".join(main), parameters), ({}, {}, *changed, {}))


def _changes(draw: Draw) -> dict[str, Any]:
    """Changes of one argument or more."""
    names = list(CHANGES)
    wanted = [names[draw(len(names) - 1)] for _ in range(1 + draw(2))]
    return {name: CHANGES[name][draw(len(CHANGES[name]) - 1)] for name in wanted}


@st.composite
def generated_programs(draw: st.DrawFn, reads_values: bool = True, most: int = 8) -> GeneratedProgram:
    """Hypothesis strategy of `generate`."""
    return generate(lambda limit: draw(_up_to(limit)), reads_values, most)


@functools.cache
def _up_to(limit: int) -> st.SearchStrategy[int]:
    return st.integers(0, limit)


def _module(main: str, parameters: dict[str, str]) -> str:
    """The module around the main function: imports, what is called, and the arguments."""
    made = [f"    {name} = {PARAMETERS[type_]}" for name, type_ in parameters.items()]
    matrices = [name for name, type_ in parameters.items() if type_ == "matrix"]
    lists = [name for name, type_ in parameters.items() if type_ == "matrices"]
    shared = [*(f"{m} = x" for m in matrices[1:]), *(f"{m}[0] = x" for m in lists)]
    if shared:
        made += ["    if share:", *(f"        {s}" for s in shared)]
    body = "\n".join([f"def arguments({ARGUMENTS}):", *made, f"    return ({', '.join(parameters)},)"])
    own = ast.unparse(ast.parse(f"{main}\n\n{body}\n"))
    used: set[str] = set()
    _note_used(own, used)
    text = "\n".join([*(source for name, source in LIBRARY.items() if name in used), "", own])
    imports = [f"import {m}\n" for m in IMPORTS if f"{m}." in text]
    return f"{''.join(imports)}\nimport tracegraph as tg\n\n{text}\n"


def _note_used(text: str, used: set[str]) -> None:
    for name in re.findall(r"[A-Za-z_]+", text):
        if name in LIBRARY and name not in used:
            used.add(name)
            _note_used(LIBRARY[name], used)
