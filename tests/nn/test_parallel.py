"""Wrappers for several devices, of which there is one."""

from __future__ import annotations

import pytest
from captured import capture_of

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ArgumentError
from tracegraph.nn.modules.utils import consume_prefix_in_state_dict_if_present


def test_data_parallel_is_the_module_on_one_device() -> None:
    layer = nn.Linear(3, 2)
    wrapped, x = nn.DataParallel(layer), tg.randn(4, 3)
    assert wrapped.module is layer and wrapped(x).tolist() == layer(x).tolist()
    assert capture_of(wrapped, fullgraph=True)(x).tolist() == layer(x).tolist()
    state = wrapped.state_dict()
    assert list(state) == ["module.weight", "module.bias"]
    consume_prefix_in_state_dict_if_present(state, "module.")
    layer.load_state_dict(state)


def test_devices_that_do_not_exist() -> None:
    with pytest.raises(ArgumentError, match="device 1 \\(int\\) does not exist"):
        nn.DataParallel(nn.Identity(), device_ids=[0, 1][1:])
    with pytest.raises(ArgumentError, match="use the module as it is"):
        nn.parallel.DistributedDataParallel(nn.Identity())
    assert not isinstance(nn.Identity(), nn.parallel.DistributedDataParallel)


def test_the_hook_that_full_backward_hooks_replaced() -> None:
    with pytest.raises(ArgumentError, match="register_full_backward_hook"):
        nn.Identity().register_backward_hook(print)
