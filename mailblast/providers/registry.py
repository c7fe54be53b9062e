"""DSN to provider. The one place that knows the names of provider settings; imports a provider only when chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailblast.errors import UsageError
from mailblast.model.secret import Secret
from mailblast.providers.dsn import HOST, HOST_V6

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.clock import Clock
    from mailblast.providers.dsn import Dsn
    from mailblast.providers.outbox import OutboxProvider
    from mailblast.providers.smtp.provider import SmtpProvider

DEFAULT_OUTBOX = "outbox"
IMPLICIT_TLS_PORT = 465
MAX_PORT = 65535


def make_provider(
    dsn: Dsn,
    settings: Mapping[str, str],
    *,
    connections: int | None = None,
    messages_per_connection: int | None = None,
    clock: Clock,
) -> OutboxProvider | SmtpProvider:
    """Make the provider that a DSN names, without opening it.

    Args:
        dsn: As given by ``parse_dsn``.
        settings: Merged settings under their environment names: ``SMTP_HOST``, ``SMTP_PORT``, ``SMTP_USER`` and
            ``SMTP_PASSWORD`` are read, by ``smtp`` DSNs only.
        connections: Connections at once; overrides the DSN's option.
        messages_per_connection: Messages before a connection is replaced; overrides the DSN's option.
        clock: Ages, time-outs and durations.

    Raises:
        UsageError: A setting is missing or cannot be honoured; the message names it.
    """
    if dsn.scheme == "outbox":
        from mailblast.providers.outbox import OutboxProvider  # noqa: PLC0415 - only the chosen provider is imported

        return OutboxProvider(dsn.path or DEFAULT_OUTBOX, clock=clock)
    from mailblast.providers.smtp.provider import SmtpProvider  # noqa: PLC0415 - likewise
    from mailblast.providers.smtp.settings import smtp_settings  # noqa: PLC0415 - likewise

    complete = _with_credentials(dsn if dsn.host else _from_settings(dsn, settings), settings)
    return SmtpProvider(
        smtp_settings(complete, connections=connections, messages_per_connection=messages_per_connection), clock=clock
    )


def _from_settings(dsn: Dsn, settings: Mapping[str, str]) -> Dsn:
    host = settings.get("SMTP_HOST", "")
    if not host:
        raise UsageError("'smtp' alone needs SMTP_HOST, which is not set.", fix="Set it, or give smtp://user@host:587.")
    if not (HOST.fullmatch(host) or HOST_V6.fullmatch(host.removeprefix("[").removesuffix("]"))):
        raise UsageError("SMTP_HOST is no host name.", fix="Give the name alone; the port goes into SMTP_PORT.")
    text = settings.get("SMTP_PORT", "")
    if text and not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= MAX_PORT):
        raise UsageError(f"SMTP_PORT is '{text}'.", fix="Give a number from 1 to 65535, usually 587.")
    port = int(text) if text else None
    scheme = "smtps" if port == IMPLICIT_TLS_PORT else dsn.scheme
    host = host.removeprefix("[").removesuffix("]")
    return replace(dsn, scheme=scheme, host=host, port=port, user=settings.get("SMTP_USER", ""))


def _with_credentials(dsn: Dsn, settings: Mapping[str, str]) -> Dsn:
    if not dsn.user or dsn.password is not None:
        return dsn
    password = settings.get("SMTP_PASSWORD", "")
    if not password:
        raise UsageError(
            f"There is no password for user '{dsn.user}' at {dsn.host}.",
            fix="Set SMTP_PASSWORD in the environment or in .env.",
        )
    return replace(dsn, password=Secret(password))
