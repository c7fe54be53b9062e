"""Where and how SendGrid is used, from a DSN."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mailblast.errors import UsageError
from mailblast.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.providers.dsn import Dsn

KEY_NAME = "SENDGRID_API_KEY"
REGIONS = ("global", "eu")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

#: "A maximum of 1000 personalizations" (Twilio's OpenAPI file of POST /v3/mail/send).
MAX_BATCH = 1000
#: Large enough that a request's round trip costs nothing a recipient, small enough for how many a lost reply puts in
#: doubt.
DEFAULT_BATCH = 250
DEFAULT_CONCURRENCY = 4
MAX_CONCURRENCY = 64
#: Seconds for connecting, and for each wait for the answer.
DEFAULT_TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 600.0
#: Twilio's OpenAPI file: at most 10 categories of at most 255 characters.
MAX_CATEGORIES = 10
MAX_CATEGORY = 255


@dataclass(frozen=True, slots=True)
class SendgridSettings:
    """How one account is used. Its repr shows no key."""

    key: Secret
    region: str = "global"
    #: Instead of the region's address, such as a server for tests; empty for the region's own.
    endpoint: str = ""
    #: Recipients a request.
    batch: int = DEFAULT_BATCH
    #: Requests at once.
    concurrency: int = DEFAULT_CONCURRENCY
    timeout_s: float = DEFAULT_TIMEOUT_S
    #: Requests are checked by SendGrid and nothing is mailed.
    sandbox: bool = False
    #: Unsubscribe group; None for none.
    asm_group: int | None = None
    categories: tuple[str, ...] = ()
    #: How long a request that is not full waits for more recipients.
    linger_s: float = 0.05

    @property
    def name(self) -> str:
        """The provider's name for outcomes and screens."""
        return "sendgrid" if self.region == "global" else f"sendgrid:{self.region}"

    @property
    def on_loopback(self) -> bool:
        """Whether requests stay on this machine."""
        return bool(self.endpoint) and urlsplit(self.endpoint).hostname in LOOPBACK


def sendgrid_settings(dsn: Dsn, settings: Mapping[str, str], *, connections: int | None = None) -> SendgridSettings:
    """Read the settings of a ``sendgrid`` DSN.

    Args:
        dsn: Its host is the region.
        settings: Merged settings; the key is read from ``SENDGRID_API_KEY`` alone.
        connections: Requests at once; overrides the DSN's ``concurrency``.

    Raises:
        UsageError: The key is missing, or an option cannot be honoured.
    """
    if dsn.user or dsn.password is not None or dsn.port is not None:
        raise UsageError(
            "A sendgrid DSN takes neither a key nor a port.",
            fix=f"Write sendgrid or sendgrid://eu, and set {KEY_NAME}.",
        )
    region = dsn.host.lower() or "global"
    if region not in REGIONS:
        raise UsageError(f"SendGrid has no region '{dsn.host}'.", fix="Write sendgrid:// or sendgrid://eu.")
    options = dsn.options
    concurrency = connections or _number(options, "concurrency", DEFAULT_CONCURRENCY, MAX_CONCURRENCY)
    return SendgridSettings(
        _key(settings),
        region,
        _endpoint(options.get("endpoint", "")),
        _number(options, "batch", DEFAULT_BATCH, MAX_BATCH),
        min(concurrency, MAX_CONCURRENCY),
        _timeout_s(options.get("timeout", "")),
        _is_on(options, "sandbox"),
        _number(options, "asm", 0, 2**31 - 1) or None,
        _categories(options.get("categories", "")),
    )


def _key(settings: Mapping[str, str]) -> Secret:
    key = settings.get(KEY_NAME, "").strip()
    if not key:
        raise UsageError(
            f"SendGrid needs an API key, and {KEY_NAME} is not set.",
            fix=f"Set {KEY_NAME} in the environment or in .env; make a key with the right 'Mail Send' at "
            "app.sendgrid.com, Settings, API Keys.",
        )
    # It becomes a header of the request.
    if not re.fullmatch(r"[!-~]+", key):
        raise UsageError(f"{KEY_NAME} holds blanks or characters that no key has.", fix="Copy the key again.")
    return Secret(key)


def _endpoint(text: str) -> str:
    if not text:
        return ""
    parts = urlsplit(text)
    try:
        port_is_valid = parts.port != 0
    except ValueError:
        port_is_valid = False
    plain = not (parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"))
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not (parts.hostname and port_is_valid and plain and safe):
        raise UsageError(
            "Option 'endpoint' of the DSN cannot be used.",
            fix="Give https://HOST, or http://127.0.0.1:PORT for a server on this machine.",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _number(options: Mapping[str, str], name: str, default: int, largest: int) -> int:
    text = options.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and 0 < int(text[:11]) <= largest):
        raise UsageError(
            f"Option '{name}' of the DSN is '{text[:20]}'.", fix=f"Give a whole number from 1 to {largest:,}."
        )
    return int(text)


def _timeout_s(text: str) -> float:
    if not text:
        return DEFAULT_TIMEOUT_S
    if re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]{1,3})?", text) and 0 < float(text) <= MAX_TIMEOUT_S:
        return float(text)
    raise UsageError(f"Option 'timeout' of the DSN is '{text[:20]}'.", fix="Give seconds, such as 30 or 2.5.")


def _is_on(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name, "off").lower()
    if text not in {"on", "off"}:
        raise UsageError(f"Option '{name}' of the DSN is '{text[:20]}'.", fix=f"Write {name}=on or {name}=off.")
    return text == "on"


def _categories(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    if len(names) > MAX_CATEGORIES or any(len(name) > MAX_CATEGORY for name in names):
        raise UsageError(
            "Option 'categories' of the DSN holds more than SendGrid takes.",
            fix=f"Give at most {MAX_CATEGORIES} names of at most {MAX_CATEGORY} characters, separated by commas.",
        )
    return names
