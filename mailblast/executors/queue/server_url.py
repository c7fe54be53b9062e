"""What the URL of a queue's server says to the client, and what a failed handshake says to its reader."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from mailblast.errors import UsageError

#: Options after the ``?``, as those of ``smtps://``, and what the client calls them: files in PEM.
OPTIONS = {"ca": "ssl_ca_certs", "cert": "ssl_certfile", "key": "ssl_keyfile"}
#: Other names for the same.
OPTIONS |= {name: name for name in OPTIONS.values()}
TLS = "rediss://"


class Trouble(NamedTuple):
    """Why a server cannot be used, and what to do."""

    text: str
    fix: str


def client_settings(url: str) -> tuple[str, dict[str, Any]]:
    """Return an URL without its options, and the client's settings for them: certificates are always verified.

    Raises:
        UsageError: An option is not known, names no file, or is about TLS where there is none; or the password has
            characters that an URL cannot have.
    """
    login, at, rest = url.rpartition("@")
    place, _, query = rest.partition("?")
    if set(login.partition("://")[2]) & set("/?#"):
        raise UsageError(
            "The queue's URL cannot be read.", fix="In its password, write / as %2F, ? as %3F and # as %23."
        )
    found = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in found.items():
        if name not in OPTIONS:
            raise UsageError(f"Option '{name}' of the queue's URL is not known.", fix="Known are: ca, cert, key.")
        if not url.startswith(TLS):
            raise UsageError(f"Option '{name}' of the queue's URL is about TLS.", fix="Write rediss:// for TLS.")
        if not Path(value).is_file():
            raise UsageError(
                f"Option '{name}' of the queue's URL names '{value}', which is no file.", fix="Give a PEM file."
            )
    settings: dict[str, Any] = {OPTIONS[name]: value for name, value in found.items()}
    if url.startswith(TLS):
        settings |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_min_version": ssl.TLSVersion.TLSv1_2}
    return login + at + place, settings


def tls_trouble(shown: str, error: BaseException) -> Trouble | None:
    """Return why a handshake failed, None where that is not what an error is about.

    Args:
        shown: The URL without anything secret.
        error: The client's; what the handshake raised stands behind it.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        # The words are the same for every server; not needed where all goes well.
        from mailblast.providers.smtp.opening_errors import CERTIFICATE_FAULTS  # noqa: PLC0415

        what, fix = CERTIFICATE_FAULTS.get(cause.verify_code, ("cannot be verified", "Ask the server's operator."))
        return Trouble(f"The certificate of the queue at {shown} {what}: {cause.verify_message}.", fix)
    if isinstance(cause, ssl.SSLError):
        reason = (cause.reason or "handshake failed").replace("_", " ").lower()
        if "certificate required" in reason:
            return Trouble(
                f"The queue at {shown} wants a certificate of this machine.", "Give it with ?cert=FILE&key=FILE."
            )
        return Trouble(
            f"No TLS with the queue at {shown}: {reason}.",
            "rediss:// is for the server's tls-port, and needs TLS 1.2 or newer; redis:// is without TLS.",
        )
    return None


def away(shown: str, error: BaseException) -> Trouble:
    """Return that a server does not answer; arguments as of ``tls_trouble()``."""
    cause = (str(error) or type(error).__name__).rstrip(".")
    # A port without TLS waits for more than a handshake gives it.
    also = ", and that this is its tls-port" if shown.startswith(TLS) else ""
    return Trouble(f"The queue at {shown} does not answer: {cause}.", f"Check that Redis runs there{also}.")
