"""Workspaces: used again, never shared, and right in both ways of telling native code where arrays are."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from compiling import check, compare, compiled

from tracegraph import ir
from tracegraph.codegen.native import array_address, executable
from tracegraph.codegen.native.workspace import CellWorkspace, Workspace, aligned
from tracegraph.errors import DTypeError, ShapeError
from tracegraph.ir.memory_plan import ALIGNMENT

# two products, so that an intermediate value lives in the arena
CHAIN = """graph chain(%x: f32[s0, 8], %w: f32[8, 8]) {
  %0: f32[s0, 8] = matmul(%x, %w)
  %1: f32[s0, 8] = exp(%0)
  %2: f32[s0, 8] = matmul(%1, %w)
  %3: f32[s0] = sum(%2, dim=[1], keepdim=false)
  return %3, %1
}"""


def chain_inputs(rows: int) -> list[np.ndarray]:
    rng = np.random.default_rng(rows)
    return [rng.standard_normal(s).astype(np.float32) for s in ((rows, 8), (8, 8))]


def test_aligned() -> None:
    for nbytes in (1, 64, 1000):
        arena = aligned(nbytes)
        assert arena.nbytes == nbytes
        assert array_address.address_of(arena) % ALIGNMENT == 0


def test_a_workspace_is_used_again() -> None:
    chain = compiled(CHAIN)
    chain(chain_inputs(5))
    (workspace,) = chain._idle
    chain(chain_inputs(5))
    assert chain._idle == [workspace]
    # other sizes: another table, and the arena again if it is large enough
    chain(chain_inputs(3))
    (smaller,) = chain._idle
    assert smaller is not workspace and smaller.arena is workspace.arena
    chain(chain_inputs(500))
    (larger,) = chain._idle
    assert larger.arena.nbytes > smaller.arena.nbytes


def test_calls_under_way_have_workspaces_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = compiled(CHAIN)
    sizes = (4, 4, 9, 1, 30, 4)
    alone = {rows: chain(chain_inputs(rows)) for rows in sizes}
    entered = threading.Barrier(len(sizes))
    used: list[Workspace] = []
    point_at = Workspace.point_at

    def meet(self: Workspace, *args: object) -> None:
        used.append(self)
        entered.wait(timeout=30)  # all calls have borrowed before any goes on
        point_at(self, *args)

    monkeypatch.setattr(Workspace, "point_at", meet)
    results: list[tuple[int, list[np.ndarray]]] = []
    threads = [
        threading.Thread(target=lambda rows=rows: results.append((rows, chain(chain_inputs(rows))))) for rows in sizes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(w) for w in used}) == len({id(w.arena) for w in used}) == len(sizes)
    assert len(results) == len(sizes) and len(chain._idle) == executable.IDLE_WORKSPACES < len(sizes)
    for rows, found in results:
        for a, b in zip(found, alone[rows], strict=True):
            np.testing.assert_array_equal(a, b)


def test_without_the_field_cells_hold_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, field = compiled(CHAIN), array_address.FIELD
    monkeypatch.setattr(array_address, "FIELD", None)
    slow = compiled(CHAIN)
    assert (quick.program.pointer_field, slow.program.pointer_field) == (field, None)
    assert quick.program.driver != slow.program.driver
    for rows in (3, 0, 40):
        for a, b in zip(quick(chain_inputs(rows)), slow(chain_inputs(rows)), strict=True):
            np.testing.assert_array_equal(a, b)
    (workspace,) = slow._idle
    assert type(workspace) is CellWorkspace
    check(
        "graph f(%x: f32[6]) {\n"
        "  %0: f32[2], %1: i64[2] = topk(%x, dim=0, k=2, largest=true, sorted=true)\n  return %1, %0\n}"
    )


@pytest.mark.parametrize("rows", [0, 1, 17])
def test_what_is_no_plain_array_is_converted(rows: int) -> None:
    chain = compiled(CHAIN)
    x, w = chain_inputs(rows)
    wanted = chain([x, w])
    for inputs in ([x.view(np.matrix), w], [np.ma.array(x), np.asfortranarray(w)]):
        for a, b in zip(chain(inputs), wanted, strict=True):
            assert type(a) is np.ndarray
            np.testing.assert_array_equal(a, b)
    scale = compiled("graph f(%x: f32[]) {\n  %0: f32[] = exp(%x)\n  return %0\n}")
    # a numpy scalar has dtype, shape and strides, but no pointer to elements
    assert scale([np.float32(0)])[0] == scale([np.zeros((), np.float32)])[0] == 1


def test_what_was_right_once_does_not_let_the_wrong_pass() -> None:
    chain = compiled(CHAIN)
    x, w = chain_inputs(6)
    chain([x, w])
    wrong: list[tuple[type[Exception], list[np.ndarray]]] = [
        (DTypeError, [x.astype(np.float64), w]),
        (DTypeError, [x.view(np.int32), w]),
        (DTypeError, [x.astype(">f4"), w]),
        (ShapeError, [x, w[:, :4]]),
        (ShapeError, [x[:, :4], w]),
        (ShapeError, [x, w, w]),
        (ShapeError, [x]),
        (ShapeError, []),
        (ShapeError, [x[None], w]),
    ]
    for error, inputs in wrong:
        for _ in range(2):
            with pytest.raises(error):
                chain(inputs)
    compare(chain, ir.parse(CHAIN), [x, w])
