"""L-BFGS: known minima, the formula of its direction, its limits."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import optim
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.optim.line_search import Point, cubic_minimum


def rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def minimize(loss_of, parameters, steps=1, **options):
    optimizer = optim.LBFGS(parameters, **options)
    losses, calls = [], []

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = loss_of(*parameters)
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(optimizer.step(closure).item())
    return losses, len(calls), optimizer


def scalars(*values):
    return [tg.tensor(v, dtype=tg.float64, requires_grad=True) for v in values]


def test_rosenbrock():
    """Losses and calls of the closure are those of torch.optim.LBFGS."""
    parameters = scalars(-1.2, 1.0)
    losses, calls, optimizer = minimize(rosenbrock, parameters, steps=2, line_search_fn="strong_wolfe")
    np.testing.assert_allclose(losses, [24.2, 0.4234823024380289], rtol=1e-10)
    np.testing.assert_allclose([p.item() for p in parameters], 1.0, atol=1e-4)
    state = optimizer.state[parameters[0]]
    assert calls == state["func_evals"] == 44
    assert state["n_iter"] < calls


def test_a_quadratic_form():
    scales = tg.tensor([1.0, 4.0, 9.0], dtype=tg.float64)
    x = tg.ones(3, dtype=tg.float64, requires_grad=True)
    minimize(lambda x: (x * x * scales).sum(), [x], tolerance_change=0.0, line_search_fn="strong_wolfe")
    np.testing.assert_allclose(x.detach().numpy(), 0.0, atol=1e-6)


def test_the_second_direction_is_the_secant_one():
    """Along a line H is the inverse of the one curvature known: one step of Newton's method for a parabola."""
    (x,) = scalars(3.0)
    minimize(lambda x: 2 * x * x, [x], max_iter=2, max_eval=5)
    assert x.item() == pytest.approx(0.0, abs=1e-12)


def test_limits():
    _, calls, optimizer = minimize(rosenbrock, scalars(-1.2, 1.0), max_iter=3, max_eval=9, lr=1e-3)
    state = next(iter(optimizer.state.values()))
    assert (calls, state["n_iter"], state["func_evals"]) == (3, 3, 3)
    _, calls, _ = minimize(rosenbrock, scalars(-1.2, 1.0), max_iter=50, max_eval=4, lr=1e-3)
    assert calls == 4
    parameters = scalars(1.0, 1.0)
    assert minimize(rosenbrock, parameters)[1] == 1  # the gradient is 0
    _, _, optimizer = minimize(rosenbrock, scalars(-1.2, 1.0), history_size=2, line_search_fn="strong_wolfe")
    state = next(iter(optimizer.state.values()))
    assert len(state["old_dirs"]) == len(state["old_stps"]) == len(state["ro"]) == 2


def test_a_parameter_without_gradient_rests():
    x, y = scalars(2.0, 5.0)
    minimize(lambda x, y: x * x, [x, y], line_search_fn="strong_wolfe")
    assert (round(x.item(), 6), y.item()) == (0.0, 5.0)


def test_state_is_saved_and_restored():
    whole, parts = scalars(-1.2, 1.0), scalars(-1.2, 1.0)
    minimize(rosenbrock, whole, steps=2, max_iter=4, line_search_fn="strong_wolfe")
    _, _, first = minimize(rosenbrock, parts, max_iter=4, line_search_fn="strong_wolfe")
    second = optim.LBFGS(parts, max_iter=4, line_search_fn="strong_wolfe")
    second.load_state_dict(first.state_dict())

    def closure():
        second.zero_grad()
        loss = rosenbrock(*parts)
        loss.backward()
        return loss

    second.step(closure)
    np.testing.assert_allclose([p.item() for p in parts], [p.item() for p in whole], rtol=1e-12)


def test_a_compiled_closure():
    eager, compiled = scalars(-1.2, 1.0), scalars(-1.2, 1.0)
    minimize(rosenbrock, eager, line_search_fn="strong_wolfe")
    minimize(tg.compile(rosenbrock), compiled, line_search_fn="strong_wolfe")
    np.testing.assert_allclose([p.item() for p in compiled], [p.item() for p in eager], rtol=1e-6)


def test_what_is_refused():
    (x,) = scalars(1.0)
    with pytest.raises(ArgumentError, match="needs a closure"):
        optim.LBFGS([x]).step()
    with pytest.raises(ValueRangeError, match="line_search_fn='armijo'"):
        optim.LBFGS([x], line_search_fn="armijo")
    with pytest.raises(ValueRangeError, match="one parameter group, got 2"):
        optim.LBFGS([{"params": [x]}, {"params": scalars(2.0)}])


def test_the_minimum_of_a_cubic():
    def cubic(t):
        return Point(t, t**3 - 3 * t, tg.zeros(1), 3 * t * t - 3)

    assert cubic_minimum(cubic(0.0), cubic(3.0), 0.0, 3.0) == pytest.approx(1.0)
    assert cubic_minimum(cubic(3.0), cubic(0.0), 0.0, 3.0) == pytest.approx(1.0)
    assert cubic_minimum(cubic(0.0), cubic(3.0), 1.5, 3.0) == 1.5
    rising = [Point(t, t**3 + t, tg.zeros(1), 3 * t * t + 1) for t in (0.0, 2.0)]
    assert cubic_minimum(*rising, 0.0, 2.0) == 1.0


def test_a_compiled_step_compiles_its_closure():
    results, graphs = [], []

    def count(module, inputs):
        graphs.append(module)
        return module

    for compiled in (False, True):
        x, y = scalars(-1.2, 1.0)
        optimizer = optim.LBFGS([x, y], lr=0.1, max_iter=3)

        def step(optimizer=optimizer, x=x, y=y):
            def closure():
                optimizer.zero_grad()
                loss = rosenbrock(x, y)
                loss.backward()
                return loss

            return optimizer.step(closure)

        call = tg.compile(step, backend=count) if compiled else step
        results.append([call().item() for _ in range(6)] + [x.item(), y.item()])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)
    assert len(graphs) == 1
