"""Indexing, masking, shapes, einops-like rearrangements, constants made on the way, out=."""

import math
from collections import defaultdict
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

from graph_programs import program


@program("4x8")
def in_place_slices(x):
    y = x.clone()
    y[:, ::2] *= -1
    y[0] = 0
    y[1:3, -1] = torch.tensor([5.0, 6.0])
    y[..., 0] += y[..., 1]
    y[y > 1] = 1
    return y


@program("4x8 3<4")
def gather_rows(x, idx):
    return x[idx], x[idx, [0, 1, 2]], x[[0, -1]], x[:, idx], x[None, idx, None, :2]


@program("4x8 4x8?")
def boolean_selection(x, mask):
    return x[mask].sum(), x[mask].shape[0]


@program("4x8 4x8?")
def boolean_assignment(x, mask):
    y = torch.zeros_like(x)
    y[mask] = 1.0
    y[~mask] = x.mean()
    return torch.where(mask, x, y)


@program("4x8 4<3")
def scatter_one_hot(x, y):
    hot = torch.zeros(4, 3).scatter_(1, y.unsqueeze(1), 1.0)
    return hot, F.one_hot(y, num_classes=3).float(), hot.argmax(1)


@program("4x8 4<3")
def scatter_sum(x, index):
    out = torch.zeros(3, x.size(1))
    out.index_add_(0, index, x)
    count = torch.bincount(index, minlength=3)
    other = torch.zeros(3, 8).scatter_add_(0, index[:, None].expand_as(x), x)
    other2 = torch.zeros(3, 8).scatter_reduce(0, index[:, None].expand_as(x), x, reduce="amax", include_self=False)
    return out, count, other, other2


