"""Eager tensors: construction, layout, conversion, copying."""

import copy
import io
import pickle
from pathlib import Path

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.tensor.serialization import load, save


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, tg.float32),
        ([1, 2], tg.int64),
        ([True, False], tg.bool),
        ([[1.0, 2], [3, 4]], tg.float32),
        (np.arange(3, dtype=np.float64), tg.float64),
        (np.arange(3, dtype=np.int8), tg.int8),
        ([], tg.float32),
    ],
)
def test_default_dtypes(data, dtype):
    assert tg.tensor(data).dtype is dtype


def test_tensor_copies_and_from_numpy_shares():
    array = np.zeros(3, np.float32)
    copied, shared = tg.tensor(array), tg.from_numpy(array)
    array[0] = 5
    assert copied[0].item() == 0
    assert shared[0].item() == 5
    assert shared.numpy() is array


def test_foreign_dtypes_are_refused_by_name():
    with pytest.raises(RuntimeError, match="complex128"):
        tg.tensor(np.zeros(2, np.complex128))


def test_dtype_identity_is_canonical():
    unpickled = pickle.loads(pickle.dumps(np.zeros(2, np.float32)))
    swapped = np.zeros(2, ">f4")
    for array in (unpickled, np.zeros(2, np.longlong), swapped):
        t = tg.from_numpy(array)
        assert t._np.dtype is t.dtype.np


def test_unknown_device_is_refused():
    with pytest.raises(TypeError, match="device 'cuda'"):
        tg.tensor([1.0], device="cuda")


def test_views_share_storage_and_versions():
    x = tg.zeros(4, 6)
    v = x[1:3].t()
    assert v._base is x
    assert v._version == 0
    v.add_(1)
    assert x.sum().item() == 12
    assert x._version == v._version == 1
    assert v.stride() == (1, 6)
    assert not v.is_contiguous()


def test_a_tensor_in_other_memory_keeps_its_version_counter():
    x, y = tg.zeros(4), tg.ones(4)
    part = x[2:]
    x.data = y
    x.add_(1)
    assert (x._version, part._version, y._version) == (1, 1, 0)
    assert (x.tolist(), y.tolist(), part.tolist()) == ([2.0] * 4, [2.0] * 4, [0.0] * 2)
    assert (x.storage_offset(), x[1:].storage_offset(), part.storage_offset()) == (0, 1, 2)


def test_fresh_results_are_contiguous_whatever_the_operands():
    x = tg.ones(3, 4).t()
    assert (x * 2).is_contiguous()
    assert tg.exp(x).stride() == (3, 1)


def test_item_and_truth_need_one_element():
    assert tg.tensor([[2.5]]).item() == 2.5
    assert bool(tg.tensor(1))
    with pytest.raises(TypeError, match=r"shape \[2\]"):
        tg.zeros(2).item()
    with pytest.raises(TypeError, match="ambiguous"):
        bool(tg.zeros(2))


def test_numpy_of_a_recorded_tensor_is_refused():
    with pytest.raises(RuntimeError, match="detach"):
        tg.ones(2, requires_grad=True).numpy()


def test_pickle_and_deepcopy_of_leaves_only():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for clone in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert clone.requires_grad
        assert clone.tolist() == [1.0, 2.0]
        assert not np.shares_memory(clone._np, x._np)
    with pytest.raises(RuntimeError, match="leaf"):
        copy.deepcopy(x * 2)


def test_repr_follows_the_field():
    assert repr(tg.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(tg.tensor([1], dtype=tg.int8)) == "tensor([1], dtype=tracegraph.int8)"
    assert "requires_grad=True" in repr(tg.ones(1, requires_grad=True))


def test_save_and_load(tmp_path):
    state = {"w": tg.tensor([1.0, 2.0]), "h": tg.ones(2, dtype=tg.bfloat16), "step": 3, "nested": [tg.tensor(1)]}
    save(state, tmp_path / "state.tg")
    again = load(tmp_path / "state.tg")
    assert again["w"].tolist() == [1.0, 2.0]
    assert again["h"].dtype is tg.bfloat16
    assert again["step"] == 3


def test_load_refuses_code_and_damage(tmp_path):
    (tmp_path / "evil").write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match=r"builtins\.print"):
        load(tmp_path / "evil")
    (tmp_path / "cut").write_bytes(b"\x80\x05")
    with pytest.raises(ValueError, match="not a file written"):
        load(tmp_path / "cut")


def test_save_and_load_open_files() -> None:
    buffer = io.BytesIO()
    save({"w": tg.tensor([1.0, 2.0])}, buffer)
    buffer.seek(0)
    assert load(buffer, map_location="cpu", weights_only=True)["w"].tolist() == [1.0, 2.0]
    with pytest.raises(TypeError, match=r"save\(\): f must be a path or a file .*, not int"):
        save({}, 3)
    with pytest.raises(TypeError, match=r"load\(\): f must be a path or a file .*, not None"):
        load(None)
    with pytest.raises(RuntimeError, match="cuda"):
        load(io.BytesIO(), map_location="cuda")


def test_load_takes_any_object_from_a_trusted_file(tmp_path) -> None:
    save(Path("weights"), tmp_path / "object")
    with pytest.raises(ValueError, match="weights_only=False"):
        load(tmp_path / "object")
    assert load(tmp_path / "object", weights_only=False) == Path("weights")


def test_save_leaves_the_old_file_on_failure(tmp_path):
    save(tg.tensor(1), tmp_path / "x")
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        save(lambda: None, tmp_path / "x")
    assert load(tmp_path / "x").item() == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_tensors_are_not_made_of_lists_by_their_class() -> None:
    with pytest.raises(TypeError, match=r"got list; make tensors with tracegraph.tensor\(...\)"):
        tg.Tensor([1.0, 2.0])


def test_format() -> None:
    number, vector = tg.tensor(1.5), tg.tensor([1.5])
    assert f"{number} {number:.2f} {tg.tensor(True)}" == "1.5 1.50 True"
    assert f"{vector}" == repr(vector) == "tensor([1.5])"
    parameter = tg.nn.Parameter(number)
    assert f"{parameter}" == repr(parameter) and f"{parameter:.1f}" == "1.5"


def test_strides_of_tensors_without_elements():
    assert tg.zeros(0, 6).stride() == (tg.zeros(0, 6) * 2).stride() == (6, 1)
    assert tg.ones(3, 0, 2).stride() == (2, 2, 1)
    assert tg.ones(4, 6)[:0].stride() == (6, 1)

    def program(n):
        return tg.zeros(3, n, 2).stride(), tg.zeros(n, 4).stride(1)

    compiled = tg.compile(program)
    assert [compiled(n) for n in (2, 3, 0)] == [program(n) for n in (2, 3, 0)]
