"""Deep Q-learning (Mnih et al. 2015) with a dueling network (arXiv:1511.06581) and double estimates (arXiv:1509.06461).

    python examples/models/dqn.py

learns to balance a pole on a cart, which is simulated here, with the loss and the greedy policy compiled.
"""

from __future__ import annotations

import copy
import math
import random
import sys
from collections import deque, namedtuple

import numpy as np
from support.training import report_agreement

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn, optim

Transition = namedtuple("Transition", ("state", "action", "reward", "next_state", "done"))


class CartPole:
    """A pole on a cart (Barto, Sutton & Anderson 1983): push left or right, 1 reward a step while the pole stands."""

    gravity, cart_mass, pole_mass, half_length, force, tau = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02

    def __init__(self, seed: int = 0, limit: int = 200) -> None:
        self.rng = np.random.default_rng(seed)
        self.limit = limit
        self.reset()

    def reset(self) -> np.ndarray:
        """A new episode's first state: position, speed, angle, angular speed."""
        self.state = self.rng.uniform(-0.05, 0.05, 4)
        self.steps = 0
        return self.state.astype(np.float32)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        """(state, reward, whether the pole fell, whether time is up) after one push."""
        x, speed, angle, turn = self.state
        force = self.force if action == 1 else -self.force
        mass = self.cart_mass + self.pole_mass
        sine, cosine = math.sin(angle), math.cos(angle)
        push = (force + self.pole_mass * self.half_length * turn**2 * sine) / mass
        angular = (self.gravity * sine - cosine * push) / (
            self.half_length * (4.0 / 3.0 - self.pole_mass * cosine**2 / mass)
        )
        linear = push - self.pole_mass * self.half_length * angular * cosine / mass
        self.state = self.state + self.tau * np.array([speed, linear, turn, angular])
        self.steps += 1
        fell = bool(abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12))
        return self.state.astype(np.float32), 1.0, fell, self.steps >= self.limit


class ReplayMemory:
    """The last `capacity` transitions."""

    def __init__(self, capacity: int) -> None:
        self.memory: deque[Transition] = deque([], maxlen=capacity)

    def push(self, *args: object) -> None:
        self.memory.append(Transition(*args))

    def sample(self, batch_size: int) -> list[Transition]:
        return random.sample(self.memory, batch_size)

    def __len__(self) -> int:
        return len(self.memory)


class QNetwork(nn.Module):
    """Values of all actions: the value of the state plus centred advantages."""

    def __init__(self, n_observations: int, n_actions: int, hidden: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(n_observations, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.value = nn.Linear(hidden, 1)
        self.advantage = nn.Linear(hidden, n_actions)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        h = self.body(x)
        advantage = self.advantage(h)
        return self.value(h) + advantage - advantage.mean(dim=-1, keepdim=True)


class DQNAgent(nn.Module):
    """The network that learns, and a slowly following copy that gives the targets."""

    def __init__(self, n_observations: int, n_actions: int, hidden: int = 64, gamma: float = 0.99) -> None:
        super().__init__()
        self.n_actions = n_actions
        self.gamma = gamma
        self.policy_net = QNetwork(n_observations, n_actions, hidden)
        self.target_net = copy.deepcopy(self.policy_net)
        self.target_net.requires_grad_(False)

    def forward(self, state: tg.Tensor) -> tg.Tensor:
        return self.policy_net(state)

    def loss(self, batch: Transition) -> tg.Tensor:
        """Huber loss of the temporal differences."""
        state_action_values = self.policy_net(batch.state).gather(1, batch.action.unsqueeze(1)).squeeze(1)
        with tg.no_grad():
            best = self.policy_net(batch.next_state).argmax(1, keepdim=True)
            next_values = self.target_net(batch.next_state).gather(1, best).squeeze(1)
            next_values[batch.done] = 0.0
        expected = batch.reward + self.gamma * next_values
        return F.smooth_l1_loss(state_action_values, expected)

    @tg.no_grad()
    def soft_update(self, tau: float) -> None:
        """Move the target network a little towards the other."""
        for target, source in zip(self.target_net.parameters(), self.policy_net.parameters()):
            target.lerp_(source, tau)


def select_action(policy: nn.Module, state: np.ndarray, epsilon: float, n_actions: int) -> int:
    """A random action with probability `epsilon`, else the best one."""
    if random.random() < epsilon:
        return random.randrange(n_actions)
    with tg.no_grad():
        return policy(tg.from_numpy(state).unsqueeze(0)).max(1).indices.view(1, 1).item()


def collate(transitions: list[Transition]) -> Transition:
    """Many transitions as one of tensors."""
    state, action, reward, next_state, done = zip(*transitions)
    return Transition(
        tg.from_numpy(np.stack(state)),
        tg.tensor(action),
        tg.tensor(reward),
        tg.from_numpy(np.stack(next_state)),
        tg.tensor(done),
    )


def small() -> DQNAgent:
    """Four observations, two actions."""
    return DQNAgent(4, 2, hidden=32)


def example_inputs(batch: int = 8) -> tuple[tg.Tensor]:
    return (tg.randn(batch, 4),)


def example_batch(batch: int = 8) -> tuple[Transition]:
    return (
        Transition(
            tg.randn(batch, 4), tg.randint(0, 2, (batch,)), tg.ones(batch), tg.randn(batch, 4), tg.rand(batch) < 0.2
        ),
    )


def loss_of(agent: DQNAgent, batch: Transition) -> tg.Tensor:
    return agent.loss(batch)


def main(episodes: int = 120, batch_size: int = 64) -> int:
    tg.manual_seed(0)
    random.seed(0)
    env, memory = CartPole(), ReplayMemory(10_000)
    agent = DQNAgent(4, 2)
    loss_fn, policy = tg.compile(loss_of), tg.compile(agent.policy_net)
    optimizer = optim.AdamW(agent.policy_net.parameters(), lr=2e-3, amsgrad=True)
    lengths: list[int] = []
    for episode in range(episodes):
        state, done, truncated = env.reset(), False, False
        while not (done or truncated):
            action = select_action(policy, state, max(0.02, 0.5 * 0.95**episode), agent.n_actions)
            next_state, reward, done, truncated = env.step(action)
            memory.push(state, action, reward, next_state, done)
            state = next_state
            if len(memory) >= batch_size and env.steps % 2 == 0:
                optimizer.zero_grad()
                loss = loss_fn(agent, collate(memory.sample(batch_size)))
                loss.backward()
                nn.utils.clip_grad_value_(agent.policy_net.parameters(), 100)
                optimizer.step()
                agent.soft_update(0.02)
        lengths.append(env.steps)
        if (episode + 1) % 10 == 0:
            print(f"episode {episode + 1:4}  steps {np.mean(lengths[-10:]):6.1f}")
            if np.mean(lengths[-10:]) > 100:
                break
    report_agreement(agent, loss_of, loss_fn, (collate(memory.sample(batch_size)),))
    return 0 if np.mean(lengths[-10:]) > 3 * np.mean(lengths[:10]) else 1


if __name__ == "__main__":
    sys.exit(main())
