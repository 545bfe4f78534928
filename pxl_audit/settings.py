"""Settings: one TOML file and `PXL_AUDIT_*`, decoded here into small frozen types. An unknown key is an error.

Precedence: environment, then file, then default. Key `publish_seconds` of table `[agent]` is
`PXL_AUDIT_AGENT_PUBLISH_SECONDS` in the environment.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from pxl_audit.agent.core import AgentSettings
from pxl_audit.errors import SettingsError

PREFIX = "PXL_AUDIT_"
CONFIG = "PXL_AUDIT_CONFIG"
OWN_VARIABLES = frozenset({CONFIG, "PXL_AUDIT_DATA", "PXL_AUDIT_REQUIRE_REAL"})
_TABLES = {"agent": AgentSettings}


@dataclass(frozen=True)
class Settings:
    """All settings, one member a table of the file."""

    agent: AgentSettings = field(default_factory=AgentSettings)


def load_settings(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings; `config` may be None, then `$PXL_AUDIT_CONFIG` names the file, if any.

    Raises:
        SettingsError: the file cannot be read, a key is unknown, or a value is not what it must be.
    """
    named = config or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    tables = _read(named) if named else {}
    where = str(named) if named else "environment"
    for name in tables:
        if name not in _TABLES:
            raise SettingsError(f"{where}: unknown table [{name}]{_nearest(name, _TABLES)}")
    values = {name: dict(_table(tables, name, where)) for name in _TABLES}
    _add_environment(values, environ)
    return Settings(agent=_decode(AgentSettings, values["agent"], "agent", where))


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; name a readable TOML file (--config, ${CONFIG})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None


def _table(tables: Mapping[str, object], name: str, where: str) -> Mapping[str, object]:
    table = tables.get(name, {})
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where}: {name}: expected a table [{name}]")
    known = {member.name for member in fields(_TABLES[name])}
    for key in table:
        if key not in known:
            raise SettingsError(f"{where}: unknown key {name}.{key}{_nearest(key, known)}")
    return table


def _add_environment(values: dict[str, dict[str, object]], environ: Mapping[str, str]) -> None:
    known = {
        f"{PREFIX}{name}_{member.name}".upper(): (name, member.name)
        for name in _TABLES
        for member in fields(_TABLES[name])
    }
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable in OWN_VARIABLES:
            continue
        if variable not in known:
            raise SettingsError(f"environment: unknown setting {variable}{_nearest(variable, known)}")
        table, key = known[variable]
        values[table][key] = text


def _decode(kind: type[AgentSettings], values: Mapping[str, object], table: str, where: str) -> AgentSettings:
    checked: dict[str, object] = {}
    for member in fields(kind):
        if member.name in values:
            checked[member.name] = _value(values[member.name], type(member.default), f"{where}: {table}.{member.name}")
    return kind(**checked)  # type: ignore[arg-type]  # each value has the type of its default, checked by _value


def _value(value: object, kind: type, where: str) -> object:
    if kind is str:
        if isinstance(value, str):
            return value
        raise SettingsError(f"{where}: expected text, found {value!r}")
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, bool) or not number > 0:
        raise SettingsError(f"{where}: expected a positive {'integer' if kind is int else 'number'}, found {value!r}")
    return number


def _nearest(name: str, known: Mapping[str, object] | set[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(sorted(known))}"
