"""The one device: its object, and what accepts it."""

from __future__ import annotations

import copy
import pickle

import pytest

import tracegraph as tg
from tracegraph import nn


def test_the_device_is_one_object_that_prints() -> None:
    device = tg.device("cpu")
    assert tg.ones(2).device is device is tg.device(device)
    assert (device.type, device.index, str(device), repr(device)) == ("cpu", None, "cpu", "device(type='cpu')")
    first = tg.device("cpu", 0)
    assert first is tg.device("cpu:0") is not device
    assert (str(first), repr(first)) == ("cpu:0", "device(type='cpu', index=0)")
    assert copy.deepcopy(device) is copy.copy(device) is pickle.loads(pickle.dumps(device)) is device
    with pytest.raises(AttributeError, match="cannot be changed"):
        device.type = "cuda"


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps", 3, None])
def test_other_devices_do_not_exist(name: object) -> None:
    with pytest.raises(TypeError, match="does not exist; tracegraph runs on 'cpu'"):
        tg.device(name)


@pytest.mark.parametrize("arguments", [("cpu:1",), ("cpu", 1), ("cpu:x",), ("cpu:0", 0)])
def test_there_is_one_cpu(arguments: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="device"):
        tg.device(*arguments)


def test_what_takes_a_device() -> None:
    x, device = tg.ones(2, 3), tg.device("cpu")
    assert x.to(device) is x.to("cpu:0") is x.cpu() is x.to(device=device, non_blocking=True) is x
    assert tg.arange(3, device=device).device is tg.tensor([1.0], device=device).device is device
    assert x.new_tensor([1], device=device).dtype is x.dtype
    assert tg.as_tensor([1.0], device=device).tolist() == [1.0]
    layer = nn.Linear(3, 2, device=device, dtype=tg.float64).to(device)
    assert layer.weight.dtype is tg.float64
    assert tg.Generator(device).manual_seed(1).initial_seed() == 1
    for wrong in (x.cuda, lambda: x.to("cuda"), lambda: x.cuda(0), lambda: nn.Linear(3, 2, device="cuda")):
        with pytest.raises(TypeError, match=r"device 'cuda.*' does not exist"):
            wrong()


def test_there_is_no_cuda() -> None:
    assert not tg.cuda.is_available()
    assert tg.cuda.device_count() == 0
    assert tg.device("cuda" if tg.cuda.is_available() else "cpu").type == "cpu"
    tg.cuda.manual_seed_all(1)


def test_devices_are_captured() -> None:
    @tg.compile(fullgraph=True)
    def f(x: tg.Tensor) -> tuple[tg.Tensor, tg.device]:
        if x.device.type == "cpu" and not x.is_cuda and not tg.cuda.is_available():
            x = x + tg.arange(x.shape[-1], device=x.device)
        return x.to(tg.device("cpu")), x.device

    result, device = f(tg.ones(2, 3))
    assert result.tolist() == [[1, 2, 3]] * 2
    assert device is tg.device("cpu")
