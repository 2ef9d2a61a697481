"""Ints and floats that vary from call to call: symbols of one graph, with what they decide guarded."""

from __future__ import annotations

import math
from typing import Any

import pytest
from captured import capture_of, family_of
from varying_numbers import assert_agree, traces, x

import tracegraph as tg


def test_a_float_that_varies_becomes_an_input():
    assert traces(lambda x, lr: x * lr, [(x(), v) for v in (0.1, 0.2, 0.3, -1.0, math.inf, 0.0)]) == 2


def test_the_optimiser_step_of_adam_is_traced_twice():
    def step(p, m, lr, beta, t):
        correction = 1 - beta**t
        m = m * beta + p * (1 - beta)
        return p - m * (lr / correction), lr / math.sqrt(correction)

    assert traces(step, [(x(), x(), 0.1 / t, 0.9, t) for t in range(1, 7)]) == 2


def test_ints_in_arithmetic():
    def program(x, n):
        return x * n + n // 2, n / 3, n**2, n % 3, 7 // (n + 1), -n, n << 1, n & 6, abs(n), math.sqrt(n), +n, ~n

    assert traces(program, [(x(), n) for n in (3, 5, 8, 13)]) == 2


def test_a_second_sign_is_seen_once():
    assert traces(lambda x, n: x * n, [(x(), n) for n in (3, 5, -7, -8, 0, 1)]) == 3
    assert traces(lambda x, n: x * n, [(x(), n) for n in (-3, -5, 7, 8, 0, -1)]) == 3


def test_ints_of_both_signs_in_arithmetic():
    def program(x, n):
        return x * n + n // 2, n / 3, n**2, n % 3, -n, n << 1, +n, ~n, 2.0 * n, n // -3, f"{n:+d}", x.roll(n, 0), -n % 5

    assert traces(program, [(x(), n) for n in (3, -5, 8, -13, 0, -1, 1)]) == 2


def test_ints_of_both_signs_as_positions():
    assert traces(lambda x, n: x.select(1, n % 2) + n, [(x(), n) for n in (3, -5, 8, -13, 0, -1)]) == 2
    assert traces(lambda x, n: x[:, n] + n, [(x(), n) for n in (0, -1, 1, -2, 0)]) <= 3


def test_ints_beyond_64_bits_stay_constants():
    assert traces(lambda n: (tg.ones(2), n + 1), [(2,), (3,), (2**70,), (2**71,)]) == 4


def test_ints_as_sizes_and_bounds():
    def program(x, n):
        return x[:, :n], x[:, -n:].sum(1), tg.arange(n) * 2, tg.zeros(n, 3), x.repeat(n, 1), x.narrow(1, 0, n)

    assert traces(program, [(x(), n) for n in (2, 3, 4, 5)]) == 2


def test_one_row_at_an_index_that_varies():
    assert traces(lambda x, i: (x[i], x.select(0, i)), [(x(), i) for i in (1, 2, 3, 0)]) == 2


def test_the_outcome_of_a_comparison_is_guarded():
    def program(x, a):
        return x + a if a > 0.5 else x - a

    assert traces(program, [(x(), a) for a in (0.1, 0.2, 0.3, 0.6, 0.7, 0.4)]) == 3


def test_comparisons_between_ints_and_floats():
    def program(x, n, a):
        return (x if n < a else -x), n == a, n != 2.0, a >= n

    assert traces(program, [(x(), 1, 0.5), (x(), 2, 2.5), (x(), 3, 3.5), (x(), 4, 4.5)]) <= 3


def test_plain_functions_of_floats():
    def program(x, a):
        numbers = (round(a), round(a, 1), int(a), math.floor(a), abs(-a), max(a, 2.0), min(a, 9), float(a), 1 / a)
        return x * numbers[0], numbers, a % 2, divmod(a, 2), a.is_integer(), bool(a), math.exp(a), a // 0.3

    assert traces(program, [(x(), a) for a in (3.1, 3.2, 3.3)]) <= 3


def test_a_float_keys_a_dict():
    assert traces(lambda x, a: x * {0.5: 1, 0.25: 2}[a], [(x(), a) for a in (0.5, 0.25, 0.5)]) == 2


def test_numbers_in_tuples_lists_and_dicts():
    def program(x, size, more):
        return x * size[0] + size[1], more["a"] + more["b"][0]

    calls = [(x(), (k, k / 2), {"a": k, "b": [0.1 * k]}) for k in range(2, 6)]
    assert traces(program, calls) == 2


def test_attributes_that_count():
    class Schedule:
        def __init__(self) -> None:
            self.position, self.rate = 0, 1.0

        def __call__(self, x):
            y = x[:, self.position : self.position + 2] * self.rate
            self.position += 1
            self.rate *= 0.5
            return y

    eager, captured = Schedule(), Schedule()
    step = capture_of(lambda s, x: s(x))
    for _ in range(4):
        assert_agree(eager(x()), step(captured, x()))
        assert_agree((eager.position, eager.rate), (captured.position, captured.rate))
    assert sum(len(u.specialisations) for u in family_of(step).units.values()) == 1


