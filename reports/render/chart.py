"""Pictures as SVG, by hand: traffic by day, and the coverage strip.

Only numbers and dates of the model go in; texts that strangers choose stay in the HTML around it. Colours come from
classes, so that the page's colour scheme and its content security policy hold. Nothing is said by colour alone: the
states of a day differ in shape, and a table with the same numbers stands below each picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from reports.model import DayModel, TrafficDay

WIDTH, LEFT, RIGHT = 960.0, 58.0, 8.0
_TOP, _BARS, _GAP, _SHARE, _FOOT = 10.0, 168.0, 26.0, 44.0, 24.0
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def traffic_chart(days: Sequence[TrafficDay]) -> str:
    """Exchanges by day, stacked, above the share of server errors by day."""
    height = _TOP + _BARS + _GAP + _SHARE + _FOOT
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-labelledby="traffic-t traffic-d">',
        '<title id="traffic-t">HTTP exchanges by day</title>',
        f'<desc id="traffic-d">{_describe(days)}</desc>',
        *_exchange_bars(days),
        *_share_bars(days, _TOP + _BARS + _GAP),
        *_day_axis([day.day for day in days], _TOP + _BARS + _GAP + _SHARE),
        "</svg>",
    ]
    return "".join(parts)


def coverage_strip(days: Sequence[DayModel]) -> str:
    """One row of days; a table cell beside it names the service."""
    height = 30.0
    count = {state: sum(day.state == state for day in days) for state in ("complete", "partial", "none")}
    label = f"{count['complete']} days complete, {count['partial']} partial, {count['none']} without records"
    parts = [f'<svg class="strip" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{label}">']
    step = WIDTH / max(1, len(days))
    for number, day in enumerate(days):
        parts.append(_strip_day(day, number * step, step, height))
    parts.append("</svg>")
    return "".join(parts)


def strip_axis(days: Sequence[DayModel]) -> str:
    """The dates below the strips."""
    ticks = _ticks([day.day for day in days])
    step = WIDTH / max(1, len(days))
    texts = "".join(f'<text x="{min(number * step, WIDTH - 60):.2f}" y="14">{text}</text>' for number, text in ticks)
    return f'<svg class="strip axis" viewBox="0 0 {WIDTH:g} 20" aria-hidden="true">{texts}</svg>'


def legend_mark(state: str) -> str:
    """The mark of one state, for the legend."""
    day = DayModel("", state, 0, 0, "")  # type: ignore[arg-type]  # a word of DayState, from the template
    mark = _strip_day(day, 0.0, 14.0, 30.0)
    return f'<svg class="mark" viewBox="0 0 14 30" width="14" height="18" aria-hidden="true">{mark}</svg>'


def ceiling(value: int) -> int:
    """The next round number at or above `value`, at least 5."""
    power = 1
    while True:
        for step in (1, 2, 3, 4, 5, 6, 8):
            if step * power >= max(value, 5):
                return step * power
        power *= 10


def grouped(number: int) -> str:
    """12 345: thousands set apart by a narrow no-break space."""
    return f"{number:,}".replace(",", "\u202f")


def _exchange_bars(days: Sequence[TrafficDay]) -> Iterator[str]:
    top = ceiling(max((day.exchanges for day in days), default=0))
    for tenths in (0, 5, 10):
        y = _TOP + _BARS * (1 - tenths / 10)
        yield f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.2f}" y2="{y:.2f}"/>'
        if top * tenths % 10 == 0:
            text = grouped(top * tenths // 10)
            yield f'<text class="tick" x="{LEFT - 8:g}" y="{y + 4:.2f}" text-anchor="end">{text}</text>'
    step, thickness = _step(len(days))
    for number, day in enumerate(days):
        if not day.exchanges:
            continue
        x = LEFT + number * step + (step - thickness) / 2
        y = _TOP + _BARS
        fine = day.exchanges - day.denied - day.server_errors
        yield f"<g><title>{_day_title(day)}</title>"
        for kind, value in (("fine", fine), ("denied", day.denied), ("error", day.server_errors)):
            if value > 0:
                tall = max(1.5, _BARS * value / top)
                y -= tall
                yield f'<rect class="{kind}" x="{x:.2f}" y="{y:.2f}" width="{thickness:.2f}" height="{tall:.2f}"/>'
        yield "</g>"


def _share_bars(days: Sequence[TrafficDay], top: float) -> Iterator[str]:
    shares = [1000 * day.server_errors // day.exchanges if day.exchanges else 0 for day in days]
    most = ceiling(max([50, *shares]))  # in tenths of a percent: at least 5 %
    base = top + _SHARE
    yield f'<text class="label" x="{LEFT:g}" y="{top - 6:.2f}">Server errors, share of the day\u2019s exchanges</text>'
    for y, text in ((top, f"{most / 10:g}\u202f%"), (base, "0")):
        yield f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.2f}" y2="{y:.2f}"/>'
        yield f'<text class="tick" x="{LEFT - 8:g}" y="{y + 4:.2f}" text-anchor="end">{text}</text>'
    step, thickness = _step(len(days))
    for number, (day, share) in enumerate(zip(days, shares, strict=True)):
        if day.server_errors:
            tall = max(1.5, _SHARE * share / most)
            x = LEFT + number * step + (step - thickness) / 2
            yield (
                f'<rect class="error" x="{x:.2f}" y="{base - tall:.2f}" width="{thickness:.2f}" height="{tall:.2f}">'
                f"<title>{day.day}: {share / 10:g} % server errors</title></rect>"
            )


def _day_axis(days: Sequence[str], top: float) -> Iterator[str]:
    step, _ = _step(len(days))
    for number, text in _ticks(days):
        x = LEFT + number * step
        yield f'<line class="grid" x1="{x:.2f}" x2="{x:.2f}" y1="{top:.2f}" y2="{top + 5:.2f}"/>'
        yield f'<text class="tick" x="{min(x, WIDTH - 44):.2f}" y="{top + 18:.2f}">{text}</text>'


def _ticks(days: Sequence[str]) -> list[tuple[int, str]]:
    """(number of the day, label): the firsts of months, or every few days of a short period."""
    parsed = [date.fromisoformat(day) for day in days]
    if len(days) > 62:
        firsts = [(number, day) for number, day in enumerate(parsed) if day.day == 1]
        every = 1 if len(firsts) <= 7 else 2
        return [(number, f"{_MONTHS[day.month - 1]} {day.year}") for number, day in firsts[::every]]
    every = max(1, -(-len(days) // 10))
    return [(number, f"{day.day} {_MONTHS[day.month - 1]}") for number, day in enumerate(parsed) if number % every == 0]


def _strip_day(day: DayModel, x: float, step: float, height: float) -> str:
    gap = min(1.0, step / 5)
    left, wide, base = x + gap / 2, step - gap, height - 3
    title = f"<title>{day.day}: {day.state}, {day.records} records</title>" if day.day else ""
    middle = left + wide / 2
    if day.state == "complete":
        shape = f'<rect class="complete" x="{left:.2f}" y="3" width="{wide:.2f}" height="{base - 3:g}"/>'
    elif day.state == "partial":
        half = height / 2
        shape = (
            f'<rect class="outline" x="{left:.2f}" y="3" width="{wide:.2f}" height="{base - 3:g}"/>'
            f'<rect class="partial" x="{left:.2f}" y="{half:g}" width="{wide:.2f}" height="{base - half:g}"/>'
        )
    elif day.state == "none":
        reach = min(wide / 2, 4.0)
        y = height / 2
        shape = (
            f'<path class="none" d="M{middle - reach:.2f} {y - reach:.2f}L{middle + reach:.2f} {y + reach:.2f}'
            f'M{middle + reach:.2f} {y - reach:.2f}L{middle - reach:.2f} {y + reach:.2f}"/>'
        )
    elif day.state == "not-yet":
        shape = f'<rect class="quiet" x="{left:.2f}" y="{base - 3:g}" width="{wide:.2f}" height="3"/>'
    else:
        shape = f'<circle class="quiet" cx="{middle:.2f}" cy="{base - 2:g}" r="1.2"/>'
    return f"<g>{title}{shape}</g>"


def _step(count: int) -> tuple[float, float]:
    step = (WIDTH - LEFT - RIGHT) / max(1, count)
    return step, min(step * 0.78, 44.0)


def _day_title(day: TrafficDay) -> str:
    return (
        f"{day.day}: {grouped(day.exchanges)} exchanges, {grouped(day.denied)} denied, "
        f"{grouped(day.server_errors)} server errors"
    )


def _describe(days: Sequence[TrafficDay]) -> str:
    total = sum(day.exchanges for day in days)
    if not total:
        return "No exchange in the period."
    busy = max(days, key=lambda day: day.exchanges)
    return f"{grouped(total)} exchanges in all; the busiest day is {busy.day} with {grouped(busy.exchanges)}."
