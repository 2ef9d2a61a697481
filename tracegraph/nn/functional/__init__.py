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
    rrelu,
    selu,
    silu,
    softmax,
    threshold,
)
from tracegraph.nn.functional.attention import (
    scaled_dot_product_attention,
)
from tracegraph.nn.functional.bags import embedding_bag
from tracegraph.nn.functional.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from tracegraph.nn.functional.losses import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    pairwise_distance,
    poisson_nll_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from tracegraph.nn.functional.normalization import (
    batch_norm,
    instance_norm,
    local_response_norm,
    normalize,
)
from tracegraph.nn.functional.pooling import (
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from tracegraph.nn.functional.sampling import gumbel_softmax
from tracegraph.nn.functional.windows import (
    fold,
    unfold,
)
from tracegraph.ops import functional as ops

linear = ops.linear
embedding = ops.embedding
one_hot = ops.one_hot
cosine_similarity = ops.cosine_similarity
pdist = ops.pdist

conv1d = ops.conv1d
conv2d = ops.conv2d
conv_transpose1d = ops.conv_transpose1d
conv_transpose2d = ops.conv_transpose2d
conv3d = ops.conv3d
conv_transpose3d = ops.conv_transpose3d

avg_pool1d = ops.avg_pool1d
avg_pool2d = ops.avg_pool2d
adaptive_avg_pool1d = ops.adaptive_avg_pool1d
adaptive_avg_pool2d = ops.adaptive_avg_pool2d
adaptive_max_pool2d = ops.adaptive_max_pool2d
adaptive_max_pool1d = ops.adaptive_max_pool1d
avg_pool3d = ops.avg_pool3d
adaptive_avg_pool3d = ops.adaptive_avg_pool3d
adaptive_max_pool3d = ops.adaptive_max_pool3d

interpolate = ops.interpolate
upsample = ops.interpolate
pixel_shuffle = ops.pixel_shuffle
pixel_unshuffle = ops.pixel_unshuffle
channel_shuffle = ops.channel_shuffle
affine_grid = ops.affine_grid
grid_sample = ops.grid_sample

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

relu_ = ops.relu_
elu_ = ops.elu_
leaky_relu_ = ops.leaky_relu_
hardtanh_ = ops.hardtanh_
selu_ = ops.selu_
celu_ = ops.celu_
threshold_ = ops.threshold_

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
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
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
]
