"""Fixtures of the tests that need real parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.elasticsearch_server import ElasticsearchServer


@pytest.fixture(scope="session")
def elasticsearch_server() -> Iterator[ElasticsearchServer]:
    """A running Elasticsearch, the same for all tests of the session."""
    server = ElasticsearchServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
