"""Mail that SendGrid keeps until a time: batch ids, and calling it off.

Twilio's pages "Scheduling Email Sends" and "Cancel Scheduled Sends": a batch id is issued by the API and has effect
with ``send_at`` only; a batch is cancelled or paused at least 10 minutes ahead; at most 10 batches are so at once.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from mailblast.errors import AccountError, ProviderError, ProviderUnavailableError, UsageError
from mailblast.providers.sendgrid.answers import REMEDIES, SERVER_ERROR, TOO_MANY, Answer, error_text

if TYPE_CHECKING:
    from mailblast.clock import Clock
    from mailblast.providers.sendgrid.wire import Result, Wire

#: "A send cannot be scheduled more than 72 hours in advance" (Twilio's OpenAPI file).
MAX_AHEAD_S = 72 * 3600
#: Least time ahead at which a batch can be called off.
CANCEL_AHEAD_S = 600
#: Batches that may be cancelled or paused at once.
MAX_CALLED_OFF = 10
STATUSES = ("cancel", "pause")

CREATED, NO_CONTENT, NOT_FOUND, BAD_REQUEST = 201, 204, 404, 400
_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


class ScheduledSends:
    """The scheduled sends of one account.

    Args:
        wire: To the API.
        clock: The time of day.
    """

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock

    async def issue_batch_id(self) -> str:
        """Return a new batch id.

        Raises:
            ProviderUnavailableError: SendGrid cannot be reached.
            AccountError: It issues none to this key.
        """
        answer = answered(await self._wire.ask("POST", "mail/batch"), self._wire)
        batch_id = _batch_id(answer) if answer.status == CREATED else ""
        if not batch_id:
            raise refused(answer, "issued no batch id")
        return batch_id

    async def cancel(self, batch_id: str, status: str = "cancel", *, send_at_s: int | None = None) -> None:
        """Take scheduled mail back, or hold it.

        Args:
            batch_id: From ``issue_batch_id()``.
            status: ``cancel``: it is never sent, and thrown away. ``pause``: it is sent after ``resume()``,
                within 72 hours.
            send_at_s: When it is due, in Unix seconds; None where that is not known.

        Raises:
            UsageError: It is due in less than 10 minutes, or too many batches are called off already.
            ProviderUnavailableError: SendGrid cannot be reached.
            AccountError: The key may not do this.
        """
        assert status in STATUSES, status
        if send_at_s is not None and send_at_s - self._clock.now() < CANCEL_AHEAD_S:
            raise UsageError(
                f"Batch {batch_id} can no longer be called off: SendGrid wants {CANCEL_AHEAD_S // 60} minutes for that."
            )
        body = json.dumps({"batch_id": batch_id, "status": status}).encode()
        answer = answered(await self._wire.ask("POST", "user/scheduled_sends", body), self._wire)
        if answer.status == BAD_REQUEST and await self._is_called_off(batch_id):
            # Paused and now cancelled, or the other way round.
            body = json.dumps({"status": status}).encode()
            path = f"user/scheduled_sends/{quote(batch_id, safe='')}"
            answer = answered(await self._wire.ask("PATCH", path, body), self._wire)
        if answer.status not in {CREATED, NO_CONTENT}:
            raise await self._why_not(answer, batch_id)

    async def resume(self, batch_id: str) -> None:
        """Let mail go that was paused.

        Raises:
            UsageError: Nothing of this name is held.
            ProviderUnavailableError: SendGrid cannot be reached.
            AccountError: The key may not do this.
        """
        path = f"user/scheduled_sends/{quote(batch_id, safe='')}"
        answer = answered(await self._wire.ask("DELETE", path), self._wire)
        if answer.status == NOT_FOUND:
            raise UsageError(f"Batch {batch_id} is neither paused nor cancelled at SendGrid.")
        if answer.status != NO_CONTENT:
            raise refused(answer, "did not let the batch go")

    async def called_off(self) -> dict[str, str]:
        """Return the batches that are paused or cancelled now, with which of the two; all others are not listed.

        Raises:
            ProviderUnavailableError: SendGrid cannot be reached.
            AccountError: The key may not do this.
        """
        answer = answered(await self._wire.ask("GET", "user/scheduled_sends"), self._wire)
        rows = _rows(answer)
        return {str(row["batch_id"]): str(row.get("status", "")) for row in rows if row.get("batch_id")}

    async def _is_called_off(self, batch_id: str) -> bool:
        return batch_id in await self.called_off()

    async def _why_not(self, answer: Answer, batch_id: str) -> ProviderError | UsageError:
        if answer.status == BAD_REQUEST:
            if len(await self.called_off()) >= MAX_CALLED_OFF:
                return UsageError(
                    f"SendGrid holds {MAX_CALLED_OFF} cancelled or paused batches, and takes no more at once.",
                    fix="Let one go with --resume, or wait until the time of one has passed.",
                )
            return UsageError(f"SendGrid did not call off batch {batch_id}: {error_text(answer)}.")
        return refused(answer, "did not call off the batch")


def answered(result: Result, wire: Wire) -> Answer:
    """Return the answer of a call.

    Raises:
        ProviderUnavailableError: There is none.
    """
    if isinstance(result, Answer):
        return result
    raise ProviderUnavailableError(
        f"SendGrid cannot be reached at {wire.host}: {result.reason}.",
        fix="Check the network, the proxy settings and status.sendgrid.com.",
    )


def refused(answer: Answer, what: str) -> ProviderError:
    """Return the error for an answer that is none of those hoped for."""
    message = f"SendGrid {what}: {answer.status} {error_text(answer)}."
    if answer.status >= SERVER_ERROR or answer.status == TOO_MANY:
        return ProviderUnavailableError(message, fix="Try again in a moment.")
    fix = "" if answer.status in REMEDIES else "Check the rights of the API key at app.sendgrid.com."
    return AccountError(message, fix=fix)


def _batch_id(answer: Answer) -> str:
    try:
        batch_id = json.loads(answer.body)["batch_id"]
    except (ValueError, KeyError, TypeError):
        return ""
    return batch_id if isinstance(batch_id, str) and _BATCH_ID.fullmatch(batch_id) else ""


def _rows(answer: Answer) -> list[dict[str, object]]:
    if answer.status != 200:  # noqa: PLR2004 - OK
        raise refused(answer, "did not list the batches")
    try:
        rows = json.loads(answer.body)
    except ValueError:
        rows = None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
