"""`pxl-audit demo`: two services, real HTTP, a killed worker, a person erased, the quarter's evidence.

======================  ==============================================================================================
`people`                twenty users, each with a token, an address and a program of their own
`workload`              which requests are made, and what each must answer
`driver`                makes them, and remembers what became of each
`processes`             the services as child processes: start, find workers, kill one, stop, clean up
`records`               what the logs say, by request id
`reconciliation`        requests against records, both services: everything adds up, or the demo fails
`traces`                where a value stands in a directory: raw bytes and decoded columns
`commands`              runs `pxl-audit ...` as anybody would
`erasure`               one person's request for erasure, in both data directories
`workplace`             the directory that the demo writes to
`story`                 the steps in their order
======================  ==============================================================================================

`reports/demo/services/` exists in the wheel only: it holds the two files of `examples/`.
"""
