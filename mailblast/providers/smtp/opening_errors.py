"""Why no session could be opened, each in one line with its remedy."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

from mailblast.errors import ProviderUnavailableError

if TYPE_CHECKING:
    from mailblast.model.reply import Reply, Stage
    from mailblast.providers.smtp.settings import SmtpSettings

#: X509_V_ERR_… of OpenSSL's x509_vfy.h: what is wrong, and what to do.
CERTIFICATE_FAULTS = {
    9: ("is not valid yet", "Check this machine's clock."),
    10: ("has expired", "The server's operator must renew it; check this machine's clock."),
    18: ("is self-signed", "Give its file with ?ca=FILE if it is yours."),
    19: ("is signed by an authority of its own", "Give that authority's file with ?ca=FILE if it is yours."),
    20: ("is signed by an authority that this machine does not know", "Give that authority's file with ?ca=FILE."),
    21: ("is signed by an authority that this machine does not know", "Give that authority's file with ?ca=FILE."),
    62: ("is for another name", "Use the host name that the certificate is made for."),
    64: ("is not for this address", "Use the host name that the certificate is made for."),
}


def refused(reply: Reply) -> str:
    """Return a reply as one phrase."""
    return " ".join(filter(None, (str(reply.code), reply.enhanced, reply.text))).rstrip(".")


def connect_error(settings: SmtpSettings, error: OSError) -> ProviderUnavailableError:
    """Return why no TCP connection was made."""
    where = settings.address
    if isinstance(error, socket.gaierror):
        return ProviderUnavailableError(
            f"The host {settings.host} was not found: {error.strerror or error}.",
            fix="Check its spelling in the DSN, and this machine's network.",
        )
    if isinstance(error, ConnectionRefusedError):
        return ProviderUnavailableError(
            f"{where} refused the connection.",
            fix="Is the mail server running there? Submission uses port 587, implicit TLS port 465.",
        )
    if isinstance(error, TimeoutError):
        return ProviderUnavailableError(
            f"{where} did not answer within {settings.timeouts.connect:g} s.",
            fix="A firewall or the network's operator may block the port; try 587 or 465 instead of 25.",
        )
    if error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return ProviderUnavailableError(f"There is no route to {where}.", fix="Check this machine's network.")
    return ProviderUnavailableError(f"No connection to {where}: {error.strerror or error}.")


def certificate_error(settings: SmtpSettings, error: BaseException, stage: Stage) -> ProviderUnavailableError:
    """Return why TLS failed or the server hung up."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        what, fix = CERTIFICATE_FAULTS.get(
            cause.verify_code, (f"cannot be verified ({cause.verify_message})", "Ask the server's operator.")
        )
        return ProviderUnavailableError(
            f"The certificate of {settings.address} {what}: {cause.verify_message}.".replace("..", "."), fix=fix
        )
    if isinstance(cause, ssl.SSLError):
        reason = (cause.reason or "handshake failed").replace("_", " ").lower()
        return ProviderUnavailableError(
            f"No TLS with {settings.address}: {reason}.",
            fix="Port 465 wants smtps://, port 587 smtp://; the server must speak TLS 1.2 or newer.",
        )
    return ProviderUnavailableError(
        f"{settings.address} closed the connection at {stage.value.upper()}.",
        fix="Check host and port; smtps:// is for port 465, smtp:// for 587.",
    )
