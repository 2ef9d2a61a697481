"""The shape of kernels: which loops are merged, which is innermost, where totals are kept."""

from __future__ import annotations

import re

import pytest
from compiling import check, kernel_texts


def loops(graph: str) -> list[str]:
    """The loop headers of the only kernel of a graph, without what the schedule adds."""
    (text,) = kernel_texts(check(graph))
    headers = re.findall(r"for (\w+) in \d+\.\.([^{]+) \{", text)
    return [f"{name}<{stop}".replace(" parallel", "") for name, stop in headers]


def graph(body: str, inputs: str, result: str = "%0") -> str:
    return f"graph g({inputs}) {{\n{body}\n  return {result}\n}}"


def test_contiguous_loops_merge() -> None:
    text = graph("  %0: f32[3, 4, 5] = add(%x, %y)", "%x: f32[3, 4, 5], %y: f32[3, 4, 5]")
    assert loops(text) == ["m2<60 vector"]


def test_symbolic_loops_merge() -> None:
    assert loops(graph("  %0: f32[s0, s1, 5] = exp(%x)", "%x: f32[s0, s1, 5]")) == ["m2<s0*s1*5 vector"]


def test_broadcast_keeps_the_loop_it_stands_still_in() -> None:
    text = graph("  %0: f32[3, 4, 5] = add(%x, %y)", "%x: f32[3, 4, 5], %y: f32[4, 5]")
    assert loops(text) == ["i0<3", "m2<20 vector"]


def test_row_reduction() -> None:
    text = graph("  %0: f32[6, 7] = sum(%x, dim=[2, 3], keepdim=false)", "%x: f32[6, 7, 20, 20]")
    assert loops(text) == ["m1<42", "m3<400 reduce vector"]


def test_full_reduction() -> None:
    assert loops(graph("  %0: f32[] = amax(%x, dim=none, keepdim=false)", "%x: f32[30, 40]")) == [
        "m1<1200 reduce vector"
    ]


def test_column_reduction() -> None:
    text = graph("  %0: f32[2, 700] = sum(%x, dim=[1], keepdim=false)", "%x: f32[2, 50, 700]")
    assert loops(text) == ["i0<2", "lane<700 vector", "i1<50", "lane1<700 vector", "lane2<700 vector"]


def test_wide_column_reduction_runs_in_strips() -> None:
    text = graph("  %0: f32[3000] = sum(%x, dim=[0], keepdim=false)", "%x: f32[50, 3000]")
    assert loops(text)[:2] == ["strip<3000 step 256", "lane<min(256, -strip + 3000) vector"]


def test_small_window_is_unrolled() -> None:
    text = """graph pool(%x: f32[2, 8, 8]) {
  %0: f32[2, 4, 2, 4, 2] = view(%x, size=[2, 4, 2, 4, 2])
  %1: f32[2, 4, 4] = amax(%0, dim=[2, 4], keepdim=false)
  return %1
}"""
    assert loops(text) == ["m1<8", "i3<4 vector", "i2<2 reduce unroll", "i4<2 reduce unroll"]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 513])
def test_strips_cover_all_columns(size: int) -> None:
    text = graph("  %0: f32[s1] = sum(%x, dim=[0], keepdim=false)", "%x: f32[s0, s1]")
    check(text, sizes={"s0": 5, "s1": size})


def test_softmax_keeps_the_exponential() -> None:
    """Three rounds over a row; the exponential is computed in the second and read back in the third."""
    text = """graph softmax(%x: f32[9, 100]) {
  %0: f32[9, 1] = amax(%x, dim=[1], keepdim=true)
  %1: f32[9, 100] = sub(%x, %0)
  %2: f32[9, 100] = exp(%1)
  %3: f32[9, 1] = sum(%2, dim=[1], keepdim=true)
  %4: f32[9, 100] = div(%2, %3)
  return %4
}"""
    (kernel,) = kernel_texts(check(text))
    assert kernel.count("exp(") == 1 and kernel.count("local kept") == 1


def test_cheap_values_are_computed_again() -> None:
    text = """graph centred(%x: f32[9, 100]) {
  %0: f32[9, 100] = mul(%x, 2.0)
  %1: f32[9, 1] = mean(%0, dim=[1], keepdim=true)
  %2: f32[9, 100] = sub(%0, %1)
  return %2
}"""
    (kernel,) = kernel_texts(check(text))
    assert "local" not in kernel and kernel.count("mul(") == 2


def test_rounds_over_columns() -> None:
    text = """graph batch_statistics(%x: f32[30, 700]) {
  %0: f32[1, 700] = mean(%x, dim=[0], keepdim=true)
  %1: f32[30, 700] = sub(%x, %0)
  %2: f32[30, 700] = exp(%1)
  %3: f32[1, 700] = sum(%2, dim=[0], keepdim=true)
  %4: f32[30, 700] = div(%2, %3)
  return %4, %3, %0
}"""
    assert len(kernel_texts(check(text))) == 1


def test_argmax_takes_two_passes() -> None:
    text = graph("  %0: i64[4] = argmax(%x, dim=1, keepdim=false)", "%x: f32[4, 300]")
    assert loops(text) == ["i0<4", "i1<300 reduce vector", "i11<300 reduce vector"]


def test_small_arrays_do_not_decide_the_order() -> None:
    """Statistics of channels: the images are read along their rows, although the biases lie along the channels."""
    text = """graph statistics(%x: f32[4, 40, 6, 6], %b: f32[40]) {
  %0: f32[40, 1, 1] = view(%b, size=[40, 1, 1])
  %1: f32[4, 40, 6, 6] = add(%x, %0)
  %2: f32[40] = sum(%1, dim=[0, 2, 3], keepdim=false)
  return %2
}"""
    assert loops(text) == ["i1<40", "i0<4 reduce", "m3<36 reduce vector"]


def test_numbers_of_rows_do_not_decide_it_either() -> None:
    text = """graph scaled(%x: f32[16, 30, 64], %s: f32[16, 30, 1]) {
  %0: f32[16, 30, 64] = mul(%x, %s)
  %1: f32[64] = sum(%0, dim=[0, 1], keepdim=false)
  return %0, %1
}"""
    (kernel,) = kernel_texts(check(text))
    assert kernel.count("for lane") == 3


def test_divided_loops_are_split() -> None:
    """Attention's heads side by side again: no division, and the innermost loop walks memory."""
    text = """graph heads(%x: f32[3, 2, 4, 5, 16]) {
  %0: f32[2, 5, 3, 4, 16] = permute(%x, dims=[1, 3, 0, 2, 4])
  %1: f32[10, 192] = view(%0, size=[10, 192])
  %2: f32[10, 192] = exp(%1)
  return %2
}"""
    (kernel,) = kernel_texts(check(text))
    assert "//" not in kernel and "%" not in re.sub(r"%v\d+", "", kernel)
    assert re.findall(r"for \w+ in 0\.\.(\d+)", kernel) == ["2", "5", "3", "4", "16"]


def test_a_division_that_stays_keeps_its_loops() -> None:
    text = """graph overlapping(%x: f32[2, 3, 3, 3, 3, 3]) {
  %0: f32[2, 3, 7, 7] = fold2d(%x, output_size=[7, 7], stride=[2, 2], padding=[0, 0, 0, 0], dilation=[1, 1])
  return %0
}"""
    (kernel,) = kernel_texts(check(text))
    assert not re.search(r"\(m\d+ [/%]", kernel)
