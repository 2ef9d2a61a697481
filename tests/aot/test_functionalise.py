"""Functionalising: pure graphs with write-backs and view chains do what the mutating graph does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracegraph import ir
from tracegraph.aot import (
    Detached,
    FromInput,
    FromOutput,
    MutationRecord,
    Static,
    ViewOfResult,
    WriteBack,
    differentiate,
    functionalise,
)
from tracegraph.aot.record import Result
from tracegraph.dtypes import float32
from tracegraph.errors import IRError, ShapeError
from tracegraph.ir import Builder, Graph, Role, TensorType, Value, lookup
from tracegraph.ops.core.layout import contiguous_strides
from tracegraph.ops.core.shared_memory import Member, SharedMemory


def replay(pure: Graph, record: MutationRecord, inputs: Sequence[np.ndarray], keys: Sequence[np.ndarray] = ()) -> list:
    """Call the pure graph as the record says: write back, and make the results."""
    given = [a.copy() for a in inputs]
    outputs = [np.array(o, order="C") for o in ir.interpret(pure, *given, *keys)]
    for write in record.write_backs:
        inputs[write.input][...] = outputs[write.output]
    made: dict[int, object] = {}
    for result in record.results:
        if id(result) in made:
            continue
        if isinstance(result, Static):
            made[id(result)] = result.value
            continue
        made[id(result)] = rebuilt(result, inputs, outputs)
    return [made[id(r)] for r in record.results]


def rebuilt(result: Result, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> np.ndarray:
    if isinstance(result, Detached):
        return rebuilt(result.memory, inputs, outputs)
    assert not isinstance(result, Static)
    if isinstance(result, ViewOfResult):
        array = rebuilt(result.base, inputs, outputs)
    else:
        array = inputs[result.input] if isinstance(result, FromInput) else outputs[result.output]
    for op, attrs in result.chain:
        (array,) = op.run(array, **attrs)
    return array


def check(graph: Graph, inputs: Sequence[np.ndarray]) -> tuple[Graph, MutationRecord]:
    """The pure graph gives the same results, writes the same inputs, and aliases alike."""
    pure, record = functionalise(graph)
    ir.verify(pure)
    assert all(node.is_pure for node in pure.nodes)
    mutated, replayed = [a.copy() for a in inputs], [a.copy() for a in inputs]
    wanted = ir.interpret(graph, *mutated)
    found = replay(pure, record, replayed)
    for a, b in zip((*found, *replayed), (*wanted, *mutated), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.shape(a) == np.shape(b)
    arrays_found = [a for a in (*found, *replayed) if isinstance(a, np.ndarray)]
    arrays_wanted = [a for a in (*wanted, *mutated) if isinstance(a, np.ndarray)]
    for i, (a, b) in enumerate(zip(arrays_found, arrays_wanted, strict=True)):
        if b.size > 1:
            assert a.strides == b.strides
        for c, d in zip(arrays_found[:i], arrays_wanted[:i], strict=True):
            assert np.shares_memory(a, c) == np.shares_memory(b, d)
    return pure, record


def parse(text: str) -> Graph:
    return ir.verify(ir.parse(text))


X = np.arange(8, dtype=np.float32).reshape(4, 2)
Y = np.array([-1, -2], dtype=np.float32)


def test_write_to_an_input() -> None:
    _, record = check(
        parse("""graph f(%x: f32[4, 2], %y: f32[2]) {
  %0: f32[4, 2] = neg(%x)
  copy_(%x, %0)
  %1: f32[4, 2] = add(%x, %y)
  return %1, %x
}"""),
        [X, Y],
    )
    assert record.written == {0}
    assert record.results == (FromOutput(1), FromInput(0))


def test_writes_are_counted_and_what_they_overwrite_is_known() -> None:
    pure, record = check(
        parse("""graph f(%x: f32[4, 2], %y: f32[4, 2]) {
  %0: f32[4, 2] = exp(%y)
  %1: f32[4, 2] = mul(%x, %0)
  copy_(%x, %1)
  %2: f32[4, 2] = add(%0, 1)
  copy_(%0, %2)
  %3: f32[4, 2] = neg(%x)
  copy_(%x, %3)
  return %0
}"""),
        [X, X],
    )
    assert (
        str(pure)
        == """graph f(%x: f32[4, 2], %y: f32[4, 2]) {
  %0: f32[4, 2] = exp(%y)
  %1: f32[4, 2] = clone(%x)
  %2: f32[4, 2] = mul(%1, %0)
  %3: f32[4, 2] = copy_elements(%x, %2)
  %4: f32[4, 2] = add(%0, 1)
  %5: f32[4, 2] = copy_elements(%0, %4)
  %6: f32[4, 2] = neg(%3)
  %7: f32[4, 2] = copy_elements(%3, %6)
  return %7, %5
}"""
    )
    assert record.write_backs == (WriteBack(0, 0, writes=2),)
    assert record.versions == ((1, 1),)
    names = {"%x": (0, 2), "%0": (0, 1), "%3": (1, 2)}
    assert {repr(h.value).partition(":")[0]: (h.before, h.writes) for h in record.held if h.is_overwritten} == names


def test_writes_through_data_are_not_counted() -> None:
    _, record = functionalise(
        parse("""graph f(%x: f32[4, 2]) {
  %0: f32[4, 2] = tensor_data(%x)
  %1: f32[4, 2] = mul(%0, 2)
  copy_(%0, %1)
  return %1
}""")
    )
    assert record.write_backs == (WriteBack(0, 0, keeps_history=True, writes=0),)
    assert not any(h.is_overwritten and h.input is not None for h in record.held)


def test_where_values_lie() -> None:
    """In the memory of an input, of a result, or of the graph alone."""
    _, record = functionalise(
        parse("""graph f(%x: f32[2], %y: f32[2]) {
  %0: f32[2] = detach(%x)
  %1: f32[2] = mul(%0, 2)
  copy_(%0, %1)
  %2: f32[2] = exp(%y)
  %3: f32[1] = basic_index(%2, index=[[0, 1, 1]])
  %4: f32[1] = neg(%3)
  copy_(%3, %4)
  %5: f32[1] = mul(%3, %3)
  return %0, %2, %5
}""")
    )
    # the new elements of %x as it is written back, and those of %0, which has another history
    assert [(h.before, h.writes) for h in record.held if h.input == 0] == [(0, 1), (1, 1), (1, 1)]
    product = record.results[1]
    assert isinstance(product, FromOutput)
    assert [(h.before, h.writes) for h in record.held if h.output == product.output] == [(0, 1), (1, 1), (1, 1)]


def test_write_through_a_chain_of_views_is_seen_by_the_base_and_by_earlier_views() -> None:
    check(
        parse("""graph f(%x: f32[4, 2], %y: f32[2]) {
  %0: f32[2, 4] = permute(%x, dims=[1, 0])
  %1: f32[2, 2] = basic_index(%0, index=[[0, 2, 1], [1, 3, 1]])
  %2: f32[2] = basic_index(%1, index=[0])
  copy_(%2, %y)
  %3: f32[2] = basic_index(%x, index=[1])
  %4: f32[2] = neg(%3)
  return %4, %1, %x
}"""),
        [X, Y],
    )


def test_write_to_an_intermediate_through_its_view() -> None:
    pure, record = check(
        parse("""graph f(%x: f32[4, 2], %y: f32[2]) {
  %0: f32[4, 2] = neg(%x)
  %1: f32[2] = basic_index(%0, index=[3])
  copy_(%1, %y)
  copy_(%0, %x)
  %2: f32[2] = neg(%1)
  return %0, %1, %2
}"""),
        [X, Y],
    )
    assert not record.write_backs
    base, view, fresh = record.results
    assert base == FromOutput(0) and fresh == FromOutput(1)
    assert isinstance(view, FromOutput) and view.output == 0 and len(view.chain) == 1
    assert len(pure.outputs) == 2


def test_copy_converts_and_broadcasts() -> None:
    check(
        parse("""graph f(%x: f32[4, 2], %n: i64[2]) {
  %0: f32[4, 2] = neg(%x)
  copy_(%0, %n)
  copy_(%x, %n)
  return %0
}"""),
        [X, np.array([3, 4])],
    )


def test_results_that_are_inputs_constants_numbers_or_one_another() -> None:
    _, record = check(
        parse("""graph f(%x: f32[4, 2], %y: f32[2]) {
  %c0: f32[2] = constant([1.0, 2.0])
  %0: f32[2, 4] = permute(%x, dims=[1, 0])
  %1: f32[2] = neg(%y)
  return %x, %0, %c0, 7, none, %1, %1
}"""),
        [X, Y],
    )
    assert record.results[3:5] == (Static(7), Static(None))
    assert record.results[5] is record.results[6]


def test_a_lone_dense_view_is_a_tensor_of_its_own() -> None:
    pure, record = check(
        parse("""graph f(%x: f32[4, 2]) {
  %0: f32[4, 2] = neg(%x)
  %1: f32[2] = basic_index(%0, index=[3])
  return %1
}"""),
        [X],
    )
    assert record.results == (FromOutput(0),)
    assert isinstance(pure.outputs[0], Value) and pure.outputs[0].shape == (2,)


def test_a_lone_strided_view_keeps_its_strides() -> None:
    _, record = check(
        parse("""graph f(%x: f32[4, 2]) {
  %0: f32[4, 2] = neg(%x)
  %1: f32[2, 4] = permute(%0, dims=[1, 0])
  return %1
}"""),
        [X],
    )
    (result,) = record.results
    assert isinstance(result, FromOutput) and [op.name for op, _ in result.chain] == ["permute"]


def test_symbolic_sizes() -> None:
    sizes = ir.ShapeEnv()
    sizes.fresh(5)
    with sizes.active():
        pure, record = functionalise(
            parse("""graph f(%x: f32[s0, 4], %y: f32[4]) {
  %0: f32[4] = basic_index(%x, index=[s0 - 1])
  copy_(%0, %y)
  %1: f32[4*s0] = view(%x, size=[4*s0])
  return %1, s0
}""")
        )
    assert record.results[1] == Static(ir.sym("s0"))
    assert str(ir.verify(pure).outputs[0].type) == "f32[s0, 4]"


def test_draws_after_a_number_of_draws_that_shows_later_follow_from_it() -> None:
    pure, record = functionalise(
        parse("""graph f(%x: f32[2]) {
  %0: i64[2] = next_key()
  %1: i64[2] = reserve_keys()
  %2: i64[2] = add(%1, %0)
  release_keys(%1, %2)
  %3: i64[2] = next_key()
  %4: i64[2] = reserve_keys()
  release_keys(%4, %4)
  return %3
}""")
    )
    assert record.keys == 2 and record.next_key == 1
    first, reserved = np.array([1, 5]), np.array([0, 6])
    drawn, following = ir.interpret(pure, X[0], first, reserved)
    assert drawn.tolist() == [1, 11] and following.tolist() == [1, 12]
    assert "input 2 is the first of any number of keys, output 1 the next to be drawn" in str(record)


def test_effects_without_a_pure_counterpart_are_refused() -> None:
    class Shout(ir.Op):
        name, kind, is_pure = "shout", ir.Kind.EFFECT, False

        def check_call(self, operands: object, attrs: object) -> None: ...

        def infer(self, *operands: object, **attrs: object) -> tuple[TensorType, ...]:
            return ()

        def run(self, *operands: object, **attrs: object) -> tuple[np.ndarray, ...]:
            return ()

    builder = Builder("f")
    x = builder.placeholder(TensorType(ir.parse_type("f32[2]").dtype, (2,)), "x")
    builder.call_all(Shout(), x)
    with pytest.raises(IRError, match="shout"):
        functionalise(builder.output(x))


def test_writes_to_overlapping_elements_are_refused() -> None:
    graph = parse("""graph f(%x: f32[2], %y: f32[3, 2]) {
  %0: f32[3, 2] = expand(%x, size=[3, 2])
  copy_(%0, %y)
  return %x
}""")
    with pytest.raises(ShapeError, match="share one place in memory"):
        functionalise(graph)


# --------------------------------------------------------------------------------------------- random programs


class _Program:
    """A random graph of views, pure ops and writes over two inputs."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.builder = Builder("random")
        f32 = ir.parse_type("f32[]").dtype
        self.values = [
            self.builder.placeholder(TensorType(f32, (4, 3))),
            self.builder.placeholder(TensorType(f32, (3,))),
        ]
        #: values whose elements have places of their own
        self.writable = list(self.values)
        self.strides = {v: contiguous_strides(v.shape) for v in self.values}

    def pick(self, values: Sequence[Value]) -> Value:
        return values[self.draw(st.integers(0, len(values) - 1))]

    def pure(self) -> None:
        self.add(self.builder.call(lookup("neg"), self.pick(self.values)))

    def write(self) -> None:
        target = self.pick(self.writable)
        tails = [target.shape[i:] for i in range(len(target.shape) + 1)]
        source = self.pick([v for v in self.values if v.shape in tails])
        self.builder.call_all(lookup("copy_"), target, source)

    def view(self) -> None:
        x = self.pick(self.values)
        rank = len(x.shape)
        kind = self.draw(st.sampled_from(["permute", "index", "slice", "flat", "expand", "diagonal"]))
        if kind == "permute":
            dims = tuple(self.draw(st.permutations(range(rank))))
            self.add_view(x, "permute", dims=dims)
        elif kind == "index" and rank and x.shape[0]:
            self.add_view(x, "basic_index", index=(self.draw(st.integers(0, x.shape[0] - 1)),))
        elif kind == "slice" and rank:
            start = self.draw(st.integers(0, x.shape[0]))
            stop = self.draw(st.integers(start, x.shape[0]))
            self.add_view(x, "basic_index", index=((start, stop, self.draw(st.integers(1, 2))), *(None,) * (rank == 1)))
        elif kind == "flat" and self.strides[x] == contiguous_strides(x.shape):
            self.add_view(x, "view", size=(int(np.prod(x.shape)),))
        elif kind == "expand":
            self.add_view(x, "expand", writable=False, size=(2, *x.shape))
        elif kind == "diagonal" and rank == 2:
            self.add_view(x, "diagonal", offset=0, dim1=0, dim2=1)

    def add(self, value: Value, writable: bool = True, strides: tuple | None = None) -> None:
        self.values.append(value)
        self.strides[value] = contiguous_strides(value.shape) if strides is None else strides
        if writable:
            self.writable.append(value)

    def add_view(self, x: Value, name: str, writable: bool = True, **attrs: object) -> None:
        op = lookup(name)
        view = self.builder.call(op, x, **attrs)
        strides = op.strides(self.strides[x], (x.type,), attrs)
        self.add(view, writable and x in self.writable, strides)


