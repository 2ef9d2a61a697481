"""Attention, positions, masks."""

import math
from functools import lru_cache, partial

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


@program("2x6x8", "2x6x8", "2x7x8")
class CausalSelfAttention(nn.Module):
    def __init__(self, channels=8, heads=2, longest=16):
        super().__init__()
        self.heads, self.is_fused = heads, False
        self.inward, self.outward = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.register_buffer("visible", torch.ones(longest, longest, dtype=torch.bool).tril())

    def by_hand(self, queries, keys, values):
        length, per_head = queries.shape[-2:]
        scores = torch.einsum("bhqc,bhkc->bhqk", queries * per_head**-0.5, keys)
        return scores.masked_fill(~self.visible[:length, :length], -torch.inf).softmax(-1) @ values

    def fused(self, queries, keys, values):
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)

    def forward(self, x):
        assert x.shape[1] <= len(self.visible), f"the mask is made for {len(self.visible)} tokens, not {x.shape[1]}"
        heads = (part.unflatten(-1, (self.heads, -1)).movedim(2, 1) for part in self.inward(x).chunk(3, dim=-1))
        attend = self.fused if self.is_fused else self.by_hand
        return self.outward(attend(*heads).movedim(1, 2).flatten(2))


@program("2x6x8")
class Sinusoidal(nn.Module):
    def __init__(self, channels=8, longest=32):
        super().__init__()
        rates = 10_000 ** (-torch.arange(0, channels, 2) / channels)
        angles = torch.arange(longest)[:, None] * rates
        self.register_buffer("waves", torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1))

    def forward(self, x):
        return x + self.waves[: x.shape[1]]


@program("2x2x6x8", "2x2x7x8", "2x2x9x8")
class Rotary(nn.Module):
    """Turns the first half of the channels against the second; the table grows with the longest input so far."""

    def __init__(self, channels=8, base=10_000.0):
        super().__init__()
        self.register_buffer("rates", base ** (torch.arange(0, -channels, -2) / channels), persistent=False)
        self.reach, self.table = 0, None

    def grow(self, length, device):
        angles = torch.arange(length, device=device)[:, None] * self.rates
        self.reach, self.table = length, (angles.cos(), angles.sin())

    def forward(self, x):
        length = x.shape[-2]
        if length > self.reach:
            self.grow(length, x.device)
        cos, sin = (wave[:length] for wave in self.table)
        a, b = x.tensor_split(2, dim=-1)
        return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def angles_of(length, channels):
    """How far each pair of channels is turned at each place, [length, channels / 2]."""
    return torch.arange(length)[:, None] / 10_000 ** (torch.arange(0, channels, 2) / channels)


@program("2x6x2x8")
def rotary_interleaved(x):
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = (wave(angles_of(x.shape[1], x.shape[-1]))[:, None] for wave in (torch.cos, torch.sin))
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).to(x.dtype)


@program("2x6x2x8")
def rotary_complex(x):
    angles = angles_of(x.shape[1], x.shape[-1])
    turns = torch.polar(torch.ones_like(angles), angles)[:, None]
    turned = turns * torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


@program("2x6x8")
class Alibi(nn.Module):
    def __init__(self, heads=2):
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(8, 24)

    @staticmethod
    def slopes(heads):
        """2 to the power of -8/n, -16/n, ... for n heads; if n is no power of two, the rest lies between these."""
        even = 2 ** int(math.log2(heads))
        exponents = [8 * (i + 1) / even for i in range(even)]
        exponents += [8 * (i + 0.5) / even for i in range(heads - even)]
        return [2.0**-e for e in exponents]

    def forward(self, x):
        queries, keys, values = self.inward(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        places = torch.arange(x.shape[1])
        bias = torch.tensor(self.slopes(self.heads))[:, None, None] * (places - places[:, None])
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias).transpose(1, 2).flatten(2)


