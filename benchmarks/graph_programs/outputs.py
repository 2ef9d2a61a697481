"""What models return and are given: dicts with attributes, dataclasses."""

from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn as nn

from graph_programs import made, program
from graph_programs.records import Record


@dataclass
class Encoded(Record):
    top: Optional[torch.Tensor] = None
    layers: Optional[Tuple[torch.Tensor, ...]] = None
    penalty: Optional[torch.Tensor] = None


@made("2x8")
def model_output():
    mix = nn.Linear(8, 8)

    def encode(x, with_layers=True, as_record=True):
        trail = ()
        for _ in range(2):
            trail += (x,) * with_layers
            x = mix(x)
        found = Encoded(top=x, layers=trail if with_layers else None)
        if as_record:
            return found, found[0], found["layers"][0], found.penalty is None, list(found.keys())
        return found.filled()

    return encode


@made("2x8")
def attribute_dict():
    class AttrDict(dict):
        __getattr__ = dict.__getitem__
        __setattr__ = dict.__setitem__

    fc = nn.Linear(8, 8)

    def run(x):
        out = AttrDict(x=x)
        out.y = fc(out.x)
        out["z"] = out.y.relu()
        return out, out.z.sum()

    return run


@dataclass
class Batch:
    x: torch.Tensor
    y: Optional[torch.Tensor] = None
    meta: Dict[str, Any] = field(default_factory=dict)

    def to(self, device):
        return Batch(
            **{f.name: v.to(device) if torch.is_tensor(v := getattr(self, f.name)) else v for f in fields(self)}
        )

    def __len__(self):
        return self.x.size(0)


@program("4x8")
def dataclass_batches(x):
    batch = Batch(x, x.sum(1), {"k": 1}).to("cpu")
    other = replace(batch, x=batch.x * 2)
    return other, len(other), is_dataclass(batch), asdict(Batch(x[:1], None, {"k": [x[0]]}))["meta"]["k"][0] + 1
