"""`torch.nn.functional`: the ops of neural networks as functions, and the few that are more than one op."""

from __future__ import annotations

from tracegraph.nn.functional.activation import (
    celu,
    elu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    silu,
    softmax,
    threshold,
)
from tracegraph.nn.functional.attention import (
    scaled_dot_product_attention,
)
from tracegraph.nn.functional.dropout import (
    dropout,
    dropout1d,
    dropout2d,
)
from tracegraph.nn.functional.losses import (
    hinge_embedding_loss,
    margin_ranking_loss,
    pairwise_distance,
    poisson_nll_loss,
    soft_margin_loss,
    triplet_margin_loss,
)
from tracegraph.nn.functional.normalization import (
    batch_norm,
    instance_norm,
    normalize,
)
from tracegraph.nn.functional.windows import (
    fold,
    max_pool1d,
    max_pool2d,
    unfold,
)
from tracegraph.ops import functional as ops

linear = ops.linear
embedding = ops.embedding
one_hot = ops.one_hot
cosine_similarity = ops.cosine_similarity

conv1d = ops.conv1d
conv2d = ops.conv2d
conv_transpose1d = ops.conv_transpose1d
conv_transpose2d = ops.conv_transpose2d

avg_pool1d = ops.avg_pool1d
avg_pool2d = ops.avg_pool2d
adaptive_avg_pool1d = ops.adaptive_avg_pool1d
adaptive_avg_pool2d = ops.adaptive_avg_pool2d
adaptive_max_pool2d = ops.adaptive_max_pool2d

layer_norm = ops.layer_norm
rms_norm = ops.rms_norm
group_norm = ops.group_norm

softmin = ops.softmin
sigmoid = ops.sigmoid
tanh = ops.tanh
gelu = ops.gelu
logsigmoid = ops.logsigmoid
prelu = ops.prelu
softplus = ops.softplus
softsign = ops.softsign
softshrink = ops.softshrink
hardshrink = ops.hardshrink
tanhshrink = ops.tanhshrink

mse_loss = ops.mse_loss
l1_loss = ops.l1_loss
smooth_l1_loss = ops.smooth_l1_loss
huber_loss = ops.huber_loss
kl_div = ops.kl_div
nll_loss = ops.nll_loss
cross_entropy = ops.cross_entropy
binary_cross_entropy = ops.binary_cross_entropy
binary_cross_entropy_with_logits = ops.binary_cross_entropy_with_logits
gaussian_nll_loss = ops.gaussian_nll_loss

pad = ops.pad

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "unfold",
]
