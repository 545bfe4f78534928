"""The environment names an Elasticsearch; what is wrong with it is said without showing a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxl_audit.errors import SettingsError
from pxl_audit.ship.connection import Connection, connection_from

SECRET = "s3cret-hunter2"


def test_nothing_is_configured_without_a_url() -> None:
    assert connection_from({"ELASTICSEARCH_USERNAME": "u"}) is None
    assert connection_from({"ELASTICSEARCH_URL": ""}) is None


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://localhost", ("http://localhost:9200",)),
        ("https://es.example.org", ("https://es.example.org:443",)),
        ("https://u:p@a:9243/base/, https://b", ("https://a:9243/base", "https://b:443")),
        ("http://[::1]:9201", ("http://[::1]:9201",)),
    ],
)
def test_addresses(url: str, hosts: tuple[str, ...]) -> None:
    connection = connection_from({"ELASTICSEARCH_URL": url})
    assert connection is not None
    assert connection.hosts == hosts


def test_user_and_password_stand_in_the_url_percent_encoded() -> None:
    connection = connection_from({"ELASTICSEARCH_URL": "http://a%40b:p%3A1@localhost"})
    assert connection == Connection(("http://localhost:9200",), username="a@b", password="p:1")


def test_values_come_from_files(tmp_path: Path) -> None:
    password, authority = tmp_path / "password", tmp_path / "ca.pem"
    password.write_text(SECRET + "\n")
    authority.write_text("")
    connection = connection_from(
        {
            "ELASTICSEARCH_URL": "https://localhost:9200",
            "ELASTICSEARCH_USERNAME": "u",
            "ELASTICSEARCH_PASSWORD_FILE": str(password),
            "ELASTICSEARCH_CA_FILE": str(authority),
            "ELASTICSEARCH_NAMESPACE": "team_a",
        }
    )
    assert connection is not None
    assert (connection.password, connection.ca_file, connection.namespace) == (SECRET, authority, "team_a")
    assert SECRET not in repr(connection)


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"ELASTICSEARCH_URL": f"ftp://u:{SECRET}@h"}, "ELASTICSEARCH_URL"),
        ({"ELASTICSEARCH_URL": f"localhost:{SECRET}"}, "ELASTICSEARCH_URL"),
        ({"ELASTICSEARCH_URL": f"http://u:{SECRET}@h:99999"}, "ELASTICSEARCH_URL"),
        ({"ELASTICSEARCH_USERNAME": "u"}, "ELASTICSEARCH_PASSWORD"),
        ({"ELASTICSEARCH_PASSWORD": SECRET}, "ELASTICSEARCH_USERNAME"),
        ({"ELASTICSEARCH_API_KEY": SECRET, "ELASTICSEARCH_USERNAME": "u", "ELASTICSEARCH_PASSWORD": SECRET}, "API_KEY"),
        ({"ELASTICSEARCH_API_KEY": SECRET, "ELASTICSEARCH_API_KEY_FILE": "/f"}, "both set"),
        ({"ELASTICSEARCH_API_KEY_FILE": "/does/not/exist"}, "ELASTICSEARCH_API_KEY_FILE: /does/not/exist"),
        ({"ELASTICSEARCH_CA_FILE": "/does/not/exist"}, "ELASTICSEARCH_CA_FILE"),
        ({"ELASTICSEARCH_NAMESPACE": "A-B"}, "ELASTICSEARCH_NAMESPACE"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_shown(environ: dict[str, str], names: str) -> None:
    with pytest.raises(SettingsError) as raised:
        connection_from({"ELASTICSEARCH_URL": "http://localhost"} | environ)
    assert names in str(raised.value)
    assert SECRET not in str(raised.value)
