"""Where Elasticsearch is and who we are there, from the environment. Secrets are in no `repr` and no error message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pxl_audit.errors import SettingsError

URL = "ELASTICSEARCH_URL"
USERNAME = "ELASTICSEARCH_USERNAME"
PASSWORD = "ELASTICSEARCH_PASSWORD"  # noqa: S105  # the name of a variable
API_KEY = "ELASTICSEARCH_API_KEY"
CA_FILE = "ELASTICSEARCH_CA_FILE"
NAMESPACE = "ELASTICSEARCH_NAMESPACE"
DEFAULT_PORTS = {"http": 9200, "https": 443}

_NAMESPACE = re.compile(r"[a-z0-9_.]{1,100}")


@dataclass(frozen=True)
class Connection:
    """One Elasticsearch."""

    hosts: tuple[str, ...]
    """Addresses of its nodes, `scheme://host:port[/path]`, without user and password."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    """PEM file of the authority that signed the server's certificate; None: the system's."""
    namespace: str = "default"
    """Last part of the data streams' names."""


def connection_from(environ: Mapping[str, str]) -> Connection | None:
    """The Elasticsearch that the environment names, or None where `ELASTICSEARCH_URL` is not set.

    Each variable but the namespace may be given as `<name>_FILE`: a file that holds the value.

    Raises:
        SettingsError: a value is missing, contradictory or not readable.
    """
    urls = _value(environ, URL)
    if not urls:
        return None
    parts = [_split(url.strip()) for url in urls.split(",")]
    username = _value(environ, USERNAME) or unquote(parts[0].username or "") or None
    password = _value(environ, PASSWORD) or unquote(parts[0].password or "") or None
    api_key = _value(environ, API_KEY)
    if (username is None) != (password is None):
        raise SettingsError(f"{USERNAME} and {PASSWORD} go together: only one of them is set; set both or neither")
    if api_key and username:
        raise SettingsError(f"{API_KEY} and a user with a password are both set; choose one")
    return Connection(
        hosts=tuple(_address(part) for part in parts),
        username=username,
        password=password,
        api_key=api_key,
        ca_file=_ca_file(environ),
        namespace=_namespace(environ),
    )


def _value(environ: Mapping[str, str], name: str) -> str | None:
    direct = environ.get(name) or None
    path = environ.get(f"{name}_FILE")
    if not path:
        return direct
    if direct:
        raise SettingsError(f"{name} and {name}_FILE are both set; choose one")
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{name}_FILE: {path}: {why}; name a readable text file that holds the value") from None


def _split(url: str) -> SplitResult:
    # The URL may hold a password, so no message shows it.
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if not port_is_fine or parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(
            f"{URL}: not an address of an Elasticsearch; expected http[s]://[user:password@]host[:port], "
            "several separated by commas"
        )
    return parts


def _address(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or DEFAULT_PORTS[parts.scheme]}{parts.path.rstrip('/')}"


def _ca_file(environ: Mapping[str, str]) -> Path | None:
    name = environ.get(CA_FILE)
    if not name:
        return None
    path = Path(name)
    if not path.is_file():
        raise SettingsError(f"{CA_FILE}: {path}: no such file; name the PEM file of the server's authority")
    return path


def _namespace(environ: Mapping[str, str]) -> str:
    namespace = environ.get(NAMESPACE) or "default"
    if not _NAMESPACE.fullmatch(namespace):
        raise SettingsError(f"{NAMESPACE}: {namespace!r}: expected 1 to 100 of a-z, 0-9, '_' and '.'")
    return namespace
