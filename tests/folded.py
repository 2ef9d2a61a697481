"""Tests of many small cases, folded: one test runs the cases of a group one after another.

    @folded("name", sorted(PROGRAMS), by=subject)
    def test_agrees_with_eager(name: str) -> None: ...

All cases run, whichever of them fail; the failure holds the error of each that failed, by name. Every case begins from
the same random state, as a test of its own would. With `pytest --case NAME` (or a pattern: `--case 'breaks.*'`) each
case of that name is a test of its own, and nothing else runs.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Fold:
    """How a test is folded: the argument that takes a case, all cases, the name of each and of its group."""

    argument: str
    cases: tuple[Any, ...]
    name: Callable[[Any], str]
    group: Callable[[Any], str]

    def groups(self) -> list[Group]:
        found: dict[str, list[Any]] = {}
        for case in self.cases:
            found.setdefault(self.group(case), []).append(case)
        return [Group(name, tuple(cases)) for name, cases in found.items()]


@dataclass(frozen=True)
class Group:
    """The cases of one test."""

    name: str
    cases: tuple[Any, ...]


def folded(
    argument: str,
    cases: Iterable[Any],
    *,
    by: Callable[[Any], str] = lambda case: "all",
    name: Callable[[Any], str] = str,
) -> pytest.MarkDecorator:
    """One test for each group that `by` makes of the cases, in place of one for each case."""
    return pytest.mark.folded(Fold(argument, tuple(cases), name, by))


def seed() -> None:
    """The random state in which every test and every case begins."""
    random.seed(0)
    np.random.seed(0)


def _fold_of(node: Any) -> Fold | None:
    mark = node.get_closest_marker("folded")
    return None if mark is None else mark.args[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--case", metavar="NAME", help="run the cases of folded tests that have this name, each by itself")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "folded(fold): runs a group of cases, see tests/folded.py")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    fold, wanted = _fold_of(metafunc.definition), metafunc.config.getoption("--case")
    if fold is None:
        return
    if wanted is None:
        metafunc.parametrize(fold.argument, fold.groups(), ids=lambda group: group.name)
    else:
        cases = [c for c in fold.cases if fnmatchcase(fold.name(c), wanted)]
        metafunc.parametrize(fold.argument, cases, ids=fold.name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --case, keep the tests of single cases."""
    if config.getoption("--case") is None:
        return
    kept = [i for i in items if (f := _fold_of(i)) is not None and f.argument in i.callspec.params]
    kept = [i for i in kept if not any(mark.name == "skip" for mark in i.iter_markers())]  # of no case
    if not kept:
        raise pytest.UsageError(f"no folded test has a case {config.getoption('--case')!r}")
    config.hook.pytest_deselected(items=[i for i in items if i not in kept])
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    fold = _fold_of(pyfuncitem)
    group = pyfuncitem.funcargs.get(fold.argument) if fold is not None else None
    if fold is None or not isinstance(group, Group):
        return None
    names = inspect.signature(pyfuncitem.function).parameters
    others = {name: pyfuncitem.funcargs[name] for name in names if name != fold.argument}
    failures: dict[str, BaseException] = {}
    for case in group.cases:
        seed()
        try:
            pyfuncitem.obj(**others, **{fold.argument: case})
        except (Exception, pytest.fail.Exception) as error:
            error.add_note(f"case: {fold.name(case)}; it runs alone by --case '{fold.name(case)}'")
            failures[fold.name(case)] = error
    if failures:
        summary = f"{len(failures)} of {len(group.cases)} cases fail: {', '.join(failures)}"
        raise BaseExceptionGroup(summary, list(failures.values()))
    return True
