"""Texts made of numbers that vary: formatted anew by every call, plain wherever something looks at them."""

from __future__ import annotations

import functools
import re

from captured import capture_of, family_of
from varying_numbers import assert_agree, traces, x


def test_text_is_formatted_anew():
    def program(x, a, n):
        return x + a, f"{a:.2f} {n!r}" + f"{n:>4}", "%s is %.1f" % (n, a), "{} {:.3f}".format(n, a), [str(a)], repr(n)  # noqa: UP031, UP032 - what is tested

    assert traces(program, [(x(), a, n) for a, n in ((0.5, 1), (0.6, 2), (0.7, 3), (1e-9, 10))]) == 2


def test_what_looks_at_a_text_binds_the_trace_to_it():
    def program(x, n):
        texts = [f"{n}", "2"]
        return (
            x * {f"{n}": 2.0}[str(n)],
            f"{n}" == "3",
            texts[0] in ("1", "2"),
            ",".join(texts),
            max(texts),
            len(f"{n}"),
        )

    assert traces(program, [(x(), n) for n in (1, 2, 3, 10)]) == 4


def test_functions_of_a_text_see_plain_text():
    @functools.lru_cache
    def label(n):
        return f"<{n}>"

    def program(x, n):
        text = f"{n}"
        text += "a"
        first, *rest = text
        looked = (
            re.match(r"\d", text) is not None,
            re.sub("a", text, "banana"),
            int(f"{n}"),
            text.split("a"),
            text[::-1],
        )
        made = (
            {"".join([text, "b"]): [*text], **{text: 1}},
            sorted({text, "2"}),
            functools.reduce(str.__add__, [text, "z"]),
        )
        match text:
            case [*_]:
                looked = "a sequence"
            case str(plain):
                looked += (plain,)
        return x * n, text, first, rest, looked, made, label(n), max(text), text * 2, "a" in text, bytes(text, "utf8")

    assert traces(program, [(x(), n) for n in (1, 2, 3, 10)]) == 4


def test_exceptions_and_attributes_have_plain_text():
    class Record:
        pass

    def program(x, n):
        record = Record()
        setattr(record, f"field_{n}", x * n)
        try:
            raise KeyError(f"no {n}")
        except KeyError as error:
            return getattr(record, f"field_{n}"), hasattr(record, f"field_{n + 1}"), str(error), error.args

    assert traces(program, [(x(), n) for n in (1, 2, 3)]) == 3


def test_printing_numbers_takes_no_further_graphs(capsys):
    def program(x, step):
        loss = (x * step).mean()
        print(f"step {step}: {loss.item():.3f}", step / 2)
        return loss * 2

    captured = capture_of(program)
    for step in range(1, 8):
        assert_agree(program(x(), step), captured(x(), step))
        eager, ours = capsys.readouterr().out.splitlines()
        assert eager == ours
    assert all(len(unit.specialisations) <= 2 for unit in family_of(captured).units.values())
