"""Tokens of IR text, with positions for error messages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracegraph.errors import ParseError

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+)
  | (?P<newline>\n)
  | (?P<comment>//[^\n]*)
  | (?P<value>%[A-Za-z0-9_.]+)
  | (?P<digest>\#[0-9a-f]+)
  | (?P<number>-(?:inf|nan)\b|-?\d+\.\d*(?:e[+-]?\d+)?|-?\d+e[+-]?\d+|\d+)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<name>[A-Za-z_][A-Za-z0-9_.<>]*(?:::[A-Za-z_][A-Za-z0-9_.]*)?)
  | (?P<punct>[(){}\[\],:=*+-])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """One token: `kind` is the name of its pattern; line and column count from 1."""

    kind: str
    text: str
    line: int
    column: int


def tokenize(text: str) -> list[Token]:
    """Tokens of `text`; comments are kept (they carry user locations), white space is not.

    Raises:
        ParseError: a character starts no token.
    """
    tokens: list[Token] = []
    position, line, start = 0, 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        column = position - start + 1
        if match is None:
            raise syntax_error(text, line, column, f"unexpected character {text[position]!r}")
        kind = match.lastgroup or ""
        if kind == "newline":
            line, start = line + 1, match.end()
        elif kind != "space":
            tokens.append(Token(kind, match.group(), line, column))
        position = match.end()
    tokens.append(Token("end", "", line, position - start + 1))
    return tokens


def syntax_error(text: str, line: int, column: int, message: str) -> ParseError:
    """A ParseError that shows the line and points at the column."""
    lines = text.splitlines()
    shown = lines[line - 1] if line <= len(lines) else ""
    return ParseError(f"line {line}, column {column}: {message}\n  {shown}\n  {' ' * (column - 1)}^")
