"""Python functions called from native code: arrays arrive, errors are never lost."""

import ctypes
import threading

import numpy as np
import pytest

from tracegraph.codegen import jit
from tracegraph.codegen.extern import FAILED, ExternFunction, raise_pending
from tracegraph.codegen.loop_index import index
from tracegraph.codegen.loop_ir import Buffer, Mode
from tracegraph.dtypes import bfloat16, float32

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)
DRIVER = """declare i32 @callback(ptr, ptr)
define i32 @driver(ptr %buffers, ptr %sizes) {
  %status = call i32 @callback(ptr %buffers, ptr %sizes)
  ret i32 %status
}
"""


def call(extern: ExternFunction, arrays: list[np.ndarray], sizes: list[int]) -> int:
    library = jit.load(DRIVER, ["driver"], {"callback": extern.address})
    pointers = np.array([a.ctypes.data for a in arrays], np.uint64)
    lengths = np.array(sizes, np.int64)
    return int(ENTRY(library.address("driver"))(pointers.ctypes.data, lengths.ctypes.data))


def buffers(*modes: Mode) -> list[Buffer]:
    return [Buffer(f"b{i}", float32, (index("n"), index(2)), mode) for i, mode in enumerate(modes)]


def test_arrays_arrive_and_results_are_written_in_place() -> None:
    def double(x: np.ndarray, y: np.ndarray) -> None:
        assert not x.flags.writeable
        y[:] = x * 2

    x, y = np.arange(6, dtype=np.float32).reshape(3, 2), np.zeros((3, 2), np.float32)
    extern = ExternFunction("double", double, buffers(Mode.IN, Mode.OUT), ["n"])
    assert call(extern, [x, y], [3]) == 0
    assert np.array_equal(y, x * 2)
    raise_pending()


def test_errors_come_back_with_their_traceback() -> None:
    def broken(x: np.ndarray) -> None:
        raise KeyError("lost?")

    extern = ExternFunction("broken", broken, buffers(Mode.IN), ["n"])
    assert call(extern, [np.zeros((1, 2), np.float32)], [1]) == FAILED
    with pytest.raises(KeyError, match="lost") as caught:
        raise_pending()
    assert any(entry.name == "broken" for entry in caught.traceback)
    raise_pending()


def test_errors_stay_in_their_thread() -> None:
    def broken() -> None:
        raise KeyboardInterrupt

    seen: list[BaseException] = []

    def work() -> None:
        call(extern, [], [])
        try:
            raise_pending()
        except KeyboardInterrupt as error:
            seen.append(error)

    extern = ExternFunction("broken", broken, [])
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(seen) == 1
    raise_pending()


def test_strides_and_empty_and_bfloat16() -> None:
    shapes = []

    def look(x: np.ndarray, y: np.ndarray) -> None:
        shapes.append((x.shape, x.strides, y.shape, y.dtype))
        x[1, 0] = 5

    strided = Buffer("x", float32, (index(2), index(3)), Mode.INOUT, (index(1), index(2)))
    empty = Buffer("y", bfloat16, (index(0),), Mode.IN)
    memory = np.zeros((3, 2), np.float32)
    extern = ExternFunction("look", look, [strided, empty])
    assert call(extern, [memory, np.zeros(0)], []) == 0
    raise_pending()
    assert shapes == [((2, 3), (4, 8), (0,), bfloat16.np)]
    assert memory[0, 1] == 5
