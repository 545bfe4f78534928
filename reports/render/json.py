"""JSON: the canonical form of the model, and of every other JSON document in a pack."""

from __future__ import annotations

import json
from dataclasses import asdict

from reports.model import ReportModel


def canonical_json(value: object) -> bytes:
    """RFC 8785 form of text, integers, booleans, null, lists and objects with ASCII names.

    Raises:
        TypeError: there is anything else in it, such as a float.
    """
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def model_json(model: ReportModel) -> bytes:
    """The model as `model.json`."""
    return canonical_json(asdict(model)) + b"\n"


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise TypeError("a float has no place in a pack: state a unit and use an integer")
    if isinstance(value, dict):
        for member in value.values():
            _refuse_floats(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            _refuse_floats(member)
