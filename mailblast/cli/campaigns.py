"""From options to a campaign, its list and its provider: what ``bulk``, ``send`` and ``verify`` have in common."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from mailblast.errors import RowFaultError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.cli.options import ListFormat
    from mailblast.cli.pacing import PaceFlags, PaceOptions
    from mailblast.cli.settings import Settings
    from mailblast.clock import Clock
    from mailblast.delivery.pace import Pace, PaceSettings
    from mailblast.lists.rows import RowReader
    from mailblast.model.campaign import Mailbox, Template
    from mailblast.providers.dsn import Dsn
    from mailblast.providers.provider import Provider

#: Where mail goes when nothing is configured.
DEFAULT_VIA = "outbox:outbox"
#: Name of the provider that writes into a folder.
OUTBOX = "outbox"
UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class Transport(NamedTuple):
    """A provider that is made but not open, and how fast it may be used."""

    dsn: Dsn
    provider: Provider
    #: True where nothing was configured and the embedded outbox stands in.
    is_default: bool
    #: The limits that were asked for.
    asked: PaceOptions
    #: The file that keeps and shares them.
    limits_file: Path

    def pace(self) -> PaceSettings:
        """Return all limits, with those that the provider has told by now: some tell theirs when they are opened."""
        from mailblast.cli.pacing import pace_settings

        return pace_settings(self.asked, self.provider.limits, self.limits_file)

    def make_pace(self, clock: Clock) -> Pace:
        """Return what keeps to these limits; closed by the caller."""
        from mailblast.delivery.pace import Pace

        return Pace(self.pace(), clock)


def campaign_name(template: Path, list_source: str) -> str:
    """Return the default name: the stems of template and list, such as ``welcome-list``."""
    name = "stdin" if list_source == "-" else Path(list_source).name
    name = name.removesuffix(".gz").rsplit(".", 1)[0]
    return UNSAFE_IN_NAMES.sub("-", f"{template.stem}-{name}").strip(".-")[:100]


def open_rows(source: str, list_format: ListFormat | None, encoding: str) -> RowReader:
    """Open a list.

    Raises:
        ListError: It cannot be read.
    """
    from mailblast.lists.rows import ListSettings, open_list

    settings = ListSettings(format=list_format.value if list_format else None, encoding=encoding)
    return open_list(source, settings, stdin=_stdin() if source == "-" else None)


def _stdin() -> BinaryIO | None:
    """Return stdin unbuffered, None where it is closed.

    A thread that waits for a silent pipe holds a buffer's lock, and Python aborts where it cannot get that at its end.
    """
    if sys.stdin is None:
        return None
    buffer = sys.stdin.buffer
    raw: BinaryIO = getattr(buffer, "raw", buffer)
    return raw


def may_block(source: str) -> bool:
    """Return whether reading this list may wait for somebody: stdin and pipes."""
    return source == "-" or not stat.S_ISREG(Path(source).stat().st_mode)


def mailbox(text: str, name: str) -> Mailbox:
    """Read an address given as an option or setting.

    Raises:
        UsageError: It is none.
    """
    from mailblast.recipients.address import parse_mailbox

    try:
        return parse_mailbox(text)
    except RowFaultError as fault:
        raise UsageError(
            f"{name} '{text}': {fault.reason.rstrip('.')}.", fix="Write it as a@b.c or 'Name <a@b.c>'."
        ) from fault


def sender_of(settings: Settings, flag: str | None, template: Template, provider: Provider) -> Mailbox:
    """Return the sender: the flag, the template's From, the setting; a stand-in where nothing leaves the machine.

    Raises:
        UsageError: There is none, or it is no address.
    """
    text = flag or template.sender or settings.text("MAILBLAST_FROM")
    if text:
        return mailbox(text, "--from" if flag else "From")
    if not provider.leaves_machine:
        from mailblast.model.campaign import Mailbox

        return Mailbox("mailblast", "sender@example.com")
    raise UsageError("No sender.", fix="Give --from, a 'From:' line at the template's top, or MAILBLAST_FROM.")


def reply_to_of(settings: Settings, flag: str | None, template: Template) -> Mailbox | None:
    """Return the Reply-To, where there is one, by the same precedence."""
    text = flag or template.reply_to or settings.text("MAILBLAST_REPLY_TO")
    return mailbox(text, "--reply-to") if text else None


def transport_of(
    settings: Settings,
    via: str | None,
    *,
    connections: int | None,
    messages_per_connection: int | None,
    rates: Sequence[str] | None,
    clock: Clock,
    pacing: PaceFlags | None = None,
    token_command: str | None = None,
) -> Transport:
    """Make the one provider that is asked for, without opening it; see ``transports_of()``.

    Raises:
        UsageError: The DSN, a rate or a setting cannot be honoured, or there is more than one DSN.
    """
    dsns = dsns_of(settings, (via,) if via else ())
    if len(dsns) > 1:
        raise UsageError("MAILBLAST_VIA names several providers.", fix="Give one of them by --via.")
    flags = TransportFlags(connections, messages_per_connection, tuple(rates or ()), pacing, token_command)
    return make_transport(settings, dsns[0], flags, clock, is_default=not via and not _configured(settings))


class TransportFlags(NamedTuple):
    """The options about providers, as given."""

    #: Of this process alone.
    connections: int | None = None
    messages_per_connection: int | None = None
    rates: tuple[str, ...] = ()
    pacing: PaceFlags | None = None
    #: Prints an access token.
    token_command: str | None = None


def transports_of(
    settings: Settings, vias: Sequence[str], flags: TransportFlags, clock: Clock
) -> tuple[Transport, ...]:
    """Make the providers that are asked for, without opening them: the first, and those that stand in for it.

    Args:
        settings: Behind the flags.
        vias: Flag.
        flags: Hold for each of them.
        clock: Ages and time-outs.

    Raises:
        UsageError: A DSN, a rate or a setting cannot be honoured, or two of them do not go together.
    """
    dsns = dsns_of(settings, vias)
    is_default = not vias and not _configured(settings)
    transports = tuple(make_transport(settings, dsn, flags, clock, is_default=is_default) for dsn in dsns)
    if len({transport.provider.leaves_machine for transport in transports}) > 1:
        raise UsageError(
            "An outbox cannot stand in for a provider, nor a provider for an outbox: who is written to one counts as "
            "served, and gets nothing.",
            fix="Give only providers that send, or only an outbox.",
        )
    return transports


def dsns_of(settings: Settings, vias: Sequence[str]) -> list[Dsn]:
    """Return where mail goes: flags, else settings, else the embedded outbox; several in the order of preference.

    Raises:
        UsageError: One cannot be read, is there twice, or holds a password on the command line.
    """
    from mailblast.providers.dsn import parse_dsn, split_dsns

    dsns = [parse_dsn(text) for text in vias or split_dsns(_configured(settings) or DEFAULT_VIA)]
    if vias and any(dsn.password is not None for dsn in dsns):
        raise UsageError(
            "--via holds a password, and command lines can be read by everybody on this machine.",
            fix="Leave it out of the DSN and set SMTP_PASSWORD in the environment or in .env.",
        )
    for place, dsn in enumerate(dsns):
        if dsn in dsns[:place]:
            raise UsageError(f"{dsn.shown()} is given twice.", fix="Name each provider once.")
    return dsns


def make_transport(
    settings: Settings, dsn: Dsn, flags: TransportFlags, clock: Clock, *, is_default: bool = False
) -> Transport:
    """Make the provider of a DSN, without opening it.

    Raises:
        UsageError: It, a rate or a setting cannot be honoured.
    """
    from mailblast.cli.pacing import PaceFlags, account_file, read_pace_options
    from mailblast.providers.registry import make_provider

    provider = make_provider(
        dsn,
        settings.values,
        connections=settings.number("MAILBLAST_CONNECTIONS", flags.connections),
        messages_per_connection=settings.number("MAILBLAST_MESSAGES_PER_CONNECTION", flags.messages_per_connection),
        token_command=flags.token_command,
        clock=clock,
    )
    asked = read_pace_options(flags.pacing or PaceFlags(), flags.rates, settings, dsn)
    file = account_file(settings, dsn, provider.name)
    return Transport(dsn, provider, is_default=is_default, asked=asked, limits_file=file)


def _configured(settings: Settings) -> str | None:
    return settings.text("MAILBLAST_VIA") or ("smtp" if settings.text("SMTP_HOST") else None)


def share_of(total: int, index: int, count: int) -> int:
    """Return the whole share that one of several has; together they have the total and never more."""
    return total // count + (index < total % count)


def show_notices(settings: Settings, transport: Transport) -> list[str]:
    """Return what the user should know before anything is sent."""
    notices = list(settings.warnings)
    if transport.is_default:
        notices.append(
            f"No provider is configured: messages are written to ./{DEFAULT_VIA.partition(':')[2]} "
            "and nothing leaves this machine. To send, give --via smtp://user@host:587 or set SMTP_HOST."
        )
    return notices
