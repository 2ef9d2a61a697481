"""Inference: caches, decoding, sampling, beams, early stops, streaming state."""

from collections import namedtuple
from dataclasses import dataclass
from typing import NamedTuple, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


class TinyLM(nn.Module):
    def __init__(self, vocab=10, dim=8):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.rnn = nn.Linear(dim * 2, dim)
        self.head = nn.Linear(dim, vocab)

    def forward(self, ids, state=None):
        x = self.embed(ids)
        if state is None:
            state = torch.zeros_like(x)
        state = torch.tanh(self.rnn(torch.cat([x, state], dim=-1)))
        return self.head(state), state


@made("2<10", "2<10")
def greedy_fixed_length():
    lm = TinyLM()

    @torch.no_grad()
    def generate(ids, steps=4):
        out, state = [ids], None
        for _ in range(steps):
            logits, state = lm(out[-1], state)
            out.append(logits.argmax(-1))
        return torch.stack(out, 1)

    return generate


@made("2<10")
def greedy_until_end():
    lm = TinyLM()

    @torch.no_grad()
    def generate(ids, steps=4, end=0):
        out, state = [ids], None
        done = torch.zeros(ids.shape[0], dtype=torch.bool)
        for _ in range(steps):
            logits, state = lm(out[-1], state)
            nxt = torch.where(done, torch.full_like(ids, end), logits.argmax(-1))
            out.append(nxt)
            done = done | (nxt == end)
            if done.all():
                break
        return torch.stack(out, 1)

    return generate


@program("2x10")
def top_k_filter(scores, count: int = 3, sharpness: float = 1.4):
    """Probabilities of the `count` best choices; all others are overwritten, as a mask finds them."""
    scaled = scores * sharpness
    best = scaled.topk(min(count, scaled.shape[-1])).values
    weakest = best[:, [-1]]
    scaled[scaled < weakest] = -torch.inf
    return scaled.softmax(dim=-1)


@program("2x10")
def top_p_filter(scores, mass=0.9):
    """Probabilities of the fewest choices that together reach the mass: those before which there is less of it."""
    chances = scores.softmax(dim=-1)
    ranked, places = chances.sort(dim=-1, descending=True)
    before = torch.zeros_like(ranked)
    before[:, 1:] = ranked.cumsum(dim=-1)[:, :-1]
    is_kept = torch.zeros_like(chances, dtype=torch.bool).scatter_(-1, places, before < mass)
    kept = chances * is_kept
    return kept / kept.sum(dim=-1, keepdim=True)


@program("2x10", is_random=True)
def multinomial_sample(logits):
    probs = F.softmax(logits, dim=-1)
    return torch.multinomial(probs, num_samples=1)


@program("2x10")
def repetition_penalty(scores, strength=1.2):
    """Scores of what was said before lowered, whatever their sign (Keskar et al. 2019, arXiv:1909.05858)."""
    said = torch.tensor([[1, 2], [3, 3]])
    was_said = torch.zeros_like(scores).scatter_add(-1, said, torch.ones(said.shape)) > 0
    lowered = torch.minimum(scores * strength, scores / strength)
    return torch.where(was_said, lowered, scores)


@program("2x5x10")
def beam_step(scores, beams: int = 3):
    batch, width, vocab = scores.shape
    flat = scores.log_softmax(-1).view(batch, -1)
    values, indices = flat.topk(beams, dim=-1)
    beam_ids = torch.div(indices, vocab, rounding_mode="floor")
    token_ids = indices % vocab
    return values, beam_ids, token_ids


@made("1<10")
def beam_search():
    lm = TinyLM()

    @torch.no_grad()
    def search(ids, beams=2, steps=3):
        sequences = [(ids, torch.zeros(1), None)]
        for _ in range(steps):
            candidates = []
            for seq, score, state in sequences:
                logits, new_state = lm(seq[-1:], state)
                logp, idx = logits.log_softmax(-1).topk(beams)
                for k in range(beams):
                    candidates.append((torch.cat([seq, idx[:, k]]), score + logp[:, k], new_state))
            sequences = sorted(candidates, key=lambda c: c[1].item(), reverse=True)[:beams]
        return sequences[0][0]

    return search


