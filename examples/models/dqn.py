"""Deep Q-learning (Mnih et al. 2015): dueling heads (Wang et al. 2015, arXiv:1511.06581) and double estimates (van
Hasselt et al. 2015, arXiv:1509.06461), from steps that are replayed out of a memory.

    python examples/models/dqn.py

learns to keep a pole upright on a cart, both simulated here. The loss and the network that acts are compiled.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from support.training import report_agreement

import tracegraph as tg
from tracegraph import nn, optim

OBSERVED, ACTIONS = 4, 2


class Steps(NamedTuple):
    """Steps of one or many episodes, side by side.

    Attributes:
        before: what was observed, [B, observed].
        action: what was done then, [B].
        reward: what that was worth, [B].
        after: what was observed next, [B, observed].
        is_last: whether nothing can come after, bool [B].
    """

    before: tg.Tensor
    action: tg.Tensor
    reward: tg.Tensor
    after: tg.Tensor
    is_last: tg.Tensor


class Memory:
    """Arrays of so many steps, in which the newest takes the place of the oldest."""

    def __init__(self, room: int, rng: np.random.Generator) -> None:
        self.arrays = {
            "before": np.empty((room, OBSERVED), np.float32),
            "action": np.empty(room, np.int64),
            "reward": np.empty(room, np.float32),
            "after": np.empty((room, OBSERVED), np.float32),
            "is_last": np.empty(room, np.bool_),
        }
        self.room = room
        self.written = 0
        self.rng = rng

    def write(self, **step: object) -> None:
        for name, content in step.items():
            self.arrays[name][self.written % self.room] = content
        self.written += 1

    def draw(self, count: int) -> Steps:
        """Steps picked at random, each as likely as any other."""
        places = self.rng.integers(min(self.written, self.room), size=count)
        return Steps(**{name: tg.from_numpy(array[places]) for name, array in self.arrays.items()})


class CartPole:
    """A cart on rails, pushed left or right so that the pole on it stays up (Barto, Sutton & Anderson 1983).

    Lengths are in metres, angles in radians from upright, masses in kilograms. Friction is left out.
    """

    CART, POLE, HALF, GRAVITY, PUSH, SECONDS = 1.0, 0.1, 0.5, 9.8, 10.0, 0.02
    FARTHEST = np.array([2.4, math.radians(12)])

    def __init__(self, rng: np.random.Generator, longest: int = 200) -> None:
        self.rng = rng
        self.longest = longest
        self.begin()

    def begin(self) -> None:
        """Place and angle, and how fast they change, all near 0."""
        self.place, self.speed = self.rng.uniform(-0.05, 0.05, (2, 2))
        self.age = 0

    @property
    def observed(self) -> np.ndarray:
        return np.concatenate([self.place, self.speed]).astype(np.float32)

    @property
    def has_fallen(self) -> bool:
        """The pole leans too far, or the rails end."""
        return bool((abs(self.place) > self.FARTHEST).any())

    @property
    def is_over(self) -> bool:
        return self.has_fallen or self.age >= self.longest

    def push(self, direction: int) -> None:
        """A push to the left for -1, to the right for 1; the time of one step passes.

        The two accelerations solve two linear equations: forces on cart and pole along the rails, and torques on the
        pole, a rod whose moment of inertia about its centre is a third of its mass times the square of half its length.
        """
        _, angle = self.place
        _, spin = self.speed
        lever = self.POLE * self.HALF
        balance = [[self.CART + self.POLE, lever * math.cos(angle)], [math.cos(angle), self.HALF * 4 / 3]]
        causes = [direction * self.PUSH + lever * spin**2 * math.sin(angle), self.GRAVITY * math.sin(angle)]
        self.speed = self.speed + self.SECONDS * np.linalg.solve(balance, causes)
        self.place = self.place + self.SECONDS * self.speed
        self.age += 1


class DuelingNetwork(nn.Module):
    """What every action is worth, [..., actions]: what the state is worth, and by how much an action beats the mean."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        widths = [OBSERVED, hidden, hidden]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.heads = nn.Linear(hidden, 1 + ACTIONS)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        worth, lead = self.heads(x).split([1, ACTIONS], dim=-1)
        return worth + (lead - lead.mean(dim=-1, keepdim=True))