COUNTED = 0


def test_what_a_call_counts_is_a_symbol_from_the_first_call_on():
    global COUNTED  # noqa: PLW0603 - what is tested
    inner, state, steps = 0, {"step": 1, "of": {"deep": 0.5}}, [3]

    def program(x):
        global COUNTED  # noqa: PLW0603 - what is tested
        nonlocal inner
        COUNTED += 1
        inner += 2
        steps[0] -= 1
        state["step"] += 1
        state["of"]["deep"] *= 0.5
        return x * COUNTED + inner, x * state["of"]["deep"], x[:, : state["step"]], steps[0]

    captured = capture_of(program)
    for turn in range(3):
        found = captured(x())
        deep = 0.5 ** (turn + 2)
        assert_agree((x() * (turn + 1) + 2 * (turn + 1), x() * deep, x()[:, : turn + 2], 2 - turn), found)
    assert (COUNTED, inner, state, steps) == (3, 6, {"step": 4, "of": {"deep": 0.0625}}, [0])
    assert sum(len(u.specialisations) for u in family_of(captured).units.values()) == 1
    COUNTED = 0


@pytest.mark.parametrize("beyond", [2**70, -(2**70)])
def test_an_int_beyond_those_of_sizes_is_captured_for_itself(beyond):
    calls = [(x(), n) for n in (2, 3, beyond, 4)]
    assert traces(lambda x, n: (x * n, n + 1), calls) == 3


def test_exceptions_of_arithmetic_are_pythons():
    captured = capture_of(lambda x, a: x / (1 / a))
    for a in (1.0, 2.0, 3.0):
        captured(x(), a)
    with pytest.raises(ZeroDivisionError, match="float division by zero"):
        captured(x(), 0.0)


def test_a_power_that_turns_complex():
    assert traces(lambda x, a: (x, a**0.5), [(x(), a) for a in (1.0, 2.0, 3.0, -4.0, 5.0)]) == 3


@pytest.mark.parametrize("dtype", [tg.float16, tg.bfloat16, tg.float32, tg.float64, tg.int64, tg.uint8, tg.bool])
def test_results_have_the_dtype_a_python_number_gives(dtype):
    def program(x, a):
        return (
            x * a,
            a - x.to(x.dtype if x.dtype is not tg.bool else tg.uint8),
            x.sum() * a,
            x > a,
            tg.where(x > 0, x, a),
        )

    given = x().abs().to(dtype)
    assert traces(program, [(given, a) for a in (0.5, 1.5, 2.5, 3.5)]) == 2


@pytest.mark.parametrize("dtype", [tg.float16, tg.float32, tg.int64, tg.bool])
def test_results_have_the_dtype_a_python_int_gives(dtype):
    def program(x, n):
        return x * n, n - x.to(tg.int64), x.sum() * n, x < n

    assert traces(program, [(x().to(dtype), n) for n in (2, 3, 4)]) == 2


def test_in_place_operations_and_their_factors():
    def program(x, a):
        y = x.clone()
        y.mul_(a).add_(x, alpha=a)
        return y, x.clamp(-a, a), x.masked_fill(x > 0, a), x.abs() ** a, tg.lerp(x, -x, a)

    assert traces(program, [(x(), a) for a in (1.1, 2.2, 2.3, 2.4)]) == 2


def test_an_integer_tensor_refuses_a_float_factor_as_ever():
    captured = capture_of(lambda x, a: x.add(x, alpha=a))
    for a in (0.5, 1.5, 2.5):
        with pytest.raises(tg.TracegraphError, match="alpha"):
            captured(tg.arange(3), a)


def test_gradients_scale_with_the_float():
    captured = capture_of(lambda x, a: (x * a).sum())
    for a in (0.5, 1.5, 2.5):
        leaf = x().requires_grad_()
        captured(leaf, a).backward()
        assert tg.allclose(leaf.grad, tg.full((4, 6), a))


def test_an_item_that_varies():
    def program(x):
        scale = x.sum().item()
        return x * scale

    captured = capture_of(program)
    for k in range(5):
        assert_agree(program(x() + k), captured(x() + k))
    assert sum(len(u.specialisations) for u in family_of(captured).units.values()) == 2