@st.composite
def programs(draw: st.DrawFn) -> Graph:
    program = _Program(draw)
    for _ in range(draw(st.integers(1, 12))):
        getattr(program, draw(st.sampled_from(["pure", "write", "view", "view"])))()
    returned = draw(st.lists(st.sampled_from(program.values), min_size=1, max_size=4))
    return program.builder.output(*returned)


@given(programs())
def test_random_programs(graph: Graph) -> None:
    pure, record = check(ir.verify(graph), [np.arange(12, dtype=np.float32).reshape(4, 3), np.float32([20, 21, 22])])
    assert [v.role for v in pure.placeholders[record.inputs :]] == [Role.RNG_KEY] * record.keys


def test_views_of_what_was_detached_follow_it() -> None:
    _, record = check(
        parse("""graph f(%x: f32[4, 2]) {
  %0: f32[4, 2] = detach(%x)
  %1: f32[2] = basic_index(%0, index=[0])
  %2: f32[2, 4] = permute(%0, dims=[1, 0])
  %3: f32[4, 2] = detach(%x)
  %4: f32[2] = basic_index(%3, index=[0])
  return %1, %2, %0, %4
}"""),
        [X],
    )
    row, transposed, base, other = record.results
    assert isinstance(row, ViewOfResult) and isinstance(transposed, ViewOfResult) and isinstance(other, ViewOfResult)
    assert row.base is transposed.base is base
    assert other.base is not base
    assert str(row) == "basic_index(index=[0]) of detach() of input 0, a view, a view"


