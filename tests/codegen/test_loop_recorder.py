"""Recording kernels: the statements an op's rule leaves behind, and misuse."""

import numpy as np
import pytest

from tracegraph.codegen.loops.loop_interpret import interpret_kernel
from tracegraph.codegen.loops.loop_ir import Mark, Mode
from tracegraph.codegen.loops.loop_recorder import LoopRecorder
from tracegraph.codegen.loops.loop_text import print_kernel
from tracegraph.codegen.loops.loop_verify import verify_kernel
from tracegraph.dtypes import bool_, float32, float64, int32, int64
from tracegraph.errors import DTypeError, IRError


def test_a_rule_becomes_statements() -> None:
    k = LoopRecorder("sigmoid")
    n = k.size("n")
    x, y = k.buffer("x", float32, (n,), Mode.IN), k.buffer("y", float32, (n,), Mode.OUT)
    with k.loop("i", n, marks=[Mark.VECTOR]) as i:
        value = k.load(x, (i,))
        k.store(y, (i,), k.recip(1.0 + k.exp(-value)))
    text = print_kernel(k.kernel())
    assert [line.split("= ")[1] for line in text.splitlines() if "let" in line] == [
        "load x[i]",
        "neg(%v4)",
        "exp(%v5)",
        "add(1.0, %v6)",
        "recip(%v7)",
    ]
    verify_kernel(k.kernel())


def test_everything_else() -> None:
    k = LoopRecorder("sums")
    n = k.size("n")
    x, at = k.buffer("x", float32, (n,), Mode.IN), k.buffer("at", int32, (n,), Mode.IN)
    y = k.buffer("y", float64, (2,), Mode.INOUT)
    scale = k.scalar("scale", float32)
    total = k.acc(float32, 0)
    with k.loop("i", n, marks=[Mark.REDUCE]) as i:
        place = k.value_index(k.cast(k.load(at, (i,)), int64))
        inside = k.index_value(i) < 3
        k.update(total, "add", k.load(x, (place,), mask=inside, fill=10) * scale)
    k.check(total == total, "nan")
    k.store(y, (0,), k.cast(total, float64))
    with k.if_(k.index_value(n) > 2):
        k.store(y, (1,), 7.0, accumulate=True)
    out = np.ones(2)
    arrays = {"x": np.arange(5, dtype=np.float32), "at": np.array([4, 3, 2, 1, 0], np.int32), "y": out}
    assert interpret_kernel(k.kernel(), arrays, {"n": 5}, {"scale": 2.0}) == 0
    assert out.tolist() == [2.0 * (4 + 3 + 2 + 10 + 10), 8.0]


def test_names_are_made_unique() -> None:
    k = LoopRecorder("k")
    with k.loop("i", 2) as first, k.loop("i", 3) as second:
        assert first != second
    with pytest.raises(IRError, match="the name x is taken"):
        k.buffer("x", float32, (1,), Mode.IN) and k.size("x")


def test_constants_of_comparisons_get_a_name() -> None:
    k = LoopRecorder("k")
    y = k.buffer("y", bool_, (1,), Mode.OUT)
    k.store(y, (0,), k.const(1.0, float32) < k.const(2.0, float32))
    kernel = k.kernel()
    verify_kernel(kernel)
    assert "let %v3: bool = lt(%v1, %v2)" in print_kernel(kernel)


def test_misuse() -> None:
    k = LoopRecorder("k")
    x = k.scalar("x", float32)
    with pytest.raises(DTypeError, match="different dtypes"):
        x + k.scalar("y", float64)
    with pytest.raises(DTypeError, match="no truth value"):
        bool(x > 0)
    with pytest.raises(DTypeError, match="no operand has a dtype"):
        k.exp(1.0)
    with pytest.raises(DTypeError, match="exp takes a floating dtype, got i64"):
        k.exp(k.scalar("n", int64))
    with pytest.raises(DTypeError, match="must be i64, got f32"):
        k.value_index(x)
    with pytest.raises(AttributeError, match="no scalar operation 'frobnicate'"):
        k.frobnicate(x)
    with pytest.raises(IRError, match="does not belong to kernel other"):
        LoopRecorder("other").exp(x)
