"""Random numbers: the bits against published vectors, reproducibility, and the distributions' statistics."""

from __future__ import annotations

import copy
import math
import pickle
import threading

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import ir
from tracegraph.errors import DataDependentError
from tracegraph.ops import functional as F
from tracegraph.ops.graphs.recording import Recorder
from tracegraph.ops.numerics import philox
from tracegraph.ops.random.generator import Generator, default_generator

COUNT = 40_000


@pytest.fixture(autouse=True)
def _seed() -> None:
    tg.manual_seed(2024)


@pytest.mark.parametrize(
    ("seed", "draw", "position", "wanted"),
    [  # known answers of the authors' library, Random123: counter (position, draw), key (seed)
        (0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (0x299F31D0A4093822, 0x0370734413198A2E, 0x85A308D3243F6A88, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_known_answers(seed: int, draw: int, position: int, wanted: str) -> None:
    words = philox.words(seed, draw, np.array([position], np.uint64))
    assert " ".join(f"{int(w[0]):08x}" for w in words) == wanted


def test_signed_seeds_are_their_bits() -> None:
    positions = np.arange(5)
    for a, b in zip(philox.words(-1, -2, positions), philox.words(2**64 - 1, 2**64 - 2, positions), strict=True):
        np.testing.assert_array_equal(a, b)


def test_uniform_numbers_are_the_top_bits() -> None:
    key = F.fixed_key(7, 3)
    words = philox.words(7, 3, np.arange(100))
    found = F.philox_uniform(key, (10, 10)).numpy().ravel()
    np.testing.assert_array_equal(found, (words[0] >> np.uint64(8)).astype(np.float32) * np.float32(2**-24))
    wide = F.philox_uniform(key, (100,), dtype="float64").numpy()
    bits = (words[0] << np.uint64(21)) | (words[1] >> np.uint64(11))
    np.testing.assert_array_equal(wide, bits.astype(np.float64) * 2.0**-53)


def test_elements_do_not_depend_on_the_size() -> None:
    key = F.fixed_key(1, 2)
    large = F.philox_normal(key, (50_000,))
    np.testing.assert_array_equal(large[:10].numpy(), F.philox_normal(key, (2, 5)).numpy().ravel())


def test_a_seed_fixes_all_that_follows() -> None:
    def draws():
        return tg.rand(3), tg.randn(2, 2), tg.randint(9, (4,)), tg.randperm(5)

    tg.manual_seed(5)
    first = draws()
    tg.manual_seed(5)
    for a, b in zip(first, draws(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not np.array_equal(tg.rand(3).numpy(), tg.rand(3).numpy())


def test_state_can_be_kept_and_restored() -> None:
    tg.rand(3)
    state = tg.get_rng_state()
    expected = tg.rand(4).tolist()
    tg.set_rng_state(state)
    assert tg.rand(4).tolist() == expected
    assert tg.initial_seed() == 2024
    with pytest.raises(TypeError, match="the pair"):
        tg.set_rng_state("x")


def test_generators_are_streams_of_their_own() -> None:
    generator = tg.Generator().manual_seed(-3)
    before = default_generator.get_state()
    first = tg.randn(3, generator=generator)
    assert default_generator.get_state() == before
    for twin in (Generator().manual_seed(-3), pickle.loads(pickle.dumps(generator)).manual_seed(-3)):
        np.testing.assert_array_equal(tg.randn(3, generator=twin).numpy(), first.numpy())
    ahead = copy.deepcopy(generator)
    assert ahead.get_state() == generator.get_state() == (2**64 - 3, 1)
    assert tg.Generator().seed() != tg.Generator().seed()


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_seeds_beyond_64_bits_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="must fit 64 bits"):
        tg.manual_seed(seed)


def test_threads_draw_distinct_keys() -> None:
    keys: list[int] = []
    threads = [
        threading.Thread(target=lambda: keys.extend(int(default_generator.next_key()[1]) for _ in range(200)))
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(keys) == list(range(800))


# ------------------------------------------------------------------------------------------------ distributions


def check_moments(values: np.ndarray, mean: float, std: float) -> None:
    """Mean and standard deviation within five standard errors."""
    count = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(count)
    assert abs(values.std() - std) < 5 * std / math.sqrt(count)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform(dtype: str) -> None:
    x = tg.rand(COUNT, dtype=dtype)
    assert x.dtype is tg.dtypes.as_dtype(dtype)
    values = x.double().numpy()
    assert values.min() >= 0
    assert values.max() < 1
    check_moments(values, 0.5, 12**-0.5)
    quarters = np.histogram(values, bins=4, range=(0, 1))[0] / COUNT
    assert abs(quarters - 0.25).max() < 0.02


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normal(dtype: str) -> None:
    values = tg.randn(COUNT, dtype=dtype).double().numpy()
    check_moments(values, 0, 1)
    for z, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert abs((abs(values) < z).mean() - share) < 0.01


def test_consecutive_draws_are_uncorrelated() -> None:
    a, b = tg.randn(COUNT).numpy(), tg.randn(COUNT).numpy()
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(COUNT)
    assert abs(np.corrcoef(a[:-1], a[1:])[0, 1]) < 5 / math.sqrt(COUNT)


@pytest.mark.parametrize(("low", "high"), [(0, 6), (-3, 4), (10, 11), (1 - 2**62, 2**62), (0, 2**63 - 1)])
def test_randint_covers_its_range(low: int, high: int) -> None:
    values = tg.randint(low, high, (COUNT,)).numpy()
    assert values.min() >= low
    assert values.max() < high
    if high - low < 10:
        shares = np.bincount(values - low, minlength=high - low) / COUNT
        assert abs(shares - 1 / (high - low)).max() < 0.02
    else:
        middle = values.astype(np.float64).mean()
        assert abs(middle - (low + high) / 2) < (high - low) * 0.02


def test_randint_forms() -> None:
    assert tg.randint(3, (2, 2)).shape == (2, 2)
    assert tg.randint(high=3, size=(2,)).dtype is tg.int64
    assert tg.randint(-2, 3, (2,), dtype="float32").dtype is tg.float32
    assert tg.randint_like(tg.zeros(4), 1, 3).dtype is tg.float32


def test_bernoulli() -> None:
    p = tg.tensor([0.0, 0.25, 1.0]).unsqueeze(1).expand(3, COUNT)
    shares = tg.bernoulli(p).numpy().mean(1)
    np.testing.assert_allclose(shares, [0, 0.25, 1], atol=0.02)
    assert set(tg.zeros(1000).bernoulli_(0.5).tolist()) == {0.0, 1.0}
    assert tg.bernoulli(tg.zeros(3, dtype=tg.int64), 1.0).tolist() == [1, 1, 1]


def test_normal_with_means_and_deviations() -> None:
    found = tg.normal(tg.tensor([[0.0], [100.0]]), tg.full((COUNT,), 2.0))
    assert found.shape == (2, COUNT)
    check_moments(found[0].numpy(), 0, 2)
    check_moments(found[1].numpy(), 100, 2)
    check_moments(tg.normal(3.0, 0.5, (COUNT,)).numpy(), 3, 0.5)


def test_randperm_is_a_permutation_and_unbiased() -> None:
    assert sorted(tg.randperm(1000).tolist()) == list(range(1000))
    firsts = [tg.randperm(4)[0].item() for _ in range(2000)]
    assert min(np.bincount(firsts)) > 400


def test_multinomial() -> None:
    weights = tg.tensor([1.0, 0.0, 3.0])
    drawn = tg.multinomial(weights, COUNT, replacement=True).numpy()
    shares = np.bincount(drawn, minlength=3) / COUNT
    np.testing.assert_allclose(shares, [0.25, 0, 0.75], atol=0.02)
    rows = tg.multinomial(weights.expand(2000, 3), 2).numpy()
    assert {tuple(sorted(r)) for r in rows.tolist()} == {(0, 2)}
    assert abs((rows[:, 0] == 2).mean() - 0.75) < 0.05


def test_in_place_forms() -> None:
    x = tg.zeros(COUNT)
    assert x.uniform_(-2, 4) is x
    check_moments(x.numpy(), 1, 6 / math.sqrt(12))
    check_moments(x.normal_(1, 3).numpy(), 1, 3)
    check_moments(x.exponential_(2.0).numpy(), 0.5, 0.5)
    assert set(tg.zeros(1000, dtype=tg.int8).random_(3).tolist()) == {0, 1, 2}
    assert tg.zeros(1000, dtype=tg.uint8).random_().max().item() > 200


# ------------------------------------------------------------------------------------------------ tracing


def test_the_graph_takes_its_keys_in_program_order() -> None:
    builder = ir.Builder("f")
    with Recorder(builder).active():
        a, b = tg.rand(3), tg.randn(2)
    graph = ir.verify(builder.output(a.value, b.value))
    assert [n.call_op.name for n in graph.calls] == ["next_key", "philox_uniform", "next_key", "philox_normal"]
    tg.manual_seed(1)
    first = ir.interpret(graph)
    tg.manual_seed(1)
    for found, wanted in zip(first, (tg.rand(3), tg.randn(2)), strict=True):
        np.testing.assert_array_equal(found, wanted.numpy())


def test_a_generator_of_ones_own_stops_the_trace() -> None:
    generator = tg.Generator().manual_seed(0)
    with Recorder(ir.Builder("f")).active(), pytest.raises(DataDependentError):
        tg.rand(3, generator=generator)
    assert generator.get_state() == (0, 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.rand(2, dtype=tg.int64), RuntimeError, "need a floating dtype, got int64; use randint"),
        (lambda: tg.rand(2, generator=3), TypeError, "must be a tracegraph.Generator or None, got int"),
        (lambda: tg.rand(-1), RuntimeError, "negative size -1"),
        (lambda: tg.randint(3, 3, (2,)), ValueError, "expected low < high, got low=3, high=3"),
        (lambda: tg.randint(3), TypeError, r"randint\(high, size\)"),
        (lambda: tg.randint(-(2**63), 2**63 - 1, (1,)), ValueError, r"more than 2\*\*63"),
        (lambda: tg.bernoulli(tg.zeros(2), 1.5), ValueError, "must be a probability"),
        (lambda: tg.bernoulli(tg.zeros(2, dtype=tg.int64)), RuntimeError, "must be floating"),
        (lambda: tg.normal(0.0, -1.0, (2,)), ValueError, "must not be negative"),
        (lambda: tg.normal(0.0, 1.0), TypeError, "give the size"),
        (lambda: tg.multinomial(tg.ones(2), 3), RuntimeError, "cannot draw 3 samples without replacement from 2"),
        (lambda: tg.multinomial(tg.ones(2, 2, 2), 1), RuntimeError, "a vector or a matrix"),
        (lambda: tg.zeros(2).uniform_(2, 1), ValueError, "expected low <= to"),
        (lambda: tg.randperm(-1), ValueError, "must not be negative"),
    ],
)
def test_refusals(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
