"""DSN to provider. The one place that knows the names of provider settings; imports a provider only when chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailblast.errors import UsageError
from mailblast.model.secret import Secret
from mailblast.providers.dsn import HOST, HOST_V6, SCHEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailblast.clock import Clock
    from mailblast.providers.dsn import Dsn
    from mailblast.providers.outbox import OutboxProvider
    from mailblast.providers.presets import Preset
    from mailblast.providers.sendgrid.provider import SendgridProvider
    from mailblast.providers.ses.provider import SesProvider
    from mailblast.providers.smtp.provider import SmtpProvider
    from mailblast.providers.smtp.settings import SmtpSettings

DEFAULT_OUTBOX = "outbox"
IMPLICIT_TLS_PORT = 465
MAX_PORT = 65535


def make_provider(
    dsn: Dsn,
    settings: Mapping[str, str],
    *,
    connections: int | None = None,
    messages_per_connection: int | None = None,
    token_command: str | None = None,
    clock: Clock,
) -> OutboxProvider | SendgridProvider | SesProvider | SmtpProvider:
    """Make the provider that a DSN names, without opening it.

    Args:
        dsn: As given by ``parse_dsn``.
        settings: Merged settings under their environment names: ``SMTP_HOST``, ``SMTP_PORT``, ``SMTP_USER`` and
            ``SMTP_PASSWORD`` are read, by ``smtp`` DSNs and presets only, as ``MAILBLAST_TOKEN_COMMAND`` and
            ``MAILBLAST_REPLY_RULES``; ``SENDGRID_API_KEY`` by ``sendgrid`` DSNs, ``AWS_…`` by ``ses`` DSNs.
        connections: Connections at once; overrides the DSN's option.
        messages_per_connection: Messages before a connection is replaced; overrides the DSN's option.
        token_command: Prints an access token for XOAUTH2; overrides ``MAILBLAST_TOKEN_COMMAND``.
        clock: Ages, time-outs and durations.

    Raises:
        UsageError: A setting is missing or cannot be honoured; the message names it.
    """
    if dsn.scheme == "outbox":
        from mailblast.providers.outbox import OutboxProvider  # noqa: PLC0415 - only the chosen provider is imported

        return OutboxProvider(dsn.path or DEFAULT_OUTBOX, clock=clock)
    if dsn.scheme == "ses":
        from mailblast.providers.ses.provider import SesProvider  # noqa: PLC0415 - likewise
        from mailblast.providers.ses.settings import ses_settings  # noqa: PLC0415 - likewise

        return SesProvider(ses_settings(dsn, settings, connections=connections), clock=clock)
    if dsn.scheme == "sendgrid":
        from mailblast.providers.sendgrid.provider import SendgridProvider  # noqa: PLC0415 - likewise
        from mailblast.providers.sendgrid.settings import sendgrid_settings  # noqa: PLC0415 - likewise

        return SendgridProvider(sendgrid_settings(dsn, settings, connections=connections), clock=clock)
    from mailblast.providers.smtp.provider import SmtpProvider  # noqa: PLC0415 - likewise

    command = settings.get("MAILBLAST_TOKEN_COMMAND", "") if token_command is None else token_command
    complete = _smtp_settings(
        dsn, settings, connections, messages_per_connection, command=command, monotonic=clock.monotonic
    )
    return SmtpProvider(complete, clock=clock)


def _smtp_settings(
    dsn: Dsn,
    settings: Mapping[str, str],
    connections: int | None,
    messages_per_connection: int | None,
    *,
    command: str,
    monotonic: Callable[[], float],
) -> SmtpSettings:
    from mailblast.providers.smtp.reply_rules import load_rules  # noqa: PLC0415 - only for SMTP
    from mailblast.providers.smtp.settings import smtp_settings  # noqa: PLC0415 - likewise

    preset = None
    if dsn.scheme not in SCHEMES:
        from mailblast.providers.presets import find_preset  # noqa: PLC0415 - only for presets

        preset = find_preset(dsn.scheme)
        assert preset is not None, "parse_dsn() knew it"
        dsn = preset.smtp_dsn(dsn, settings)
    elif not dsn.host:
        dsn = _from_settings(dsn, settings)
    tokens = None
    if command and dsn.user:
        from mailblast.providers.smtp.token_command import TokenCommand  # noqa: PLC0415 - few need it

        tokens = TokenCommand(command, monotonic)
    else:
        dsn = _with_credentials(dsn, settings, note=preset.note if preset is not None else "")
    complete = smtp_settings(dsn, connections=connections, messages_per_connection=messages_per_connection)
    rules = dsn.options.get("rules") or settings.get("MAILBLAST_REPLY_RULES", "")
    complete = replace(complete, tokens=tokens, extra_rules=load_rules(rules) if rules else ())
    if preset is None:
        return complete
    asked = {"connections": connections, "messages": messages_per_connection, **dsn.options}
    return _within_limits(complete, preset, asked)


def _within_limits(complete: SmtpSettings, preset: Preset, asked: Mapping[str, object]) -> SmtpSettings:
    """Return settings that keep to what a service publishes, where nothing else was asked for."""
    connections, messages = complete.connections, complete.messages_per_connection
    if asked["connections"] is None and preset.connections is not None:
        connections = min(connections, preset.connections)
    if asked["messages"] is None and preset.messages_per_connection is not None:
        messages = min(messages, preset.messages_per_connection)
    return replace(
        complete,
        connections=connections,
        messages_per_connection=messages,
        rate_per_s=preset.rate_per_s,
        per_day=preset.per_day,
        size_bytes=preset.size_bytes,
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


def _with_credentials(dsn: Dsn, settings: Mapping[str, str], *, note: str) -> Dsn:
    if not dsn.user or dsn.password is not None:
        return dsn
    password = settings.get("SMTP_PASSWORD", "")
    if not password:
        raise UsageError(
            f"There is no password for user '{dsn.user}' at {dsn.host}.",
            fix=f"{note} Set SMTP_PASSWORD in the environment or in .env.".lstrip(),
        )
    return replace(dsn, password=Secret(password))
