"""Boxes, anchors, suppression of overlapping ones."""

import torch

from graph_programs import program


@program("5x4+ 3x4+")
def box_iou(a, b):
    def xyxy(z):
        return torch.cat([z[:, :2] - z[:, 2:] / 2, z[:, :2] + z[:, 2:] / 2], 1)

    a, b = xyxy(a), xyxy(b)
    area = lambda z: (z[:, 2] - z[:, 0]) * (z[:, 3] - z[:, 1])
    lt, rb = torch.max(a[:, None, :2], b[:, :2]), torch.min(a[:, None, 2:], b[:, 2:])
    wh = (rb - lt).clamp(min=0)
    inter = wh[..., 0] * wh[..., 1]
    return inter / (area(a)[:, None] + area(b) - inter)


@program("5x4+ 5")
def nms(boxes, scores, threshold=0.5):
    boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    order = scores.argsort(descending=True)
    keep = []
    while order.numel() > 0:
        i = order[0]
        keep.append(i)
        if order.numel() == 1:
            break
        rest = order[1:]
        lt, rb = torch.max(boxes[i, :2], boxes[rest, :2]), torch.min(boxes[i, 2:], boxes[rest, 2:])
        inter = (rb - lt).clamp(min=0).prod(1)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        order = rest[inter / (area[i] + area[rest] - inter) <= threshold]
    return torch.stack(keep)


@program("5x4+ 5")
def soft_suppression(boxes, scores):
    iou = (boxes[:, None] - boxes[None]).abs().sum(-1).neg().exp().triu(1)
    worst = iou.max(0).values
    decay = ((1 - iou) / (1 - worst[:, None])).min(0).values
    return scores * decay


@program("2x3x4x4")
def decode_anchors(pred):
    b, a, h, w = pred.shape
    ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    grid = torch.stack((xs, ys), 2).view(1, 1, h, w, 2).float()
    anchors = torch.tensor([[1.0, 2.0], [2.0, 1.0], [1.5, 1.5]])
    y = pred[..., None].sigmoid()
    xy = (y * 2 - 0.5 + grid) * 8
    return torch.cat([xy, (y * 2) ** 2 * anchors.view(1, 3, 1, 1, 2)], -1).view(b, -1, 4)


@program("6x4 6<3")
def keep_confident(pred, labels, limit=0.0):
    keep = pred.max(1).values > limit
    return pred[keep], labels[keep]
