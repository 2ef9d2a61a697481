"""Adafactor's variance of matrices: rows and columns."""

import numpy as np

import tracegraph as tg
from tracegraph import optim


def test_the_first_step_of_a_matrix():
    start, gradient = np.array([[1.0, -2.0], [3.0, 4.0], [0.5, 1.0]]), np.array([[1.0, 2.0], [3.0, 1.0], [2.0, 5.0]])
    p = tg.tensor(start, requires_grad=True)
    p.grad = tg.tensor(gradient)
    optimizer = optim.Adafactor([p], lr=0.1)
    optimizer.step()
    square = gradient**2
    rows, columns = square.mean(1, keepdims=True), square.mean(0, keepdims=True)
    change = gradient / np.sqrt(rows @ columns / rows.mean())
    rate = 0.1 * np.sqrt((start**2).mean())
    expected = start - rate * change / max(1, np.sqrt((change**2).mean()))
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-12)
    state = optimizer.state[p]
    assert (state["row_var"].shape, state["col_var"].shape) == ((3, 1), (1, 2))


def test_the_mean_of_averaged_descent():
    p = tg.tensor([4.0, -4.0], dtype=tg.float64, requires_grad=True)
    optimizer = optim.ASGD([p], lr=0.1, lambd=0.0, t0=2.0)
    visited = []
    for _ in range(6):
        p.grad = p.detach().clone()
        optimizer.step()
        visited.append(p.detach().numpy().copy())
    # the first step after t0 has weight 1, so that the mean begins there
    np.testing.assert_allclose(optimizer.state[p]["ax"].numpy(), np.mean(visited[3:], axis=0), rtol=1e-12)
