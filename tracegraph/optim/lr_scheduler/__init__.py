"""Learning-rate schedules: change the `lr` of every parameter group once per `step()` (`torch.optim.lr_scheduler`).

All but `ReduceLROnPlateau` are closed forms of the number of steps taken, so restoring that number restores them.
"""

from tracegraph.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from tracegraph.optim.lr_scheduler.cyclic import CyclicLR, OneCycleLR
from tracegraph.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tracegraph.optim.lr_scheduler.scheduler import LRScheduler
from tracegraph.optim.lr_scheduler.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

#: the name that schedules of one's own derived from before PyTorch 2.0
_LRScheduler = LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
