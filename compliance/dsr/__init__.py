"""Requests of data subjects (GDPR Art. 12 and 17): open, plan, approve, execute, verify, refuse.

====================  ====================================================================
`deadline`            when an answer is due
`subject`             what the person is known by, read from a file, never from the command line
`matching`            does this part of a record name the person?
`search`              the same question put to a whole log
`parts`               a set of parts of records, and its root
`requests`            the request file, and the states a request goes through
`intake`              opening and refusing
`planning`            what would be erased, and the digest that is approved
`approval`            the second pair of eyes
`execution`           the steps of an erasure, each of which may be interrupted
`residue`, `needles`  is a value of the person still anywhere in the data directory?
`verification`        exactly the announced set is gone
`ledger`, `events`    what the erasure leaves behind: lines that name nobody
====================  ====================================================================
"""
