"""The base of all optimisers: parameter groups, state, saving and restoring both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, TypeAlias

from tracegraph.autograd import enable_grad, no_grad
from tracegraph.errors import ArgumentError, MissingRuleError, ValueRangeError
from tracegraph.ops.core.arguments import described
from tracegraph.tensor import Tensor
from tracegraph.tensor.hooks import RemovableHandle

ParamGroup: TypeAlias = dict[str, Any]


class Optimizer:
    """Derive, give the defaults of a group to `__init__`, and write `update`, or `step` as a whole.

    Args:
        params: tensors, or groups `{"params": tensors, option: value, ...}` that override the defaults.
        defaults: options of a group and their default values.

    Raises:
        ArgumentError: `params` holds something other than leaf tensors.
        ValueRangeError: `params` is empty, or a tensor is in two groups.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[ParamGroup], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[ParamGroup] = []
        self._step_pre_hooks: dict[int, Callable[..., Any]] = {}
        self._step_post_hooks: dict[int, Callable[..., Any]] = {}
        if isinstance(params, Tensor):
            raise ArgumentError(
                "params must be an iterable of tensors or groups, got a single Tensor; wrap it in a list"
            )
        if not isinstance(params, Iterable):
            remedy = "; pass its parameters()" if hasattr(params, "parameters") else ""
            raise ArgumentError(f"params must be an iterable of tensors or groups, got {described(params)}{remedy}")
        listed = list(params)
        if not listed:
            raise ValueRangeError("the optimizer got an empty parameter list")
        groups = listed if isinstance(listed[0], dict) else [{"params": listed}]
        for group in groups:
            self.add_param_group(group)  # type: ignore[arg-type]

    def add_param_group(self, group: ParamGroup) -> None:
        """Add tensors with options of their own; missing options take the defaults.

        Raises:
            ArgumentError: the group is no dict with "params", or holds something other than leaf tensors.
            ValueRangeError: a tensor is in a group already.
        """
        if not isinstance(group, dict) or "params" not in group:
            raise ArgumentError(f'a parameter group must be a dict with a "params" entry, got {described(group)}')
        given = group["params"]
        tensors = [given] if isinstance(given, Tensor) else list(given)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise ArgumentError(f"an optimizer takes Tensors, got {described(tensor)}")
            if not tensor.is_leaf:
                raise ArgumentError(
                    f"a parameter of shape {list(tensor.shape)} is not a leaf: it was computed; pass what it was "
                    "computed from, or detach() it"
                )
            if id(tensor) in known:
                raise ValueRangeError("a parameter appears more than once in the parameter groups")
            known.add(id(tensor))
        group["params"] = tensors
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        self.param_groups.append(group)
        if type(self).update is not Optimizer.update:
            for tensor in tensors:
                self.state[
                    tensor
                ]  # an entry for each from the start: no step adds keys, and compiled ones stay as they are

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach() * 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss anew (and its gradients) before the update; its value is returned.
        """
        for hook in list(self._step_pre_hooks.values()):
            replaced = hook(self, (closure,), {})
            if replaced is not None:
                (closure,), _ = replaced
        loss = self._step(closure)
        for hook in list(self._step_post_hooks.values()):
            hook(self, (closure,), {})
        return loss

    def _step(self, closure: Callable[[], Any] | None) -> Any:
        """A step between its hooks."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        gradient = -p.grad if group.get("maximize") else p.grad
                        self.update(p, gradient, self.state[p], group)
        return loss

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; what it returns replaces args and kwargs."""
        return RemovableHandle(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return RemovableHandle(self._step_post_hooks, hook)

    def update(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: ParamGroup) -> None:
        """Update one parameter in place; called under `no_grad`.

        Raises:
            NotImplementedError: the class has neither a step nor an update of its own.
        """
        raise MissingRuleError(f"{type(self).__name__} defines neither step() nor update()")

    def state_dict(self) -> dict[str, Any]:
        """State by parameter number, and the groups with numbers in place of tensors."""
        numbers = {id(p): i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        groups = [{**g, "params": [numbers[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": {numbers[id(p)]: s for p, s in self.state.items() if s}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, for the same parameters in the same order.

        Raises:
            ArgumentError: `state_dict` is not what `state_dict()` gives.
            ValueRangeError: the groups do not fit.
        """
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= state_dict.keys():
            raise ArgumentError(
                f'load_state_dict: expected a dict with "state" and "param_groups", got {described(state_dict)}'
            )
        saved = state_dict["param_groups"]
        sizes, wanted = [len(g["params"]) for g in saved], [len(g["params"]) for g in self.param_groups]
        if sizes != wanted:
            raise ValueRangeError(f"load_state_dict: groups of sizes {sizes}, this optimizer has {wanted}")
        tensors = [p for g in self.param_groups for p in g["params"]]
        for group, source in zip(self.param_groups, saved, strict=True):
            group.update({k: deepcopy(v) for k, v in source.items() if k != "params"})
        self.state.clear()
        saved_state = {int(number): state for number, state in state_dict["state"].items()}
        for number, tensor in enumerate(tensors):
            self.state[tensor] = deepcopy(saved_state.get(number, {}))

    def __repr__(self) -> str:
        options = "; ".join(
            ", ".join(f"{k}={v}" for k, v in sorted(g.items()) if k != "params") for g in self.param_groups
        )
        return f"{type(self).__name__}({options})"


def decayed(p: Tensor, gradient: Tensor, group: ParamGroup, decoupled: bool = False) -> Tensor:
    """The gradient with the group's `weight_decay` in it; with `decoupled`, the parameter shrinks instead."""
    if not group["weight_decay"]:
        return gradient
    if decoupled:
        p.mul_(1 - group["lr"] * group["weight_decay"])
        return gradient
    return gradient + p * group["weight_decay"]


def check_range(name: str, value: float, low: float = 0.0, high: float | None = None) -> None:
    """Refuse an option outside [low, high).

    Raises:
        ArgumentError: it is no number.
        ValueRangeError: names the option and the range.
    """
    if not isinstance(value, int | float | Tensor):
        raise ArgumentError(f"{name} must be a number, got {described(value)}")
    if not value >= low or (high is not None and not value < high):
        bound = f"at least {low}" if high is None else f"in [{low}, {high})"
        raise ValueRangeError(f"invalid {name}={value}: must be {bound}")


#: options of update formulas, and the least number that is too large for each
_LIMITS: dict[str, float | None] = {
    "lr": None,
    "eps": None,
    "weight_decay": None,
    "momentum": None,
    "alpha": None,
    "lr_decay": None,
    "initial_accumulator_value": None,
    "momentum_decay": None,
    "rho": 1.0,
    "lambd": None,
    "t0": None,
    "max_iter": None,
    "max_eval": None,
    "history_size": None,
    "tolerance_grad": None,
    "tolerance_change": None,
}


def checked(**options: Any) -> ParamGroup:
    """The options of a group, those that are numbers not below 0 and within their limits.

    Raises:
        ArgumentError, ValueRangeError: name the option.
    """
    for name, value in options.items():
        if name in _LIMITS:
            check_range(name, value, high=_LIMITS[name])
        elif name == "betas":
            check_pair(name, value, high=1.0)
    return options


def check_pair(name: str, value: Any, high: float | None = None) -> None:
    """Refuse an option that is not two numbers in [0, high).

    Raises:
        ArgumentError, ValueRangeError: it is not.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ArgumentError(f"{name} must be two numbers, got {described(value)}")
    for number, part in enumerate(value):
        check_range(f"{name}[{number}]", part, high=high)
