"""Instructions that only move values on the stack."""

from __future__ import annotations

from tracegraph.capture.stack.values import NULL
from tracegraph.capture.trace.frame import Frame


def op_POP_TOP(frame: Frame, arg: object) -> None:
    frame.stack.pop()


def op_PUSH_NULL(frame: Frame, arg: object) -> None:
    frame.push(NULL)


def op_COPY(frame: Frame, depth: int) -> None:
    frame.push(frame.stack[-depth])


def op_SWAP(frame: Frame, depth: int) -> None:
    stack = frame.stack
    stack[-1], stack[-depth] = stack[-depth], stack[-1]


def op_LOAD_CONST(frame: Frame, value: object) -> None:
    frame.push(value)
