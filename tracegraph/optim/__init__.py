"""Optimisers: update parameters from their gradients. Names, arguments and update formulas are PyTorch's."""

from tracegraph.module_names import names_below
from tracegraph.optim import lr_scheduler
from tracegraph.optim.adadelta import Adadelta
from tracegraph.optim.adafactor import Adafactor
from tracegraph.optim.adagrad import Adagrad
from tracegraph.optim.adam import Adam, AdamW
from tracegraph.optim.adamax import Adamax
from tracegraph.optim.asgd import ASGD
from tracegraph.optim.lbfgs import LBFGS
from tracegraph.optim.nadam import NAdam
from tracegraph.optim.optimizer import Optimizer
from tracegraph.optim.radam import RAdam
from tracegraph.optim.rmsprop import RMSprop
from tracegraph.optim.rprop import Rprop
from tracegraph.optim.sgd import SGD

__getattr__ = names_below(__name__)

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]
