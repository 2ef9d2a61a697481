"""Every model port: captured whole or with known breaks, right forward and backward, for other sizes, in both modes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

import tracegraph as tg
from models.ports import PORTS, Port, assert_close, capture_of, step

WHOLE_FORWARD = sorted(name for name, port in PORTS.items() if not port.forward_breaks)
#: relative to the largest element of a tensor; what rounding in another order makes of the deepest of these models
TOLERANCE = 2e-4


@pytest.fixture(params=sorted(PORTS))
def port(request: pytest.FixtureRequest) -> Port:
    return PORTS[request.param]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_forward_is_exactly_eager_for_every_batch_size(port: Port, training: bool) -> None:
    """Captured and replayed op by op, so every element must be the same; the third size needs no third capture."""
    model = port.make().train(training)
    compiled = tg.compile(model, backend="eager", options={"strict": True}, fullgraph=not port.forward_breaks)
    for batch in (2, 3, 4, 2):
        tg.manual_seed(3)
        expected = copy.deepcopy(model)(*port.inputs(batch))
        tg.manual_seed(3)
        assert_close(compiled(*port.inputs(batch)), expected, tolerance=0)
    found = capture_of(compiled)
    assert found.breaks == port.forward_breaks
    if not port.forward_breaks:
        assert len(found.graphs) == 2, "one for the first size, one for all others"


def test_training_step(port: Port) -> None:
    """Loss, all gradients and all buffers of native code."""
    model = port.make()
    compiled = tg.compile(port.loss_of, options={"strict": True}, fullgraph=not port.step_breaks)
    expected, actual = (step(model, f, port.batch(6)) for f in (port.loss_of, compiled))
    assert expected.keys() == actual.keys()
    assert_close(actual, expected, TOLERANCE)
    found = capture_of(compiled)
    assert found.breaks == port.step_breaks
    if not port.step_breaks:
        assert len(found.graphs) == 1


@pytest.mark.parametrize("name", WHOLE_FORWARD)
def test_evaluation_without_gradients(name: str) -> None:
    """Native inference under no_grad."""
    port = PORTS[name]
    model = port.make().eval()
    with tg.no_grad():
        expected = model(*port.inputs(2))
        compiled = tg.compile(model, fullgraph=True, options={"strict": True})
        assert_close(compiled(*port.inputs(2)), expected, TOLERANCE)


def test_state_dict_round_trip(port: Port, tmp_path: Path) -> None:
    """A compiled model has the original's state; saved and loaded into another, it computes the same."""
    model = port.make().eval()
    compiled = tg.compile(model, backend="eager")
    assert list(compiled.state_dict()) == list(model.state_dict())
    tg.save(compiled.state_dict(), tmp_path / "model.pt")
    tg.manual_seed(9)
    other = getattr(port.module, port.maker)().eval()
    incompatible = other.load_state_dict(tg.load(tmp_path / "model.pt"))
    assert (incompatible.missing_keys, incompatible.unexpected_keys) == ([], [])
    with tg.no_grad():
        assert_close(other(*port.inputs(2)), compiled(*port.inputs(2)), tolerance=0)
