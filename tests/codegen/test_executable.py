"""Calling compiled graphs: inputs checked, outputs fresh, errors raised, threads and nesting safe."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from compiling import check, compare, compiled

from tracegraph import ir
from tracegraph.errors import CompileError, DTypeError, ElementError, IndexRangeError, ShapeError

MLP = """graph mlp(%x: f32[s0, 8], %w: f32[8, 16]) {
  %0: f32[s0, 16] = matmul(%x, %w)
  %1: f32[s0, 16] = relu(%0)
  %2: f32[s0] = sum(%1, dim=[1], keepdim=false)
  %3: f32[s0], %4: i64[s0] = sort(%2, dim=0, descending=false)
  return %3, %1
}"""


def arrays(rows: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal(s).astype(np.float32) for s in ((rows, 8), (8, 16))]


def test_one_executable_for_all_sizes(rng: np.random.Generator) -> None:
    executable, graph = compiled(MLP), ir.parse(MLP)
    for rows in (3, 1, 0, 100, 3):
        compare(executable, graph, arrays(rows, rng))


def test_wrong_inputs(rng: np.random.Generator) -> None:
    executable = compiled(MLP)
    x, w = arrays(3, rng)
    with pytest.raises(ShapeError, match=r"input w has shape \[9, 16\], the graph was compiled for f32\[8, 16\]"):
        executable([x, np.zeros((9, 16), np.float32)])
    with pytest.raises(ShapeError, match=r"input x has shape \[3\]"):
        executable([x[:, 0], w])
    with pytest.raises(DTypeError, match=r"input x has dtype float64.*f32\[s0, 8\]"):
        executable([x.astype(np.float64), w])
    with pytest.raises(ShapeError, match="takes 2 inputs, got 1"):
        executable([x])


def test_sizes_are_compared_across_inputs() -> None:
    text = "graph add(%x: f32[s0, 4], %y: f32[s0, 4]) {\n  %0: f32[s0, 4] = add(%x, %y)\n  return %0\n}"
    executable = compiled(text)
    with pytest.raises(ShapeError, match=r"input y has shape \[3, 4\].*with s0=2"):
        executable([np.zeros((2, 4), np.float32), np.zeros((3, 4), np.float32)])


def test_a_size_may_be_read_off_a_multiple() -> None:
    text = "graph f(%x: f32[2*s0 + 1]) {\n  %0: f32[2*s0 + 1] = exp(%x)\n  return %0\n}"
    executable = compiled(text)
    assert executable([np.zeros(7, np.float32)])[0].shape == (7,)
    with pytest.raises(ShapeError):
        executable([np.zeros(6, np.float32)])


def test_a_size_that_no_input_has_is_refused() -> None:
    with pytest.raises(CompileError, match="size s0 cannot be read off any input"):
        compiled(
            "graph f(%x: f32[4]) {\n  %0: f32[s0] = full(dtype=f32, fill_value=1.0, size=[s0])\n  return %0, %x\n}"
        )


@pytest.mark.parametrize("layout", ["transposed", "sliced", "reversed", "expanded", "fortran"])
def test_strided_inputs(layout: str, rng: np.random.Generator) -> None:
    text = (
        "graph f(%x: f32[6, 5]) {\n  %0: f32[6, 5] = exp(%x)\n"
        "  %1: f32[6] = sum(%0, dim=[1], keepdim=false)\n  return %1\n}"
    )
    x = {
        "transposed": rng.standard_normal((5, 6)).astype(np.float32).T,
        "sliced": rng.standard_normal((12, 10)).astype(np.float32)[::2, 5:],
        "reversed": rng.standard_normal((6, 5)).astype(np.float32)[::-1],
        "expanded": np.broadcast_to(rng.standard_normal(5).astype(np.float32), (6, 5)),
        "fortran": np.asfortranarray(rng.standard_normal((6, 5)).astype(np.float32)),
    }[layout]
    check(text, x)


def test_inputs_stay_and_outputs_are_fresh(rng: np.random.Generator) -> None:
    text = "graph f(%x: f32[4, 4]) {\n  %0: f32[4, 4] = neg(%x)\n  %1: f32[4, 4] = exp(%0)\n  return %1, %x, %0, %0\n}"
    executable = compiled(text)
    x = rng.standard_normal((4, 4)).astype(np.float32)
    before = x.copy()
    outputs = executable([x]) + executable([x])
    np.testing.assert_array_equal(x, before)
    for i, a in enumerate([x, *outputs]):
        assert all(not np.may_share_memory(a, b) for b in [x, *outputs][:i])


def test_outputs_that_are_no_tensors() -> None:
    executable = compiled("graph f(%x: f32[s0]) {\n  return none, %x, 3, 2*s0\n}")
    nothing, x, three, twice = executable([np.ones(4, np.float32)])
    assert nothing is None and x.shape == (4,) and three == 3 and twice == 8


def test_constants() -> None:
    builder = ir.Builder("f")
    x = builder.placeholder(ir.parse_type("f32[3, 40]"))
    table = builder.constant(np.arange(40, dtype=np.float32))
    two = builder.constant(np.array(2, np.float32))
    scaled = builder.call(ir.lookup("mul"), x, two)
    check(builder.output(builder.call(ir.lookup("add"), scaled, table), table))


def test_error_of_an_eager_rule_reaches_the_caller() -> None:
    text = (
        "graph f(%x: f32[4]) {\n"
        "  %0: f32[2], %1: i64[2] = topk(%x, dim=0, k=2, largest=true, sorted=true)\n  return %0\n}"
    )
    executable = compiled(text)
    (node,) = executable.program.eager_nodes
    original = type(node.call_op).run

    def fails(*args: object, **kwargs: object) -> object:
        raise ZeroDivisionError("on purpose")

    type(node.call_op).run = fails
    try:
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            executable([np.zeros(4, np.float32)])
    finally:
        type(node.call_op).run = original
    assert executable([np.array([1, 3, 2, 0], np.float32)])[0].tolist() == [3, 2]


SUMS = ["sum(%x, dim=[0, 1], keepdim=false)", "sum(%x, dim=[1], keepdim=false)", "sum(%x, dim=[0], keepdim=false)"]
SUMS += ["mean(%x, dim=[0], keepdim=false)", "cumsum(%x, dim=0)", "cumsum(%x, dim=1)", "sum_to_size(%x, size=[s0, s1])"]


@pytest.mark.parametrize("call", SUMS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 3), (70, 1)])
def test_sums_of_negative_zeros(call: str, shape: tuple[int, int]) -> None:
    x = np.full(shape, -0.0, np.float32)
    sizes = {"[0, 1]": "", "[0]": "s1", "[1]": "s0"}
    result = next((f"f32[{size}]" for dims, size in sizes.items() if f"dim={dims}," in call), "f32[s0, s1]")
    check(f"graph f(%x: f32[s0, s1]) {{\n  %0: {result} = {call}\n  return %0\n}}", x)


FAULTS = {
    "value": ("remainder(%x, %y)", ElementError, r"^remainder: integer division by zero$"),
    "index": ("gather(%x, %y, dim=0)", IndexRangeError, r"^gather: an index is out of bounds for dimension 0"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("fused", [False, True], ids=["single", "fused"])
def test_a_failed_check_raises_the_error_of_its_fault(name: str, fused: bool) -> None:
    call, error, message = FAULTS[name]
    text = (
        f"graph f(%x: i64[3], %y: i64[3]) {{\n  %0: i64[3] = neg(%x)\n"
        f"  %1: i64[3] = {call.replace('%x', '%0')}\n  return %1\n}}"
    )
    executable, x = compiled(text, fused), np.arange(3)
    assert executable([x, np.array([1, 2, 1])])[0].shape == (3,)
    with pytest.raises(error, match=message):
        executable([x, np.array([1, 0, 3])])


def test_threads_share_an_executable(rng: np.random.Generator) -> None:
    executable, graph = compiled(MLP), ir.parse(MLP)
    failures: list[BaseException] = []

    def work(rows: int) -> None:
        try:
            for _ in range(20):
                compare(executable, graph, arrays(rows, np.random.default_rng(rows)))
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(rows,)) for rows in (2, 7, 30, 64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_results_repeat_exactly(rng: np.random.Generator) -> None:
    text = (
        "graph f(%x: f32[5, 5000]) {\n  %0: f32[5, 5000] = exp(%x)\n"
        "  %1: f32[5] = sum(%0, dim=[1], keepdim=false)\n  return %1\n}"
    )
    x = rng.standard_normal((5, 5000)).astype(np.float32)
    executable = compiled(text)
    (first,), (second,), (third,) = executable([x]), executable([x]), compiled(text)([x])
    assert first.tobytes() == second.tobytes() == third.tobytes()


def test_equal_kernels_are_compiled_once() -> None:
    text = (
        "graph f(%x: f32[4, 4], %y: f32[4, 4]) {\n  %0: f32[4, 4] = exp(%x)\n  %1: f32[4, 4] = exp(%y)\n"
        "  return %0, %1\n}"
    )
    executable = check(text, fused=False)
    assert len(executable.program.steps) == 2
    assert executable.program.text.count("define i32 @exp_") == 1


def test_effects_are_refused() -> None:
    text = "graph f(%x: f32[4], %y: f32[4]) {\n  copy_(%x, %y)\n  return %x\n}"
    with pytest.raises(CompileError, match="copy_ has a side effect"):
        compiled(text, fused=False)
