"""Fixtures of the whole suite: the --bless flag, fixed seeds, reproducible property tests."""

from __future__ import annotations

import random

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