@program("2x6x6")
def relative_buckets(x, buckets=8, reach=16):
    places = torch.arange(x.shape[-1])
    ahead = places - places[:, None]
    distance = ahead.abs()
    one_way, exact = buckets // 2, buckets // 4
    growth = (one_way - exact) / math.log(reach / exact)
    far = exact + (growth * (distance.clamp(min=exact) / exact).log()).long()
    bucket = torch.where(distance < exact, distance, far.clamp(max=one_way - 1)) + one_way * (ahead > 0)
    biases = torch.arange(buckets, dtype=torch.float32).unsqueeze(-1)
    return x + F.embedding(bucket, biases)[..., 0]


@program("2x4x4x8")
class WindowAttention(nn.Module):
    """Attention within squares of an image, with a learned bias for each step down and right; then a cyclic shift."""

    def __init__(self, side=2, channels=8, heads=2):
        super().__init__()
        self.side, self.heads = side, heads
        self.biases = nn.Parameter(torch.zeros(heads, 2 * side - 1, 2 * side - 1))
        self.inward = nn.Linear(channels, 3 * channels)
        place = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        self.register_buffer("steps", place[:, None] - place + side - 1)

    def squares_of(self, x):
        rows = x.unflatten(1, (-1, self.side)).unflatten(3, (-1, self.side))
        return rows.transpose(2, 3).flatten(3, 4)

    def image_of(self, squares):
        rows = squares.unflatten(3, (self.side, self.side)).transpose(2, 3)
        return rows.flatten(3, 4).flatten(1, 2)

    def forward(self, x):
        squares = self.squares_of(x)
        heads = self.inward(squares.flatten(0, 2)).unflatten(-1, (3, self.heads, -1)).transpose(1, 3)
        down, right = self.steps.unbind(-1)
        mixed = F.scaled_dot_product_attention(*heads.unbind(2), attn_mask=self.biases[:, down, right])
        return self.image_of(mixed.transpose(1, 2).reshape(squares.shape)).roll((-1, -1), dims=(1, 2))


