"""Compiled functions and modules that hold them, copied and pickled."""

from __future__ import annotations

import copy
import pickle

from captured import assert_same

import tracegraph as tg
from tracegraph import nn


@tg.compile
def found_by_name(x):
    return x * 2


def plain_function(x):
    return x * 3


class Callable:
    def __init__(self):
        self.scale = 2

    def __call__(self, x):
        return x * self.scale


def test_a_compiled_function_is_copied_and_pickled_like_a_function():
    anonymous = tg.compile(lambda x: x * 3)
    for function in (found_by_name, anonymous):
        assert copy.copy(function) is copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(found_by_name)) is found_by_name
    assert pickle.loads(pickle.dumps(tg.compile(plain_function))) is plain_function


def test_a_module_that_holds_a_compiled_function_can_be_copied_and_pickled():
    net = nn.Linear(2, 2)
    net.first, net.second = found_by_name, tg.compile(plain_function)
    net.first(net.second(net(tg.ones(1, 2))))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert_same(other.first(other.second(other(tg.ones(1, 2)))), (net(tg.ones(1, 2)) * 6))


def test_a_copy_of_a_compiled_object_has_state_of_its_own():
    function = tg.compile(Callable())
    other = copy.deepcopy(function)
    other.__dict__["_tracegraph_original"].scale = 5
    assert (function(tg.ones(1)).item(), other(tg.ones(1)).item()) == (2.0, 5.0)
