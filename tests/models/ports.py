"""The table of model ports, and how their captures are looked at."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.ir import Graph

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "models"


@dataclass(frozen=True)
class Port:
    """A small model of one file.

    Attributes:
        file: the file's name without suffix.
        maker: the function of the file that makes the model.
        forward_breaks: ids of the graph breaks of a forward pass, in order of first occurrence.
        step_breaks: ids of the graph breaks of a training step.
        why: why there are breaks, for the reader of docs/models.md.
    """

    file: str
    title: str
    maker: str = "small"
    forward_breaks: tuple[str, ...] = ()
    step_breaks: tuple[str, ...] = ()
    why: str = ""

    @property
    def module(self) -> Any:
        """The file, imported as it imports its neighbours when it is run."""
        if str(FOLDER) not in sys.path:
            sys.path.insert(0, str(FOLDER))
        return importlib.import_module(self.file)

    def make(self) -> nn.Module:
        """The model, the same each time."""
        tg.manual_seed(0)
        return getattr(self.module, self.maker)()

    def inputs(self, batch: int) -> tuple[Any, ...]:
        tg.manual_seed(1)
        return self.module.example_inputs(batch)

    def batch(self, batch: int) -> tuple[Any, ...]:
        tg.manual_seed(4)  # so that no activation lies within rounding of the kink of its ReLU
        return self.module.example_batch(batch)

    @property
    def loss_of(self) -> Callable[..., Any]:
        return self.module.loss_of


PORTS: dict[str, Port] = {
    "resnet18": Port("resnet", "ResNet-18"),
    "mobilenet_v2": Port("mobilenet_v2", "MobileNetV2"),
    "vit": Port("vit", "Vision Transformer"),
    "convnext": Port("convnext", "ConvNeXt"),
    "unet": Port("unet", "U-Net, transposed convolutions"),
    "unet_bilinear": Port("unet", "U-Net, bilinear upsampling", "small_bilinear"),
    "gpt2": Port("gpt2", "GPT-2"),
    "bert": Port("bert", "BERT"),
    "t5": Port("t5", "T5"),
    "llama": Port("llama", "Llama"),
    "moe": Port("moe", "Mixture of experts, dense dispatch"),
    "moe_sparse": Port(
        "moe",
        "Mixture of experts, sparse dispatch",
        "small_sparse",
        forward_breaks=("data-dependent", "opaque-iterator"),
        step_breaks=("data-dependent", "opaque-iterator"),
        why="how many tokens an expert gets is known only from the values, so `nonzero` runs outside of the graphs",
    ),
    "lstm_lm": Port("lstm_lm", "LSTM language model"),
    "wavenet": Port("wavenet", "WaveNet"),
    "gnn": Port("gnn", "Graph network (GCN, GAT)"),
    "vae": Port("vae", "Variational autoencoder"),
    "dqn": Port("dqn", "Dueling double DQN"),
    "pinn": Port("pinn", "Physics-informed network"),
}


@dataclass(frozen=True)
class Capture:
    """What a compiled callable has captured so far."""

    graphs: tuple[Graph, ...]
    breaks: tuple[str, ...]
    recompiles: int


def capture_of(compiled: Any) -> Capture:
    """What `compiled` has captured so far."""
    family = family_of(compiled)
    specialisations = [s for unit in family.units.values() for s in unit.specialisations]
    return Capture(
        tuple(s.graph for s in specialisations if s.graph is not None),
        tuple(dict.fromkeys(stop.reason.id for _, stop in family.breaks)),
        len(family.recompiles),
    )


def leaves(result: Any) -> Iterator[tg.Tensor]:
    """The tensors of a nest of containers and dataclasses."""
    if isinstance(result, tg.Tensor):
        yield result
    elif isinstance(result, dict):
        for value in result.values():
            yield from leaves(value)
    elif isinstance(result, list | tuple):
        for value in result:
            yield from leaves(value)
    elif is_dataclass(result):
        for field in fields(result):
            yield from leaves(getattr(result, field.name))
    else:
        assert result is None, f"unexpected result {result!r}"


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """The same types and shapes; the elements of a tensor within `tolerance` of its largest one.

    Tensors whose elements nearly vanish, such as gradients of a bias before a normalisation, are sums of numbers that
    cancel: they count as having an element of a hundredth of the largest among all tensors.
    """
    assert type(actual) is type(expected)
    pairs = list(zip(leaves(actual), leaves(expected), strict=True))
    assert pairs
    sizes = [float(e.detach().double().abs().max()) if e.numel() else 0.0 for _, e in pairs]
    for (a, e), size in zip(pairs, sizes, strict=True):
        assert (a.dtype, a.shape, a.requires_grad) == (e.dtype, e.shape, e.requires_grad)
        bound = tolerance * max(size, max(sizes) / 100)
        np.testing.assert_allclose(a.detach().numpy(), e.detach().numpy(), rtol=0, atol=bound)


def step(model: nn.Module, loss_of: Callable[..., Any], batch: tuple[Any, ...]) -> dict[str, Any]:
    """Loss, gradients and buffers after one training step of a copy of `model`, from a fixed random state."""
    model, batch = copy.deepcopy((model, batch))
    tg.manual_seed(3)
    loss = loss_of(model, *batch)
    loss.backward()
    gradients = {f"gradient of {name}": p.grad for name, p in model.named_parameters() if p.grad is not None}
    buffers = {f"buffer {name}": b.clone() for name, b in model.named_buffers()}
    return {"loss": loss, **gradients, **buffers}
