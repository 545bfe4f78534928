"""The command line. Each command is a module here (or in an upper package) and an entry point in `pxl_audit.commands`."""
