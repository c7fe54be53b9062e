"""From options and settings to the limits of a run."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailblast.delivery.domain_rates import gentle_rates, parse_domain_rates
from mailblast.delivery.pace import PaceSettings
from mailblast.delivery.throttle import Rate, parse_rate
from mailblast.delivery.warm_up import RAMP, read_ramp
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailblast.cli.settings import Settings
    from mailblast.providers.dsn import Dsn
    from mailblast.providers.provider import ProviderLimits

#: Folder under the journals' where limits are kept; no campaign can have such a name.
FOLDER = ".pace"
#: Where servers take mail from other servers (RFC 5321 section 4.5.4.2), not from users (RFC 6409).
RELAY_PORT = 25
LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")
#: What tells one account at a service from another where the DSN does not; only a hash of it is kept.
ACCOUNT_NAMES = ("SMTP_USER", "AWS_PROFILE", "AWS_ACCESS_KEY_ID")
#: Words of the setting ``warm-up`` that ask for the built-in ramp, and those that ask for none.
YES, NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
#: A count has 32 bits in the file.
MAX_CAP = 2**32 - 1


class PaceFlags(NamedTuple):
    """The options about the pace beside ``--rate``, as given."""

    domain_rates: tuple[str, ...] = ()
    daily_cap: int | None = None
    warm_up: bool = False
    warm_up_table: Path | None = None


class PaceOptions(NamedTuple):
    """The limits that were asked for, and those that this machine has."""

    #: None where none was asked for, so that the provider's holds.
    rates: tuple[Rate, ...] | None
    domain_rates: Mapping[str, Rate]
    daily_cap: int | None
    ramp: tuple[int, ...]


def read_pace_options(flags: PaceFlags, rates: Sequence[str], settings: Settings, dsn: Dsn) -> PaceOptions:
    """Read flags and, behind them, settings.

    Raises:
        UsageError: One of them cannot be honoured.
    """
    texts = rates or (settings.text("MAILBLAST_RATE") or "").split()
    asked = tuple(rate for rate in map(parse_rate, texts) if rate is not None)
    by_domain = flags.domain_rates or (settings.text("MAILBLAST_DOMAIN_RATE") or "").split()
    cap = settings.number("MAILBLAST_DAILY_CAP", flags.daily_cap)
    if cap is not None and cap > MAX_CAP:
        raise UsageError(f"A daily cap of {cap} is none.", fix=f"Give at most {MAX_CAP}, or leave it out.")
    domain_rates = parse_domain_rates(by_domain, gentle_rates() if hands_to_exchangers(dsn, settings) else {})
    return PaceOptions(asked if texts else None, domain_rates, cap, _ramp(flags, settings))


def hands_to_exchangers(dsn: Dsn, settings: Settings) -> bool:
    """Return whether mail goes to another machine's port 25 without a login: no relay of ours paces it after us."""
    if dsn.scheme != "smtp":
        return False
    host, port, user = dsn.host, str(dsn.port or ""), dsn.user
    if not host:
        host, port, user = (settings.text(name) or "" for name in ("SMTP_HOST", "SMTP_PORT", "SMTP_USER"))
    return port == str(RELAY_PORT) and not user and not LOOPBACK.fullmatch(host)


def pace_settings(asked: PaceOptions, limits: ProviderLimits, file: Path) -> PaceSettings:
    """Return what is asked for together with what the provider allows."""
    rates = asked.rates
    if rates is None:
        rates = () if limits.rate_per_s is None else (Rate(limits.rate_per_s, 1.0),)
    return PaceSettings(
        rates,
        asked.domain_rates,
        asked.daily_cap,
        limits.per_day,
        limits.left_today,
        asked.ramp,
        file,
    )


def account_file(settings: Settings, dsn: Dsn, provider: str) -> Path:
    """Return the file of the account that mail goes by."""
    words = [provider, dsn.user, str(dsn.port or "")]
    if not dsn.user:
        words += [settings.text(name) or "" for name in ACCOUNT_NAMES]
    shown = re.sub(r"[^A-Za-z0-9.-]+", "-", provider).strip(".-")[:80]
    return settings.home / FOLDER / f"{shown}-{blake2b(chr(0).join(words).encode(), digest_size=6).hexdigest()}.limits"


def _ramp(flags: PaceFlags, settings: Settings) -> tuple[int, ...]:
    if flags.warm_up_table is not None:
        return read_ramp(flags.warm_up_table)
    word = "yes" if flags.warm_up else settings.text("MAILBLAST_WARM_UP") or "no"
    if word.lower() in NO:
        return ()
    return RAMP if word.lower() in YES else read_ramp(Path(word))
