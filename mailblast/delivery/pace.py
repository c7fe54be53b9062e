"""How fast one run may go, and why it goes no faster: all limits, the warm-up, and what servers have asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mailblast.delivery.day_limits import DayLimit, Ramp, RollingLimit, WarmUpLimit
from mailblast.delivery.limits import Limits, RateLimit
from mailblast.delivery.limits_file import LimitsFile
from mailblast.delivery.slow_down import SlowDown
from mailblast.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from mailblast.clock import Clock
    from mailblast.delivery.limits import DailyLimit, Limit
    from mailblast.delivery.line import Lane
    from mailblast.delivery.throttle import Rate
    from mailblast.model.reply import Reply

#: A day's limit that is free again so soon is waited for.
PATIENCE_S = 60.0
#: The rate that has been reached is taken over so many seconds.
MEASURED_S = 10.0
#: Longest part of a reply that is shown.
SAID_CHARACTERS = 120


class LimitReachedError(ProviderError):
    """Today's messages are sent; the rest is unsent, and the same command continues with it tomorrow."""


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """The limits of one run."""

    rates: tuple[Rate, ...] = ()
    domain_rates: Mapping[str, Rate] = field(default_factory=dict)
    #: Recipients in a calendar day (UTC).
    daily_cap: int | None = None
    #: Recipients in any 24 hours that the provider takes.
    per_day: int | None = None
    #: Of these, what is left for now where the provider says so; others may send by the same account.
    left_today: int | None = None
    #: Recipients on each day of a warm-up; none where there is no warm-up.
    ramp: tuple[int, ...] = ()
    #: The file that keeps and shares all this; None keeps it in the memory of this process.
    file: Path | None = None

    @property
    def per_second(self) -> float | None:
        """The tightest rate that holds for everybody, for the grade and for estimates; None where there is none."""
        return min((rate.per_second for rate in self.rates), default=None)

    @property
    def is_unlimited(self) -> bool:
        """Whether there is no limit at all."""
        return not (self.rates or self.domain_rates or self.daily_cap or self.per_day or self.ramp)


