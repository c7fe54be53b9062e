"""Several providers for one run, one after the other: when one stops the run, the next one takes what is left.

Only what is certainly not sent moves on: what the executor of the provider that stopped gives back as ``unsent``. What
was begun there and has no answer is in doubt, and stays so.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeVar

from mailblast.errors import AccountError, MailblastError, ProviderError, ProviderUnavailableError, RunInterruptedError
from mailblast.model.outcome import Outcome, State, unsent
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from mailblast.clock import Clock
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.model.recipient import Claim

#: Ends of a run that are the provider's, so that another one may do better. A limit that is reached is none of them: it
#: is kept, not got round.
PROVIDERS_OWN = (ProviderUnavailableError, AccountError)
#: Claims that go to the next provider in one batch.
AT_ONCE = 100


class Route(Protocol):
    """One provider that a run may go by, and all that belongs to it: limits, messages, an executor."""

    #: Name of the provider.
    name: str

    async def open(self) -> None:
        """Make ready.

        Raises:
            ProviderError: The provider cannot be used.
            UsageError: It does not take what is to be sent.
        """
        ...

    def make_executor(self, on_outcome: OnOutcome, on_done: OnDone) -> Executor:
        """Return what delivers by this provider, which is open."""
        ...

    async def close(self) -> None:
        """Let go of everything. May be called twice, and without ``open()``."""
        ...


R = TypeVar("R", bound=Route)


class Switch(NamedTuple):
    """A run goes on with another provider."""

    #: Name of the one that stopped.
    before: str
    reason: MailblastError
    #: Name of the one that is next.
    after: str

    def __str__(self) -> str:
        return f"provider {self.before} stopped: {self.reason.message.rstrip('.')}; going on with {self.after}"


async def open_first(routes: Sequence[R], on_switch: Callable[[Switch], None]) -> list[R]:
    """Open the first of some routes that can be opened; return it and those behind it.

    Args:
        routes: In the order in which they are wanted.
        on_switch: Told about each that is passed over.

    Raises:
        ProviderError: None can be opened; that of the last one.
        UsageError: The first that can be reached does not take what is to be sent.
    """
    left = list(routes)
    while True:
        route = left[0]
        try:
            await route.open()
        except BaseException as error:
            await route.close()
            if len(left) == 1 or not isinstance(error, PROVIDERS_OWN):
                raise
            on_switch(Switch(route.name, error, left[1].name))
            del left[0]
        else:
            return left


class FailoverExecutor:
    """Run batches by one provider until it stops, then by the next; see ``Executor``.

    Args:
        routes: The first one is open. Others are opened when they are needed, and those that are left are closed; the
            one in use at the end is the caller's to close.
        clock: Times of outcomes that are made here.
        on_outcome: Called for each outcome.
        on_done: Called with the outcomes of finished batches, several at a time.
        on_switch: Told when the run goes on with another provider, before that is opened.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        clock: Clock,
        *,
        on_outcome: OnOutcome,
        on_done: OnDone,
        on_switch: Callable[[Switch], None],
    ) -> None:
        self.stopping = asyncio.Event()
        self._route, *self._left = routes
        self._clock = clock
        self._on_outcome = on_outcome
        self._on_done = on_done
        self._on_switch = on_switch
        self._stopped: MailblastError | None = None
        #: What is under way, by id.
        self._claims: dict[int, Claim] = {}
        #: What goes to the next provider.
        self._back: list[Claim] = []
        self._handed_over: set[int] = set()
        #: Held while something is given to the executor, and while it is replaced.
        self._lock = asyncio.Lock()
        self._moved = asyncio.Event()
        self._is_switching = False
        self._executor = self._route.make_executor(self._note, self._done)
        self._is_entered = False
        self._watching: asyncio.Task[None]

    @property
    def stopped(self) -> MailblastError | None:
        """Why nothing more is handed out; None while it is, or will be by the next provider."""
        if self._stopped is not None:
            return self._stopped
        return None if self._is_switching or self._may_switch() else self._executor.stopped

    async def __aenter__(self) -> Self:
        await self._executor.__aenter__()
        self._is_entered = True
        self._watching = asyncio.create_task(self._watch(), name="failover")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stop(error if isinstance(error, MailblastError) else RunInterruptedError("The run was broken off."))
        try:
            await self.drain()
        finally:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            if self._is_entered:
                await self._executor.__aexit__(kind, error, trace)

    async def submit(self, batch: Batch) -> None:
        """Start a batch; wait first while too many are under way, or the provider is being replaced."""
        async with self._lock:
            if self._is_entered:
                self._claims.update((claim.id, claim) for claim in batch.claims)
                await self._executor.submit(batch)
            else:
                self._settle(batch.claims)

    async def drain(self) -> None:
        """Wait until every batch has its outcomes, by whichever provider."""
        while True:
            async with self._lock:
                if self._is_entered:
                    await self._executor.drain()
            if self._watching.done():
                # A defect there must not pass for an end.
                self._watching.result()
                return
            if not self._may_switch():
                return
            self._moved.clear()
            await self._moved.wait()

    def limiting(self) -> str:
        """Return what the run waits for, in a few words; empty where nothing limits it."""
        return self._executor.limiting()

    def stop(self, reason: MailblastError) -> None:
        """Hand out nothing more, by no provider. The first reason stays."""
        if self.stopped is not None:
            return
        self._stopped = reason
        self.stopping.set()
        self._executor.stop(reason)

    def abort(self) -> None:
        """Stop at once: connections are cut, what was complete on the wire without a reply is in doubt."""
        self._executor.abort()

    # Inside.

    def _may_switch(self) -> bool:
        """Return whether the provider has stopped and another one is to go on."""
        return self._stopped is None and bool(self._left) and isinstance(self._executor.stopped, PROVIDERS_OWN)

    def _note(self, outcome: Outcome) -> None:
        claim = self._claims.pop(outcome.id)
        if outcome.state is State.UNSENT and self._may_switch():
            self._back.append(claim)
            self._handed_over.add(outcome.id)
        else:
            self._on_outcome(outcome)

    def _done(self, outcomes: Sequence[Outcome]) -> None:
        if self._handed_over:
            left = [outcome for outcome in outcomes if outcome.id not in self._handed_over]
            self._handed_over.difference_update(outcome.id for outcome in outcomes)
            outcomes = left
        if outcomes:
            self._on_done(outcomes)

    def _settle(self, claims: Sequence[Claim]) -> None:
        """Leave these unsent: no provider is left for them."""
        outcomes = [unsent(claim, self._clock.now()) for claim in claims]
        for outcome in outcomes:
            self._on_outcome(outcome)
        try:
            if outcomes:
                self._on_done(outcomes)
        except MailblastError as error:
            self.stop(error)

    async def _watch(self) -> None:
        try:
            while True:
                await self._executor.stopping.wait()
                if not self._may_switch():
                    self.stopping.set()
                    return
                async with self._lock:
                    await self._switch()
                self._moved.set()
        finally:
            self._is_switching = False
            self._moved.set()

    async def _switch(self) -> None:
        """Go on with the next provider that can be opened, with what the one before has not sent."""
        reason = self._executor.stopped
        assert reason is not None
        # What is in flight is answered first, as far as it will be.
        self._is_switching = True
        await self._executor.__aexit__(None, None, None)
        self._is_entered = False
        while self._left and self._stopped is None:
            await self._route.close()
            before, self._route = self._route, self._left.pop(0)
            self._on_switch(Switch(before.name, reason, self._route.name))
            try:
                await self._open()
            except ProviderError as error:
                reason = error
            except MailblastError as error:
                reason = ProviderUnavailableError(f"{self._route.name} cannot go on: {error.message}", fix=error.fix)
            if self._is_entered:
                break
        claims, self._back = self._back, []
        self._is_switching = False
        if not self._is_entered:
            self._stopped = self._stopped or reason
            self.stopping.set()
            self._settle(claims)
            return
        for start in range(0, len(claims), AT_ONCE):
            # Not numbered: none of them is to come back unsent because of a slow domain.
            batch = Batch(-1, tuple(claims[start : start + AT_ONCE]))
            self._claims.update((claim.id, claim) for claim in batch.claims)
            await self._executor.submit(batch)

    async def _open(self) -> None:
        """Open the route and start its executor, unless the run is told to end meanwhile."""
        opening = asyncio.ensure_future(self._route.open())
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                opening.result()
        finally:
            opening.cancel()
            stopping.cancel()
            await asyncio.gather(opening, stopping, return_exceptions=True)
        if self._stopped is None:
            executor = self._route.make_executor(self._note, self._done)
            await executor.__aenter__()
            self._executor, self._is_entered = executor, True
