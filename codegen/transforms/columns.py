"""Column blocking: reductions over the rows of a row-major array, many columns at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tracegraph.codegen.loops.loop_index import Index, Name, ValueRef, index, minimum
from tracegraph.codegen.loops.loop_ir import Acc, Apply, Buffer, For, Kernel, Let, Load, Local, Mark, Store, Update
from tracegraph.codegen.loops.loop_rewrite import Body, find_loop, fresh_name, replace_loop, substitute
from tracegraph.errors import IRError


@dataclass(frozen=True)
class ColumnForm:
    """The body of a loop that reduces one column: accumulators, the loop over rows, what follows."""

    accumulators: tuple[Acc, ...]
    rows: For
    rest: Body

    @property
    def names(self) -> frozenset[str]:
        """The accumulators' names."""
        return frozenset(acc.name for acc in self.accumulators)


def column_form(loop: For) -> ColumnForm | None:
    """The loop's body taken apart, or None if it is not of that form.

    The loop over rows must be straight-line code that only loads, computes and updates.
    """
    count = 0
    while count < len(loop.body) and isinstance(loop.body[count], Acc):
        count += 1
    accumulators = tuple(stmt for stmt in loop.body[:count] if isinstance(stmt, Acc))
    if not accumulators or count == len(loop.body):
        return None
    rows = loop.body[count]
    if not isinstance(rows, For) or loop.variable in rows.start.names() | rows.stop.names():
        return None
    if not all(isinstance(stmt, Let | Update) for stmt in rows.body):
        return None
    form = ColumnForm(accumulators, rows, loop.body[count + 1 :])
    inits_plain = not any(isinstance(a.init, ValueRef) and a.init.name in form.names for a in accumulators)
    reads_nothing = not any(_reads(stmt, form.names) for stmt in rows.body)
    updates_own = all(stmt.acc in form.names for stmt in rows.body if isinstance(stmt, Update))
    return form if inits_plain and reads_nothing and updates_own else None


def block_columns(kernel: Kernel, variable: str, width: int) -> Kernel:
    """Reduce `width` columns at once, walking the rows in memory order; every column still sums in row order.

    for j in 0..m {
      acc %s: f32 = 0.0
      for i in 0..n reduce { ...; update %s = add(%s, %v) }
      ...
    }
    -->
    for j_block in 0..m step 128 {
      local s_block: f32[128]
      for j_start in j_block..min(j_block + 128, m) vector { store s_block[j_start - j_block] = 0.0 }
      for i in 0..n {
        for j_row in j_block..min(j_block + 128, m) vector {
          ...
          let %s_old: f32 = load s_block[j_row - j_block]
          let %s_new: f32 = add(%s_old, %v)
          store s_block[j_row - j_block] = %s_new
        }
      }
      for j in j_block..min(j_block + 128, m) {
        let %s_sum: f32 = load s_block[j - j_block]
        acc %s: f32 = %s_sum
        ...
      }
    }

    Raises:
        IRError: the loop's body is not accumulators, a straight-line loop that updates them, and a rest.
    """
    loop = find_loop(kernel, variable)
    form = column_form(loop)
    if form is None or loop.step != 1:
        raise IRError(
            f"cannot block the columns of {variable}: its body must be accumulators, a straight-line loop that "
            "updates them, and a rest"
        )
    blocking = _Blocking(kernel, loop, form, width)
    return replace_loop(kernel, variable, lambda _: (blocking.rewritten(),))


class _Blocking:
    """The names and bounds of one rewrite."""

    def __init__(self, kernel: Kernel, loop: For, form: ColumnForm, width: int) -> None:
        self.kernel, self.loop, self.form, self.width = kernel, loop, form, width
        self.block = fresh_name(kernel, f"{loop.variable}_block")
        self.start = fresh_name(kernel, f"{loop.variable}_start")
        self.row = fresh_name(kernel, f"{loop.variable}_row")
        self.locals = {
            acc.name: Buffer(fresh_name(kernel, f"{acc.name}_block"), acc.dtype, (index(width),))
            for acc in form.accumulators
        }

    def rewritten(self) -> For:
        initialise = tuple(
            Store(self.locals[acc.name].name, self._place(self.start), acc.init) for acc in self.form.accumulators
        )
        rows = self.form.rows
        inner = self._columns(self.row, self._row_body(), vector=True)
        body: Body = (
            *(Local(buffer) for buffer in self.locals.values()),
            self._columns(self.start, initialise, vector=True),
            replace(rows, body=(inner,), marks=rows.marks - {Mark.REDUCE, Mark.VECTOR, Mark.UNROLL}),
            self._columns(self.loop.variable, self._rest(), vector=Mark.VECTOR in self.loop.marks),
        )
        marks = self.loop.marks & {Mark.PARALLEL}
        return For(self.block, self.loop.start, self.loop.stop, body, self.width, marks)

    def _columns(self, variable: str, body: Body, *, vector: bool) -> For:
        stop = minimum(index(self.block) + self.width, self.loop.stop)
        return For(variable, index(self.block), stop, body, 1, frozenset([Mark.VECTOR] if vector else []))

    def _place(self, variable: str) -> tuple[Index, ...]:
        return (index(variable) - index(self.block),)

    def _row_body(self) -> Body:
        """The loop over rows with the column renamed, each update on the block's element."""
        body: list[Let | Store] = []
        numbers = dict.fromkeys(self.locals, 0)
        for stmt in substitute(self.form.rows.body, {Name(self.loop.variable): index(self.row)}):
            if not isinstance(stmt, Update):
                assert isinstance(stmt, Let)
                body.append(stmt)
                continue
            buffer, number = self.locals[stmt.acc], numbers[stmt.acc] or ""
            numbers[stmt.acc] += 1
            old = fresh_name(self.kernel, f"{stmt.acc}_old{number}")
            new = fresh_name(self.kernel, f"{stmt.acc}_new{number}")
            body += [
                Let(old, buffer.dtype, Load(buffer.name, self._place(self.row))),
                Let(new, buffer.dtype, Apply(stmt.op, (ValueRef(old), stmt.operand))),
                Store(buffer.name, self._place(self.row), ValueRef(new)),
            ]
        return tuple(body)

    def _rest(self) -> Body:
        """What follows the reduction, on values instead of accumulators."""
        values = tuple(Acc(acc.name, acc.dtype, ValueRef(self._result(acc))) for acc in self.form.accumulators)
        loads = tuple(
            Let(self._result(acc), acc.dtype, Load(self.locals[acc.name].name, self._place(self.loop.variable)))
            for acc in self.form.accumulators
        )
        return (*loads, *values, *self.form.rest)

    def _result(self, acc: Acc) -> str:
        return fresh_name(self.kernel, f"{acc.name}_sum")


def _reads(stmt: object, names: frozenset[str]) -> bool:
    match stmt:
        case Let(rhs=Apply(operands=operands)):
            return any(isinstance(x, ValueRef) and x.name in names for x in operands)
        case Let(rhs=Load(indices=indices)):
            return any(position.values() & names for position in indices)
        case Update(operand=ValueRef(name=name)):
            return name in names
        case _:
            return False
