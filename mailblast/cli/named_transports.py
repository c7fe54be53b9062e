"""``--via-column``: each row of a list chooses one of the transports in ``mailblast.toml``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mailblast.cli import campaigns
from mailblast.cli.authenticity import SIGNING_PROVIDERS
from mailblast.delivery.composer import Composer
from mailblast.errors import UsageError
from mailblast.executors.inline import MAX_RECONNECTS
from mailblast.executors.inline_route import InlineRoute
from mailblast.executors.transports import TransportsExecutor
from mailblast.providers.transport_cache import MAXIMUM, Key, TransportCache
from mailblast.recipients.row_routes import transport_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailblast.cli.bulk_job import BulkJob
    from mailblast.cli.bulk_options import BulkOptions
    from mailblast.cli.campaigns import Transport, TransportFlags
    from mailblast.cli.settings import Settings
    from mailblast.clock import Clock
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.journal.journal import Journal
    from mailblast.model.recipient import Claim
    from mailblast.providers.dsn import Dsn
    from mailblast.providers.provider import Provider
    from mailblast.providers.transport_cache import CacheStatistics

#: The name of ``--via`` among the transports.
DEFAULT = ""


def named_transports(
    options: BulkOptions, settings: Settings, transports: Sequence[Transport], flags: TransportFlags, clock: Clock
) -> dict[str, Transport]:
    """Return the transports that rows may choose, by name, none of them open; empty without ``--via-column``.

    Raises:
        UsageError: There are none, one cannot be used, or they do not go together with the other options.
    """
    from mailblast.providers.dsn import parse_dsn

    if options.via_column is None:
        return {}
    if len(transports) > 1:
        raise UsageError("--via-column goes with one --via.", fix="Give --via once, for rows that choose none.")
    if options.processes > 1:
        raise UsageError("--via-column is for one process.", fix="Leave --processes out.")
    if not settings.transports:
        raise UsageError(
            "--via-column needs [transports] in mailblast.toml, which is not there.",
            fix='Write it like: [transports] and, below, news = "smtp://news@mail.example.com:587".',
        )
    named: dict[str, Transport] = {}
    keys = {key_of(transports[0].dsn): transports[0].dsn}
    for name, text in settings.transports.items():
        try:
            named[name] = transport = campaigns.make_transport(settings, parse_dsn(text), flags, clock)
        except UsageError as error:
            raise UsageError(f"[transports] {name}: {error.message}", fix=error.fix) from error
        other = keys.setdefault(key_of(transport.dsn), transport.dsn)
        if other != transport.dsn:
            raise UsageError(
                f"[transports] {name} and another one, or --via, are the same account with different options.",
                fix="Write both alike.",
            )
    if transports[0].is_default and any(each.provider.leaves_machine for each in named.values()):
        raise UsageError("No provider is configured for rows that choose none.", fix="Give --via as well.")
    if len({each.provider.leaves_machine for each in (transports[0], *named.values())}) > 1:
        raise UsageError(
            "Of the transports in mailblast.toml and --via some only write into a folder: who is written there counts "
            "as served, and gets nothing.",
            fix="Let all of them send, or none.",
        )
    return named


def key_of(dsn: Dsn) -> Key:
    """Return what a transport is kept by."""
    return Key(dsn.scheme, dsn.host or dsn.path, dsn.port, dsn.user)


def words_of(statistics: CacheStatistics) -> str:
    """Return what the cache came to, in one line."""
    return (
        f"{statistics.size} of at most {statistics.maximum} open, hit rate {statistics.hit_rate:.1%} of "
        f"{statistics.hits + statistics.misses:,} requests, {statistics.evictions} evicted, {statistics.expirations} "
        f"expired, {statistics.memory_bytes / 1024:,.0f} KB"
    )


class NamedTransports:
    """The transports of one run.

    Args:
        job: The mailing.
        journal: Open, its run begun.
    """

    def __init__(self, job: BulkJob, journal: Journal) -> None:
        self._job = job
        self._journal = journal
        #: By the names that rows use.
        by_name: Mapping[str, Transport] = {**job.named, DEFAULT: job.transport}
        self._keys = {name: key_of(transport.dsn) for name, transport in by_name.items()}
        self._transports = {key_of(transport.dsn): transport for transport in by_name.values()}
        self._names = frozenset(job.named)
        self._cache = TransportCache(self._make, job.clock)
        self._composer = functools.cache(self._compiled)

    def make_executor(self, on_outcome: OnOutcome, on_done: OnDone) -> Executor:
        """Return what delivers each row by its transport."""
        return TransportsExecutor(
            self._cache,
            self._key_of,
            self._route,
            self._job.clock,
            maximum=MAXIMUM,
            on_outcome=on_outcome,
            on_done=on_done,
        )

    def statistics(self) -> CacheStatistics | None:
        """Return what the cache has come to; None where rows choose nothing."""
        return self._cache.statistics() if self._names else None

    async def close(self) -> None:
        """Close all transports."""
        await self._cache.close()

    def _key_of(self, claim: Claim) -> Key:
        return self._keys[transport_of(claim.recipient, self._job.via_column, self._names)]

    def _make(self, key: Key) -> Provider:
        return self._job.make_provider(self._transports[key].dsn)

    def _route(self, key: Key, provider: Provider) -> InlineRoute:
        job, transport = self._job, self._transports[key]._replace(provider=provider)
        signs = transport.dsn.scheme in SIGNING_PROVIDERS
        return InlineRoute(
            provider,
            lambda: job.make_pace(transport),
            lambda composition: self._composer(composition, signs),
            self._journal.segment(),
            job.clock,
            batches_in_flight=job.options.batches,
            attachments=job.attachments,
            reconnects=MAX_RECONNECTS,
        )

    def _compiled(self, composition: bool, signs: bool) -> Composer:
        campaign = self._job.campaign(self._journal)
        if signs:
            campaign = campaign._replace(dkim=None)
        return Composer(campaign, self._job.keys, composition=composition)
