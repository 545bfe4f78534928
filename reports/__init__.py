"""Evidence packs: what `compliance` found, frozen, rendered, digested and signed; and the check of a pack, offline.

Stands on `compliance` and `pxl_audit`; nothing stands on it.
"""
