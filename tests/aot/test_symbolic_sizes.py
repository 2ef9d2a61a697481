"""A training step with a dynamic batch through differentiation, passes and cut, run at several sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_graphs import assert_same, inputs_for, run

from tracegraph import ir
from tracegraph.aot import differentiate, partition_default, partition_min_cut
from tracegraph.passes import optimise, optimise_joint

STEP = """graph step(%x: f32[s0, 6], %w: f32[8, 6] parameter, %b: f32[8] parameter, %g: f32[8] parameter, %y: i64[s0]) {
  %0: f32[s0, 8] = linear(%x, %w, %b)
  %1: f32[s0, 8] = layer_norm(%0, %g, none, normalized_shape=[8], eps=1e-05)
  %2: f32[s0, 2, 4] = view(%1, size=[s0, 2, 4])
  %3: f32[s0, 4, 2] = permute(%2, dims=[0, 2, 1])
  %4: f32[s0, 4, 4] = matmul(%3, %2)
  %5: f32[s0, 4, 4] = softmax(%4, dim=2, dtype=none)
  %6: f32[s0, 4] = sum(%5, dim=[1], keepdim=false)
  %7: f32[] = cross_entropy(%6, %y, none, reduction="mean", ignore_index=-100, label_smoothing=0.0)
  return %7
}"""


@pytest.mark.parametrize("partition", [partition_default, partition_min_cut])
def test_a_training_step(partition: object) -> None:
    sizes = ir.ShapeEnv()
    sizes.fresh(5)
    with sizes.active():
        joint = differentiate(ir.verify(ir.parse(STEP)), [False, True, True, True, False])
        parts = partition(replace(joint, graph=optimise_joint(joint.graph)))
        forward, backward = ir.verify(optimise(parts.forward)), ir.verify(optimise(parts.backward))
    assert not sizes.guards, "something asked for the size of the batch"
    for n in (2, 3, 7):
        inputs = inputs_for(joint.graph, seed=n, sizes={"s0": n})
        primals, cotangents = inputs[: joint.inputs], inputs[joint.inputs :]
        found = run(forward, primals)
        outputs, saved = found[: parts.outputs], found[parts.outputs :]
        gradients = run(backward, [*(primals[i] for i in parts.saved_inputs), *saved, *cotangents])
        for a, b in zip([*outputs, *gradients], run(joint.graph, inputs), strict=True):
            assert isinstance(a, np.ndarray | np.generic)
            assert_same(a, b, exact=False)
