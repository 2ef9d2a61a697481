"""Optimisers: update parameters from their gradients. Names, arguments and update formulas are PyTorch's."""

from tracegraph.optim import lr_scheduler
from tracegraph.optim.adagrad import Adagrad
from tracegraph.optim.adam import Adam, AdamW
from tracegraph.optim.optimizer import Optimizer
from tracegraph.optim.rmsprop import RMSprop
from tracegraph.optim.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
