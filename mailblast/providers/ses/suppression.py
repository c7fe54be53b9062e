"""The suppression list that SES keeps for an account."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mailblast.errors import AccountError, ProviderUnavailableError
from mailblast.model.outcome import Advice
from mailblast.providers.provider import SuppressedAddress
from mailblast.providers.ses.account import may_not_look, refused, unreachable
from mailblast.providers.ses.calls import Answer, Broken, perform
from mailblast.providers.ses.verdicts import error_verdict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from mailblast.clock import Clock

#: Addresses of one answer (service model, ListSuppressedDestinations).
PAGE_SIZE = 1000
#: All calls but those that send are taken once a second (SES developer guide, "Sending limits for the SES API").
TRIES = 5
WAIT_S = 1.1


async def suppressed(client: Any, clock: Clock) -> AsyncGenerator[SuppressedAddress, None]:
    """Yield the whole list, in the order of SES; one call for each thousand addresses.

    Args:
        client: Of the sesv2 API; used in a thread.
        clock: Waits where SES is asked too often.

    Raises:
        ProviderUnavailableError: No answer, or one that tells of the service's own trouble.
        AccountError: The key may not read the list.
    """
    request: dict[str, Any] = {"PageSize": PAGE_SIZE}
    while True:
        page = await _page(client, request, clock)
        for item in page.get("SuppressedDestinationSummaries", ()):
            time = item.get("LastUpdateTime")
            time_s = time.timestamp() if isinstance(time, datetime) else None
            yield SuppressedAddress(str(item["EmailAddress"]), str(item["Reason"]).lower(), time_s)
        token = page.get("NextToken")
        if not token:
            return
        request["NextToken"] = token


async def _page(client: Any, request: Mapping[str, Any], clock: Clock) -> Mapping[str, Any]:
    tries = 0
    while True:
        tries += 1
        result = await asyncio.to_thread(perform, client.list_suppressed_destinations, dict(request))
        if isinstance(result, Answer):
            return result.response
        if isinstance(result, Broken):
            raise unreachable(result)
        verdict = error_verdict(result)
        if may_not_look(result):
            said = f"{result.code}: {result.message}".rstrip(": .")
            raise AccountError(
                f"Amazon SES did not show its suppression list: {said}.",
                fix="The key needs the right ses:ListSuppressedDestinations.",
            )
        if verdict.advice is not Advice.SLOW_DOWN:
            raise refused(result, verdict)
        if tries >= TRIES:
            raise ProviderUnavailableError("Amazon SES is asked too often.", fix="Try again in a moment.")
        await clock.sleep(WAIT_S)
