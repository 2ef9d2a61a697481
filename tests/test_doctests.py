"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
from pathlib import Path

import pytest

# in an editable install the last two are folders elsewhere, which walking the first does not find
PACKAGES = ("tracegraph", "tracegraph.passes", "tracegraph.codegen")


def modules_of(package: str) -> set[str]:
    folders = importlib.import_module(package).__path__
    return {package, *(module.name for module in pkgutil.walk_packages(folders, f"{package}."))}


def has_examples(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return ">>> " in Path(spec.origin).read_text()


@pytest.mark.parametrize("name", sorted(filter(has_examples, set().union(*map(modules_of, PACKAGES)))))
def test_docstring_examples(name: str) -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(name), optionflags=options, exclude_empty=True)
    assert result.attempted > 0
    assert result.failed == 0
