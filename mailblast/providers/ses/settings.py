"""Where and how SES is used, from a DSN and the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mailblast.errors import UsageError
from mailblast.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.providers.dsn import Dsn

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
#: Calls at once where neither DSN nor account say more.
DEFAULT_CONCURRENCY = 16
#: The most that an account's rate leads to by itself.
MAX_DEFAULT_CONCURRENCY = 128
MAX_CONCURRENCY = 256
CONNECT_TIMEOUT_S = 5.0
#: Short, since a lost answer puts its recipients in doubt at the end of it; SES answers within a second or so.
READ_TIMEOUT_S = 30.0
#: Model of sesv2, MessageTag: letters, digits, underscore, hyphen; at most 256.
TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d{1,2}")
CONFIGURATION_SET = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Mode(StrEnum):
    """How messages are handed to SES."""

    #: The exact message, one a call.
    RAW = "raw"
    #: A layout and values, up to 50 recipients a call.
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class SesSettings:
    """How one account in one Region is used. Its repr shows no key."""

    #: Empty where the AWS configuration says it.
    region: str = ""
    mode: Mode = Mode.RAW
    configuration_set: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    #: Instead of the Region's address, such as a server for tests; empty for the Region's own.
    endpoint: str = ""
    #: Calls at once; None where the account's rate may say.
    concurrency: int | None = None
    #: Whether to send while the account may only mail verified addresses.
    allow_sandbox: bool = False
    profile: str = ""
    access_key_id: str = ""
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S

    @property
    def name(self) -> str:
        """The provider's name for outcomes and screens."""
        return f"ses:{self.region}" if self.region else "ses"

    @property
    def on_loopback(self) -> bool:
        """Whether calls stay on this machine."""
        return bool(self.endpoint) and urlsplit(self.endpoint).hostname in LOOPBACK


def ses_settings(dsn: Dsn, settings: Mapping[str, str], *, connections: int | None = None) -> SesSettings:
    """Read the settings of a ``ses`` DSN.

    Args:
        dsn: Its host is the Region.
        settings: Merged settings: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``,
            ``AWS_PROFILE``, ``AWS_REGION``, ``AWS_DEFAULT_REGION``, ``AWS_ENDPOINT_URL_SESV2`` and ``AWS_ENDPOINT_URL``
            are read; what they do not say, boto3 looks up as it always does.
        connections: Calls at once; overrides the DSN's ``concurrency``.

    Raises:
        UsageError: An option cannot be honoured.
    """
    if dsn.user or dsn.password is not None or dsn.port is not None:
        raise UsageError(
            "A ses DSN takes neither a key nor a port.",
            fix="Write ses://eu-west-1, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE.",
        )
    region = dsn.host.lower() or settings.get("AWS_REGION", "") or settings.get("AWS_DEFAULT_REGION", "")
    if region and not REGION.fullmatch(region):
        raise UsageError(f"'{region[:40]}' is no AWS Region.", fix="Write one such as ses://eu-west-1.")
    options = dsn.options
    endpoint = options.get("endpoint") or settings.get("AWS_ENDPOINT_URL_SESV2") or settings.get("AWS_ENDPOINT_URL")
    key_id, secret = settings.get("AWS_ACCESS_KEY_ID", ""), settings.get("AWS_SECRET_ACCESS_KEY", "")
    if bool(key_id) != bool(secret):
        missing = "AWS_SECRET_ACCESS_KEY" if key_id else "AWS_ACCESS_KEY_ID"
        raise UsageError(f"{missing} is not set, and its other half is.", fix="Set both, or neither.")
    token = settings.get("AWS_SESSION_TOKEN", "")
    return SesSettings(
        region,
        _mode(options.get("mode", Mode.RAW)),
        _configuration_set(options.get("configuration-set", "")),
        _tags(options.get("tags", "")),
        _endpoint(endpoint or ""),
        _concurrency(connections, options.get("concurrency", "")),
        _sandbox(options.get("sandbox", "")),
        settings.get("AWS_PROFILE", ""),
        key_id,
        Secret(secret) if secret else None,
        Secret(token) if token and key_id else None,
    )


def _mode(text: str) -> Mode:
    try:
        return Mode(text.lower())
    except ValueError:
        raise UsageError(f"Option 'mode' of the DSN is '{text[:20]}'.", fix="Write mode=raw or mode=bulk.") from None


def _configuration_set(text: str) -> str:
    if text and not CONFIGURATION_SET.fullmatch(text):
        raise UsageError(
            "Option 'configuration-set' of the DSN is no name of a configuration set.",
            fix="It has at most 64 letters, digits, hyphens and underscores.",
        )
    return text


def _tags(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    pairs = [item.partition(":") for item in text.split(",")]
    tags = tuple((name.strip(), value.strip()) for name, _, value in pairs)
    if not all(TAG.fullmatch(name) and TAG.fullmatch(value) for name, value in tags):
        raise UsageError(
            "Option 'tags' of the DSN cannot be used.",
            fix="Write tags=name:value,name:value with letters, digits, '_' and '-' only.",
        )
    if len({name for name, _ in tags}) < len(tags):
        raise UsageError("Option 'tags' of the DSN names a tag twice.", fix="Keep one of them.")
    return tags


def _endpoint(text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    else:
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        valid = valid and safe and not (parts.username or parts.password or parts.query or parts.fragment)
    if not valid:
        raise UsageError(
            "The endpoint for SES cannot be used.",
            fix="Give https://HOST, or http://127.0.0.1:PORT for a server on this machine.",
        )
    return text.rstrip("/")


def _concurrency(connections: int | None, text: str) -> int | None:
    if connections is not None:
        return min(connections, MAX_CONCURRENCY)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:11]) <= MAX_CONCURRENCY):
        raise UsageError(
            f"Option 'concurrency' of the DSN is '{text[:20]}'.", fix=f"Give a number from 1 to {MAX_CONCURRENCY}."
        )
    return int(text)


def _sandbox(text: str) -> bool:
    if text not in {"", "allow"}:
        raise UsageError(f"Option 'sandbox' of the DSN is '{text[:20]}'.", fix="Write sandbox=allow, or leave it out.")
    return bool(text)