class Slots(nn.Module):
    """Room for the keys and values of so many tokens in two buffers, which are written in place."""

    def __init__(self, tokens, channels):
        super().__init__()
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(1, tokens, channels))

    def put(self, where, **rows):
        for name, row in rows.items():
            getattr(self, name)[:, where] = row
        return self.keys, self.values


@made("1x1x8 =0", "1x1x8 =1", "1x1x8 =2", "1x1x8 =3")
def static_cache_step():
    slots, project = Slots(6, 8), nn.Linear(8, 24)

    @torch.no_grad()
    def step(x, now):
        query, key, value = project(x).chunk(3, dim=-1)
        seen = slots.put(torch.arange(now, now + 1), keys=key, values=value)
        is_filled = torch.arange(6)[None, :] <= now
        return F.scaled_dot_product_attention(query, *seen, attn_mask=is_filled)

    return step


@made("1x1x8 1<6", "1x1x8 1<6")
def cache_with_tensor_position():
    slots, project = Slots(6, 8), nn.Linear(8, 24)

    @torch.no_grad()
    def step(x, now):
        query, key, value = project(x).split(8, dim=-1)
        seen = slots.put(now, values=value, keys=key)
        is_earlier = torch.ones(6, 6, dtype=torch.bool).tril()
        return F.scaled_dot_product_attention(query, *seen, attn_mask=is_earlier[None, now])

    return step


@made("1x1x8 1x3x8", "1x1x8 1x4x8", "1x1x8 1x5x8", "1x1x8 1x6x8")
def growing_cache():
    proj = nn.Linear(8, 16)

    def step(x, past):
        k, v = proj(torch.cat([past, x], dim=1)).chunk(2, -1)
        att = (x @ k.transpose(-2, -1) / k.size(-1) ** 0.5).softmax(-1)
        return att @ v, k.shape[1]

    return step


@made("1x2x8 =None", "1x1x8 =[(1,2),(1,2)]")
def past_key_values_tuple():
    project = nn.Linear(8, 16)

    def step(x, before=None):
        key, value = project(x).chunk(2, -1)
        after = ()
        for depth in range(2):
            if before is not None and isinstance(before[depth], torch.Tensor):
                key = torch.cat((before[depth], key), dim=1)
            after += ((key, value),)
        return x, after

    return step


class Memory:
    """Keys and values of each layer, longer with every call: a pair of tensors that is replaced."""

    def __init__(self):
        self.pairs = {}
        self.length = 0

    def extend(self, depth, *new):
        self.length += new[0].shape[-2] if depth == 0 else 0
        old = self.pairs.get(depth)
        self.pairs[depth] = new if old is None else tuple(torch.cat(ends, dim=-2) for ends in zip(old, new))
        return self.pairs[depth]

    def __len__(self):
        return self.length

    def __iter__(self):
        yield from self.pairs.values()


@made("1x1x8", "1x1x8", "1x1x8", "1x1x8")
def cache_object_grows():
    memory = Memory()
    layers = nn.ModuleList(nn.Linear(8, 24) for _ in range(2))

    @torch.no_grad()
    def step(x):
        for depth, layer in enumerate(layers):
            query, *new = layer(x).chunk(3, -1)
            x = x + F.scaled_dot_product_attention(query, *memory.extend(depth, *new))
        return x, len(memory)

    return step


@made("1x3x8")
def cache_made_in_call():
    layer = nn.Linear(8, 16)

    def run(x, remembers=True):
        memory = Memory() if remembers else None
        for token in x.split(1, dim=1):
            memory.extend(0, *layer(token).chunk(2, -1))
        return [(key, value) for key, value in memory], len(memory)

    return run


class Output(NamedTuple):
    logits: torch.Tensor
    hidden: Optional[torch.Tensor] = None


