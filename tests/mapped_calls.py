"""Calls of ops for several samples: at once by `vmap`, and one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from op_cases import Call, Case

import tracegraph as tg
from tracegraph.dtypes import DType
from tracegraph.ops.core.samples import draw

#: how many samples
COUNT = 3


@dataclass(frozen=True)
class MappedCall:
    """A case with the arrays of several samples, of which those that vary differ from sample to sample.

    Attributes:
        in_dims: for each array the dimension of samples, None where it does not vary.
    """

    case: Case
    samples: Sequence[Sequence[np.ndarray]]
    in_dims: tuple[int | None, ...]

    def of_sample(self, sample: int) -> list[np.ndarray]:
        """The arrays of one sample."""
        chosen = zip(self.samples[0], self.samples[sample], self.in_dims, strict=True)
        return [first if d is None else own for first, own, d in chosen]

    def stacked(self) -> list[np.ndarray]:
        """The arrays of all samples."""
        columns = zip(*self.samples, strict=True)
        return [c[0].copy() if d is None else np.stack(c, d) for c, d in zip(columns, self.in_dims, strict=True)]

    def call(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        """The results of the op on handles of one sample."""
        return tuple(self.case.drawn(self.dtype).on_tensors(tensors))

    @property
    def dtype(self) -> DType:
        return self.case.dtype

    def one_by_one(self, tensors: Sequence[tg.Tensor]) -> list[tg.Tensor]:
        """The results of the op on the samples of tensors like `stacked`, stacked."""
        columns = [[t] * COUNT if d is None else t.unbind(d) for t, d in zip(tensors, self.in_dims, strict=True)]
        rows = [self.call([t.clone() for t in row]) for row in zip(*columns, strict=True)]
        return [tg.stack(list(results)) for results in zip(*rows, strict=True)]

    def at_once(self, tensors: Sequence[tg.Tensor]) -> list[tg.Tensor]:
        """The same by `vmap`."""
        results: tuple[tg.Tensor, ...] = tg.vmap(lambda *row: self.call(row), self.in_dims)(
            *(t.clone() for t in tensors)
        )
        return list(results)


def mapped_calls(case: Case) -> Iterator[MappedCall]:
    """Calls in which some of the arrays vary: all of them, then another choice.

    The key of random numbers does not: that of several samples stands for draws of their own.
    """
    rng = np.random.default_rng(case.index)
    seeds = (1000 * sample + case.index for sample in range(COUNT))
    calls = (Call(case.op, *draw(case.sample, np.random.default_rng(s), case.dtype)) for s in seeds)
    samples = [c.arrays for c in calls]
    keys = [bool(case.op.name.count("key") or case.op.name.count("philox")) and a.shape == (2,) for a in samples[0]]
    choices = [c for c in itertools.product((True, False), repeat=len(keys)) if any(c)]
    choices = [c for c in choices if not any(a and b for a, b in zip(c, keys, strict=True))]
    for position in [0, *(rng.permutation(len(choices))[:1] if len(choices) > 1 else [])] if choices else []:
        varies = zip(choices[position], samples[0], strict=True)
        # further behind, a sample is not dense, which some views ask for
        last = 0 if case.op.is_view or case.op.name.startswith("view") else None
        yield MappedCall(
            case, samples, tuple(int(rng.integers(0, a.ndim + 1)) * (last is None) if v else None for v, a in varies)
        )
