"""Shipping: what is in the log becomes OpenTelemetry log records, and is delivered when the store says it has them.

The way of a record, and the file of each step::

    vault row ─ document ─► LogEntry ─ otel ─► ReadableLogRecord ─ layout ─► JSON ─ bulk, elasticsearch ─► data stream
                                     delivery moves the cursor only over what was confirmed; shipper is its loop
"""
