"""The provider: reachable, encrypted, logged in. No mail is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.checks.check import Check, Level
from mailblast.errors import AccountError, ProviderError

if TYPE_CHECKING:
    from mailblast.providers.provider import Provider


async def check_provider(provider: Provider, sender: str | None) -> list[Check]:
    """Return findings about a provider.

    Args:
        provider: Not open.
        sender: Reverse path to try; None tries none.
    """
    try:
        facts = await provider.probe(sender)
    except AccountError as error:
        return [Check("provider.login", Level.ERROR, provider.name, error.message, error.fix)]
    except ProviderError as error:
        return [Check("provider.connect", Level.ERROR, provider.name, error.message, error.fix)]
    return [Check(f"provider.{name}", Level.OK, provider.name, value) for name, value in facts]
