"""Modules under PyTorch's names: the same objects, by every form of import."""

from __future__ import annotations

import functools
import importlib
import pickle
import subprocess
import sys
import types

import pytest

import tracegraph as tg
from tracegraph import module_names

FORMS = """
from tracegraph._higher_order_ops import associative_scan, cond, scan, while_loop
from tracegraph._higher_order_ops.scan import scan
import tracegraph.utils.checkpoint
import tracegraph.utils.data
import tracegraph.utils.data as data
import tracegraph.backends.cudnn as cudnn
from tracegraph.distributions.utils import broadcast_all
from tracegraph.func import grad, vjp
from tracegraph.nn.attention import SDPBackend, sdpa_kernel
from tracegraph.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from tracegraph.utils import _pytree as pytree
from tracegraph.utils import checkpoint, data
from tracegraph.utils.checkpoint import checkpoint, checkpoint_sequential
from tracegraph.utils.data import DataLoader, Dataset, TensorDataset, random_split
from tracegraph.utils.data.dataset import Dataset
from tracegraph.utils.data.dataloader import DataLoader, default_collate
from tracegraph.utils.data.sampler import SubsetRandomSampler
import tracegraph.nn as nn
import tracegraph.nn.functional as F
from tracegraph.nn import functional as F, init, utils
import tracegraph.nn.utils
import tracegraph.nn.utils.rnn as rnn
from tracegraph.nn.utils import clip_grad_norm_, rnn, weight_norm
from tracegraph.nn.utils.rnn import pad_sequence
from tracegraph.nn.utils.spectral_norm import spectral_norm
import tracegraph.nn.utils.parametrize as parametrize
from tracegraph.nn.parameter import Buffer, UninitializedBuffer, UninitializedParameter
from tracegraph.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from tracegraph.nn.utils.clip_grad import clip_grad_norm_
from tracegraph.nn.parameter import Parameter
import tracegraph.nn.modules
from tracegraph.nn.modules import Linear
from tracegraph.nn.modules.module import Module
from tracegraph.nn.modules.linear import Linear
import tracegraph.optim as optim
import tracegraph.optim.lr_scheduler as lr_scheduler
from tracegraph.optim.lr_scheduler import StepLR, _LRScheduler
from tracegraph.optim.adamw import AdamW
from tracegraph.autograd import Function
from tracegraph.autograd.functional import jacobian
import tracegraph.cuda
import tracegraph.linalg
import tracegraph.special
import tracegraph.amp
from tracegraph.amp import autocast
import tracegraph.compiler
from tracegraph.library import custom_op
import tracegraph._dynamo as dynamo
from tracegraph.testing import assert_close
from tracegraph.version import cuda
from tracegraph.nn.modules.activation import MultiheadAttention, ReLU
from tracegraph.nn.modules.batchnorm import LazyBatchNorm2d, _BatchNorm
from tracegraph.nn.modules.utils import _ntuple, _pair, _single, _triple
from tracegraph.nn.modules.linear import LazyLinear
from tracegraph.nn.parallel import DataParallel, DistributedDataParallel
from tracegraph.utils.hooks import RemovableHandle
""".strip().splitlines()


def run(code, given=""):
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, check=False)
    return done.stdout.split(), done.stderr


#: the package itself comes first with every form, so processes that have imported it no further may be copies of one
EACH_IN_A_COPY = """
import os, sys, traceback, tracegraph
for form in sys.stdin.read().splitlines():
    if os.fork():
        os.wait()
        continue
    try:
        exec(form)
        print("imported")
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(0)
"""


def test_every_form_is_the_first_of_its_process():
    output, errors = run(EACH_IN_A_COPY, "\n".join(FORMS))
    assert not errors
    assert output == ["imported"] * len(FORMS)


@pytest.mark.parametrize(("name", "target"), [n for n in module_names.NAMES.items() if n[0] not in module_names.SHELLS])
def test_a_name_is_the_module_it_stands_for(name, target):
    module = importlib.import_module(f"tracegraph.{name}")
    assert module is importlib.import_module(f"tracegraph.{target}")
    assert module.__name__ == module.__spec__.name == f"tracegraph.{target}"


def test_no_import_gives_another_name_another_meaning():
    """`nn.utils` and `nn.modules.utils` are two modules, whichever was imported last."""
    for _ in range(2):
        for name in module_names.NAMES:
            importlib.import_module(f"tracegraph.{name}")
    for name, target in module_names.NAMES.items():
        found = functools.reduce(getattr, name.split("."), tg)
        if name not in module_names.SHELLS and isinstance(found, types.ModuleType):  # others are functions of that name
            assert found.__name__ == f"tracegraph.{target}", name


def test_a_shell_has_the_attributes_of_its_package():
    from tracegraph.nn import modules

    assert modules.Linear is tg.nn.Linear
    assert {"Linear", "batchnorm", "utils"} <= set(dir(modules))
    with pytest.raises(AttributeError, match=r"'tracegraph\.nn\.modules' has no attribute 'nothing'"):
        modules.nothing  # noqa: B018


def test_attributes_need_no_import():
    used = "t.utils.data.DataLoader, t.utils.checkpoint.checkpoint, t.nn.utils.rnn.pad_sequence, t.linalg.norm"
    output, errors = run(f"import tracegraph as t; print(len(({used})))")
    assert (output, errors) == (["4"], "")
    assert dir(tg.utils) == ["_pytree", "checkpoint", "data", "hooks"]


def test_a_function_keeps_its_name():
    code = "from tracegraph.nn.utils.weight_norm import weight_norm as one; from tracegraph.nn.utils import weight_norm"
    output, errors = run(f"{code}; print(one is weight_norm)")
    assert (output, errors) == (["True"], "")


def test_classes_exist_once():
    from tracegraph.utils.data.dataset import TensorDataset

    dataset = pickle.loads(pickle.dumps(TensorDataset(tg.ones(2))))
    assert type(dataset) is tg.data.TensorDataset
    assert type(dataset).__module__ == "tracegraph.data.dataset"


@pytest.mark.parametrize("name", ["utils.nope", "utils.data.nope", "nn.modules.nope", "nope", "utils_of_mine"])
def test_other_names_are_no_modules(name):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"tracegraph.{name}")
    with pytest.raises(AttributeError, match=r"module 'tracegraph\.utils' has no attribute 'nope'"):
        _ = tg.utils.nope


def test_every_name_is_an_attribute_without_an_import_of_its_own() -> None:
    code = "import operator, tracegraph as tg; from tracegraph.module_names import NAMES\n"
    assert run(code + "for name in NAMES: operator.attrgetter(name)(tg)\nprint('found')") == (["found"], "")


def test_the_compiler_under_the_name_of_its_first_years() -> None:
    assert tg._dynamo is tg.compiler
    for name in (
        "allow_in_graph",
        "config",
        "disable",
        "explain",
        "graph_break",
        "mark_dynamic",
        "mark_static",
        "reset",
    ):
        assert hasattr(tg._dynamo, name)


def test_classes_that_are_in_another_module_here() -> None:
    from tracegraph.nn.modules import activation, conv

    assert activation.MultiheadAttention is tg.nn.MultiheadAttention
    assert conv.LazyConvTranspose3d is tg.nn.LazyConvTranspose3d
    with pytest.raises(AttributeError, match=r"module 'tracegraph\.nn\.activation' has no attribute 'Linear'"):
        _ = activation.Linear


def test_other_attributes_are_missing() -> None:
    with pytest.raises(AttributeError, match=r"module 'tracegraph\.optim' has no attribute 'unknown'"):
        _ = tg.optim.unknown
