"""Stages: what a listener gets, and how a failure reads."""

import pytest

from tracegraph import ir
from tracegraph.codegen import compile as codegen_compile
from tracegraph.compiler import stages
from tracegraph.errors import CompileError, ShapeError
from tracegraph.passes import plan_memory


def test_a_stage_gives_its_product_and_reports_it():
    with stages.recorded() as log:
        assert stages.run("plan", "f", max, 2, 3, shown="<{}>".format) == 3
        stages.run("fuse", "f", list, "ab")
    assert [(p.stage, p.title, p.product, p.text()) for p in log] == [
        ("plan", "f", 3, "<3>"),
        ("fuse", "f", ["a", "b"], "a\n\nb"),
    ]
    assert all(p.seconds >= 0 for p in log)


def test_a_failure_names_stage_and_graph_unless_it_is_an_error_of_ours():
    with pytest.raises(CompileError, match="stage plan failed on f: ZeroDivisionError"):
        stages.run("plan", "f", divmod, 1, 0)

    def misshapen():
        raise ShapeError("shapes differ")

    with pytest.raises(ShapeError, match=r"^shapes differ$"):
        stages.run("plan", "f", misshapen)


def test_stages_of_code_generation_run_the_same_way(monkeypatch):
    def explode(program, bodies):
        raise OSError("no memory for code")

    plan = plan_memory(ir.parse("graph f(%x: f32[4]) {\n  %0: f32[4] = exp(%x)\n  return %0\n}"))
    monkeypatch.setattr(codegen_compile, "load", explode)
    with stages.recorded() as log, pytest.raises(CompileError, match="stage load failed on f: OSError: no memory"):
        codegen_compile.compile_program(plan, stages.run)
    assert [p.stage for p in log] == ["lower", "schedule", "emit"]