def test_a_view_made_outside_grad_mode_is_marked() -> None:
    _, record = check(
        parse("""graph f(%x: f32[4, 2]) {
  %0: f32[4, 2] = neg(%x)
  %1: f32[8] = view(%0, size=[8])
  %2: f32[8] = no_grad_view(%1)
  return %2
}"""),
        [X],
    )
    (result,) = record.results
    assert str(result) == "no_grad_view() of output 0, a view"


def test_inputs_in_one_memory() -> None:
    graph = ir.parse("""
        graph f(%x: f32[2, 2] primal, %y: f32[3] primal) {
          %0: f32[2, 2] = exp(%x)
          copy_(%x, %0)
          %1: f32[3] = mul(%y, 2)
          %2: f32[2] = basic_index(%x, index=[1])
          return %1, %2
        }
    """)
    members = (Member(0, 0, (2, 1), 0, False), Member(1, 1, (2,), 0, False))
    memory = SharedMemory(float32, 6, members)
    pure, record = functionalise(graph, [memory])
    assert [str(p.type) for p in pure.placeholders] == ["f32[2, 2]", "f32[3]", "f32[6]"]
    assert record.write_backs == (WriteBack(0, 0, member=members[0]),)
    assert record.results == (FromOutput(1), FromInput(0, record.results[1].chain))  # type: ignore[union-attr]
    assert record.overwritten == {0, 1, 2}
    assert record.writes == {0: 1, 1: 1}
    elements = np.arange(6, dtype=np.float32)
    after, result = ir.interpret(pure, elements[:4].reshape(2, 2), elements[1::2], elements)
    expected = np.concatenate((np.exp(elements[:4]), elements[4:]))
    np.testing.assert_allclose(after, expected, rtol=1e-6)
    np.testing.assert_allclose(result, expected[1::2] * 2, rtol=1e-6)


def test_members_with_a_history_of_their_own_keep_it() -> None:
    graph = ir.parse("""
        graph f(%p: f32[4] parameter, %part: f32[2] primal) {
          %0: f32[2] = mul(%part, 2)
          copy_(%part, %0)
          %1: f32[4] = mul(%p, %p)
          return %1
        }
    """)
    memory = SharedMemory(float32, 4, (Member(0, 0, (1,), 0, True), Member(1, 2, (1,), 0, False)))
    pure, record = functionalise(graph, [memory])
    assert [w.input for w in record.write_backs] == [1]
    joint = differentiate(pure, [True, False, False], record.takes_cotangent(len(pure.outputs)), True, record.held)
    p = np.array([1, 2, 3, 4], np.float32)
    *_, gradient = ir.interpret(joint.graph, p, p[2:], p, np.ones(4, np.float32))[: 2 + len(joint.gradients)]
    np.testing.assert_array_equal(gradient, [2, 4, 12, 16])
