"""HTML: one page, one file, no script. What it may load is nothing at all, and its policy says so."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from importlib.util import find_spec

from compliance.checks.judgement import STATE_MEANING
from compliance.controls import LEVEL_MEANING
from pxl_audit.errors import UnavailableError
from reports.model import ReportModel
from reports.render.chart import coverage_strip, grouped, legend_mark, strip_axis, traffic_chart
from reports.render.visible import visible

STATE_WORDS = {
    "tested-with-exception": ("▲", "Tested, with exceptions"),
    "insufficient-evidence": ("◐", "Insufficient evidence"),
    "tested-no-exception": ("●", "Tested, no exception"),
    "no-occurrence": ("○", "No occurrence"),
    "not-tested": ("\u2013", "Not tested"),
    "manual": ("✎", "Manual"),
}
"""State -> (mark, words): never the colour alone."""

DAY_MEANING = {
    "complete": "records, no known gap",
    "partial": "records, but a known gap, or the day was not over",
    "none": "no record",
    "not-yet": "service not seen yet",
    "to-come": "after the report was built",
}


def require_jinja2() -> None:
    """Find out before the work is done, not after it.

    Raises:
        UnavailableError: jinja2 is not installed.
    """
    if find_spec("jinja2") is None:
        raise UnavailableError("the HTML page needs jinja2, which is not installed: pip install 'pxl-audit[reports]'")


def render_html(model: ReportModel, model_digest: str) -> bytes:
    """The page. `model_digest`: SHA-256 of model.json, hex; it stands on the page.

    Raises:
        UnavailableError: jinja2 is not installed.
    """
    require_jinja2()
    import jinja2  # noqa: PLC0415  # an optional package, and only this renderer needs it

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["grouped"] = grouped
    markup = environment.filters["safe"]
    template = environment.from_string(_resource("page.html"))
    style = _resource("page.css")
    page = template.render(
        model=model,
        model_digest=model_digest,
        style=markup(style),
        style_digest=b64encode(sha256(style.encode()).digest()).decode(),
        state_words=STATE_WORDS,
        state_meaning=STATE_MEANING,
        level_meaning=LEVEL_MEANING,
        day_meaning=DAY_MEANING,
        traffic_chart=lambda: markup(traffic_chart(model.traffic)),
        coverage_strip=lambda days: markup(coverage_strip(days)),
        strip_axis=lambda days: markup(strip_axis(days)),
        legend_mark=lambda state: markup(legend_mark(state)),
        checkpoint_lines=lambda text: markup("\n").join(visible(line) for line in text.split("\n")),
        origins={log.id: log.origin for log in model.logs},
    )
    return page.encode("utf-8", "replace")


def _shown(value: object) -> object:
    """What stands in the page for an expression: no invisible characters, and a dash for what is not there."""
    if value is None:
        return "\u2013"
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value)
    return value


def _resource(name: str) -> str:
    return files("reports.render").joinpath(name).read_text(encoding="utf-8")
