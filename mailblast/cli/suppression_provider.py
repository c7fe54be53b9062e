"""Whom a provider itself no longer mails, as entries for the do-not-mail list."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from mailblast.cli import loop
from mailblast.errors import ProviderError, RowFaultError, UsageError
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.provider import SuppressingProvider
from mailblast.providers.registry import make_provider
from mailblast.recipients.address import parse_address
from mailblast.recipients.suppression_entry import Reason, SuppressionEntry

if TYPE_CHECKING:
    from mailblast.cli.settings import Settings
    from mailblast.cli.suppression_intake import SuppressionIntake
    from mailblast.cli.terminal import Terminal
    from mailblast.clock import Clock

REASONS = {reason.value: reason for reason in Reason}
#: Entries between two signs of life.
TELL_EVERY = 50_000


class Pulled(NamedTuple):
    """What a provider's lists hold."""

    #: Name of the provider, as outcomes have it.
    provider: str
    #: Entries by reason, those included that were known.
    reasons: dict[str, int]
    #: Entries that are no addresses.
    invalid: int


def pull(text: str, settings: Settings, intake: SuppressionIntake, terminal: Terminal, clock: Clock) -> Pulled:
    """Take a provider's whole list. What has come is kept where the rest does not.

    Args:
        text: DSN of the provider.
        settings: Its keys.
        intake: Gets the entries, all of them written.
        terminal: Told how far it is.
        clock: The time of entries without one; waits.

    Raises:
        UsageError: The provider keeps no such list, or a setting is missing.
        ProviderUnavailableError: It cannot be reached.
        AccountError: There is no key, or it may not read the list.
        SuppressionError: Entries cannot be written.
    """
    dsn = parse_dsn(text)
    provider = make_provider(dsn, settings.values, clock=clock)
    if not isinstance(provider, SuppressingProvider):
        raise UsageError(
            f"{dsn.shown()} keeps no list of whom it does not mail.", fix="Give --from ses://REGION or --from sendgrid."
        )
    try:
        return loop.run(_pull(provider.name, provider, intake, terminal, clock.now()))
    except ProviderError:
        if intake.added:
            terminal.warn(f"mailblast: {intake.added:,} were added before {provider.name} broke off.")
        raise


async def _pull(
    name: str, provider: SuppressingProvider, intake: SuppressionIntake, terminal: Terminal, now_s: float
) -> Pulled:
    reasons: Counter[str] = Counter()
    invalid = 0
    try:
        async with aclosing(provider.suppressions()) as found:
            async for each in found:
                try:
                    # An address and nothing else: a broken one that reads "example.com" is not that whole domain.
                    subject = parse_address(each.address.strip()).lower()
                except RowFaultError:
                    invalid += 1
                    continue
                reason = REASONS.get(each.reason, Reason.MANUAL)
                source = f"{name} {each.list_name}".strip()
                intake.add(SuppressionEntry(subject, reason, source, now_s if each.time_s is None else each.time_s))
                reasons[reason.value] += 1
                if not reasons.total() % TELL_EVERY:
                    terminal.note(f"mailblast: {reasons.total():,} read from {name}")
    finally:
        intake.flush()
    return Pulled(name, dict(reasons), invalid)