class QLearner(nn.Module):
    """The network that acts and learns, and one that trails behind and says what the future is worth."""

    def __init__(self, hidden: int = 64, discount: float = 0.99) -> None:
        super().__init__()
        self.acting = DuelingNetwork(hidden)
        self.trailing = copy.deepcopy(self.acting).requires_grad_(False)
        self.discount = discount

    def forward(self, observed: tg.Tensor) -> tg.Tensor:
        return self.acting(observed)

    def loss(self, steps: Steps) -> tg.Tensor:
        """Huber loss of what actions seemed worth, against what they brought and what the state after is worth.

        The best action there is chosen by the acting network and judged by the trailing one: chosen and judged by the
        same, it would seem better than it is.
        """
        worth, worth_after = self.acting(tg.stack([steps.before, steps.after]))
        best = worth_after.detach().argmax(dim=-1)
        future = self.worth_of(best, self.trailing(steps.after)).masked_fill(steps.is_last, 0.0)
        return nn.functional.huber_loss(self.worth_of(steps.action, worth), steps.reward + self.discount * future)

    @staticmethod
    def worth_of(action: tg.Tensor, worth: tg.Tensor) -> tg.Tensor:
        """One action [B] out of the worth [B, actions] of all."""
        return worth.take_along_dim(action[:, None], dim=-1).squeeze(-1)

    @tg.no_grad()
    def catch_up(self, rate: float) -> None:
        """Move the trailing network this part of the way to the acting one."""
        for behind, ahead in zip(self.trailing.parameters(), self.acting.parameters(), strict=True):
            behind.lerp_(ahead, rate)


def small() -> QLearner:
    return QLearner(hidden=32)


def example_inputs(batch: int = 8) -> tuple[tg.Tensor]:
    return (tg.randn(batch, OBSERVED),)


def example_batch(batch: int = 8) -> tuple[Steps]:
    before, after = tg.randn(2, batch, OBSERVED)
    action, is_last = tg.randint(0, ACTIONS, (batch,)), tg.rand(batch) < 0.2
    return (Steps(before, action, tg.ones(batch), after, is_last),)


def loss_of(learner: QLearner, steps: Steps) -> tg.Tensor:
    return learner.loss(steps)


def play(cart: CartPole, policy: Callable[[np.ndarray], int], memory: Memory) -> Iterator[int]:
    """One episode, written to the memory; yields its age after every step. Each step without a fall is worth 1."""
    cart.begin()
    while not cart.is_over:
        before = cart.observed
        action = policy(before)
        cart.push(2 * action - 1)
        # an episode that ends by its age alone could have gone on, so its last step has a future
        memory.write(before=before, action=action, reward=1.0, after=cart.observed, is_last=cart.has_fallen)
        yield cart.age


def main(episodes: int = 120, batch: int = 64) -> int:
    tg.manual_seed(0)
    rng = np.random.default_rng(0)
    cart, memory, learner = CartPole(rng), Memory(10_000, rng), QLearner()
    compiled_loss, acting = tg.compile(loss_of), tg.compile(learner.acting)
    weights = list(learner.acting.parameters())
    optimizer = optim.Adam(weights, lr=2e-3)
    curiosity = 0.5  # how often an action is left to chance

    def policy(observed: np.ndarray) -> int:
        if rng.random() < curiosity:
            return int(rng.integers(ACTIONS))
        with tg.no_grad():
            return acting(tg.from_numpy(observed)).argmax().item()

    ages: list[int] = []
    while len(ages) < episodes and np.mean(ages[-10:] or 0) <= 100:
        for age in play(cart, policy, memory):
            if age % 2 == 0 and memory.written >= batch:
                optimizer.zero_grad()
                compiled_loss(learner, memory.draw(batch)).backward()
                nn.utils.clip_grad_norm_(weights, 10.0)
                optimizer.step()
                learner.catch_up(0.02)
        ages.append(age)
        curiosity = max(0.02, 0.95 * curiosity)
        if len(ages) % 10 == 0:
            print(
                f"episodes {len(ages) - 9:3} to {len(ages):3}: the pole stays up for {np.mean(ages[-10:]):5.1f} steps"
            )
    report_agreement(learner, loss_of, compiled_loss, (memory.draw(batch),))
    return 0 if np.mean(ages[-10:]) > 3 * np.mean(ages[:10]) else 1


if __name__ == "__main__":
    sys.exit(main())
