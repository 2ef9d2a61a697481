"""Names of older programs, and of devices and libraries that are not there."""

from __future__ import annotations

import pickle

import pytest
from captured import check

import tracegraph as tg
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.nn.attention import SDPBackend, sdpa_kernel


def test_types_of_tensors() -> None:
    x = tg.FloatTensor([1, 2])
    assert x.dtype is tg.float32 and x.tolist() == [1.0, 2.0] and isinstance(x, tg.FloatTensor)
    assert not isinstance(x, tg.LongTensor) and not isinstance(1.0, tg.FloatTensor)
    assert tg.LongTensor(2, 3).shape == (2, 3) and tg.BoolTensor().shape == (0,)
    assert tg.DoubleTensor([1.0]).dtype is tg.float64
    check(lambda: tg.FloatTensor([1, 2])[tg.LongTensor([1, 0])], lambda: (), graphs=1, fullgraph=True)


def test_layout() -> None:
    assert tg.ones(2).layout is tg.strided and isinstance(tg.strided, tg.layout)
    assert pickle.loads(pickle.dumps(tg.strided)) is tg.strided and repr(tg.strided) == "tracegraph.strided"


def test_variables() -> None:
    x = tg.ones(2)
    variable = tg.autograd.Variable(x, requires_grad=True)
    assert variable.requires_grad and variable.is_leaf and not x.requires_grad
    assert variable.data_ptr() == x.data_ptr()


def test_what_is_not_there() -> None:
    import tracegraph.backends.cudnn as cudnn

    cudnn.benchmark = True
    with cudnn.flags(enabled=False), tg.backends.mkldnn.flags(enabled=False):
        assert not tg.backends.cudnn.is_available() and cudnn.version() is None
    cudnn.benchmark = False
    assert not any(m.is_available() for m in (tg.backends.mps, tg.backends.mkl, tg.backends.mkldnn, tg.backends.openmp))
    tg.backends.cuda.enable_flash_sdp(False)
    assert tg.backends.cuda.math_sdp_enabled() and not tg.backends.cuda.is_built()
    tg.cuda.empty_cache()
    tg.cuda.manual_seed_all(1)
    assert tg.cuda.max_memory_allocated() == tg.cuda.device_count() == 0 and not tg.cuda.is_initialized()
    for ask in (tg.cuda.synchronize, tg.cuda.current_device, tg.cuda.get_device_name):
        with pytest.raises(ArgumentError, match="there is no CUDA device"):
            ask()


def test_attention_backends() -> None:
    q = tg.ones(1, 2, 2)

    def attend(q: tg.Tensor) -> tg.Tensor:
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
            return tg.nn.functional.scaled_dot_product_attention(q, q, q)

    check(attend, lambda: (q,), graphs=1, fullgraph=True)
    with pytest.raises(ArgumentError, match="SDPBackend"), sdpa_kernel(["math"]):
        pass
    with pytest.raises(ValueRangeError, match="at least one"), sdpa_kernel([]):
        pass


def test_matmul_precision() -> None:
    assert tg.get_float32_matmul_precision() == "highest"
    tg.set_float32_matmul_precision("high")
    assert tg.get_float32_matmul_precision() == "high"
    tg.set_float32_matmul_precision("highest")
    with pytest.raises(ValueRangeError, match="one of"):
        tg.set_float32_matmul_precision("low")


def test_signs() -> None:
    assert tg.is_signed(tg.ones(1)) and not tg.is_signed(tg.ones(1, dtype=tg.uint8))
