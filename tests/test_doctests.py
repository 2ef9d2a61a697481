"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

# in an editable install the last two are folders elsewhere, which walking the first does not find
PACKAGES = ("tracegraph", "tracegraph.passes", "tracegraph.codegen")


def modules_of(package: str) -> set[str]:
    folders = importlib.import_module(package).__path__
    return {package, *(module.name for module in pkgutil.walk_packages(folders, f"{package}."))}


@pytest.mark.parametrize("name", sorted(set().union(*map(modules_of, PACKAGES))))
def test_docstring_examples(name: str) -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert result.failed == 0
