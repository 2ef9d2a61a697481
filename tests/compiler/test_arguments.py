"""What the compiler's functions refuse: one error each, which names the argument, its value and what to do."""

from __future__ import annotations

import pytest

import tracegraph as tg
from tracegraph import compiler
from tracegraph.errors import ArgumentError, IndexRangeError, OptionError, ValueRangeError


def double(x):
    return x * 2


class Silent:
    pass


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.compile(3), ArgumentError, r"compile\(\) takes a function, method or Module, got 3 \(int\)"),
        (lambda: tg.compile()(3), ArgumentError, r"compile\(\) takes a function, method or Module, got 3 \(int\)"),
        (lambda: tg.compile(Silent), ArgumentError, "class Silent: its objects cannot be called"),
        (lambda: tg.compile(double, fullgraph=1), OptionError, r"compile\(\): fullgraph=1 must be one of True, False"),
        (lambda: tg.compile(double, dynamic="auto"), OptionError, r"dynamic='auto' must be one of True, False, None"),
        (lambda: tg.compile(double, foo=1), OptionError,
         r"compile\(\) has no argument 'foo'.* fullgraph, dynamic, backend, .* options= is a dict of fastmath, "),
        (lambda: tg.compile(double, fulgraph=True), OptionError, "'fulgraph'; did you mean 'fullgraph'"),
        (lambda: tg.compile(fastmath=True), OptionError, "'fastmath', it is an option: options={'fastmath': True}"),
        (lambda: tg.cond(True, double), ArgumentError, r"^cond\(pred, true_fn, .*missing a required argument"),
        (lambda: tg.scan(double, 1, 2, dm=3), ArgumentError, r"^scan\(combine_fn, .*unexpected keyword argument 'dm'"),
        (lambda: tg.scan(double, tg.ones(()), tg.ones(2), reverse="x"), ArgumentError, "'reverse' must be a bool"),
        (lambda: tg.compile(double, backend="lvm"), OptionError, "unknown backend 'lvm': .* did you mean 'llvm'"),
        (lambda: tg.compile(double, backend="inductor"), OptionError, "PyTorch's 'inductor' does, 'llvm' does here"),
        (lambda: tg.compile(double, backend="aot_eager"), OptionError, "'interpreter' does here"),
        (lambda: tg.compile(double, backend=["llvm"]), OptionError, r"unknown backend \['llvm'\]"),
        (lambda: tg.compile(double, mode="fast"), OptionError, "mode='fast' does not exist; leave it out"),
        (lambda: tg.compile(double, mode="reduce-overhead"), OptionError, "does not exist .it asks for CUDA graphs"),
        (lambda: tg.compile(double, mode="max-autotune"), OptionError, "does not exist .it asks to time several"),
        (lambda: tg.compile(double, options=[]), OptionError, r"options=\[\]: expected a dict of options"),
        (lambda: tg.compile(double, options={3: 4}), OptionError, "unknown option 3; options are fastmath"),
        (lambda: tg.compile(double, options={"stict": True}), OptionError, "did you mean 'strict'"),
        (lambda: tg.compile(double, options={"custom_passes": [3]}), OptionError,
         r"custom_passes\[0\] must be a function Graph -> Graph, got 3 \(int\)"),
        (lambda: tg.compile(double, recompile_limit=-1), OptionError, "recompile_limit=-1: must not be negative"),
        (lambda: compiler.explain(3), ArgumentError, r"explain\(\) takes a function, method or Module, got 3"),
        (lambda: compiler.explain(tg.nn.Linear), ArgumentError, "class Linear: pass an object of it"),
        (lambda: compiler.explain(double, dynamic="x"), OptionError, r"explain\(\): dynamic='x'"),
        (lambda: compiler.register_backend(3, double), ArgumentError, r"name must be a str, got 3 \(int\)"),
        (lambda: compiler.register_backend("new", 3), ArgumentError, "a backend must be callable, got 3"),
        (lambda: compiler.register_backend("llvm", double), OptionError, "called 'llvm' is registered already"),
        (lambda: compiler.set_default_backend("lvm"), OptionError, "did you mean 'llvm'"),
        (lambda: compiler.set_logs("nope"), OptionError, r"set_logs\('nope'\): unknown log 'nope': one of recompiles"),
        (lambda: compiler.set_logs(["guards"]), ArgumentError, r"names must be a str .*, got \['guards'\] \(list\)"),
        (lambda: compiler.set_stance("aot_eager_then_compile"), OptionError, "did you mean 'eager_then_compile'"),
        (lambda: compiler.set_stance(skip_guard_eval_unsafe=True), OptionError, "guards are always checked"),
        (lambda: compiler.set_stance(force_backend="eager"), OptionError, "use compiler.set_default_backend"),
        (lambda: compiler.mark_dynamic(3, 0), ArgumentError, r"mark_dynamic\(\) takes a Tensor, got 3 \(int\)"),
        (lambda: compiler.mark_dynamic(tg.ones(2), 1), IndexRangeError, "index=1 is out of range"),
        (lambda: compiler.mark_dynamic(tg.ones(()), 0), IndexRangeError, "index=0, but the tensor has no dimensions"),
        (lambda: compiler.mark_dynamic(tg.ones(2), "0"), ArgumentError, r"'index' must be an int, got '0' \(str\)"),
        (lambda: compiler.mark_dynamic(tg.ones(2), 0, min="3"), ArgumentError, "min must be an int or None, got '3'"),
        (lambda: compiler.mark_dynamic(tg.ones(2), 0, max=2.0), ArgumentError, "max must be an int or None, got 2.0"),
        (lambda: compiler.mark_dynamic(tg.ones(2), 0, min=5, max=3), ValueRangeError, "max=3 is below 5"),
        (lambda: compiler.maybe_mark_dynamic(tg.ones(2), 4), IndexRangeError, "maybe_mark_dynamic: index=4"),
        (lambda: compiler.mark_static(tg.ones(2), 1.5), ArgumentError, r"'index' must be an int, got 1.5 \(float\)"),
        (lambda: compiler.disable(double, reason=3), ArgumentError, r"reason must be a str, got 3 \(int\)"),
        (lambda: compiler.disable(double, recursive=False), OptionError, "compile the functions that the excluded"),
        (lambda: compiler.substitute_in_graph(3), ArgumentError, r"takes a function, got 3 \(int\)"),
        (lambda: compiler.compile_times("table"), OptionError, r"compile_times\(repr='table'\): one of 'str', 'csv'"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert compiler.get_default_backend() == "llvm"


def test_marks_are_all_right_or_none_is_made():
    x = tg.ones(2, 3)
    with pytest.raises(IndexRangeError):
        compiler.mark_dynamic(x, (0, 5))
    assert str(compiler.explain(double)(x).graphs[0].placeholders[0].type) == "f32[2, 3]"


def test_the_default_backend():
    graphs = []

    def recording(module, example_inputs):
        graphs.append(module.graph)
        return module

    compiler.set_default_backend(recording)
    try:
        tg.compile(double)(tg.ones(2))
        tg.compile(double, backend="eager")(tg.ones(2))
        compiler.explain(double)(tg.ones(2))
    finally:
        compiler.set_default_backend(None)
    assert len(graphs) == 2
    assert compiler.get_default_backend() == "llvm"


def test_lists_of_passes_and_the_limit_as_an_argument():
    seen = []

    def look(graph):
        seen.append(graph)
        return graph

    tg.compile(double, options={"custom_passes": [look]})(tg.ones(2))
    assert len(seen) == 1
    limited = tg.compile(lambda x, name: x * len(name), recompile_limit=1)
    limited(tg.ones(2), "a")
    with pytest.warns(RuntimeWarning, match="recompile_limit"):
        limited(tg.ones(2), "bb")


@pytest.mark.parametrize("changes", [("recompile_limit", 2), ({"recompile_limit": 2},)], ids=("name", "dict"))
def test_patches_of_the_config(changes):
    with compiler.config.patch(*changes, error_on_recompile=True):
        assert (compiler.config.recompile_limit, compiler.config.error_on_recompile) == (2, True)
    assert (compiler.config.recompile_limit, compiler.config.error_on_recompile) == (8, False)
