"""Fixtures of the whole suite: the --bless flag, fixed seeds, reproducible property tests."""

from __future__ import annotations

import gc
import os
import random
import re

# Workers share the cores; a BLAS that starts threads of its own in each of them makes them wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest

pytest.register_assert_rewrite("golden")
hypothesis.settings.register_profile("tracegraph", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("tracegraph")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless",
        action="store_true",
        help="rewrite the expectations of golden files from what the code gives; review the diff",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names that differ from process to process: workers could not tell that they run the same tests."""
    changing = [item.nodeid for item in items if re.search(r"0x[0-9a-f]{8}", item.nodeid)]
    if changing:
        raise pytest.UsageError(f"a test's id holds an address, give it ids=: {changing[0]}")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the suite: every full collection would go through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    """Whether golden expectations are to be rewritten rather than compared."""
    return bool(request.config.getoption("--bless"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same random state, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """A numpy generator that draws the same numbers in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile to machine code even where the suite runs with TRACEGRAPH_NATIVE=0: the test is about those stages."""
    monkeypatch.setenv("TRACEGRAPH_NATIVE", "1")