def test_ints_that_elements_decide_on_are_symbols_behind_the_break():
    def program(x, lengths):
        n = int(lengths.max())
        rows = x[x[:, 0] > 0]
        return tg.zeros(n, 2), tg.arange(n) < lengths[:, None], rows * len(rows), x[:, : lengths.sum().item() // n]

    captured = capture_of(program)
    for k in (2, 3, 5, 4):
        lengths = tg.tensor([k, 2 * k])
        assert_agree(program(x() + k, lengths), captured(x() + k, lengths))
    assert all(len(u.specialisations) <= 2 for u in family_of(captured).units.values())


def test_dynamic_true_makes_arguments_symbols_at_once():
    assert traces(lambda x, n, a: x * n + a, [(x(), n, n / 2) for n in (2, 3, 4)], dynamic=True) == 1


def test_dynamic_false_makes_none():
    assert traces(lambda x, n, a: x * n + a, [(x(), n, n / 2) for n in (2, 3, 4)], dynamic=False) == 3


def test_dimension_numbers_are_part_of_the_graph():
    assert traces(lambda x, d: x.sum(d), [(x(), d) for d in (0, 1, 0, -1)]) == 3


def test_loops_over_an_int_are_unrolled_for_its_value():
    def program(x, n):
        for _ in range(n):
            x = x + 1
        return x

    assert traces(program, [(x(), n) for n in (1, 2, 3)]) == 3


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_compiled_natively(backend, recwarn):
    def program(x, n, a):
        return x[:, :n] * a + n, tg.arange(n) + a, (x @ x.T) * (a / n)

    compiled = tg.compile(program, backend=backend, fullgraph=True)
    for n, a in ((2, 0.5), (3, 1.5), (4, 2.5), (5, 3.5)):
        assert_agree(program(x(), n, a), compiled(x(), n, a))
    assert len(recwarn) == 0
    assert sum(len(u.specialisations) for u in family_of(compiled).units.values()) == 2


def test_a_varying_float_decides_on_a_dtype_as_a_float() -> None:
    def program(x: Any, number: Any) -> Any:
        made = tg.full((2,), number), tg.tensor(number), tg.as_tensor(number, dtype=x.dtype)
        return *made, tg.arange(0, 12, number), x * tg.tensor(number, device=x.device)

    assert traces(program, [(x(), n) for n in (1.5, 2.5, 3.25)]) == 2
    assert traces(program, [(x(), n) for n in (2, 3, 5)]) == 2
    assert traces(lambda x, number: x * tg.tensor(number), [(x(), n / 7) for n in range(1, 9)]) == 2


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_scalars_of_activations_and_losses_are_inputs_of_the_graph(backend):
    def program(x, a):
        y = tg.nn.functional.leaky_relu(x, a) + tg.nn.functional.celu(x, 1 + a) * tg.nn.functional.hardtanh(x, -a, a)
        y = (
            y
            + tg.full((6,), a)
            + tg.addcmul(x, x, x, value=a)
            + tg.linspace(0, a, 6)
            + tg.nn.functional.pad(x, (0, 0), value=a)
        )
        return tg.nn.functional.huber_loss(y, x, delta=a), tg.arange(a, a + 3), tg.nn.functional.softplus(x, beta=a)

    compiled = tg.compile(program, backend=backend, fullgraph=True)
    for a in (0.5, 1.5, 2.5, 3.5):
        grads = []
        for f in (program, compiled):
            leaf = x().requires_grad_()
            results = f(leaf, a)
            (results[0] + results[2].sum()).backward()
            grads.append((*(r.detach() for r in results), leaf.grad))
        assert_agree(*grads)
    assert sum(len(u.specialisations) for u in family_of(compiled).units.values()) == 2


def test_a_scalar_may_be_no_tensor_of_the_program():
    with pytest.raises(tg.TracegraphError, match=r"negative_slope.*must be a number"):
        tg.nn.functional.leaky_relu(x(), x())


def test_tensors_of_mixed_elements():
    def program(x, a, n):
        return (
            tg.tensor([a, n, 1.0, True]),
            tg.tensor([[n, 2], [3, n + 1]]),
            tg.tensor((x[0, 0], a)),
            tg.tensor([x[0], x[1] * n], dtype=tg.float64),
            tg.as_tensor([x.shape[0], n]),
            tg.tensor(x),
            tg.tensor(x, dtype=tg.int64),
            tg.tensor([x.double().sum(), 2]),
        )

    assert traces(program, [(x(), n / 2, n) for n in (2, 3, 4, 5)]) == 2


def test_extremes_of_numbers_that_vary():
    def program(x, n, rate):
        least = min(n, 4)
        return x[:least], least, max(n, 2 * n, 1), x * min(rate, 0.5), max([n, 3]), min(len(r) for r in (x, x[:n]))

    rows = tg.arange(24.0).view(12, 2)
    assert traces(program, [(rows, n, n / 8) for n in (3, 5, 9, 1, 12, 2)]) == 2


def test_an_int_beside_a_float_keeps_its_type_as_an_extreme():
    assert traces(lambda n, rate: max(n, rate) * 2, [(2, 1.5), (3, 2.5), (4, 4.5), (5, 1.0), (6, 7.5)]) == 3


@pytest.mark.parametrize("dtype", [tg.float16, tg.bfloat16])
def test_floats_beside_0d_tensors_of_half_precision(dtype):
    def program(x, rate):
        return x * rate, rate - x, x / rate, x > rate, tg.where(x > 1, x, rate)

    assert traces(program, [(tg.tensor(2.3, dtype=dtype), 0.3 * n) for n in range(1, 5)]) == 2


def test_steps_between_numbers_that_vary_too():
    def program(n, end):
        return tg.linspace(0, 1, n), tg.linspace(n * 0.5, end, n), tg.linspace(0.0, end, n, dtype=tg.float64)

    # one number is the first of all, and one step has no length
    assert traces(program, [(n, n * 1.5) for n in (2, 3, 7, 0, 20)]) == 3
