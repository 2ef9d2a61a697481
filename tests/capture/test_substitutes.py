"""Python functions captured in place of functions of C."""

from __future__ import annotations

import json
import unicodedata
import zlib

import pytest
from captured import capture_of, ramp

from tracegraph.capture.calls.substitutes import substitute_in_graph
from tracegraph.errors import ArgumentError, CaptureError


def checks(x, data):
    return x * (zlib.adler32(data) % 7)


def test_a_substitute_is_captured_and_the_original_runs_elsewhere():
    compiled = capture_of(checks, fullgraph=True)
    with pytest.raises(CaptureError, match="native-call"):
        compiled(ramp(), b"abc")
    calls = []

    @substitute_in_graph(zlib.adler32, skip_signature_check=True)
    def adler32(data, value=1):
        calls.append(len(data))
        low, high = value & 0xFFFF, value >> 16
        for byte in data:
            low = (low + byte) % 65521
            high = (high + low) % 65521
        return high << 16 | low

    assert capture_of(checks, fullgraph=True)(ramp(), b"abc").tolist() == checks(ramp(), b"abc").tolist()
    assert calls == [3]
    with pytest.raises(ArgumentError, match=r"adler32.*has a substitute already"):
        substitute_in_graph(zlib.adler32)


def test_parameters_must_be_alike():
    with pytest.raises(ArgumentError, match=r"the substitute takes \(text\), the original \(chr, /\)"):
        substitute_in_graph(unicodedata.category)(lambda text: "Lu")
    with pytest.raises(ArgumentError, match="must be a Python function, got"):
        substitute_in_graph(json.dumps)(len)
