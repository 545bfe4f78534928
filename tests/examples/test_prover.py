"""The prover against truth tables: every valuation of random sequents, and what it says about text that is none."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.pxl_core import Budget, Reader, SequentError, StepsExceededError, Tableau

ATOMS = ("p", "q", "r", "s_1")
BINARY = ("&", "|", "->", "<->")
BINDS = {"<->": 1, "->": 2, "|": 3, "&": 4}


@dataclass(frozen=True)
class Formula:
    """A formula of our own, which the prover never sees but as text."""

    op: str
    parts: tuple[Formula, ...] = ()

    def value(self, valuation: dict[str, bool]) -> bool:
        values = [part.value(valuation) for part in self.parts]
        match self.op:
            case "~":
                return not values[0]
            case "&":
                return values[0] and values[1]
            case "|":
                return values[0] or values[1]
            case "->":
                return not values[0] or values[1]
            case "<->":
                return values[0] == values[1]
        return valuation[self.op]

    def full(self) -> str:
        """With every parenthesis."""
        if not self.parts:
            return self.op
        inner = [part.full() for part in self.parts]
        return f"~{inner[0]}" if self.op == "~" else f"({inner[0]} {self.op} {inner[1]})"

    def sparse(self) -> str:
        """With as few parentheses as the binding of the connectives allows."""
        if not self.parts:
            return self.op
        if self.op == "~":
            return f"~{self.parts[0]._within(5)}"
        left, right = self.parts
        own = BINDS[self.op]
        to_the_right = self.op == "->"
        return f"{left._within(own + to_the_right)}{self.op}{right._within(own + (not to_the_right))}"

    def _within(self, binds: int) -> str:
        own = 6 if not self.parts else 5 if self.op == "~" else BINDS[self.op]
        return self.sparse() if own >= binds else f"({self.sparse()})"


FORMULAS = st.recursive(
    st.sampled_from(ATOMS).map(Formula),
    lambda inner: st.one_of(
        inner.map(lambda part: Formula("~", (part,))),
        st.builds(lambda op, left, right: Formula(op, (left, right)), st.sampled_from(BINARY), inner, inner),
    ),
    max_leaves=12,
)
SIDES = st.lists(FORMULAS, max_size=3)


def decide(text: str, steps: int = 1_000_000) -> dict[str, bool] | None:
    budget = Budget(steps)
    return Tableau(Reader(text, budget).read(), budget).countermodel()


def refutes(valuation: dict[str, bool], premises: list[Formula], conclusions: list[Formula]) -> bool:
    return all(one.value(valuation) for one in premises) and not any(one.value(valuation) for one in conclusions)


@given(premises=SIDES, conclusions=SIDES, sparse=st.booleans())
def test_agrees_with_the_truth_table(premises: list[Formula], conclusions: list[Formula], sparse: bool) -> None:
    write = Formula.sparse if sparse else Formula.full
    text = f"{', '.join(map(write, premises))} |- {', '.join(map(write, conclusions))}"
    valuations = [
        dict(zip(ATOMS, values, strict=True)) for values in itertools.product((False, True), repeat=len(ATOMS))
    ]

    countermodel = decide(text)

    assert (countermodel is None) is not any(refutes(one, premises, conclusions) for one in valuations)
    if countermodel is not None:
        assert set(countermodel) <= set(ATOMS)
        assert refutes(dict.fromkeys(ATOMS, False) | countermodel, premises, conclusions)


@pytest.mark.parametrize(
    ("text", "provable"),
    [
        ("|-", False),
        ("p |- p", True),
        ("p|-q", False),
        ("|- ((p -> q) -> p) -> p", True),
        ("p -> q -> r |- p & q -> r", True),
        ("p -> q -> r |- (p -> q) -> r", False),
        ("~p & q |- ~(p | ~q)", True),
        ("|- ~~p <-> p", True),
        ("\tp &\nq |- q", True),
    ],
)
def test_known_sequents(text: str, provable: bool) -> None:
    assert (decide(text) is None) is provable


def pigeons(holes: int) -> str:
    """More pigeons than holes: unsatisfiable, and hard."""
    premises = ["(" + " | ".join(f"x{p}_{h}" for h in range(holes)) + ")" for p in range(holes + 1)]
    premises += [f"~(x{p}_{h} & x{other}_{h})" for h in range(holes) for p in range(holes + 1) for other in range(p)]
    return f"{', '.join(premises)} |-"


def test_pigeons_do_not_fit() -> None:
    assert decide(pigeons(4)) is None


def test_gives_up_after_the_allowed_steps() -> None:
    with pytest.raises(StepsExceededError):
        decide(pigeons(9), steps=20_000)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("p, q", 5),
        ("p,|- q", 3),
        ("p |- q)", 7),
        ("(p |- q", 1),
        ("p & (q | (r |- q", 10),
        ("p q |- r", 3),
        ("p ~q |- r", 3),
        ("~ |- p", 3),
        ("p # q |- r", 3),
        ("p |- q |- r", 8),
        ("|- p,", 6),
        ("p -> |- q", 6),
        ("1 |- p", 1),
        ("p |- é", 6),
    ],
)
def test_names_the_position_of_what_cannot_be_read(text: str, position: int) -> None:
    with pytest.raises(SequentError) as caught:
        decide(text)
    assert caught.value.position == position


@pytest.mark.parametrize("text", ["(" * 50_000 + "p" + ")" * 50_000 + " |- p", "~" * 50_000 + "p |- p"])
def test_deep_nesting_exhausts_nothing(text: str) -> None:
    assert decide(text) is None


@given(st.text(alphabet="pq~&|->()<, \n1", max_size=40))
def test_any_text_is_decided_or_refused(text: str) -> None:
    refused_at = 1
    try:
        decide(text)
    except SequentError as error:
        refused_at = error.position
    assert 1 <= refused_at <= len(text) + 1
