"""Commands of this package; `pxl-audit` finds them through the entry-point group `pxl_audit.commands`."""
