"""What the matrix varies: one thing at a time, from a case that all others are compared with."""

from __future__ import annotations

import os
from typing import NamedTuple

#: A few rows and two cases, to see that everything still works.
QUICK = bool(os.environ.get("BENCH_QUICK"))
ROWS = int(os.environ.get("BENCH_ROWS", "60" if QUICK else "20000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "1" if QUICK else "3"))
KB = 1024


class Case(NamedTuple):
    """One column of circumstances.

    Messages are what mailblast sends in all; slower senders get a share of them, so that a round takes seconds.
    """

    name: str
    rows: int = ROWS
    #: Of a whole message, without its attachment.
    size_bytes: int = 5 * KB
    connections: int = 10
    #: Over the delay proxy where it is not 0.
    round_trip_ms: float = 0
    #: From the first byte, to our own sink: smtp-sink has none.
    tls: bool = False
    #: To our own sink without TLS: what to compare the case with TLS with.
    own_sink: bool = False
    dkim: bool = False
    #: One file that all messages carry.
    attachment_bytes: int = 0
    #: Rounds, where the matrix's own number would take too long.
    rounds: int = ROUNDS
    #: Whether others are measured too.
    rivals: bool = True


BASE = Case("5 KB, 10 connections")
_QUICK = [
    BASE,
    Case("everything", size_bytes=KB, connections=2, round_trip_ms=2, tls=True, dkim=True, attachment_bytes=10 * KB),
]
_ALL = [
    BASE,
    Case("1 KB", size_bytes=KB),
    Case("50 KB", ROWS // 4, size_bytes=50 * KB),
    Case("1 MB attached", ROWS // 40, attachment_bytes=1024 * KB),
    Case("1 connection", connections=1),
    Case("5 connections", connections=5),
    Case("50 connections", connections=50),
    Case("10 ms round trip", ROWS // 4, round_trip_ms=10),
    Case("50 ms round trip", ROWS // 10, round_trip_ms=50),
    Case("50 ms, 5 connections", ROWS // 20, connections=5, round_trip_ms=50),
    Case("own sink, no TLS", own_sink=True),
    Case("own sink, TLS", tls=True),
    Case("DKIM", ROWS // 2, dkim=True),
    Case("1,000 rows", ROWS // 20),
    Case("100,000 rows", ROWS * 5, rivals=False),
    Case("1,000,000 rows", ROWS * 50, rounds=1, rivals=False),
]
CASES = _QUICK if QUICK else _ALL
