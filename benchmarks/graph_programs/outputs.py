"""What models return and are given: dicts with attributes, dataclasses."""

from collections import OrderedDict
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn as nn

from graph_programs import made, program


class ModelOutput(OrderedDict):
    """An ordered dict whose entries are attributes too."""

    def __post_init__(self):
        for f in fields(self):
            v = getattr(self, f.name)
            if v is not None:
                self[f.name] = v

    def __getitem__(self, k):
        if isinstance(k, str):
            return dict(self.items())[k]
        return self.to_tuple()[k]

    def __setattr__(self, name, value):
        if name in self.keys() and value is not None:
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def to_tuple(self):
        return tuple(self[k] for k in self.keys())


@dataclass
class BaseOutput(ModelOutput):
    last_hidden_state: Optional[torch.Tensor] = None
    hidden_states: Optional[Tuple[torch.Tensor, ...]] = None
    loss: Optional[torch.Tensor] = None


@made("2x8")
def model_output():
    fc = nn.Linear(8, 8)

    def run(x, output_hidden_states=True, return_dict=True):
        states = () if output_hidden_states else None
        for _ in range(2):
            if output_hidden_states:
                states = states + (x,)
            x = fc(x)
        if not return_dict:
            return tuple(v for v in [x, states] if v is not None)
        out = BaseOutput(last_hidden_state=x, hidden_states=states)
        return out, out[0], out["hidden_states"][0], out.loss is None, list(out.keys())

    return run


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