class Pace:
    """The permits of one process's messages; see ``line.Permits``.

    Without limits nothing is opened, and nothing is asked.

    Args:
        settings: The limits.
        clock: The time of day for limits, monotonic time for slow-downs.
    """

    #: What to do when a day's limit is reached.
    GO_ON = "Run the same command again from {} UTC on: it continues."

    def __init__(self, settings: PaceSettings, clock: Clock) -> None:
        self.settings = settings
        #: Holds for everybody; None where nobody asked to slow down.
        self.account: SlowDown | None = None
        self._clock = clock
        self._now = clock.now
        self._file: LimitsFile | None = None
        self._opened_s = 0.0
        self._limits: Limits | None = None
        self._general: tuple[Limit, ...] | None = None
        self._by_domain: dict[str, tuple[Limit, ...]] = {}
        self._days: tuple[DailyLimit, ...] = ()
        #: When so many were answered: at least ``MEASURED_S`` ago, and the last time.
        self._measured: list[tuple[float, int]] = [(clock.monotonic(), 0)]

    @property
    def per_second(self) -> float | None:
        """The tightest rate that holds for everybody; None where there is none."""
        return self.settings.per_second

    @property
    def has_domains(self) -> bool:
        """Whether any domain has a limit of its own."""
        return bool(self.settings.domain_rates)

    @property
    def counts_days(self) -> bool:
        """Whether a limit counts recipients by the day, so that those tried again are to be given back."""
        self.general()
        return bool(self._days)

    @property
    def trouble(self) -> str:
        """Why the limits are this process's alone; empty where they are shared, or there are none."""
        self.general()
        if self._file is None or self.settings.file is None:
            return ""
        return self._file.trouble

    @property
    def damaged(self) -> bool:
        """Whether the file was damaged when it was opened, so that what was sent today before is not known."""
        self.general()
        return self._file is not None and self._file.whole_since_s == self._opened_s

    def resolved(self) -> PaceSettings:
        """Return the settings for further processes of this run, which begin later and count what this one knows."""
        self.general()
        caps = [limit.cap for limit in self._days if isinstance(limit, RollingLimit)]
        return replace(self.settings, per_day=caps[0] if caps else None, left_today=None)

    def general(self) -> Sequence[Limit]:
        """Return the limits that hold for everybody; they are opened now."""
        if self._general is None:
            self._general = () if self.settings.is_unlimited else self._open()
        return self._general

    def of_domain(self, domain: str) -> Sequence[Limit]:
        """Return the limits of a domain, which has a slot from now on; none for most."""
        limits = self._by_domain.get(domain)
        if limits is None:
            rate = self.settings.domain_rates.get(domain)
            if rate is None:
                return ()
            self.general()
            assert self._file is not None
            self._file.wait_for_lock()
            try:
                limits = (RateLimit(self._file, f"domain {domain}", rate, f"{domain} {words_of(rate)}"),)
            finally:
                self._file.unlock()
            self._by_domain[domain] = limits
        return limits

    def wait_s(self, limits: Sequence[Limit]) -> float:
        """Return the seconds until these may allow one more."""
        now = self._now()
        return max(limit.wait_s(now) for limit in limits)

    def take(self, limits: Sequence[Limit]) -> bool:
        """Take a permit of all of them, or of none."""
        assert self._limits is not None
        return self._limits.take(limits, self._now()) <= 0

    def give_back(self) -> None:
        """Count one recipient less today: it did not get the message and will be tried again."""
        if self._days:
            assert self._limits is not None
            self._limits.give_back(self._days, self._now())

    def day_is_over(self) -> LimitReachedError | None:
        """Return why nothing more goes today; None while something may."""
        now = self._now()
        for limit in self._days:
            wait = limit.wait_s(now)
            if wait > PATIENCE_S:
                ready = datetime.fromtimestamp(now + wait, UTC)
                return LimitReachedError(
                    f"{limit.words[0].upper()}{limit.words[1:]}: all {limit.cap:,} are used up.",
                    fix=self.GO_ON.format(f"{ready:%Y-%m-%d %H:%M}"),
                )
        return None

    def quota(self) -> tuple[int, int] | None:
        """Return how many of a day's recipients are used up, and how many there are; of the limit that is nearest.

        None where no day has a limit.
        """
        if not self._days or self._limits is None:
            return None
        self._limits.look(self._days, self._now())
        pairs = [(limit.used, limit.cap) for limit in self._days if isinstance(limit, DayLimit | RollingLimit)]
        return max(pairs, key=lambda pair: pair[0] / max(pair[1], 1), default=None)

    def slow_account(self, reply: Reply | None, retry_after_s: float | None, answered: int) -> SlowDown:
        """Slow everything down."""
        if self.account is None:
            self.account = SlowDown(self.per_second or self._reached_per_s(answered))
        self.account.complain(self._clock.monotonic(), said_of(reply), retry_after_s)
        return self.account

    def slow_domain(
        self, lane: Lane[Any], reply: Reply | None, retry_after_s: float | None, answered: int, share: float
    ) -> SlowDown:
        """Slow a domain down.

        Args:
            lane: The domain's.
            reply: Which asked for it.
            retry_after_s: The time it names.
            answered: Messages answered in this run so far.
            share: Of the messages here that go to this domain.
        """
        if lane.slow is None:
            rate = self.settings.domain_rates.get(lane.domain)
            reached = self._reached_per_s(answered) * share
            lane.slow = SlowDown(min(rate.per_second, reached) if rate and reached else reached or 1.0)
        lane.slow.complain(self._clock.monotonic(), said_of(reply), retry_after_s)
        return lane.slow

    def recover(self) -> None:
        """Let go of a slow-down of everything that is over."""
        if self.account is not None and self.account.is_over(self._clock.monotonic()):
            self.account = None

    def measure(self, answered: int) -> None:
        """Take note of how far the run is; called about once a second."""
        now = self._clock.monotonic()
        self._measured.append((now, answered))
        while len(self._measured) > 2 and now - self._measured[1][0] >= MEASURED_S:  # noqa: PLR2004 - two to compare
            del self._measured[0]

    def limiting(self, held: Lane[Any] | None, slowed: Iterable[Lane[Any]]) -> str:
        """Return what the run waits for, in a few words; empty where nothing limits it.

        Args:
            held: The lane that holds the most.
            slowed: Lanes that are slower than usual.
        """
        words = [f"slowed by the provider: {self.account.said}"] if self.account is not None else []
        now = self._now()
        if held is not None and held.limits:
            limit = max(held.limits, key=lambda limit: limit.wait_s(now))
            if limit.wait_s(now) > 0:
                words.append(limit.words)
        words += [f"{lane.domain} slowed: {lane.slow.said}" for lane in slowed if lane.slow is not None][:2]
        return ", ".join(words)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> tuple[Limit, ...]:
        settings = self.settings
        self._opened_s = self._now()
        file = self._file = LimitsFile(settings.file, self._opened_s)
        self._limits = Limits(file)
        tightest: dict[float, Rate] = {}
        for rate in settings.rates:
            other = tightest.get(rate.per_s, rate)
            tightest[rate.per_s] = min(rate, other)
        file.wait_for_lock()
        try:
            days: list[DailyLimit] = []
            if settings.daily_cap:
                days.append(DayLimit(file, "cap", settings.daily_cap, "daily cap"))
            if settings.per_day:
                quota = RollingLimit(file, "provider", settings.per_day, "the provider's limit for 24 hours")
                if settings.left_today is not None:
                    quota.leave(settings.left_today, self._opened_s)
                days.append(quota)
            if settings.ramp:
                days.append(WarmUpLimit(file, "account", Ramp(settings.ramp)))
            rates = [RateLimit(file, "all", rate, f"rate {words_of(rate)}") for rate in tightest.values()]
        finally:
            file.unlock()
        self._days = tuple(days)
        return (*rates, *days)

    def _reached_per_s(self, answered: int) -> float:
        then_s, before = self._measured[0]
        seconds = max(self._clock.monotonic() - then_s, 1.0)
        return (answered - before) / seconds


def words_of(rate: Rate) -> str:
    """Return a rate as users write it, such as ``14/s``."""
    units = {1: "s", 60: "min", 3600: "h", 86400: "day"}
    return f"{rate.recipients:g}/{units.get(round(rate.per_s), f'{rate.per_s:g} s')}"


def said_of(reply: Reply | None) -> str:
    """Return a reply in short."""
    if reply is None:
        return "no reason given"
    said = f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " ").strip()
    return said if len(said) <= SAID_CHARACTERS else said[: SAID_CHARACTERS - 1] + "…"
