"""Kernels by content: compiled once, whatever their name; the rest of a program is small."""

import ctypes
import threading

import numpy as np
import pytest

from tracegraph.codegen.compile import compile_program
from tracegraph.codegen.loops.loop_ir import Kernel
from tracegraph.codegen.loops.loop_parser import parse_kernel
from tracegraph.codegen.native.kernel_store import STORE, KernelKey, KernelStore, kernels_text
from tracegraph.ir.parser import parse
from tracegraph.passes import plan_memory

CALL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)


def scaled(name: str, factor: float) -> Kernel:
    """The kernel y = factor * x on f32[4]."""
    return parse_kernel(
        f"kernel {name}(in x: f32[4], out y: f32[4]) {{\n  for i in 0..4 {{\n    let %v: f32 = load x[i]\n"
        f"    let %w: f32 = mul(%v, {factor})\n    store y[i] = %w\n  }}\n}}"
    )


def run(address: int) -> list[float]:
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    assert CALL(address)(x.ctypes.data, y.ctypes.data) == 0
    return y.tolist()


def test_names_do_not_matter_and_everything_else_does() -> None:
    assert KernelKey.of(scaled("a", 2.0)) == KernelKey.of(scaled("b", 2.0))
    assert KernelKey.of(scaled("a", 2.0)) != KernelKey.of(scaled("a", 3.0))


def test_equal_kernels_share_a_function() -> None:
    store = KernelStore()
    first = store.load([scaled("a", 2.0), scaled("b", 2.0), scaled("c", 3.0)])
    assert first["a"] == first["b"] != first["c"]
    assert run(first["b"]) == [0, 2, 4, 6]
    assert run(first["c"]) == [0, 3, 6, 9]
    second = store.load([scaled("d", 3.0), scaled("a", 5.0)])
    assert second["d"] == first["c"]
    assert run(second["a"]) == [0, 5, 10, 15]
    assert len(store) == 3


def test_clear_forgets() -> None:
    store = KernelStore()
    before = store.load([scaled("a", 2.0)])
    store.clear()
    assert len(store) == 0
    assert store.load([scaled("a", 2.0)]) != before


def test_threads_share_the_store() -> None:
    store = KernelStore()
    found: list[list[float]] = []

    def work(number: int) -> None:
        addresses = store.load([scaled("same", 2.0), scaled("own", float(number))])
        found.append([*run(addresses["same"]), *run(addresses["own"])])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [[0, 2, 4, 6, 0, n, 2 * n, 3 * n] for n in range(3, 9)]
    assert len(store) == 7


def test_graphs_share_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "graph {}(%x: f32[7, 3]) {{\n  %0: f32[7, 3] = exp(%x)\n  %1: f32[7, 3] = {}(%0)\n  return %1\n}}"
    compile_program(plan_memory(parse(text.format("f", "sin"))))
    compiled: list[str] = []
    monkeypatch.setattr(
        "tracegraph.codegen.native.kernel_store.kernels_text",
        lambda kernels: compiled.extend(k.name for k in kernels) or kernels_text(kernels),
    )
    before = len(STORE)
    second = compile_program(plan_memory(parse(text.format("g", "cos"))))
    assert compiled == ["cos_0"]
    assert len(STORE) == before + 1
    x = np.linspace(-1, 1, 21, dtype=np.float32).reshape(7, 3)
    np.testing.assert_allclose(second([x])[0], np.cos(np.exp(x)), rtol=1e-6)
