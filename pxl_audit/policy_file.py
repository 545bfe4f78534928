"""A policy in a file: TOML, one `[[rule]]` table a rule, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from pxl_audit.errors import SettingsError
from pxl_audit.policy import Policy, Rule
from pxl_audit.policy_rule import nearest, texts

_RULE_KEYS = tuple(member.name for member in fields(Rule) if member.init)
_FILE_KEYS = ("rule", "mask_paths")


def load_policy(path: str | Path) -> Policy:
    """The policy in a file.

    Raises:
        SettingsError: the file cannot be read, a key is unknown, or a value is not what it must be; names the file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; name a readable TOML file with [[rule]] tables") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    return parse_policy(text, str(path))


def parse_policy(text: str, where: str = "policy") -> Policy:
    """The policy that TOML `text` says; `where` begins each error message.

    Raises:
        SettingsError: as `load_policy`.
    """
    import tomllib  # noqa: PLC0415  # a service without a policy file does not pay for it

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where}: not TOML: {error}") from None
    for key in document:
        if key not in _FILE_KEYS:
            raise SettingsError(f"{where}: unknown key {key}{nearest(key, _FILE_KEYS)}")
    tables = document.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise SettingsError(f"{where}: rule: expected tables [[rule]], with doubled brackets")
    rules = [_rule(table, f"{where}: [[rule]] {number}") for number, table in enumerate(tables, 1)]
    try:
        return Policy(tuple(rules), texts("mask_paths", document.get("mask_paths", [])))
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None


def _rule(table: Mapping[str, object], where: str) -> Rule:
    if "name" not in table:
        raise SettingsError(f'{where}: expected a name, such as name = "health-checks"')
    for key in table:
        if key not in _RULE_KEYS:
            raise SettingsError(f"{where} {table['name']!r}: unknown key {key}{nearest(key, _RULE_KEYS)}")
    try:
        return Rule(**table)  # type: ignore[arg-type]  # Rule checks each value itself
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None
