"""The spool: the durable write-ahead files of service processes (docs/format.md, section 1)."""
