"""Attributes that `nn.Module` keeps in its registries: parameters, buffers and submodules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegraph.capture.sources import MISSING

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer


def get_registered(tracer: Tracer, module: Any, name: str, fallback: Any) -> Any:
    """A parameter, buffer or submodule of a Module; MISSING if `module` is none or has no such entry."""
    return MISSING


def set_registered(tracer: Tracer, module: Any, name: str, value: Any, setter: Any) -> bool:
    """Write a registered buffer or parameter; False if the general protocol must do it."""
    return False
