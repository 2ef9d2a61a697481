"""Pooling layers hand their options on."""

import pytest
from captured import capture_of

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ShapeError


@pytest.mark.parametrize(
    ("layer", "shape", "result"),
    [
        (nn.MaxPool1d(2), (1, 2, 7), (1, 2, 3)),
        (nn.MaxPool1d(2, ceil_mode=True), (1, 2, 7), (1, 2, 4)),
        (nn.MaxPool2d(3, stride=2, padding=1), (1, 2, 7, 7), (1, 2, 4, 4)),
        (nn.MaxPool2d(2, dilation=2), (1, 2, 7, 7), (1, 2, 3, 3)),
        (nn.AvgPool1d(3, 1, 1), (2, 7), (2, 7)),
        (nn.AvgPool2d((1, 2)), (1, 2, 7, 8), (1, 2, 7, 4)),
        (nn.AdaptiveAvgPool1d(3), (1, 2, 7), (1, 2, 3)),
        (nn.AdaptiveAvgPool2d((3, None)), (1, 2, 7, 8), (1, 2, 3, 8)),
        (nn.AdaptiveMaxPool2d(1), (2, 7, 8), (2, 1, 1)),
    ],
    ids=repr,
)
def test_shapes(layer, shape, result):
    assert layer(tg.randn(shape)).shape == result


def test_indices_on_request():
    x = tg.tensor([[[3.0, 1.0, 2.0, 4.0]]])
    values, indices = nn.MaxPool1d(2, return_indices=True)(x)
    assert values.tolist() == [[[3.0, 4.0]]]
    assert indices.tolist() == [[[0, 3]]]
    values, indices = nn.MaxPool2d((1, 2), return_indices=True)(x.unsqueeze(0))
    assert indices.tolist() == [[[[0, 3]]]]


def test_average_options():
    x = tg.ones(1, 2, 2)
    assert nn.AvgPool2d(2, 2, 1)(x).tolist() == [[[0.25, 0.25], [0.25, 0.25]]]
    assert nn.AvgPool2d(2, 2, 1, count_include_pad=False)(x).tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    assert nn.AvgPool2d(2, divisor_override=1)(x).item() == 4.0


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_maxima_go_back_where_they_were(rank: int) -> None:
    """Every element of the first maxima is found by its index, compiled too, and the rest is zero."""
    x = tg.randn(2, 3, *(6, 5, 4)[:rank])
    pool = getattr(nn, f"MaxPool{rank}d")(2, 2, 0, 1, True)
    unpool = getattr(nn, f"MaxUnpool{rank}d")(2, 2)

    def both(x: tg.Tensor) -> tuple[tg.Tensor, ...]:
        values, indices = pool(x)
        return values, indices, unpool(values, indices, x.shape)

    for run in (both, capture_of(both, fullgraph=True)):
        values, indices, back = run(x)
        assert values.tolist() == x.flatten(2).gather(2, indices.flatten(2)).reshape(values.shape).tolist()
        assert back.shape == x.shape
        assert back.sum().item() == pytest.approx(values.sum().item(), abs=1e-5)
        assert ((back == x) | (back == 0)).all()
    assert pool(x[0])[1].tolist() == pool(x)[1][0].tolist()


def test_back_into_sizes_that_cannot_have_been() -> None:
    values, indices = nn.MaxPool1d(2, return_indices=True)(tg.ones(1, 1, 6))
    assert nn.MaxUnpool1d(2)(values, indices).shape == (1, 1, 6)
    with pytest.raises(ShapeError, match=r"output_size=\(9,\) must be \[6\] but for less than the stride \[2\]"):
        nn.MaxUnpool1d(2)(values, indices, (9,))
    with pytest.raises(ShapeError, match="must have one shape"):
        nn.MaxUnpool1d(2)(values, indices[..., :1])


def test_classes_of_one_rank_are_none_of_another() -> None:
    assert not isinstance(nn.AvgPool3d(2), nn.AvgPool2d)


def test_power_means_of_volumes() -> None:
    x = tg.rand(1, 2, 4, 4, 4)
    found = nn.LPPool3d(2, 2)(x)
    assert found.shape == (1, 2, 2, 2, 2)
    assert found[0, 0, 0, 0, 0].item() == pytest.approx(x[0, 0, :2, :2, :2].square().sum().sqrt().item(), rel=1e-5)
    assert nn.LPPool1d(1, 2)(tg.ones(1, 1, 4)).tolist() == [[[2.0, 2.0]]]
