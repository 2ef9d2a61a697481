"""Warnings, logging, printing."""

import logging
import warnings

from graph_programs import program

logger = logging.getLogger(__name__)


@program("4x8")
def warns_once(x):
    if x.shape[0] > 2:
        warnings.warn("many rows", UserWarning, stacklevel=2)
    return x * 2


@program("4x8")
def logs_info(x):
    logger.info("shape %s", x.shape)
    logger.debug("never shown")
    y = x + 1
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("values %s", y)
    return y


@program("4x8")
def prints_shape(x):
    y = x * 2
    print("shape", x.shape, f"{x.dtype}", len(x))
    return y + 1


@program("4x8")
def prints_at_end(x):
    y = x * 2
    print("done")
    return y
