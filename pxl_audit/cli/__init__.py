"""The command line: each command is a module here or in an upper package, and an entry point."""
