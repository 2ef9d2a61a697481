"""A mixture of experts as in Mixtral (Jiang et al. 2024, arXiv:2401.04088), in a Transformer of one block.

    python examples/models/moe.py

trains one to continue the standard library's text, then compares eager and dense with compiled and sparse. Both ways of
dispatch compute the same: "dense" has every expert run on every token, "sparse" only on the tokens sent to it, whose
number is known only from the values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from support.data import CharacterText
from support.training import train

import tracegraph as tg
from tracegraph import nn


class Routing(NamedTuple):
    """Where N tokens go: k of E experts each.

    Attributes:
        experts: the chosen ones, int64 [N, k].
        shares: how much the result has of each of them, [N, k]; a token's add up to one.
        chances: how likely the router finds every expert, [N, E].
    """

    experts: tg.Tensor
    shares: tg.Tensor
    chances: tg.Tensor

    def imbalance(self) -> tg.Tensor:
        """E sum_e f_e p_e, with the fraction f_e of tokens that expert e gets and its mean chance p_e.

        It is least, k, when all get equally many (Fedus et al. 2021, arXiv:2101.03961, section 2.2).
        """
        count = self.chances.size(-1)
        load = nn.functional.one_hot(self.experts, count).sum(dim=1).float().mean(dim=0)
        return count * load.dot(self.chances.mean(dim=0))


class Expert(nn.Module):
    """SwiGLU: hidden channels, each multiplied by the SiLU of another one."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.content = nn.Linear(channels, hidden, bias=False)
        self.gate = nn.Sequential(nn.Linear(channels, hidden, bias=False), nn.SiLU())
        self.out = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.out(self.content(x) * self.gate(x))


def run_all(experts: nn.ModuleList, x: tg.Tensor, routing: Routing) -> tg.Tensor:
    """Every expert on all tokens [N, C]; those not chosen have a share of zero."""
    shares = tg.zeros_like(routing.chances).scatter(1, routing.experts, routing.shares)
    return tg.einsum("enc,ne->nc", tg.stack([expert(x) for expert in experts]), shares)


def run_chosen(experts: nn.ModuleList, x: tg.Tensor, routing: Routing) -> tg.Tensor:
    """Each expert on the tokens sent to it, its results added where they came from."""
    total = tg.zeros_like(x)
    for number, expert in enumerate(experts):
        token, rank = (routing.experts == number).nonzero(as_tuple=True)
        share = routing.shares[token, rank]
        total = total.index_add(0, token, expert(x[token]) * share[:, None])
    return total


DISPATCH: dict[str, Callable[[nn.ModuleList, tg.Tensor, Routing], tg.Tensor]] = {
    "dense": run_all,
    "sparse": run_chosen,
}


@dataclass(frozen=True)
class Sizes:
    """Sizes and rates; the defaults are Mixtral's.

    Attributes:
        jitter: by how much, relatively, the layer's input is disturbed in training.
        balance: the weight of the imbalance in the loss.
    """

    vocabulary: int = 32000
    channels: int = 4096
    hidden: int = 14336
    heads: int = 32
    experts: int = 8
    chosen: int = 2
    jitter: float = 0.0
    balance: float = 0.02
    dispatch: str = "dense"


class Router(nn.Module):
    """Scores the experts for each token and chooses the best; the softmax of their scores is what they share by."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.score = nn.Linear(sizes.channels, sizes.experts, bias=False)
        self.chosen = sizes.chosen

    def forward(self, x: tg.Tensor) -> Routing:
        scores = self.score(x).float()
        best, experts = scores.topk(self.chosen)
        return Routing(experts, best.softmax(dim=-1).type_as(x), scores.softmax(dim=-1))


class Mixture(nn.Module):
    """For each token the experts that its router chooses, added in their shares; gives the imbalance, too."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.router = Router(sizes)
        self.experts = nn.ModuleList(Expert(sizes.channels, sizes.hidden) for _ in range(sizes.experts))
        self.jitter = sizes.jitter
        self.dispatch = sizes.dispatch

    def forward(self, x: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        tokens = x.flatten(0, -2)
        if self.training and self.jitter:
            tokens = tokens * (1 + self.jitter * (2 * tg.rand_like(tokens) - 1))
        routing = self.router(tokens)
        mixed = DISPATCH[self.dispatch](self.experts, tokens, routing)
        return mixed.unflatten(0, x.shape[:-1]), routing.imbalance()


class Prediction(NamedTuple):
    """Logits [B, T, vocabulary] of what follows each token; in training also what to add to the loss."""

    logits: tg.Tensor
    penalty: tg.Tensor | None


class MixtureTransformer(nn.Module):
    """Embedding, attention, the mixture of experts, and the map to logits."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.channels)
        self.attention = nn.MultiheadAttention(sizes.channels, sizes.heads, bias=False, batch_first=True)
        self.mixture = Mixture(sizes)
        self.norms = nn.ModuleDict(
            {place: nn.RMSNorm(sizes.channels, eps=1e-5) for place in ("attention", "mixture", "head")}
        )
        self.head = nn.Linear(sizes.channels, sizes.vocabulary, bias=False)
        self.balance = sizes.balance

    def forward(self, tokens: tg.Tensor) -> Prediction:
        x = self.embedding(tokens)
        place = tg.arange(tokens.size(1))
        normal = self.norms["attention"](x)
        found, _ = self.attention(normal, normal, normal, attn_mask=place > place[:, None], need_weights=False)
        x = x + found
        mixed, imbalance = self.mixture(self.norms["mixture"](x))
        logits = self.head(self.norms["head"](x + mixed))
        return Prediction(logits, self.balance * imbalance if self.training else None)


def small(dispatch: str = "dense") -> MixtureTransformer:
    """Two of four experts for each token."""
    return MixtureTransformer(
        Sizes(vocabulary=96, channels=32, hidden=48, heads=4, experts=4, jitter=0.01, dispatch=dispatch)
    )


def small_sparse() -> MixtureTransformer:
    """The same with sparse dispatch."""
    return small("sparse")


def example_inputs(batch: int = 2) -> tuple[tg.Tensor]:
    return (tg.randint(0, 96, (batch, 12)),)


def example_batch(batch: int = 2) -> tuple[tg.Tensor, ...]:
    return tg.randint(0, 96, (2, batch, 12)).unbind()


def loss_of(model: MixtureTransformer, tokens: tg.Tensor, following: tg.Tensor) -> tg.Tensor:
    logits, penalty = model(tokens)
    loss = nn.functional.cross_entropy(logits.movedim(-1, 1), following)
    return loss if penalty is None else loss + penalty


def main() -> int:
    tg.manual_seed(0)
    dense, sparse = small(), small_sparse()
    train(dense, loss_of, CharacterText().batches(batch=16, length=32, steps=60), lr=1e-2, clip=1.0)
    sparse.load_state_dict(dense.state_dict())
    with tg.no_grad():
        inputs = example_inputs()
        one, other = (model.eval()(*inputs).logits for model in (dense, tg.compile(sparse)))
    difference = (one - other).abs().max().item()
    print(f"sparse and dense dispatch agree to {difference:.1e}")
    return 0 if difference < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
