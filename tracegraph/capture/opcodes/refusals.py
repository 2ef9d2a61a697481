"""Instructions that break the graph wherever they stand, each with its reason."""

from __future__ import annotations

from typing import Any, NoReturn

from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.trace.frame import Frame, Handler


def refusal(op: str, reason: str, statement: str) -> Handler:
    """A handler of `op` that breaks the graph at `statement`."""

    def refuse(frame: Frame, arg: Any) -> NoReturn:
        raise Break(reason, statement)

    refuse.__name__ = f"op_{op}"
    # read by the page that lists all instructions
    refuse.__doc__ = f"{reason}: {statement}"
    refuse.__dict__["is_refusal"] = True
    return refuse


op_GET_AWAITABLE = refusal("GET_AWAITABLE", reasons.ASYNC, "`await`")
op_GET_AITER = refusal("GET_AITER", reasons.ASYNC, "`async for`")
op_GET_ANEXT = refusal("GET_ANEXT", reasons.ASYNC, "`async for`")
op_END_ASYNC_FOR = refusal("END_ASYNC_FOR", reasons.ASYNC, "`async for`")
op_BEFORE_ASYNC_WITH = refusal("BEFORE_ASYNC_WITH", reasons.ASYNC, "`async with`")
op_TYPE_PARAMETERS = refusal("TYPE_PARAMETERS", reasons.UNSUPPORTED_VALUE, "type parameters made in the trace")
