"""Attention, positions, masks."""

import math
from functools import lru_cache, partial

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


@program("2x6x8", "2x6x8", "2x7x8")
class CausalSelfAttention(nn.Module):
    def __init__(self, n_embd=8, n_head=2, block_size=16):
        super().__init__()
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)
        self.n_head, self.n_embd = n_head, n_embd
        self.flash = hasattr(F, "scaled_dot_product_attention") and False
        self.register_buffer("bias", torch.tril(torch.ones(block_size, block_size)).view(1, 1, block_size, block_size))

    def forward(self, x):
        B, T, C = x.size()
        assert T <= self.bias.size(-1), f"sequence of length {T} is too long"
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        if self.flash:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
            att = F.softmax(att, dim=-1)
            y = att @ v
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        return self.c_proj(y)


@program("2x6x8")
class Sinusoidal(nn.Module):
    def __init__(self, d_model=8, max_len=32):
        super().__init__()
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(max_len, 1, d_model)
        pe[:, 0, 0::2] = torch.sin(position * div_term)
        pe[:, 0, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return x + self.pe[: x.size(1)].transpose(0, 1)


def rotate_half(x):
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat((-x2, x1), dim=-1)


@program("2x2x6x8", "2x2x7x8", "2x2x9x8")
class Rotary(nn.Module):
    def __init__(self, dim=8, base=10000):
        super().__init__()
        inv_freq = 1.0 / (base ** (torch.arange(0, dim, 2).float() / dim))
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        self.seq_len_cached = None
        self.cos_cached = None
        self.sin_cached = None

    def forward(self, x):
        seq_len = x.shape[-2]
        if seq_len != self.seq_len_cached:
            self.seq_len_cached = seq_len
            t = torch.arange(seq_len, device=x.device).type_as(self.inv_freq)
            freqs = torch.einsum("i,j->ij", t, self.inv_freq)
            emb = torch.cat((freqs, freqs), dim=-1).to(x.device)
            self.cos_cached = emb.cos()[None, None, :, :]
            self.sin_cached = emb.sin()[None, None, :, :]
        return x * self.cos_cached + rotate_half(x) * self.sin_cached


@program("2x6x2x8")
def rotary_interleaved(x):
    d = x.shape[-1]
    freqs = torch.outer(torch.arange(x.shape[1]), 1.0 / (10000 ** (torch.arange(0, d, 2)[: d // 2].float() / d)))
    cos, sin = freqs.cos(), freqs.sin()
    xr = x.float().reshape(*x.shape[:-1], -1, 2)
    cos, sin = cos.view(1, xr.size(1), 1, xr.size(3)), sin.view(1, xr.size(1), 1, xr.size(3))
    out = torch.stack([xr[..., 0] * cos - xr[..., 1] * sin, xr[..., 1] * cos + xr[..., 0] * sin], -1)
    return out.flatten(3).type_as(x)


@program("2x6x2x8")
def rotary_complex(x):
    freqs = torch.outer(torch.arange(x.shape[1]).float(), 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8)))
    freqs_cis = torch.polar(torch.ones_like(freqs), freqs)
    xc = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(xc * freqs_cis[None, :, None]).flatten(3).type_as(x)


@program("2x6x8")
class Alibi(nn.Module):
    def __init__(self, heads=2):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(8, 24)

    @staticmethod
    def slopes(n):
        def power_of_2(n):
            start = 2 ** (-(2 ** -(math.log2(n) - 3)))
            return [start * start**i for i in range(n)]

        if math.log2(n).is_integer():
            return power_of_2(n)
        closest = 2 ** math.floor(math.log2(n))
        return power_of_2(closest) + Alibi.slopes(2 * closest)[0::2][: n - closest]

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        distance = torch.arange(t)[None, :] - torch.arange(t)[:, None]
        bias = torch.tensor(self.slopes(self.heads)).view(-1, 1, 1) * distance
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).reshape(b, t, d)


@program("2x6x6")
def relative_buckets(x, num_buckets=8, max_distance=16):
    t = x.shape[-1]
    relative = torch.arange(t)[None] - torch.arange(t)[:, None]
    buckets = (relative > 0).to(torch.long) * (num_buckets // 2)
    n = torch.abs(relative)
    max_exact = num_buckets // 4
    large = max_exact + (
        torch.log(n.float() / max_exact) / math.log(max_distance / max_exact) * (num_buckets // 2 - max_exact)
    ).to(torch.long)
    large = torch.min(large, torch.full_like(large, num_buckets // 2 - 1))
    buckets = buckets + torch.where(n < max_exact, n, large)
    return x + F.embedding(buckets, torch.arange(num_buckets).float()[:, None]).squeeze(-1)


@program("2x4x4x8")
class WindowAttention(nn.Module):
    def __init__(self, window=2, dim=8, heads=2):
        super().__init__()
        self.window, self.heads = window, heads
        self.table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        coords = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        rel = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0).contiguous()
        rel += window - 1
        rel[:, :, 0] *= 2 * window - 1
        self.register_buffer("index", rel.sum(-1))
        self.qkv = nn.Linear(dim, dim * 3)

    def forward(self, x):
        B, H, W, C = x.shape
        w = self.window
        x = x.view(B, H // w, w, W // w, w, C).permute(0, 1, 3, 2, 4, 5).reshape(-1, w * w, C)
        qkv = self.qkv(x).reshape(x.shape[0], -1, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attn = q @ k.transpose(-2, -1) * (C // self.heads) ** -0.5
        bias = self.table[self.index.view(-1)].view(w * w, w * w, -1).permute(2, 0, 1).contiguous()
        x = ((attn + bias.unsqueeze(0)).softmax(-1) @ v).transpose(1, 2).reshape(-1, w * w, C)
        x = x.view(B, H // w, W // w, w, w, C).permute(0, 1, 3, 2, 4, 5).contiguous().view(B, H, W, C)
        return torch.roll(x, shifts=(-1, -1), dims=(1, 2))


@program("2x6x8")
class GroupedQuery(nn.Module):
    def __init__(self):
        super().__init__()
        self.wq, self.wk, self.wv = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 4)

    @staticmethod
    def repeat_kv(x, n):
        b, t, h, d = x.shape
        if n == 1:
            return x
        return x[:, :, :, None, :].expand(b, t, h, n, d).reshape(b, t, h * n, d)

    def forward(self, x):
        b, t, _ = x.shape
        q = self.wq(x).view(b, t, 4, 2)
        k, v = (self.repeat_kv(w(x).view(b, t, 2, 2), 2) for w in (self.wk, self.wv))
        q, k, v = map(lambda z: z.transpose(1, 2), (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, -1)


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
    t = x.shape[1]
    mask = torch.full((t, t), torch.finfo(x.dtype).min)
    cond = torch.arange(mask.size(-1))
    mask.masked_fill_(cond < (cond + 1).view(mask.size(-1), 1), 0)
    mask = mask.to(x.dtype)[None].expand(x.shape[0], t, t)
    return (x @ x.transpose(-1, -2) + mask).softmax(-1)


@program("2x6x8 2x9x8")
class CrossAttention(nn.Module):
    def __init__(self, heads=2):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_kv = nn.Linear(8, 8, bias=False), nn.Linear(8, 16, bias=False)

    def split(self, t):
        return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, context=None):
        context = x if context is None else context
        q = self.to_q(x)
        k, v = self.to_kv(context).chunk(2, dim=-1)
        q, k, v = map(self.split, (q, k, v))
        sim = torch.einsum("b h i d, b h j d -> b h i j", q, k) * self.heads**-0.5
        out = torch.einsum("b h i j, b h j d -> b h i d", sim.softmax(-1), v)
        return out.transpose(1, 2).flatten(2)


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
