"""A sparse mixture of experts as in Mixtral (Jiang et al. 2024, arXiv:2401.04088), in a small Transformer block.

    python examples/models/moe.py

trains one to continue the standard library's text, and compares a compiled step with an eager one. Two ways to the same
result are there: "dense" runs every expert on every token, "sparse" sends to each expert its tokens only, whose number
is known only from the values.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from support.data import CharacterText
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn


@dataclass
class MoEConfig:
    """Sizes and routing; the defaults are Mixtral's."""

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 14336
    num_heads: int = 32
    num_local_experts: int = 8
    num_experts_per_tok: int = 2
    router_jitter_noise: float = 0.0
    router_aux_loss_coef: float = 0.02
    dispatch: str = "dense"


class Expert(nn.Module):
    """A SwiGLU feed-forward network."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.w2 = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.w3 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, hidden_states: tg.Tensor) -> tg.Tensor:
        return self.w2(self.act_fn(self.w1(hidden_states)) * self.w3(hidden_states))


class SparseMoeBlock(nn.Module):
    """Every token goes to the `top_k` experts that its router scores highest, whose outputs are weighted and added."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.num_experts = config.num_local_experts
        self.top_k = config.num_experts_per_tok
        self.jitter_noise = config.router_jitter_noise
        self.dispatch = config.dispatch
        self.gate = nn.Linear(config.hidden_size, self.num_experts, bias=False)
        self.experts = nn.ModuleList([Expert(config) for _ in range(self.num_experts)])

    def forward(self, hidden_states: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        batch_size, sequence_length, hidden_dim = hidden_states.shape
        if self.training and self.jitter_noise > 0:
            hidden_states = hidden_states * tg.empty_like(hidden_states).uniform_(
                1.0 - self.jitter_noise, 1.0 + self.jitter_noise
            )
        hidden_states = hidden_states.view(-1, hidden_dim)
        router_logits = self.gate(hidden_states)
        routing_weights = F.softmax(router_logits, dim=1, dtype=tg.float)
        routing_weights, selected_experts = tg.topk(routing_weights, self.top_k, dim=-1)
        routing_weights /= routing_weights.sum(dim=-1, keepdim=True)
        routing_weights = routing_weights.to(hidden_states.dtype)

        dispatch = {"dense": self._dense, "sparse": self._sparse}[self.dispatch]
        final_hidden_states = dispatch(hidden_states, routing_weights, selected_experts)
        return final_hidden_states.reshape(batch_size, sequence_length, hidden_dim), router_logits

    def _dense(self, hidden_states: tg.Tensor, weights: tg.Tensor, selected: tg.Tensor) -> tg.Tensor:
        """All experts on all tokens; unselected ones weigh nothing."""
        outputs = tg.stack([expert(hidden_states) for expert in self.experts], dim=1)
        full_weights = tg.zeros(weights.shape[0], self.num_experts, dtype=weights.dtype, device=weights.device)
        full_weights = full_weights.scatter(1, selected, weights)
        return tg.einsum("te,teh->th", full_weights, outputs)

    def _sparse(self, hidden_states: tg.Tensor, weights: tg.Tensor, selected: tg.Tensor) -> tg.Tensor:
        """Each expert on the tokens that selected it, added up by `index_add_`."""
        final_hidden_states = tg.zeros_like(hidden_states)
        expert_mask = F.one_hot(selected, num_classes=self.num_experts).permute(2, 1, 0)
        for expert_idx in range(self.num_experts):
            expert_layer = self.experts[expert_idx]
            idx, top_x = tg.where(expert_mask[expert_idx])
            current_state = hidden_states[None, top_x].reshape(-1, hidden_states.shape[-1])
            current_hidden_states = expert_layer(current_state) * weights[top_x, idx, None]
            final_hidden_states.index_add_(0, top_x, current_hidden_states.to(hidden_states.dtype))
        return final_hidden_states


def load_balancing_loss(router_logits: tg.Tensor, num_experts: int, top_k: int) -> tg.Tensor:
    """Large where few experts get most tokens (Switch Transformer, arXiv:2101.03961, eq. 4 to 6)."""
    routing_weights = F.softmax(router_logits, dim=-1)
    _, selected_experts = tg.topk(routing_weights, top_k, dim=-1)
    expert_mask = F.one_hot(selected_experts, num_experts)
    tokens_per_expert = tg.mean(expert_mask.float(), dim=0)
    router_prob_per_expert = tg.mean(routing_weights, dim=0)
    return tg.sum(tokens_per_expert * router_prob_per_expert.unsqueeze(0)) * num_experts


class MoETransformer(nn.Module):
    """Embedding, one block of attention and experts, and a head; returns logits, and in training the router's loss."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.attn_norm = nn.RMSNorm(config.hidden_size, eps=1e-5)
        self.attn = nn.MultiheadAttention(config.hidden_size, config.num_heads, batch_first=True, bias=False)
        self.moe_norm = nn.RMSNorm(config.hidden_size, eps=1e-5)
        self.block_sparse_moe = SparseMoeBlock(config)
        self.norm = nn.RMSNorm(config.hidden_size, eps=1e-5)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, input_ids: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor | None]:
        x = self.embed(input_ids)
        length = x.shape[1]
        future = tg.triu(tg.ones(length, length, dtype=tg.bool, device=x.device), diagonal=1)
        normed = self.attn_norm(x)
        x = x + self.attn(normed, normed, normed, attn_mask=future, need_weights=False)[0]
        moe_output, router_logits = self.block_sparse_moe(self.moe_norm(x))
        logits = self.lm_head(self.norm(x + moe_output))
        if not self.training:
            return logits, None
        config = self.config
        aux_loss = load_balancing_loss(router_logits, config.num_local_experts, config.num_experts_per_tok)
        return logits, config.router_aux_loss_coef * aux_loss


def small(dispatch: str = "dense") -> MoETransformer:
    """Four experts, two for each token."""
    sizes = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_heads=4)
    return MoETransformer(MoEConfig(**sizes, num_local_experts=4, router_jitter_noise=0.01, dispatch=dispatch))


def small_sparse() -> MoETransformer:
    """The same with sparse dispatch."""
    return small("sparse")


def example_inputs(batch: int = 2) -> tuple[tg.Tensor]:
    return (tg.randint(0, 96, (batch, 12)),)


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    return tg.randint(0, 96, (batch, 12)), tg.randint(0, 96, (batch, 12))


def loss_of(model: nn.Module, input_ids: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
    logits, aux_loss = model(input_ids)
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    return loss if aux_loss is None else loss + aux_loss


def main() -> int:
    tg.manual_seed(0)
    model = small()
    train(model, loss_of, CharacterText().batches(batch=16, length=32, steps=60), lr=1e-2, clip=1.0)
    model.eval()
    sparse = small_sparse().eval()
    sparse.load_state_dict(model.state_dict())
    inputs = example_inputs()
    with tg.no_grad():
        difference = (model(*inputs)[0] - tg.compile(sparse)(*inputs)[0]).abs().max().item()
    print(f"sparse and dense dispatch agree to {difference:.1e}")
    return 0 if difference < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
