"""docs/models.md: what each model port is captured as."""

from __future__ import annotations

import tracegraph as tg
from models.ports import PORTS, Port, capture_of, step

HEAD = """\
# Models

Made by `pytest tests/models/test_page.py --bless` from the files in `examples/models/`, which are written as users of
PyTorch write them. Each is small here, so that it runs in seconds; `python examples/models/<file>` trains it.

`tests/models/` compares every model with eager execution: forward in both modes, for several batch sizes and without
gradients; loss, gradients and buffers of a training step; saving and loading; decoding with a growing cache. A model
captured as one graph takes one for the first batch size and one for all others.

| model | file | parameters | graphs forward | graphs of a training step |
|---|---|---|---|---|
"""

DECODING = """
## Decoding

GPT-2, Llama and T5 decode with a key-value cache that grows by one token at each step. Each takes three graphs for any
number of tokens: one for the prompt, one for the first step, one for all steps after it, in which the length is
symbolic.
"""


def models_page() -> str:
    """The whole page."""
    rows, notes = [], []
    for port in PORTS.values():
        parameters = sum(p.numel() for p in port.make().parameters())
        link = f"[{port.file}.py](../examples/models/{port.file}.py)"
        rows.append(f"| {port.title} | {link} | {parameters:,} | {_forward_graphs(port)} | {_step_graphs(port)} |\n")
        reasons = dict.fromkeys((*port.forward_breaks, *port.step_breaks))
        if reasons:
            links = ", ".join(f"[{reason}](graph_breaks.md#{reason})" for reason in reasons)
            notes.append(f"- **{port.title}**: {port.why} ({links}).\n")
    return f"{HEAD}{''.join(rows)}\n## Breaks\n\n{''.join(notes)}{DECODING}"


def _forward_graphs(port: Port) -> int:
    if not port.forward_breaks:
        return 1
    compiled = tg.compile(port.make().eval(), backend="eager")
    compiled(*port.inputs(2))
    return len(capture_of(compiled).graphs)


def _step_graphs(port: Port) -> int:
    if not port.step_breaks:
        return 1
    compiled = tg.compile(port.loss_of, backend="eager")
    step(port.make(), compiled, port.batch(2))
    return len(capture_of(compiled).graphs)
