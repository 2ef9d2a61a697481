"""The JIT: compile, link, call; imports; errors; dumps."""

import ctypes
import threading

import pytest

from tracegraph.codegen.llvm import jit
from tracegraph.errors import CompileError

ADD = "define i64 @add(i64 %a, i64 %b) {\n  %s = add i64 %a, %b\n  ret i64 %s\n}\n"
BINARY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def test_load_and_call() -> None:
    library = jit.load(ADD, ["add"])
    assert BINARY(library.address("add"))(40, 2) == 42


def test_object_code_loads_again() -> None:
    code = jit.compile_object(ADD)
    assert jit.compile_object(ADD) is code
    first, second = jit.load_object(code, ["add"]), jit.load_object(code, ["add"])
    assert first.address("add") != second.address("add")


def test_imports_by_address() -> None:
    @BINARY
    def multiply(a: int, b: int) -> int:
        return a * b

    text = "declare i64 @multiply(i64, i64)\n" + ADD.replace("add i64 %a, %b", "call i64 @multiply(i64 %a, i64 %b)")
    address = ctypes.cast(multiply, ctypes.c_void_p).value
    assert address is not None
    library = jit.load(text, ["add"], {"multiply": address})
    assert BINARY(library.address("add"))(6, 7) == 42


def test_errors_name_the_cause() -> None:
    with pytest.raises(CompileError, match="LLVM does not accept the generated module"):
        jit.load("define i64 @f( {", ["f"])
    with pytest.raises(CompileError, match="symbol 'g' is not exported; this library exports add"):
        jit.load(ADD, ["add"]).address("g")
    text = (
        "declare i64 @tracegraph_nowhere()\ndefine i64 @f() {\n  %r = call i64 @tracegraph_nowhere()\n  ret i64 %r\n}"
    )
    with pytest.raises(CompileError, match="linking f failed"):
        jit.load(text, ["f"])


def test_unload_forgets_the_addresses() -> None:
    library = jit.load(ADD, ["add"])
    library.unload()
    with pytest.raises(CompileError, match="not exported"):
        library.address("add")


def test_dumps() -> None:
    assert "define" in jit.optimise(ADD)
    assert "add:" in jit.assembly(ADD)
    assert jit.host().cpu
    assert jit.host().vector_bits in (128, 256, 512)


def test_threads_compile_at_once() -> None:
    results: dict[int, int] = {}

    def work(number: int) -> None:
        text = ADD.replace("add i64 %a, %b", f"add i64 %a, {number}")
        results[number] = BINARY(jit.load(text, ["add"]).address("add"))(1, 0)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: n + 1 for n in range(8)}
