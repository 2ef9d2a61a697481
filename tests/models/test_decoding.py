"""Decoding with a growing key-value cache: compiled gives eager's tokens, without a capture for every step."""

from __future__ import annotations

from typing import Any

import pytest

import tracegraph as tg
from models.ports import PORTS, capture_of


def sampled(model: Any, length: int) -> tg.Tensor:
    tg.manual_seed(5)
    return model.generate(tg.randint(0, 96, (2, 5)), length, temperature=0.9, top_k=10)


def greedy(model: Any, length: int) -> tg.Tensor:
    tg.manual_seed(5)
    return model.generate(tg.randint(1, 96, (2, 5)), length)


def translated(model: Any, length: int) -> tg.Tensor:
    tg.manual_seed(5)
    return model.generate(tg.randint(1, 96, (2, 9)), max_length=length)


DECODERS = {"gpt2": sampled, "llama": greedy, "t5": translated}


@pytest.mark.parametrize("name", DECODERS)
def test_growing_cache_is_captured_once(name: str) -> None:
    model, decode = PORTS[name].make().eval(), DECODERS[name]
    compiled = tg.compile(model, backend="eager", options={"strict": True}, fullgraph=True)
    assert tg.equal(decode(compiled, 4), decode(model, 4))
    found = capture_of(compiled)
    assert len(found.graphs) == 3, "the prompt, the first step, and all steps after it"
    assert tg.equal(decode(compiled, 24), decode(model, 24))
    assert capture_of(compiled) == found


@pytest.mark.parametrize("name", DECODERS)
def test_native_decoding(name: str) -> None:
    model, decode = PORTS[name].make().eval(), DECODERS[name]
    assert tg.equal(decode(tg.compile(model, options={"strict": True}), 12), decode(model, 12))
