"""Parts of a program that are named for a profiler."""

from __future__ import annotations

from captured import check

from tracegraph.profiler import record_function


@record_function("doubled")
def doubled(x):
    return x * 2


def program(x):
    with record_function("forward"):
        return doubled(x)


def test_names_of_parts_change_nothing() -> None:
    check(program, graphs=1, fullgraph=True)
    assert doubled.__name__ == "doubled"


def test_the_name_of_older_programs() -> None:
    import tracegraph as tg
    from tracegraph.autograd.profiler import record_function as older

    assert older is record_function is tg.autograd.profiler.record_function
