"""The state of random numbers: a seed and a count of draws.

A random op takes a key, the pair of a generator's seed and the number of the draw; taking one advances the count. Eager
and compiled code take theirs from the same default generator, in program order, so a seed gives the same numbers in
both.
"""

from __future__ import annotations

import os
import threading

import numpy as np

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.device import Device, check_device

_SIGN, _ALL = 1 << 63, (1 << 64) - 1

#: a generator's state: its seed and the number of draws taken
State = tuple[int, int]
#: how many draws a reservation is of: more than any call takes
_RESERVED = 1 << 40


#: of all generators: a draw is short
_LOCK = threading.Lock()
# a fork waits for a draw on another thread: in the child nobody would end it
os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


class Generator:
    """A stream of random keys. Safe to share between threads, which then draw in no fixed order.

    Args:
        device: only the CPU there is.
    """

    def __init__(self, device: Device | str = "cpu") -> None:
        check_device(device)
        self._seed = 0
        self._draws = 0
        self.seed()

    @classmethod
    def at(cls, state: State) -> Generator:
        """A generator that continues where `get_state` was asked."""
        return cls.__new__(cls).set_state(state)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream that belongs to `seed`, from its beginning; returns the generator.

        Raises:
            ValueRangeError: the seed does not fit 64 bits.
        """
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise ArgumentError(f"manual_seed: the seed must be an int, got {type(seed).__name__}")
        number = seed.__index__()
        if not -_SIGN <= number <= _ALL:
            raise ValueRangeError(f"manual_seed: the seed must fit 64 bits, got {number}")
        with _LOCK:
            self._seed, self._draws = _signed(number), 0
        return self

    def seed(self) -> int:
        """Start a stream that no other run will see; returns its seed."""
        number = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(number)
        return number

    def initial_seed(self) -> int:
        """The seed of the present stream."""
        return self._seed & _ALL

    @property
    def device(self) -> Device:
        """The CPU."""
        return Device("cpu")

    def next_key(self) -> np.ndarray:
        """The key of the next draw: int64 [seed, number of the draw]."""
        return key_of(self.take(1))

    def take(self, count: int) -> State:
        """Advance by so many draws; the state before, from which `key_of` makes their keys."""
        with _LOCK:
            state = self._seed & _ALL, self._draws
            self._draws += count
        return state

    def give_back(self, state: State, count: int) -> None:
        """Undo the `take(count)` that gave `state`, unless others have drawn since."""
        if self.get_state() == after(state, count):
            self.set_state(state)

    def reserve(self) -> State:
        """Take more draws than anybody needs, for who cannot say how many it will be; the state before."""
        return self.take(_RESERVED)

    def release(self, state: State, used: int) -> None:
        """Undo the `reserve()` that gave `state` but for its first draws, unless others have drawn since."""
        with _LOCK:
            if (self._seed & _ALL, self._draws) == after(state, _RESERVED):
                self._draws = state[1] + used

    def get_state(self) -> State:
        """The seed and the number of draws taken; `set_state` continues from there."""
        with _LOCK:
            return self._seed & _ALL, self._draws

    def set_state(self, state: State) -> Generator:
        """Continue where `get_state` was asked; returns the generator.

        Raises:
            ArgumentError: `state` is not what `get_state` gives.
        """
        if not (isinstance(state, tuple | list) and len(state) == 2 and all(isinstance(s, int) for s in state)):
            raise ArgumentError(f"set_state: expected the pair (seed, draws) of get_state(), got {state!r}")
        with _LOCK:
            self._seed, self._draws = _signed(state[0]), state[1]
        return self

    def __repr__(self) -> str:
        return f"Generator(seed={self.initial_seed()}, draws={self._draws})"

    def __getstate__(self) -> State:
        return self.get_state()

    def __setstate__(self, state: State) -> None:
        self.set_state(state)


def _signed(number: int) -> int:
    """The int64 with the bits of `number`."""
    number &= _ALL
    return number - (1 << 64) if number >= _SIGN else number


def after(state: State, count: int) -> State:
    """The state `count` draws later."""
    return state[0], state[1] + count


def key_of(state: State, count: int = 0) -> np.ndarray:
    """The key of the draw that follows `count` others on `state`: int64 [seed, number of the draw]."""
    return np.array([_signed(state[0]), state[1] + count], dtype=np.int64)


def state_of(key: np.ndarray) -> State:
    """The state whose next draw has this key."""
    return int(key[0]) & _ALL, int(key[1])


#: the generator of every random op that is not given another
default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator; returns it."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the system's entropy; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> State:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(state: State) -> None:
    """Continue the default generator from a state of `get_rng_state`."""
    default_generator.set_state(state)
