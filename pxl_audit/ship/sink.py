"""Elasticsearch as the shipper sees it: rows in, verdicts out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pxl_audit.directory import DataDirectory
from pxl_audit.ship.connection import connection_from
from pxl_audit.ship.document import dataset_of, document_id, log_entry
from pxl_audit.ship.elasticsearch import ElasticsearchStore, ForbiddenError
from pxl_audit.ship.expunge import expunge
from pxl_audit.ship.otel import ElasticsearchLogExporter, log_record
from pxl_audit.ship.rewrite import Gone, close_parts
from pxl_audit.ship.verdict import Verdict
from pxl_audit.vault.row import PARTS, Part, Row

NAME = "elasticsearch"
RETENTION_CLASSES = ("access", "security", "control")
EXPUNGE_SECONDS = 10.0
"""Merging is tried for this long when shipping meets a document whose part is gone; merges to come do the rest."""

_log = logging.getLogger("pxl_audit.ship")


def open_sink(directory: DataDirectory, environ: Mapping[str, str]) -> ElasticsearchSink | None:
    """The Elasticsearch that the environment names; None where it names none.

    Raises:
        SettingsError: the environment is contradictory.
    """
    connection = connection_from(environ)
    return None if connection is None else ElasticsearchSink(ElasticsearchStore(connection), directory.log_id)


class ElasticsearchSink:
    """Delivers the records of one log."""

    name = NAME

    def __init__(self, store: ElasticsearchStore, log_id: str) -> None:
        self._store = store
        self._log_id = log_id
        self._exporter = ElasticsearchLogExporter(store)
        self._templates: set[str] = set()
        """Data sets whose template is there, as far as we know."""

    def deliver(self, rows: Sequence[Row]) -> list[Verdict]:
        """Offer records; one verdict each, in order.

        Raises:
            UnavailableError: the server does not answer to being prepared.
        """
        self._prepare({dataset_of(row.retention) for row in rows})
        records = [log_record(log_entry(row, self._log_id), self._store.namespace) for row in rows]
        verdicts = self._exporter.deliver(records)
        if any(verdict.status == 404 for verdict in verdicts):
            self._templates.clear()  # somebody removed a template: put it again before the next attempt
        return verdicts

    def settled(self, rows: Sequence[Row]) -> set[int] | None:
        """Indexes of those records that are there already and hold no more than the vault does.

        A document that an earlier attempt stored while its parts were still open, is rewritten first: an erasure may
        have passed between that attempt and its answer. None: we may not look.

        Raises:
            UnavailableError: the server does not answer.
        """
        by_id = {document_id(self._log_id, row.index): row for row in rows}
        try:
            rewritten = close_parts(self._store, {identifier: _gone(row) for identifier, row in by_id.items()})
            if rewritten.documents:
                expunge(self._store, sorted(rewritten.indices), patience_seconds=EXPUNGE_SECONDS)
            return {by_id[identifier].index for identifier in rewritten.found - rewritten.left}
        except ForbiddenError as error:
            _log.warning("what was delivered before cannot be looked up, ids alone keep duplicates out: %s", error)
            return None

    def limit_patience(self, timeout_seconds: float) -> None:
        """From now on wait at most this long for an answer."""
        self._store.limit_patience(timeout_seconds)

    def close(self) -> None:
        """Close the connections."""
        self._exporter.shutdown()

    def _prepare(self, datasets: set[str]) -> None:
        if not self._templates:
            datasets = datasets | {dataset_of(retention) for retention in RETENTION_CLASSES}
        missing = sorted(datasets - self._templates)
        if not missing:
            return
        try:
            self._store.put_templates(missing)
        except ForbiddenError as error:
            _log.warning("index templates are taken as installed, because we may not install them: %s", error)
        self._templates.update(missing)


def _gone(row: Row) -> dict[Part, Gone]:
    openings = {"actor": row.actor, "target": row.target}
    return {part: Gone(openings[part].state, openings[part].by) for part in PARTS if openings[part].state != "open"}
