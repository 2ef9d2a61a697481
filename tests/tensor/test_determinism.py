"""Deterministic algorithms are recorded as wanted, and guarded where a program asks."""

import tracegraph as tg


def test_the_switch_is_recorded_and_guarded():
    graphs = []

    def backend(module, inputs):
        graphs.append(module)
        return module

    @tg.compile(backend=backend)
    def f(x):
        return x * 2 if tg.are_deterministic_algorithms_enabled() else x * 3

    x = tg.ones(2)
    try:
        assert f(x).tolist() == [3.0, 3.0]
        tg.use_deterministic_algorithms(True, warn_only=True)
        assert tg.is_deterministic_algorithms_warn_only_enabled()
        assert f(x).tolist() == [2.0, 2.0]
    finally:
        tg.use_deterministic_algorithms(False)
    assert not tg.are_deterministic_algorithms_enabled()
    assert f(x).tolist() == [3.0, 3.0]
    assert len(graphs) == 2
