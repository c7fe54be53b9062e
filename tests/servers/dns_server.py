"""A name server on loopback, with the records that a test gives it, and faults by name."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from dnslib import AAAA, MX, PTR, QTYPE, RCODE, RR, TXT, A, DNSRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: TXT strings are cut at this length (RFC 1035 section 3.3).
LONGEST_STRING = 255


class DnsServer:
    """Answers over UDP until ``close()``.

    Args:
        zone: Records by name and kind, ``("example.com", "MX"): ["10 mx.example.com"]``; other names do not exist.
        failing: Names that are answered with SERVFAIL.
        silent: Names that are never answered.
    """

    def __init__(
        self,
        zone: Mapping[tuple[str, str], Sequence[str]],
        *,
        failing: Sequence[str] = (),
        silent: Sequence[str] = (),
    ) -> None:
        self.zone = zone
        self.failing = failing
        self.silent = silent
        #: Names and kinds, in the order they were asked.
        self.asked: list[tuple[str, str]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        # A datagram wakes the thread; a closed socket alone does not.
        host, _, port = self.address.partition(":")
        self._socket.sendto(b"", (host, int(port)))
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            answer = self._answer(DNSRecord.parse(data))
            if answer is not None:
                self._socket.sendto(answer.pack(), client)

    def _answer(self, query: DNSRecord) -> DNSRecord | None:
        name, kind = str(query.q.qname).rstrip(".").lower(), QTYPE[query.q.qtype]
        self.asked.append((name, kind))
        reply = query.reply()
        if name in self.silent:
            return None
        if name in self.failing:
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        if not any(known == name or known.endswith(f".{name}") for known, _ in self.zone):
            reply.header.rcode = RCODE.NXDOMAIN
            return reply
        for value in self.zone.get((name, kind), ()):
            reply.add_answer(RR(query.q.qname, query.q.qtype, rdata=_rdata(kind, value), ttl=60))
        return reply


def _rdata(kind: str, value: str) -> object:
    if kind == "MX":
        preference, host = value.split()
        return MX(host, int(preference))
    if kind == "TXT":
        raw = value.encode()
        return TXT([raw[start : start + LONGEST_STRING] for start in range(0, len(raw), LONGEST_STRING)] or [b""])
    return {"A": A, "AAAA": AAAA, "PTR": PTR}[kind](value)
