"""Fixtures of the whole suite: the --bless flag, fixed seeds, reproducible property tests."""

from __future__ import annotations

import gc
import os
import re

# Workers share the cores; a BLAS that starts threads of its own in each of them makes them wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import folded
import hypothesis
import numpy as np
import pytest

pytest.register_assert_rewrite("agreement", "captured", "compiling", "golden", "stories", "varying_numbers")
hypothesis.settings.register_profile("tracegraph", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("tracegraph")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.register(folded, "folded")
    parser.addoption(
        "--bless",
        action="store_true",
        help="rewrite the expectations of golden files from what the code gives; review the diff",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Workers that run out of tests take over some of another's: the longest tests do not make the others wait."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names that differ from process to process: workers could not tell that they run the same tests."""
    changing = [item.nodeid for item in items if re.search(r"0x[0-9a-f]{8}", item.nodeid)]
    if changing:
        raise pytest.UsageError(f"a test's id holds an address, give it ids=: {changing[0]}")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the suite, and run it less often: it took 6 % of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    """Whether golden expectations are to be rewritten rather than compared."""
    return bool(request.config.getoption("--bless"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same random state, whatever ran before it."""
    folded.seed()


@pytest.fixture
def rng() -> np.random.Generator:
    """A numpy generator that draws the same numbers in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile to machine code even where the suite runs with TRACEGRAPH_NATIVE=0: the test is about those stages."""
    monkeypatch.setenv("TRACEGRAPH_NATIVE", "1")
