"""Pictures and texts."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import date, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.checks.coverage import DayState
from reports.model import DayModel, TrafficDay
from reports.render.chart import ceiling, coverage_strip, legend_mark, strip_axis, traffic_chart
from reports.render.json import canonical_json
from reports.render.visible import visible


def days(count: int, exchanges: int = 10) -> list[TrafficDay]:
    return [TrafficDay((date(2026, 10, 1) + timedelta(n)).isoformat(), exchanges, 1, 2) for n in range(count)]


@pytest.mark.parametrize(("count", "exchanges"), [(1, 0), (1, 3), (28, 7), (92, 10**9), (366, 12345)])
def test_charts_are_well_formed_and_inside_their_box(count: int, exchanges: int) -> None:
    chart = ET.fromstring(traffic_chart(days(count, exchanges)))  # our own text
    width, height = (float(part) for part in chart.attrib["viewBox"].split()[2:])
    for rect in chart.iter("rect"):
        x, y, wide, tall = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + wide <= width
        assert y + tall <= height
    assert chart.find("title") is not None
    assert chart.find("desc") is not None


def test_each_state_of_a_day_has_its_own_shape() -> None:
    shapes = set()
    for state in get_args(DayState):
        strip = coverage_strip([DayModel("2026-10-01", state, 1, 0, "")])
        shapes.add(strip.split("</title>")[1])
        ET.fromstring(strip)  # our own text
        ET.fromstring(legend_mark(state))
    assert len(shapes) == len(get_args(DayState))
    ET.fromstring(strip_axis([DayModel("2026-10-01", "complete", 1, 0, "")]))


@given(st.integers(0, 10**12))
def test_the_top_of_an_axis_is_round_and_not_below(value: int) -> None:
    top = ceiling(value)
    assert top >= max(value, 5)
    assert top <= max(2 * value, 5)
    assert len(str(top).rstrip("0")) == 1


@given(st.text())
def test_visible_text_hides_nothing(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert all(character.isprintable() or character.isspace() for character in visible(text))
    assert not {"\n", "\x07", "\u202e", "\u2066", "\u200b"} & set(visible(text))


def test_a_float_has_no_place_in_a_pack() -> None:
    assert canonical_json({"b": [1, None, True], "a": "é\x07"}) == '{"a":"é\\u0007","b":[1,null,true]}'.encode()
    with pytest.raises(TypeError, match="float"):
        canonical_json({"a": [{"b": 0.5}]})
