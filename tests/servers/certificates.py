"""Certificates for tests: good, for another name, expired, self-signed."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, NamedTuple

import trustme

if TYPE_CHECKING:
    from pathlib import Path


class Certificates(NamedTuple):
    """Server contexts, and the file that a client must trust for the first three."""

    ca_file: Path
    good: ssl.SSLContext
    wrong_name: ssl.SSLContext
    expired: ssl.SSLContext
    self_signed: ssl.SSLContext
    #: Key and chain of the good one in one file, for servers that are programs.
    good_pem: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and what it signs."""
    authority = trustme.CA()
    stranger = trustme.CA()
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    good = authority.issue_cert("localhost", "127.0.0.1")
    good_pem, ca_file = folder / "good.pem", folder / "ca.pem"
    good.private_key_and_cert_chain_pem.write_to_path(good_pem)
    authority.cert_pem.write_to_path(ca_file)
    return Certificates(
        ca_file,
        _context(good),
        _context(authority.issue_cert("elsewhere.example", "192.0.2.1")),
        _context(authority.issue_cert("localhost", "127.0.0.1", not_before=long_ago, not_after=long_ago)),
        _self_signed(stranger, folder),
        good_pem,
    )


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _self_signed(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    """An authority's own certificate stands for one that signs itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = folder / "self-signed.pem"
    pem.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    context.load_cert_chain(pem)
    return context