@program("2x6x8")
class GroupedQuery(nn.Module):
    def __init__(self):
        super().__init__()
        self.queries, self.keys, self.values = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 4)

    @staticmethod
    def shared(heads, by):
        return heads.repeat_interleave(by, dim=1) if by > 1 else heads

    def forward(self, x, per_head=2):
        linears = self.queries, self.keys, self.values
        queries, *rest = (linear(x).unflatten(-1, (-1, per_head)).transpose(1, 2) for linear in linears)
        keys, values = (self.shared(heads, by=queries.shape[1] // heads.shape[1]) for heads in rest)
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True).transpose(1, 2).flatten(2)


@program("2x6x8 2x6?")
class KeyPadding(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(8, 8)

    def forward(self, x, mask=None):
        scores = torch.bmm(self.q(x), x.transpose(1, 2))
        if mask is not None:
            if mask.dtype == torch.bool:
                extended = torch.zeros_like(mask, dtype=x.dtype).masked_fill_(mask, torch.finfo(x.dtype).min)
            else:
                extended = (1.0 - mask) * torch.finfo(x.dtype).min
            scores = scores + extended[:, None, :]
        return torch.softmax(scores, dim=-1)


@program("2x6x8")
def causal_mask_made(x):
    length = x.shape[-2]
    bias = x.new_full((length, length), torch.finfo(x.dtype).min).triu_(diagonal=1)
    return torch.baddbmm(bias.expand(len(x), -1, -1), x, x.mT).softmax(dim=-1)


@program("2x6x8 2x9x8")
class CrossAttention(nn.Module):
    def __init__(self, channels=8, heads=2):
        super().__init__()
        self.heads = heads
        self.asking = nn.Linear(channels, channels, bias=False)
        self.answering = nn.Linear(channels, 2 * channels, bias=False)

    def by_head(self, x):
        return x.unflatten(-1, (self.heads, -1)).movedim(-2, 1)

    def forward(self, x, context=None):
        source = context if context is not None else x
        queries, keys, values = map(self.by_head, (self.asking(x), *self.answering(source).tensor_split(2, dim=-1)))
        scores = torch.einsum("b h q c, b h k c -> b h q k", queries, keys) / queries.shape[-1] ** 0.5
        return torch.einsum("b h q k, b h k c -> b q h c", scores.softmax(dim=-1), values).flatten(-2)


@made("2x6x8")
def cached_mask_builder():
    @lru_cache(maxsize=None)
    def causal(n):
        return torch.ones(n, n).tril().bool()

    def run(x):
        s = x @ x.mT
        return s.masked_fill(~causal(x.shape[1]), -1e9).softmax(-1)

    return run


@program("2x6x8")
def linear_attention(x):
    q, k = F.elu(x) + 1, F.elu(x * 2) + 1
    kv = torch.einsum("nld,nlm->ndm", k, x)
    z = 1 / (torch.einsum("nld,nd->nl", q, k.sum(dim=1)) + 1e-6)
    return torch.einsum("nld,ndm,nl->nlm", q, kv, z)


@program("2x6x8")
def blockwise_softmax(x, block=2):
    m = torch.full(x.shape[:-1], -torch.inf)
    l = torch.zeros(x.shape[:-1])
    o = torch.zeros_like(x)
    for j in range(0, x.shape[1], block):
        kv = x[:, j : j + block]
        s = x @ kv.transpose(1, 2)
        m_new = torch.maximum(m, s.amax(-1))
        p = torch.exp(s - m_new[..., None])
        scale = torch.exp(m - m_new)
        l = scale * l + p.sum(-1)
        o = scale[..., None] * o + p @ kv
        m = m_new
    return o / l[..., None]


@program("2x6x8")
class TalkingBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(8, eps=1e-6), nn.LayerNorm(8)
        self.attn = partial(F.scaled_dot_product_attention, is_causal=True)
        self.mlp = nn.Sequential(nn.Linear(8, 32), nn.GELU(approximate="tanh"), nn.Linear(32, 8))
        self.gamma = nn.Parameter(1e-2 * torch.ones(8), requires_grad=True)

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.gamma * self.attn(y, y, y)
        return x + self.mlp(self.norm2(x))


@program("2x6x8")
class RMSNormSwiGLU(nn.Module):
    def __init__(self, dim=8, hidden=12, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in ((dim, hidden), (hidden, dim), (dim, hidden))
        )

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def forward(self, x):
        h = self._norm(x.float()).type_as(x) * self.weight
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


@program("2x6x8")
class MixtureOfExperts(nn.Module):
    def __init__(self, experts=4, k=2):
        super().__init__()
        self.k = k
        self.gate = nn.Linear(8, experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(experts))

    def forward(self, x):
        flat = x.view(-1, x.shape[-1])
        weights, chosen = torch.topk(self.gate(flat), self.k)
        weights = F.softmax(weights, dim=1, dtype=torch.float).type_as(x)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            w = (weights * (chosen == i)).sum(-1, keepdim=True)
            out += w * expert(flat)
        return out.view_as(x)


@program("2x6x8")
class MixtureByIndex(MixtureOfExperts):
    def forward(self, x):
        flat = x.view(-1, x.shape[-1])
        weights, chosen = torch.topk(self.gate(flat), self.k)
        weights = weights.softmax(1)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            rows, nth = torch.where(chosen == i)
            out[rows] += weights[rows, nth, None] * expert(flat[rows])
        return out.view_as(x)


@program("2x5x8", "2x5x8")
class Perceiver(nn.Module):
    def __init__(self):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(3, 8))
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        latents = self.latents.repeat(x.shape[0], 1, 1)
        out, _ = self.attn(latents, x, x, need_weights=False)
        return out


@program("2x16x8")
def sliding_window(x, window=4):
    b, t, d = x.shape
    pad = (-t) % window
    x = F.pad(x, (0, 0, 0, pad))
    blocks = x.view(b, -1, window, d)
    previous = F.pad(blocks, (0, 0, 0, 0, 1, 0))[:, :-1]
    keys = torch.cat([previous, blocks], dim=2)
    sim = torch.einsum("bnid,bnjd->bnij", blocks, keys)
    return torch.einsum("bnij,bnjd->bnid", sim.softmax(-1), keys).reshape(b, -1, d)[:, :t]


@program("4x8 4x8")
def info_nce(a, b, temperature=0.07):
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    logits = a @ b.t() / temperature
    labels = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
