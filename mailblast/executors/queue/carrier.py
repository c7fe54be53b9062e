"""One provider for all campaigns that go by it: it pulls from whichever has something to send."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from mailblast.errors import AccountError, MailblastError, ProviderUnavailableError
from mailblast.executors.queue.store import QueueAwayError
from mailblast.executors.queue.wire import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.clock import Clock
    from mailblast.delivery.pipeline import Pipeline
    from mailblast.model.message import Message
    from mailblast.model.outcome import Attempt
    from mailblast.providers.provider import Provider

#: Wait before the provider is asked to connect again; doubled up to the second of these.
RECONNECT_S = (0.5, 30.0)


class Carrier:
    """The ``Deliveries`` of one provider, fed by the pipelines of several campaigns, which take turns.

    Args:
        provider: Open; stays open.
        clock: Waits between attempts to connect.
        on_trouble: Told what keeps the provider from working, and what stopped it.
    """

    #: See ``Deliveries``.
    commit_is_remote = True

    def __init__(self, provider: Provider, clock: Clock, on_trouble: Callable[[MailblastError], None]) -> None:
        self.provider = provider
        self._clock = clock
        self._on_trouble = on_trouble
        #: In the order of their turns.
        self._pipelines: list[Pipeline] = []
        #: Whose messages are with the provider.
        self._owners: dict[str, Pipeline] = {}
        self._begun: set[Pipeline] = set()
        self._changed = asyncio.Event()
        self._closed = False
        self._delivering: asyncio.Task[None] = asyncio.create_task(self._deliver(), name="carrier")

    @property
    def in_flight(self) -> int:
        """Messages that the provider holds."""
        return len(self._owners)

    def add(self, pipeline: Pipeline) -> None:
        """Deliver from one more pipeline."""
        self._pipelines.append(pipeline)
        self._changed.set()

    def remove(self, pipeline: Pipeline) -> None:
        """Take nothing more from a pipeline; it is told what comes of what it gave."""
        if pipeline in self._pipelines:
            self._pipelines.remove(pipeline)
        self._changed.set()

    def abort(self) -> None:
        """Cut all connections; what was complete without a reply is in doubt."""
        self._delivering.cancel()

    async def close(self) -> None:
        """Wait until everything that was taken is finished."""
        self._closed = True
        self._changed.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._delivering

    # The provider calls.

    def take(self) -> Message | None:
        """Return the next message whose time has come, or None."""
        pipelines = self._pipelines
        for _ in range(len(pipelines)):
            pipeline = pipelines[0]
            if len(pipelines) > 1:
                pipelines.append(pipelines.pop(0))
            message = pipeline.take()
            if message is not None:
                self._owners[message.message_id] = pipeline
                return message
        return None

    async def wait(self) -> bool:
        """Wait until ``take()`` may give a message; False when none will come any more."""
        while not self._closed:
            self._changed.clear()
            waiting: set[asyncio.Future[Any]] = {asyncio.ensure_future(each.wait()) for each in self._pipelines}
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                done, _ = await asyncio.wait({changed, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (changed, *waiting):
                    each.cancel()
            if any(each.result() for each in done - {changed}):
                return True
            # Those that are stopped have nothing more, and are not waited for again.
            self._pipelines = [each for each in self._pipelines if each.stopped is None]
        return False

    def begin(self, message: Message) -> None:
        """Mark a message as being sent, with ``commit()``."""
        pipeline = self._owners[message.message_id]
        pipeline.begin(message)
        self._begun.add(pipeline)

    def commit(self) -> asyncio.Future[Any] | None:
        """Write all marks; see ``Deliveries``."""
        begun, self._begun = self._begun, set()
        writing = []
        errors: list[MailblastError] = []
        for pipeline in begun:
            try:
                written = pipeline.commit()
            except MailblastError as error:
                pipeline.stop(error)
                errors.append(error)
            else:
                if written is not None:
                    writing.append(written)
        if errors:
            raise errors[0]
        return asyncio.gather(*writing) if len(writing) > 1 else writing[0] if writing else None

    def finish(self, message: Message, attempt: Attempt) -> None:
        """Tell what one attempt came to."""
        self._owners.pop(message.message_id).finish(message, attempt)

    # Inside.

    async def _deliver(self) -> None:
        wait_s = RECONNECT_S[0]
        while not self._closed:
            answered = self._answered()
            try:
                await self.provider.deliver(self)
            except LeaseLostError:
                # That campaign's pipeline is stopped; the others go on.
                continue
            except QueueAwayError as error:
                self._stop(error)
            except ProviderUnavailableError as error:
                self._on_trouble(error)
                for pipeline in self._pipelines:
                    pipeline.connect_again()
                wait_s = RECONNECT_S[0] if self._answered() > answered else min(2 * wait_s, RECONNECT_S[1])
                await self._pause(wait_s)
            except AccountError as error:
                self._on_trouble(error)
                self._stop(error)
            except MailblastError as error:
                self._stop(error)
            except BaseException:
                self._stop(ProviderUnavailableError("The provider ended early."))
                raise
            finally:
                self._settle()

    def _answered(self) -> int:
        return sum(pipeline.answered for pipeline in self._pipelines)

    async def _pause(self, seconds: float) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._closed:
                    await self._changed.wait()
                    self._changed.clear()

    def _stop(self, reason: MailblastError) -> None:
        for pipeline in self._pipelines:
            pipeline.stop(reason)
        self._pipelines.clear()

    def _settle(self) -> None:
        """Have nobody wait for what the provider has not finished although it owes it."""
        for pipeline in set(self._owners.values()):
            pipeline.stop_if_unfinished(ProviderUnavailableError("The provider ended early."))
        self._owners.clear()
