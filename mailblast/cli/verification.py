"""The checks that ``verify`` was asked for, each a stream of findings."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from mailblast.checks.check import Check
    from mailblast.checks.dns_lookup import DnsLookup
    from mailblast.checks.domain_check import SigningKey
    from mailblast.checks.recipient_domain_check import RecipientDomains
    from mailblast.cli.attachments import AttachOptions
    from mailblast.cli.options import ListFormat
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.lists.rows import RowReader
    from mailblast.model.campaign import Template
    from mailblast.model.recipient import Recipient

#: What a provider's SPF record is included by; its own pages say so.
SPF_INCLUDES = {
    "ses": frozenset(("amazonses.com",)),
    "sendgrid": frozenset(("sendgrid.net",)),
    "gmail": frozenset(("_spf.google.com",)),
    "office365": frozenset(("spf.protection.outlook.com",)),
}
#: Stands for the token of a campaign's journal, in messages that nobody sees.
SAMPLE_TOKEN = "0" * 16
#: A message file that is larger is not read.
MAX_MESSAGE_BYTES = 50_000_000


class Verification:
    """Makes the streams.

    Args:
        settings: Behind the options.
        terminal: For progress.
        stack: Closes what is opened.
        subject: Option.
        sender: Option.
        reply_to: Option.
        unsubscribe: Option.
        email_column: Option.
        key: Option.
        dns: Whether recipients' domains are looked up.
        attach: Options about attachments.
    """

    def __init__(
        self,
        settings: Settings,
        terminal: Terminal,
        stack: contextlib.ExitStack,
        *,
        subject: str | None,
        sender: str | None,
        reply_to: str | None,
        unsubscribe: tuple[str, ...],
        email_column: str | None,
        key: str | None,
        dns: bool,
        attach: AttachOptions,
    ) -> None:
        self._settings = settings
        self._terminal = terminal
        self._stack = stack
        self._subject = subject
        self._sender = sender
        self._reply_to = reply_to
        self._unsubscribe = unsubscribe
        self._email_column = email_column
        self._key = key
        self._dns = dns
        self._attach = attach

    def contents(
        self, source: str | None, path: Path | None, list_format: ListFormat | None, encoding: str
    ) -> Iterator[Check]:
        """Yield findings about list and template."""
        from mailblast.checks.check import Check, Level
        from mailblast.checks.template_check import check_template
        from mailblast.cli import campaigns
        from mailblast.errors import InputError, ListError
        from mailblast.render.template import load_template

        reader: RowReader | None = None
        template: Template | None = None
        if source is not None:
            try:
                reader = self._stack.enter_context(campaigns.open_rows(source, list_format, encoding))
            except ListError as error:
                yield Check("list.readable", Level.ERROR, source, error.message, error.fix)
        if path is not None:
            try:
                template = load_template(path, subject=self._subject)
                yield from check_template(template, reader.columns if reader else None)
            except InputError as error:
                template = None
                yield Check("template.compiles", Level.ERROR, str(path), error.message, error.fix)
        if reader is not None:
            yield from self._rows(reader, template)

    def _rows(self, reader: RowReader, template: Template | None) -> Iterator[Check]:
        from mailblast.checks.check import Check, Level
        from mailblast.checks.list_check import ListCheck
        from mailblast.checks.recipient_domain_check import RecipientDomains
        from mailblast.cli import campaigns
        from mailblast.cli.authenticity import AuthenticityOptions, keys_of, list_headers_of
        from mailblast.errors import ListError
        from mailblast.model.campaign import Campaign, Mailbox
        from mailblast.recipients.recipients import RecipientSettings, read_recipients
        from mailblast.recipients.seen_keys import SeenKeys
        from mailblast.recipients.suppression import SuppressionList

        seen = self._stack.enter_context(SeenKeys())
        columns = RecipientSettings(email_column=self._email_column, key_column=self._key)
        campaign = None
        if template is not None:
            text = self._sender or template.sender or self._settings.text("MAILBLAST_FROM")
            mailbox = campaigns.mailbox(text, "From") if text else Mailbox("", "sender@example.com")
            wanted = AuthenticityOptions(unsubscribe=self._unsubscribe)
            list_headers = list_headers_of(wanted, self._settings)
            campaign = Campaign("verify", SAMPLE_TOKEN, template, mailbox, list_headers=list_headers)
        try:
            recipients = read_recipients(reader, columns, columns=reader.columns, name=reader.name)
        except ListError as error:
            yield Check("list.columns", Level.ERROR, reader.name, error.message, error.fix)
            return
        domains = RecipientDomains() if self._dns else None
        with self._bar("Checking", reader.size_bytes) as advance:
            check = ListCheck(
                reader.name,
                recipients,
                seen,
                campaign,
                on_progress=lambda rows: advance(reader.position_bytes(), f"Checking, {rows:,} rows"),
                keys=keys_of(self._settings, None),
                suppressions=self._stack.enter_context(SuppressionList(self._settings.home)),
                domains=domains,
                load_own=self._own_attachments(),
            )
            yield from check.findings()
        if domains is not None:
            yield from self._recipient_domains(domains)

    def _recipient_domains(self, domains: RecipientDomains) -> Iterator[Check]:
        """Yield findings about recipients' domains, a group at a time: what was found before a Ctrl-C is told."""
        import asyncio

        with asyncio.Runner() as runner, self._bar("Asking the DNS", len(domains)) as advance:

            async def start() -> AsyncIterator[Check]:
                return domains.findings(self._lookup(), lambda done: advance(done, f"Asking the DNS, {done:,} domains"))

            findings = runner.run(start())

            async def following() -> Check | None:
                return await anext(findings, None)

            while (check := runner.run(following())) is not None:
                yield check

    def attachments(self) -> Iterator[Check]:
        """Yield findings about files that go with every message."""
        from mailblast.checks.attachment_check import check_attachments

        yield from check_attachments([Path(path) for path in self._attach.shared if path != "-"])

    def _own_attachments(self) -> Callable[[Recipient], object] | None:
        """Return what loads a recipient's own files, None where no path is a template."""
        from mailblast.delivery.row_attachments import RowAttachments

        if not self._attach.own:
            return None
        return RowAttachments(self._attach.own, str(self._attach.folder or Path())).load

    def message(self, path: Path) -> Iterator[Check]:
        """Yield findings about one message file."""
        from mailblast.checks.check import Check, Level
        from mailblast.checks.message_check import check_message

        try:
            with path.open("rb") as file:
                content = file.read(MAX_MESSAGE_BYTES + 1)
        except OSError as error:
            yield Check("message.readable", Level.ERROR, str(path), f"{path} cannot be read: {error.strerror}.")
            return
        if len(content) > MAX_MESSAGE_BYTES:
            yield Check("message.size", Level.ERROR, str(path), "It is larger than 50 MB.", "No provider takes it.")
            return
        yield from check_message(str(path), content)

    def domain(
        self, domain: str, via: str | None, dkim: str | None, dkim_key: Path | None, address: str | None
    ) -> Iterator[Check]:
        """Yield findings about the sending domain.

        Raises:
            UsageError: An option cannot be honoured.
        """
        import asyncio

        from mailblast.checks.domain_check import SendingDomain, check_domain
        from mailblast.cli import campaigns

        name = _domain_name(domain)
        scheme = (via or self._settings.text("MAILBLAST_VIA") or "").partition(":")[0].lower()
        reply = self._reply_to or self._settings.text("MAILBLAST_REPLY_TO")
        sending = SendingDomain(
            name,
            name,
            self._signing_keys(dkim, dkim_key),
            SPF_INCLUDES.get(scheme, frozenset()),
            campaigns.mailbox(reply, "--reply-to").address.rpartition("@")[2] if reply else "",
            _ip_address(address) if address else "",
        )

        async def look() -> list[Check]:
            return await check_domain(sending, self._lookup())

        yield from asyncio.run(look())

    def _signing_keys(self, dkim: str | None, dkim_key: Path | None) -> list[SigningKey]:
        from mailblast.checks.domain_check import SigningKey
        from mailblast.cli.authenticity import AuthenticityOptions, dkim_of, keys_of

        names = dkim_of(AuthenticityOptions(dkim=dkim, dkim_key=dkim_key), self._settings)
        if names is None:
            return []
        keys = keys_of(self._settings, dkim_key)
        found = [SigningKey(names.domain, names.selector, keys.dkim_rsa)]
        if names.ed25519_selector:
            found.append(SigningKey(names.domain, names.ed25519_selector, keys.dkim_ed25519))
        return found

    def provider(self, via: tuple[str, ...], token_command: str | None) -> Iterator[Check]:
        """Yield findings about the provider, and about those that stand in for it."""
        from mailblast.checks.provider_check import check_provider
        from mailblast.cli import campaigns, loop
        from mailblast.clock import SystemClock

        flags = campaigns.TransportFlags(token_command=token_command)
        transports = campaigns.transports_of(self._settings, via, flags, SystemClock())
        for notice in campaigns.show_notices(self._settings, transports[0]):
            self._terminal.warn(f"mailblast: {notice}")
        text = self._sender or self._settings.text("MAILBLAST_FROM")
        sender = campaigns.mailbox(text, "--from").address if text else None
        for transport in transports:
            yield from loop.run(check_provider(transport.provider, sender))

    def _lookup(self) -> DnsLookup:
        from mailblast.checks.dns_lookup import DnsLookup

        return DnsLookup((self._settings.text("MAILBLAST_DNS") or "").split())

    @contextlib.contextmanager
    def _bar(self, title: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
        """Show a bar on a terminal; what it gives takes how much is done, and new words."""
        if not self._terminal.live or self._terminal.quiet:
            yield lambda _done, _words: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(title, total=total)
            yield lambda done, words: progress.update(task, completed=done, description=words)


def _domain_name(text: str) -> str:
    from mailblast.errors import RowFaultError, UsageError
    from mailblast.recipients.address import parse_address

    try:
        return parse_address(f"any@{text.rpartition('@')[2]}").rpartition("@")[2]
    except RowFaultError as fault:
        raise UsageError(f"--domain '{text}' is no domain.", fix="Give a name such as example.com.") from fault


def _ip_address(text: str) -> str:
    from ipaddress import ip_address

    from mailblast.errors import UsageError

    try:
        return str(ip_address(text))
    except ValueError:
        raise UsageError(f"--ip '{text}' is no IP address.", fix="Give one such as 192.0.2.1.") from None
