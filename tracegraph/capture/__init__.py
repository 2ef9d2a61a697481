"""Capture: from a Python call to a graph, guards, and a driver that replays everything else.

`capture_call` captures one call and shows the product; `compiled` wraps a callable so that its calls are captured,
compiled by a backend and cached.
"""

from tracegraph.capture.compiled_function import CompiledFunction, CompiledModule, compiled, family_of
from tracegraph.capture.drivers.result import CaptureResult
from tracegraph.capture.session import RunEagerly, capture_call
from tracegraph.capture.specialisations import CaptureOptions

__all__ = [
    "CaptureOptions",
    "CaptureResult",
    "CompiledFunction",
    "CompiledModule",
    "RunEagerly",
    "capture_call",
    "compiled",
    "family_of",
]