@dataclass
class State:
    tokens: torch.Tensor
    finished: torch.Tensor
    step: int = 0

    def advance(self, token):
        return State(torch.cat([self.tokens, token[:, None]], 1), self.finished | (token == 0), self.step + 1)


@made("2x1<10")
def dataclass_state():
    lm = TinyLM()

    def run(ids):
        state = State(ids, torch.zeros(ids.shape[0], dtype=torch.bool))
        while state.step < 3:
            logits, _ = lm(state.tokens[:, -1])
            state = state.advance(logits.argmax(-1))
        return state

    return run


@made("2<10")
def namedtuple_output():
    lm = TinyLM()
    Pair = namedtuple("Pair", "first second", defaults=(None,))

    def run(ids):
        out = Output(*lm(ids))
        out = out._replace(logits=out.logits.softmax(-1))
        return out, Pair(out.hidden), out._asdict()["logits"].sum()

    return run


@made("2x6", is_random=True)
def streaming_conv():
    conv = nn.Conv1d(1, 1, 3)

    class Stream:
        def __init__(self):
            self.buffer = torch.zeros(2, 1, 2)

        def __call__(self, chunk):
            x = torch.cat([self.buffer, chunk[:, None]], -1)
            self.buffer = x[..., -2:].detach()
            return conv(x)

    stream = Stream()
    return lambda x: torch.cat([stream(c) for c in x.split(2, dim=1)], -1)


@made("2x10")
def speculative_accept():
    def accept(p):
        q = p.roll(1, -1).softmax(-1)
        p = p.softmax(-1)
        ratio = (p / q).clamp(max=1.0)
        accepted = ratio > 0.5
        n = accepted.long().cumprod(-1).sum(-1)
        return n, torch.where(accepted, p, torch.zeros_like(p))

    return accept


@made("2x10", is_random=True)
def gumbel_sample():
    def sample(logits, tau=1.0, hard=True):
        y = F.gumbel_softmax(logits, tau=tau, hard=hard)
        noise = -torch.log(-torch.log(torch.rand_like(logits).clamp_min(1e-9)))
        return y, (logits + noise).argmax(-1)

    return sample


@made("1x4<10")
def loop_over_item():
    embed = nn.Embedding(10, 8)

    def run(ids):
        total = 0
        for token in ids[0].tolist():
            total = total + embed.weight[token]
        return total

    return run


@made("2x6x8 2<6")
def lengths_to_mask():
    fc = nn.Linear(8, 8)

    def run(x, lengths):
        mask = torch.arange(x.size(1), device=x.device).expand(x.size(0), -1) < lengths.unsqueeze(1)
        h = fc(x) * mask.unsqueeze(-1)
        return h.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)

    return run


@made("2x6x8 =4", "2x6x8 =5", "2x6x8 =6", "2x6x8 =3")
def sliced_by_int():
    fc = nn.Linear(8, 8)
    return lambda x, n: fc(x[:, :n]).mean(1)


@made("2x10")
def stop_strings():
    def run(logits):
        ids = logits.argmax(-1)
        stops = [3, 5]
        hit = torch.isin(ids, torch.tensor(stops))
        return hit, any(s > 4 for s in stops), ids.unsqueeze(-1).repeat(1, 2)

    return run


@made("2x4x10", is_random=True)
def min_p_and_temperature():
    def process(logits, processors):
        for p in processors:
            logits = p(logits)
        return logits

    class Temperature:
        def __init__(self, t):
            self.t = t

        def __call__(self, x):
            return x / self.t

    class MinP:
        def __init__(self, p):
            self.p = p

        def __call__(self, x):
            probs = x.softmax(-1)
            return x.masked_fill(probs < self.p * probs.amax(-1, keepdim=True), -torch.inf)

    chain = [Temperature(0.8), MinP(0.05)]
    return lambda x: torch.multinomial(process(x[:, -1, :], chain).softmax(-1), 1)
