"""Driver source as a function that passes for the user's in tracebacks and warnings."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from tracegraph.capture.result import CaptureResult


def load_driver(result: CaptureResult, names: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """The function `run` of a driver.

    Its frame has the name and file of the function that was captured, and the line of the instruction it runs
    natively: an exception of that instruction has the traceback that eager execution gives it.

    Args:
        names: what the driver refers to; `run` is added.
    """
    code = result.unit.code
    tree = ast.parse(result.driver)
    line = result.line or code.co_firstlineno
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.arg | ast.excepthandler | ast.keyword):
            node.lineno = node.end_lineno = line
            node.col_offset = node.end_col_offset = 0
    exec(compile(tree, code.co_filename, "exec"), names)
    run: Any = names["run"]
    run.__code__ = run.__code__.replace(co_name=code.co_name, co_qualname=code.co_qualname)
    return run
