"""Subcommands of `pxl-audit` that `reports` adds."""
