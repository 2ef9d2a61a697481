"""L-BFGS, a quasi-Newton method of limited memory (Liu & Nocedal, 1989)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tracegraph.autograd import enable_grad, no_grad
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import described
from tracegraph.optim.line_search import Point, WolfeSearch
from tracegraph.optim.optimizer import Optimizer, ParamGroup, checked
from tracegraph.tensor import Tensor

#: below this product of the changes of position and gradient, they say nothing of the curvature
_LEAST_CURVATURE = 1e-10


class LBFGS(Optimizer):
    """p += t * d, d = -H g: H is the inverse Hessian as the last `history_size` steps tell it.

    A step makes up to `max_iter` iterations, each of which calls the closure. All parameters are one vector, so there
    is one group only.

    Args:
        max_iter: iterations of one step.
        max_eval: calls of the closure in one step; by default 5/4 of `max_iter`.
        tolerance_grad: a gradient with no greater element ends the step.
        tolerance_change: so does a change of the loss, or of all parameters, below this.
        line_search_fn: None for t = lr, or "strong_wolfe".

    Raises (`step`):
        ArgumentError: without a closure.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueRangeError(f"invalid line_search_fn={line_search_fn!r}: must be None or 'strong_wolfe'")
        options = checked(
            lr=lr,
            max_iter=max_iter,
            max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )
        super().__init__(params, options)
        if len(self.param_groups) != 1:
            raise ValueRangeError(f"LBFGS takes one parameter group, got {len(self.param_groups)}")

    def _step(self, closure: Callable[[], Any] | None) -> Any:
        if not callable(closure):
            raise ArgumentError(f"LBFGS.step() needs a closure that computes the loss, got {described(closure)}")
        with no_grad():
            return self._minimize(closure)

    def _minimize(self, closure: Callable[[], Any]) -> Any:
        group, state = self.param_groups[0], self.state[self.param_groups[0]["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        before = state["func_evals"]
        result = self._evaluate(closure)
        loss, gradient = float(result), self._flat_gradient()
        for number in range(1, group["max_iter"] + 1):
            if _largest(gradient) <= group["tolerance_grad"]:
                break
            self._turn(gradient)
            state.update(prev_flat_grad=gradient, prev_loss=loss)
            slope = _dot(gradient, state["d"])
            state["t"] = (
                group["lr"] if state["n_iter"] > 1 else group["lr"] * min(1.0, 1.0 / float(gradient.abs().sum()))
            )
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is not None:
                calls_left = group["max_eval"] - (state["func_evals"] - before)
                found = self._search(closure, Point(0.0, loss, gradient, slope), calls_left)
                loss, gradient = found.loss, found.gradient
            else:
                self._move(state["t"])
                if number == group["max_iter"]:
                    break
                loss, gradient = float(self._evaluate(closure)), self._flat_gradient()
            if state["func_evals"] - before >= group["max_eval"]:
                break
            if min(_largest(state["d"] * state["t"]), abs(loss - state["prev_loss"])) <= group["tolerance_change"]:
                break
        return result

    def _turn(self, gradient: Tensor) -> None:
        """The next direction, by the two loops over the pairs of changes (algorithm 7.4 in Nocedal & Wright)."""
        group, state = self.param_groups[0], self.state[self.param_groups[0]["params"][0]]
        state["n_iter"] += 1
        if state["n_iter"] == 1:
            state.update(d=-gradient, old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return
        change, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = _dot(change, step)
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        if curvature > _LEAST_CURVATURE:
            for kept, new in ((changes, change), (steps, step), (inverses, 1.0 / curvature)):
                kept.append(new)
                del kept[: -group["history_size"]]
            state["H_diag"] = curvature / _dot(change, change)
        direction, weights = -gradient, []
        for y, s, inverse in zip(reversed(changes), reversed(steps), reversed(inverses), strict=True):
            weights.append(inverse * _dot(s, direction))
            direction = direction - y * weights[-1]
        direction = direction * state["H_diag"]
        for y, s, inverse, weight in zip(changes, steps, inverses, reversed(weights), strict=True):
            direction = direction + s * (weight - inverse * _dot(y, direction))
        state["d"] = direction

    def _search(self, closure: Callable[[], Any], start: Point, limit: int) -> Point:
        """Move to a step that the line search finds."""
        group, state = self.param_groups[0], self.state[self.param_groups[0]["params"][0]]
        origin = [p.clone() for p in group["params"]]

        def at(step: float) -> Point:
            self._move(step)
            loss, gradient = float(self._evaluate(closure)), self._flat_gradient()
            for p, value in zip(group["params"], origin, strict=True):
                p.copy_(value)
            return Point(step, loss, gradient, _dot(gradient, state["d"]))

        search = WolfeSearch(at, start, _largest(state["d"]), group["tolerance_change"], limit)
        found = search.run(state["t"])
        state["t"] = found.step
        self._move(found.step)
        return found

    def _evaluate(self, closure: Callable[[], Any]) -> Any:
        self.state[self.param_groups[0]["params"][0]]["func_evals"] += 1
        with enable_grad():
            return closure()

    def _flat_gradient(self) -> Tensor:
        """The gradients of all parameters in one vector, zeros where there is none."""
        parameters = self.param_groups[0]["params"]
        return F.cat([(F.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])

    def _move(self, step: float) -> None:
        """Go along the direction."""
        parameters = self.param_groups[0]["params"]
        direction = self.state[parameters[0]]["d"]
        parts = direction.split([p.numel() for p in parameters])
        for p, part in zip(parameters, parts, strict=True):
            self.update(p, part, {"t": step}, self.param_groups[0])

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        """Move one parameter by its part of the direction, here called `gradient`, times the step `t`."""
        p.add_(gradient.reshape(p.shape) * state["t"])


def _dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum())


def _largest(a: Tensor) -> float:
    return float(a.abs().max())
