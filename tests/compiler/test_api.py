"""The forms, settings and fallbacks of compile()."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import CompileError, OptionError
from tracegraph.ops.core.definition import Definition


def test_decorator_forms():
    @tg.compile
    def bare(x):
        return x + 1

    @tg.compile(backend="eager")
    def configured(x):
        return x + 1

    class Holder:
        @tg.compile
        def method(self, x):
            return x + self.offset

        offset = 2

    assert bare(tg.ones(1)).item() == configured(tg.ones(1)).item() == 2
    assert Holder().method(tg.ones(1)).item() == 3
    assert tg.compile(bare, disable=True) is bare


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "lvm"}, "did you mean 'llvm'"),
        ({"options": {"fastmth": True}}, "did you mean 'fastmath'"),
        ({"options": {"fuse": 1}}, "expected bool, got int"),
        ({"options": {"partitioner": "best"}}, "min_cut, default"),
        ({"options": {"recompile_limit": -1}}, "negative"),
        ({"dynamic": "yes"}, "dynamic='yes'"),
        ({"fullgraph": 1.5}, "fullgraph=1.5"),
        ({"options": ["fuse"]}, "expected a dict of options, got list"),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(OptionError, match=message):
        tg.compile(lambda x: x, **arguments)


def test_only_callables_are_compiled():
    with pytest.raises(TypeError, match=r"got 3 \(int\)"):
        tg.compile(3)


def test_modes_other_than_the_default_do_not_exist():
    for mode in (None, "default"):
        assert tg.compile(lambda x: x + 1, mode=mode)(tg.ones(1)).item() == 2
    for make in (lambda: tg.compile(abs, mode="max-autotune"), lambda: tg.compile(mode="max-autotune")(abs)):
        with pytest.raises(OptionError, match=r"mode='max-autotune'.*backend= one of .*llvm.*options= .*fastmath"):
            make()


def broken_backend(module, example_inputs):
    raise RuntimeError("no such luck")


def test_a_failing_backend_falls_back_with_one_warning():
    g = tg.compile(lambda x: x + 1, backend=broken_backend)
    with pytest.warns(RuntimeWarning, match="broken_backend failed.*no such luck"):
        assert g(tg.ones(1)).item() == 2
    strict = tg.compile(lambda x: x + 1, backend=broken_backend, options={"strict": True}, fullgraph=True)
    with pytest.raises(CompileError, match="no such luck"):
        strict(tg.ones(1))


def test_a_backend_that_returns_no_callable_falls_back_with_a_warning():
    g = tg.compile(lambda x: x + 1, backend=lambda module, example_inputs: None)
    with pytest.warns(RuntimeWarning, match="must return a callable, got NoneType.*eagerly|eagerly.*got NoneType"):
        assert g(tg.ones(1)).item() == 2


@pytest.mark.usefixtures("native")
def test_a_failing_stage_falls_back_with_a_warning_that_names_it(monkeypatch):
    from tracegraph.compiler import pipeline

    def explode(graph):
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(pipeline, "plan_memory", explode)
    with pytest.warns(RuntimeWarning, match="stage plan failed.*boom"):
        assert tg.compile(lambda x: x + 1)(tg.ones(1)).item() == 2


def test_native_code_can_be_switched_off(monkeypatch):
    from tracegraph.compiler import stages

    monkeypatch.setenv("TRACEGRAPH_NATIVE", "0")
    with stages.recorded() as log:
        assert tg.compile(lambda x: x + 1)(tg.ones(1)).item() == 2
    assert "optimise" in [p.stage for p in log]
    assert not {"emit", "load"} & {p.stage for p in log}


def test_custom_backends_see_a_graph_module():
    seen = []

    def backend(module, example_inputs):
        seen.append((module.code, [tuple(t.shape) for t in example_inputs]))
        module.graph.lint()
        return module

    g = tg.compile(lambda x: x.sin() + 1, backend=backend)
    x = tg.ones(2, requires_grad=True)
    g(x).sum().backward()
    assert "tg.sin(x)" in seen[0][0]
    assert seen[0][1] == [(2,)]
    np.testing.assert_allclose(x.grad.numpy(), np.cos(np.ones(2)), rtol=1e-6)


def test_custom_passes_run_on_every_graph():
    names = []

    def spy(graph):
        names.append(graph.name)
        assert all(isinstance(n.call_op, Definition) for n in graph.calls)
        return graph

    g = tg.compile(lambda x: (x * x).sum(), options={"custom_passes": (spy,), "strict": True, "verify": True})
    g(tg.ones(2, requires_grad=True)).backward()
    assert len(names) == 2
