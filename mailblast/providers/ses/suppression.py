"""The suppression list that SES keeps for an account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.providers.ses.account import refused, unreachable
from mailblast.providers.ses.calls import Answer, Broken, perform
from mailblast.providers.ses.verdicts import error_verdict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from datetime import datetime

#: Addresses of one answer (service model, ListSuppressedDestinations).
PAGE_SIZE = 1000


class SuppressedAddress(NamedTuple):
    """An address that SES does not mail for this account."""

    address: str
    #: ``bounce`` or ``complaint``.
    reason: str
    #: When SES put it there last, with its time zone.
    time: datetime


async def suppressed(client: Any) -> AsyncGenerator[SuppressedAddress, None]:
    """Yield the whole list, in the order of SES; one call for each thousand addresses.

    Args:
        client: Of the sesv2 API; used in a thread.

    Raises:
        ProviderUnavailableError: No answer, or one that tells of the service's own trouble.
        AccountError: The key may not read the list.
    """
    request: dict[str, Any] = {"PageSize": PAGE_SIZE}
    while True:
        page = await asyncio.to_thread(_page, client, dict(request))
        for item in page.get("SuppressedDestinationSummaries", ()):
            yield SuppressedAddress(item["EmailAddress"], str(item["Reason"]).lower(), item["LastUpdateTime"])
        token = page.get("NextToken")
        if not token:
            return
        request["NextToken"] = token


def _page(client: Any, request: dict[str, Any]) -> Mapping[str, Any]:
    result = perform(client.list_suppressed_destinations, request)
    if isinstance(result, Answer):
        return result.response
    if isinstance(result, Broken):
        raise unreachable(result)
    raise refused(result, error_verdict(result))
