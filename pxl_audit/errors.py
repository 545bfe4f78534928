"""Every error a caller may see, in one tree.

::

    AuditError                what went wrong, for a person; `exit_code` for a shell
    ├── UsageError        64  the call's words are off
    │   └── SettingsError     a setting: unknown, out of range, missing
    ├── DirectoryError     2  the data directory: not ours, too new, not writable, full
    ├── LogError           2  the log refuses: foreign key, fork, corrupt state
    ├── BusyError          2  somebody else holds what is needed
    ├── UnavailableError   2  a part is missing or does not answer
    └── FoundBadError      1  a check ran to its end and found something bad

Messages name the file, field or option, what was expected, and what to do. They never hold personal data.
"""

from __future__ import annotations


class AuditError(Exception):
    """Base of all errors; `exit_code` is what the command line ends with."""

    exit_code = 2


class UsageError(AuditError):
    """The call's words are off: an option, a period, an identifier."""

    exit_code = 64


class SettingsError(UsageError):
    """A setting is unknown, out of range or missing."""


class DirectoryError(AuditError):
    """The data directory cannot be used."""


class LogError(AuditError):
    """The log cannot be continued or read."""


class BusyError(AuditError):
    """Another process holds a lock for longer than we were told to wait."""


class UnavailableError(AuditError):
    """A part (Elasticsearch, an optional package, the agent) is missing or does not answer."""


class FoundBadError(AuditError):
    """A check ran to its end and found something bad."""

    exit_code = 1
