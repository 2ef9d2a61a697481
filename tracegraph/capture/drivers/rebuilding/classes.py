"""Classes that the trace made: made anew by each call, where a function of the standard library makes them."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

from tracegraph.capture.drivers.rebuilding.not_reconstructible import NotReconstructible
from tracegraph.capture.trace.safety import flatten

if TYPE_CHECKING:
    from tracegraph.capture.drivers.rebuilding.reconstructor import Reconstructor


def build_class(reconstructor: Reconstructor, cls: type) -> str:
    """A class of the trace.

    Raises:
        NotReconstructible: a class statement made it, the trace has written to it since, or it has fields of the trace.
    """
    name = reconstructor.name_of(cls)
    if name is not None:
        return name
    made = reconstructor.tracer.made_classes.get(cls)
    if made is None or not made.is_unchanged:
        raise NotReconstructible(cls)
    if any(isinstance(part, dataclasses.Field) for part in flatten((made.args, made.kwargs))):
        raise NotReconstructible(cls)  # fields are filled in after the class would need them
    arguments = [*map(reconstructor.expression, made.args)]
    arguments += [f"{k}={reconstructor.expression(v)}" for k, v in made.kwargs.items()]
    name = reconstructor.assign(cls, f"{reconstructor.pool.name(made.factory)}({', '.join(arguments)})")
    if "module" not in made.kwargs:
        reconstructor.lines.append(f"{name}.__module__ = {cls.__module__!r}")
    return name


def build_member(reconstructor: Reconstructor, member: enum.Enum) -> str:
    """A member of an Enum of the trace."""
    cls = build_class(reconstructor, type(member))
    return reconstructor.assign(member, f"{cls}({reconstructor.expression(member.value)})")