@program("2x3x4x5")
def rearranged(x):
    b, c, h, w = x.shape
    a = x.permute(0, 2, 3, 1).reshape(b, h * w, c)
    d = x.view(b, c, h // 2, 2, w).transpose(2, 3).flatten(1, 2)
    return a, d, x.movedim(1, -1), x.unflatten(2, (2, 2)), x.unfold(3, 2, 1)


@program("2x4x4x3")
def patches(x, side=2):
    grid = x.unfold(1, side, side).unfold(2, side, side)
    return grid.movedim(3, -1).flatten(3).flatten(1, 2)


@program("4x8", "5x8", "6x8", "7x8")
def shape_arithmetic(x):
    n, d = x.shape
    half = n // 2
    pad = (4 - n % 4) % 4
    if pad > 0:
        x = F.pad(x, (0, 0, 0, pad))
    return x.view(-1, 4, d), n * d, math.ceil(n / 4), half, math.sqrt(d), list(x.shape), x.numel()


@program("4x8", "6x8", "8x8", "10x8")
def halves_by_length(x):
    a, b = x[: len(x) // 2], x[len(x) // 2 :]
    return torch.cat([a * 2, b - 1], dim=0)


@program("4x8")
def size_protocol(x):
    s = x.size()
    return (
        x.reshape(*s, 1),
        x.new_zeros(s),
        torch.zeros(s[:-1] + (3,)),
        s[0],
        s == (4, 8),
        tuple(s),
        list(s),
        x.dim(),
        x.ndim,
        s.numel(),
    )


@program("4x8")
def size_printing(x):
    return str(x.shape), f"{x.shape}", f"{tuple(x.shape)}", repr(x.size()), x * 1


@program("4x8")
def constants(x):
    a = torch.tensor([1.0, 2.0])
    b = torch.tensor(3)
    c = torch.full((2,), 0.5)
    d = torch.linspace(0, 1, 8)
    e = torch.eye(8)
    f = torch.as_tensor([[1, 2], [3, 4]])
    g = torch.empty(4, 8).fill_(1.0)
    h = torch.zeros(4, 8, dtype=torch.int64)
    return x * a.sum() + b + c.mean() + d @ e, f, g, h, torch.ones_like(x), torch.arange(2, 10, 2)


@program("4x8")
def tensor_of_tensors(x):
    a, b = x.sum(), x.mean()
    return torch.tensor([1.0, 2.0]) * torch.stack([a, b]), torch.cat([a[None], b.view(1)])


@program("4x8")
def infinities(x):
    return x.clamp(-torch.pi, torch.pi), x.masked_fill(x > 0, torch.inf), torch.full((2,), torch.nan), x * torch.e


@program("4x8")
def newaxis_and_ellipsis(x):
    return x[..., torch.newaxis], x[None], x[:, None, :] - x[None, :, :], x[..., -1:]


@program("4x8")
def legacy_constructors(x):
    a = torch.FloatTensor([1, 2, 3])
    b = torch.LongTensor([0, 1])
    c = torch.Tensor([0.5])
    return a.sum() + x, x[b], c


@program("4x8")
def out_arguments(x):
    buf = torch.empty(4, 8)
    torch.add(x, 1, out=buf)
    torch.mul(buf, 2, out=buf)
    cat = torch.empty(8, 8)
    torch.cat([x, buf], out=cat)
    return buf, cat, torch.sum(x, dim=0, out=torch.empty(8))


@program("4x8")
def chained_methods(x):
    return (
        x.abs()
        .add(1)
        .log()
        .neg()
        .exp()
        .clamp_(0, 1)
        .mul_(2)
        .round()
        .long()
        .float()
        .div(3)
        .type(torch.float64)
        .sum(dim=[0, 1])
    )


@program("4x8")
def operators_on_bools(x):
    m = (x > 0) & (x < 1) | ~(x.abs() > 0.5) ^ (x == 0)
    return m, m.any(), m.all(dim=1), m.sum(), torch.logical_and(m, x > 0), m.float().mean()


@program("4x8")
def unpacking(x):
    a, b, *rest = x
    (c, d), e = x[:2], x[2]
    values, indices = x.max(dim=1)
    r = x.sort(dim=-1, descending=True)
    first, *_ = torch.split(x, [1, 3])
    return a + b, len(rest), c + d + e, values, indices, r.values, r[1], first


@program("4x8")
def iterate_over_tensor(x):
    total = 0
    for i, row in enumerate(x):
        total = total + row * i
    return total, [r.sum() for r in x.unbind(0)], len(x), sum(x), max(x[0].unbind(), key=id) is not None


@program("4x8")
def python_min_max(x):
    n = max(x.shape)
    k = min(3, x.shape[0], n)
    return x.topk(k).values, sorted(x.shape), sum(x.shape), divmod(n, 3), abs(-k), round(n / 3, 1)


@program("4x8")
def numpy_inside(x):
    grid = np.linspace(0, 1, 8, dtype=np.float32)
    w = torch.from_numpy(grid)
    idx = np.arange(4)[::-1].copy()
    return x * w, x[idx], torch.as_tensor(np.array([1, 2])), float(np.sqrt(2.0)) * x


@program("4x8")
def mesh_coordinates(x):
    ys, xs = torch.meshgrid(torch.arange(4), torch.arange(8), indexing="ij")
    grid = torch.stack((xs, ys), -1).float()
    return (grid * x[..., None]).sum((0, 1)), torch.cartesian_prod(torch.arange(2), torch.arange(3))


@program("4x8")
def loops_over_products(x):
    out = torch.zeros(4, 8)
    for i, j in product(range(4), range(0, 8, 4)):
        out[i, j : j + 4] = x[i, j : j + 4].flip(0)
    return out


@program("5x3")
def pairwise(x):
    d = torch.cdist(x, x)
    d2 = (x[:, None] - x[None]).pow(2).sum(-1)
    i, j = torch.triu_indices(5, 5, offset=1)
    eye = torch.eye(5, dtype=torch.bool)
    return d.masked_fill(eye, 0), d2[i, j], torch.combinations(torch.arange(5)).shape


@program("4x8")
def grouped_in_dict(x):
    groups = defaultdict(list)
    for i in range(4):
        groups[i % 2].append(x[i])
    return {k: torch.stack(v).mean(0) for k, v in groups.items()}


@program("4x8 4")
def ragged_split(x, w):
    sizes = [1, 2, 1]
    parts = torch.split(x, sizes)
    padded = torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
    return padded, [p.mean() for p in parts], torch.block_diag(*[p[:, :2] for p in parts])


@program("4x8")
def as_strided_windows(x):
    return x.as_strided((3, 4), (8, 1)), x.unfold(1, 3, 2), x.T.contiguous().is_contiguous(), x.t().stride()


@program("6<5")
def unique_values(ids):
    u, inverse, counts = torch.unique(ids, return_inverse=True, return_counts=True)
    return u, inverse, counts


@program("4x8")
def nonzero_positions(x):
    return (x > 0).nonzero(), torch.argwhere(x > 1), torch.where(x > 0)[0]


@program("4x8")
def cumulative(x):
    return x.cumsum(0), x.cumprod(1), x.cummax(0).values, torch.logcumsumexp(x, 1), x.diff(dim=1), x.flip(-1).cumsum(-1)


@program("4x8")
def views_and_writes(x):
    y = x.clone()
    v = y.view(2, 2, 8)[0]
    v.add_(1)
    y.t()[0].zero_()
    y.diagonal().fill_(9)
    y[:, 2:4].copy_(torch.ones(4, 2))
    return y, v


@program("4x8")
def argument_mutated(x):
    x.add_(1)
    x[0, 0] = 100
    return x.sum()


@program("4x8")
def type_conversions(x):
    return (
        x.int(),
        x.long(),
        x.half().float(),
        x.bool(),
        x.double(),
        x.to(torch.float16).dtype == torch.float16,
        x.type_as(torch.zeros(1, dtype=torch.float64)),
        x.to(torch.zeros(1, dtype=torch.int32)),
        x.byte().dtype,
        x.type(),
    )


@program("4x8")
def quantile_and_stats(x):
    return (
        torch.quantile(x, 0.5, dim=1),
        x.median(dim=1).values,
        x.std(0, unbiased=False),
        torch.var_mean(x, dim=1),
        x.norm(p=1),
        torch.linalg.norm(x, dim=1),
        x.aminmax(),
        torch.histc(x, 4, -2, 2),
        x.kthvalue(2).values,
        torch.mode(x.round(), dim=1).values,
    )


@program("3x3")
def linear_algebra(x):
    a = x @ x.T + 3 * torch.eye(3)
    l = torch.linalg.cholesky(a)
    return (
        torch.linalg.inv(a),
        torch.linalg.solve(a, x),
        l,
        torch.logdet(a),
        torch.trace(a),
        torch.linalg.eigvalsh(a),
        torch.linalg.det(a),
        torch.linalg.matrix_norm(x),
        torch.linalg.svdvals(x),
        torch.linalg.slogdet(a),
        torch.matrix_power(a, 2),
    )


@program("2x4x8", "2x5x8", "3x6x8")
def dynamic_reshape(x):
    b, t, d = x.shape
    y = x.reshape(b * t, d) @ torch.ones(d, d)
    return y.view(b, t, 2, d // 2).transpose(1, 2).reshape(b * 2, t, -1), y.size(0) // b


@program("4x8")
def bits_and_shifts(x):
    i = x.long()
    return i << 1, i >> 1, i & 1, i | 2, i // 2, i % 3, torch.bitwise_xor(i, 3), torch.fmod(x, 1), torch.remainder(x, 1)


@program("4x8")
def tolist_of_constant(x):
    shape = torch.tensor([2, 16]).tolist()
    return x.reshape(*shape)


@program("4x8")
def interpolated(x):
    y = F.interpolate(x[None, None], scale_factor=2, mode="bilinear", align_corners=False)
    z = F.interpolate(x[None, None], size=(2, 4), mode="nearest")
    return y, z, F.pad(x, (1, 1), value=2.0), F.pad(x[None], (1, 1), mode="reflect")


@program("4x8 4x8")
def broadcasting(x, y):
    a, b = torch.broadcast_tensors(x[:, :1], y[:1])
    return (
        a + b,
        x.expand(2, -1, -1).shape,
        torch.broadcast_to(x[0], (3, 8)),
        torch.broadcast_shapes((4, 1), (8,)),
        x[:, 0].expand_as(y.T),
    )


@program("4x8")
def tensor_methods_by_name(x):
    out = {}
    for name in ("sum", "mean", "std", "amax", "prod"):
        out[name] = getattr(x, name)()
        out["t_" + name] = getattr(torch, name)(x)
    return out


@program("4x8 8")
def aliases(x, w):
    return (
        torch.concat([x, x]),
        torch.multiply(x, w),
        torch.subtract(x, w),
        torch.true_divide(x, 2),
        torch.greater(x, 0),
        torch.moveaxis(x, 0, 1),
        torch.swapaxes(x, 0, 1),
        x.swapdims(0, 1),
        torch.negative(x),
        torch.absolute(x),
        torch.clip(x, 0, 1),
        torch.hstack([x, x]),
        torch.vstack((x, x)),
        torch.dstack([x, x]),
        torch.column_stack([x[:, 0], x[:, 1]]),
        torch.arcsinh(x),
        torch.fix(x),
        torch.row_stack([x, x]),
        torch.not_equal(x, 0),
        torch.less_equal(x, 0),
        torch.vander(w[:3]),
        torch.trapz(x, dim=0),
        torch.tensor_split(x, 3),
        torch.hsplit(x, 2),
        torch.vsplit(x, 2),
        torch.hypot(x, x),
        torch.ger(w, w),
        torch.nan_to_num(x),
        torch.logaddexp(x, x),
        torch.heaviside(x, torch.tensor(0.5)),
        torch.float_power(x.abs(), 2),
        torch.rad2deg(x),
        torch.kron(w[:2], w[:2]),
        torch.take_along_dim(x, x.argsort(1), 1),
        torch.searchsorted(w.sort().values, x),
        torch.bucketize(x, w.sort().values),
        torch.polar(x.abs(), x).abs() if hasattr(torch, "polar") else x.abs(),
    )


@program("4x8")
def windows_and_signals(x):
    w = torch.hann_window(8) + torch.hamming_window(8)
    return x * w


@program("4x8")
def in_place_functions(x):
    y = x.clone()
    torch.relu_(y)
    torch.exp_(y)
    F.relu_(y)
    F.leaky_relu(y, 0.1, inplace=True)
    torch.sqrt_(y)
    torch.nn.functional.dropout(y, 0.5, training=False, inplace=True)
    return y


@program("4x8")
def index_methods(x):
    i = torch.tensor([0, 2])
    y = x.clone()
    y.index_fill_(0, i, 1.0)
    y.index_copy_(0, i, x[:2])
    y.index_put_((i, i), torch.tensor(3.0))
    y.index_put_((i,), torch.ones(8), accumulate=True)
    return y, x.index_select(1, i), x.take(i), torch.select(x, 0, 1), x.narrow(1, 2, 3), x.masked_select(x > 0).numel()


@program("4x8")
def select_scatter_family(x):
    return (
        torch.select_scatter(x, torch.zeros(8), 0, 1),
        torch.slice_scatter(x, torch.zeros(4, 2), 1, 0, 2),
        torch.diagonal_scatter(x, torch.zeros(4)),
        torch.masked_scatter(x, x > 0, x.flatten()),
        torch.diag_embed(x[0]),
        torch.rot90(x),
        torch.tile(x, (2, 1)),
        torch.repeat_interleave(x, 2, dim=0),
        torch.repeat_interleave(x, torch.tensor([1, 2, 0, 1]), dim=0, output_size=4),
    )
