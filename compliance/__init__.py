"""What the law and the standards ask of an audit log: requests of data subjects, controls, checks.

Stands on `pxl_audit` and knows nothing of `reports`.
"""
