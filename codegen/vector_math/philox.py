"""Philox4x32-10 (Salmon et al., SC 2011): a counter-based random generator in integer arithmetic.

The key is the 64-bit seed; the 128-bit counter is made of a position (low half) and a draw number (high
half). 32-bit words live in i64 registers, where a product of two of them is exact.
"""

from __future__ import annotations

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import FunctionText, ModuleText, Register

_SYMBOL = "tg.philox"
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK = 0xFFFFFFFF

Words = tuple[Register, Register, Register, Register]


def _low(x: Register) -> Register:
    return x & _MASK


def _high(x: Register) -> Register:
    return ops.logical_shift_right(x, 32)


def _round(words: Words, key: tuple[Register, Register]) -> Words:
    first = words[0] * _MULTIPLIERS[0]
    second = words[2] * _MULTIPLIERS[1]
    return (
        _high(second) ^ words[1] ^ key[0],
        _low(second),
        _high(first) ^ words[3] ^ key[1],
        _low(first),
    )


def _build(seed: Register, draw: Register, position: Register, word: Register) -> Register:
    words: Words = (_low(position), _high(position), _low(draw), _high(draw))
    key = (_low(seed), _high(seed))
    for number in range(_ROUNDS):
        if number:
            key = (_low(key[0] + _WEYL[0]), _low(key[1] + _WEYL[1]))
        words = _round(words, key)
    upper = ops.select(ops.compare("eq", word & 1, 0), words[2], words[3])
    lower = ops.select(ops.compare("eq", word & 1, 0), words[0], words[1])
    return ops.select(ops.compare("eq", word & 2, 0), lower, upper)


def call_philox(seed: Register, draw: Register, position: Register, word: Register) -> Register:
    """32 random bits in an i64: word 0 to 3 of the block at `position` of the given draw."""
    module = seed.function.module
    if not module.has_function(_SYMBOL):
        _define(module)
    return seed.function.call(_SYMBOL, "i64", (seed, draw, position, word))


def _define(module: ModuleText) -> None:
    module.reserve(_SYMBOL)
    names = ("%seed", "%draw", "%position", "%word")
    parameters = ", ".join(f"i64 {name}" for name in names)
    text = FunctionText(
        module, f"internal i64 @{_SYMBOL}({parameters}) alwaysinline nounwind willreturn nosync memory(none)"
    )
    result = _build(*(Register(text, name, "i64") for name in names))
    text.line(f"ret i64 {result.text}")
    module.fill(_SYMBOL, text.render())
