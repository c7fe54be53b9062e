"""Settings of an SMTP provider: small frozen values, filled from a DSN."""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mailblast.errors import UsageError
from mailblast.providers.dsn import TIMEOUT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.model.secret import Secret
    from mailblast.providers.dsn import Dsn
    from mailblast.providers.smtp.reply_rules import Rule
    from mailblast.providers.smtp.token_command import TokenCommand

TlsMode = Literal["starttls", "implicit", "none"]

#: RFC 6409 section 3.1, RFC 8314 section 3.3, RFC 5321 section 4.5.4.2.
DEFAULT_PORTS: dict[TlsMode, int] = {"starttls": 587, "implicit": 465, "none": 25}
HELO_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|\[[A-Za-z0-9.:]{2,64}\]")
MAX_TIMEOUT_S = 86_400.0
MAX_CONNECTIONS = 1_000
MAX_MESSAGES = 1_000_000
#: Connections opened in a second to a remote server; as many as there are connections, if these are more.
LOGINS_PER_S = 10


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest waits in seconds, one for each verb (RFC 5321 section 4.5.3.2)."""

    #: TCP and, with implicit TLS, the handshake; the RFC has none, Postfix waits 30 s.
    connect: float = 30.0
    #: The greeting (4.5.3.2.1).
    greeting: float = 300.0
    #: Also for STARTTLS and AUTH.
    ehlo: float = 300.0
    #: MAIL (4.5.3.2.2).
    mail: float = 300.0
    #: RCPT (4.5.3.2.3).
    rcpt: float = 300.0
    #: The go-ahead after DATA (4.5.3.2.4).
    data: float = 120.0
    #: Each block of the body (4.5.3.2.5).
    block: float = 180.0
    #: The reply to the final dot (4.5.3.2.6); shorter makes doubt where there need be none.
    final: float = 600.0
    #: The RFC names none for these two; Postfix waits 20 s and 300 s.
    rset: float = 20.0
    quit: float = 5.0


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """All that a pool of sessions needs to know."""

    host: str
    port: int
    user: str = ""
    password: Secret | None = None
    tls: TlsMode = "starttls"
    #: Name in EHLO; empty takes the machine's own, or its address.
    local_hostname: str = ""
    #: File of certificates that are trusted beside the system's own; empty for none.
    ca_file: str = ""
    connections: int = 5
    messages_per_connection: int = 100
    #: Age in seconds at which a session is replaced; Postfix's smtp_connection_reuse_time_limit.
    max_age_s: float = 300.0
    #: Refusals on one session before it is replaced: Postfix slows a client down after 10 errors, drops it after 20.
    refusals_per_connection: int = 8
    timeouts: Timeouts = field(default_factory=Timeouts)
    #: Idle for so many seconds, a session is asked whether it still works; unused for so many, it is closed.
    idle_check_s: float = 300.0
    idle_close_s: float = 1800.0
    #: Sessions opened in one second, logins included; None for no limit.
    logins_per_s: int | None = None
    #: Rules for refusals that are asked before the built-in ones.
    extra_rules: tuple[Rule, ...] = ()
    #: Gives access tokens for XOAUTH2; None logs in with the password.
    tokens: TokenCommand | None = None
    #: What the service publishes: recipients a second and a day, size of a message; None for nothing.
    rate_per_s: float | None = None
    per_day: int | None = None
    size_bytes: int | None = None

    @property
    def on_loopback(self) -> bool:
        """Whether the host is this machine."""
        return is_loopback(self.host)

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@functools.lru_cache(maxsize=16)
def is_loopback(host: str) -> bool:
    """Return whether a host name or address stands for this machine (RFC 6761 section 6.3)."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def smtp_settings(
    dsn: Dsn, *, connections: int | None = None, messages_per_connection: int | None = None
) -> SmtpSettings:
    """Fill settings from a DSN that has its host and, with a user, its password.

    Args:
        dsn: Scheme ``smtp`` or ``smtps``.
        connections: Overrides the DSN's ``connections``.
        messages_per_connection: Overrides the DSN's ``messages``.

    Raises:
        UsageError: An option cannot be honoured, or a password would cross the network in clear.
    """
    options = dsn.options
    tls = _tls_mode(dsn)
    if tls == "none" and dsn.user and not is_loopback(dsn.host):
        raise UsageError(
            f"Without TLS the password of '{dsn.user}' would cross the network to {dsn.host} readable by everybody.",
            fix="Remove tls=none from the DSN, or the user.",
        )
    helo = options.get("helo", "")
    if helo and not HELO_NAME.fullmatch(helo):
        raise UsageError(f"Option 'helo' of the DSN is '{helo}'.", fix="Give a host name, such as mail.example.com.")
    count = _count(options, "connections", connections, 5, MAX_CONNECTIONS)
    return SmtpSettings(
        host=dsn.host,
        port=dsn.port or DEFAULT_PORTS[tls],
        user=dsn.user,
        password=dsn.password,
        tls=tls,
        local_hostname=helo,
        ca_file=_ca_file(options.get("ca", "")),
        connections=count,
        messages_per_connection=_count(options, "messages", messages_per_connection, 100, MAX_MESSAGES),
        max_age_s=_seconds(options, "max-age", 300.0),
        timeouts=_timeouts(options),
        logins_per_s=None if is_loopback(dsn.host) else max(LOGINS_PER_S, count),
    )


def _tls_mode(dsn: Dsn) -> TlsMode:
    asked = dsn.options.get("tls", "")
    if asked not in {"", "starttls", "implicit", "none"}:
        raise UsageError(f"Option 'tls' of the DSN is '{asked}'.", fix="Known are: starttls, implicit, none.")
    if dsn.scheme == "smtps":
        if asked not in {"", "implicit"}:
            raise UsageError(f"smtps:// and tls={asked} exclude each other.", fix="Write smtp:// or remove the option.")
        return "implicit"
    if asked == "implicit":
        return "implicit"
    if asked == "none" or (not asked and is_loopback(dsn.host)):
        return "none"
    return "starttls"


def _ca_file(name: str) -> str:
    if name and not Path(name).is_file():
        raise UsageError(f"Option 'ca' of the DSN names '{name}', which is no file.", fix="Give a PEM file.")
    return name


def _count(options: Mapping[str, str], name: str, given: int | None, default: int, most: int) -> int:
    if given is None and name not in options:
        return default
    text = options[name] if given is None else str(given)
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        raise UsageError(f"'{name}' is {text}.", fix=f"Give a whole number from 1 to {most}.")
    return int(text)


def _seconds(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,5}(?:\.[0-9]{1,3})?", text) or not 0 < float(text) <= MAX_TIMEOUT_S:
        raise UsageError(f"Option '{name}' of the DSN is '{text}'.", fix="Give seconds, more than 0, such as 30.")
    return float(text)


def _timeouts(options: Mapping[str, str]) -> Timeouts:
    defaults = Timeouts()
    values = {
        entry.name: _seconds(options, f"{entry.name}-timeout", getattr(defaults, entry.name))
        for entry in fields(Timeouts)
        if f"{entry.name}-timeout" in TIMEOUT_OPTIONS
    }
    return Timeouts(**values)
