"""Where mail goes, as the user writes it: ``smtp://user@host:587``, ``outbox:DIR``, ``smtp``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from mailblast.errors import UsageError
from mailblast.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Names of the options that set one time-out, in seconds.
TIMEOUT_OPTIONS = tuple(
    f"{name}-timeout"
    for name in ("connect", "greeting", "ehlo", "mail", "rcpt", "data", "block", "final", "rset", "quit")
)
SENDGRID_OPTIONS = ("batch", "concurrency", "sandbox", "asm", "categories", "timeout", "endpoint")
SES_OPTIONS = ("mode", "configuration-set", "tags", "endpoint", "concurrency", "sandbox")
SMTP_OPTIONS = ("tls", "helo", "ca", "connections", "messages", "max-age", "rules", *TIMEOUT_OPTIONS)
#: Of a preset, which has its own idea of TLS.
PRESET_OPTIONS = tuple(option for option in SMTP_OPTIONS if option != "tls")


class Scheme(NamedTuple):
    """How the DSNs of one scheme are written."""

    example: str
    #: Whether the scheme's name alone is a DSN.
    bare: bool
    #: Whether a host follows; else a path does.
    has_host: bool
    options: tuple[str, ...] = ()
    #: Whether ``scheme://`` may go without a host.
    host_may_lack: bool = False


SCHEMES: Mapping[str, Scheme] = {
    "outbox": Scheme("outbox:DIR", bare=True, has_host=False),
    "smtp": Scheme("smtp://user@host:587", bare=True, has_host=True, options=SMTP_OPTIONS),
    "smtps": Scheme("smtps://user@host:465", bare=False, has_host=True, options=SMTP_OPTIONS),
    "ses": Scheme("ses://eu-west-1", bare=True, has_host=True, options=SES_OPTIONS, host_may_lack=True),
    "sendgrid": Scheme("sendgrid://eu", bare=True, has_host=True, options=SENDGRID_OPTIONS, host_may_lack=True),
}

HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?")
HOST_V6 = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,32})?")
OPTION_NAME = re.compile(r"[a-z][a-z-]{0,30}")
MAX_PORT = 65535
_BLANKS = re.compile(r"(\s+)")
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Dsn:
    """A parsed DSN. Its repr shows no password."""

    scheme: str
    user: str = ""
    password: Secret | None = None
    #: Without brackets; empty where the scheme has none or the settings give it.
    host: str = ""
    port: int | None = None
    options: Mapping[str, str] = field(default_factory=lambda: NO_OPTIONS)
    #: The folder of an outbox; else empty.
    path: str = ""

    def shown(self) -> str:
        """Return the DSN as text for screens and logs, a password as ``***``."""
        if self.scheme not in SCHEMES:
            return self._shown_preset()
        if not SCHEMES[self.scheme].has_host:
            return f"{self.scheme}:{self.path}" if self.path else self.scheme
        if not self.host and not self.options:
            return self.scheme
        user = quote(self.user, safe="")
        if self.password is not None:
            user += ":***"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{user}{'@' if user else ''}{host}{port}{self._shown_options()}"

    def _shown_options(self) -> str:
        options = "&".join(f"{name}={quote(value, safe='/')}" for name, value in self.options.items())
        return f"?{options}" if options else ""

    def _shown_preset(self) -> str:
        user = quote(self.user, safe="@+") + (":***@" if self.password is not None else "")
        options = self._shown_options()
        return f"{self.scheme}://{user}{options}" if user or options else self.scheme


def split_dsns(text: str) -> list[str]:
    """Return the DSNs of a text in which blanks stand between them. The folder of an outbox may hold blanks as well."""
    first, *more = _BLANKS.split(text.strip())
    found = [first]
    for blanks, piece in zip(more[::2], more[1::2], strict=True):
        if _begins_dsn(piece):
            found.append(piece)
        else:
            found[-1] += blanks + piece
    return found


def _begins_dsn(piece: str) -> bool:
    name, colon, rest = piece.partition(":")
    name = name.lower()
    if name in SCHEMES:
        return bool(colon) or SCHEMES[name].bare
    from mailblast.providers.presets import find_preset  # noqa: PLC0415 - reads a file, and few DSNs are presets

    # A scheme that nobody knows is told when it is read. Without slashes it may as well be part of a password.
    return rest.startswith("//") or find_preset(name) is not None


def parse_dsn(text: str) -> Dsn:
    """Read a DSN.

    User, password and option values may be percent-encoded (RFC 3986); the folder of an outbox is taken as written.

    Args:
        text: ``scheme``, ``scheme:path`` or ``scheme://user:password@host:port?option=value&…``. The name of a mail
            service (``presets.toml``) is a scheme too; it has no host, so all in front of ``?`` is the user:
            ``gmail://ada@example.com``. Only where that ends with ``@`` may it hold a password:
            ``gmail://ada@example.com:password@``.

    Raises:
        UsageError: It cannot be read. The message never holds a password.
    """
    text = text.strip()
    name, colon, rest = text.partition(":")
    scheme = SCHEMES.get(name.lower())
    if scheme is None:
        return _of_preset(name, colon, rest)
    name = name.lower()
    if not colon:
        if not scheme.bare:
            raise UsageError(f"'{name}' names no host.", fix=f"Write {scheme.example}.")
        return Dsn(name)
    if not scheme.has_host:
        if not rest or rest.startswith("//"):
            raise UsageError(f"'{name}:' is not followed by a folder.", fix=f"Write {scheme.example}.")
        if "\0" in rest:
            raise UsageError("The folder of the outbox holds a NUL character.", fix=f"Write {scheme.example}.")
        return Dsn(name, path=rest)
    if not rest.startswith("//"):
        raise UsageError(f"'{name}:' is not followed by '//' and a host.", fix=f"Write {scheme.example}.")
    return _with_host(name, scheme, rest[2:])


def _of_preset(name: str, colon: str, rest: str) -> Dsn:
    from mailblast.providers.presets import find_preset  # noqa: PLC0415 - reads a file, and few DSNs are presets

    preset = find_preset(name.lower())
    if preset is None:
        raise _unknown_scheme(name, colon)
    name = preset.name
    scheme = Scheme(preset.example, bare=True, has_host=False, options=PRESET_OPTIONS)
    if preset.region:
        scheme = scheme._replace(options=("region", *PRESET_OPTIONS))
    if colon and not rest.startswith("//"):
        raise UsageError(f"'{name}:' is not followed by '//'.", fix=f"Write {scheme.example}.")
    text, _, query = rest[2:].partition("?")
    user, password = text.removesuffix("/"), ""
    if user.endswith("@"):
        user, _, password = user[:-1].partition(":")
    if ":" in user or "/" in user or (password and not user):
        # It may be part of a password: it is not shown.
        raise UsageError(
            f"'{name}://' is followed by more than a user: it has no host and no port.",
            fix=f"Write {scheme.example}; encode ':' and '/' as %3A and %2F.",
        )
    secret = Secret(_decoded(password, "password")) if password else None
    options = _options(name, scheme, query) if query else NO_OPTIONS
    return Dsn(name, _decoded(user, "user name"), secret, options=options)


def _unknown_scheme(name: str, colon: str) -> UsageError:
    from mailblast.providers.presets import presets  # noqa: PLC0415 - likewise

    # Without a colon there may be anything in front of us, but nothing that belongs to a DSN with a password.
    shown = name if re.fullmatch(r"[A-Za-z0-9+._-]{1,32}", name) else "the text"
    services = [preset.name for preset in presets()]
    close = difflib.get_close_matches(name.lower(), [*SCHEMES, *services], 1)
    known = ", ".join([*(scheme.example for scheme in SCHEMES.values()), *(f"{name}://" for name in services)])
    hint = f"Did you mean '{close[0]}'? " if close else ""
    return UsageError(
        f"'{shown}{colon}' is no kind of provider.",
        fix=f"{hint}Known are: {known}, and 'smtp' or 'outbox' alone.",
    )


def _with_host(name: str, scheme: Scheme, rest: str) -> Dsn:
    userinfo, rest = _split_userinfo(rest)
    authority, _, query = rest.partition("?")
    host, port = _host_and_port(authority.removesuffix("/"), scheme)
    user, colon, password = userinfo.partition(":")
    user = _decoded(user, "user name")
    if colon and not user:
        raise UsageError("The DSN holds a password but no user name.", fix=f"Write {scheme.example}.")
    secret = Secret(_decoded(password, "password")) if password else None
    return Dsn(name, user, secret, host, port, _options(name, scheme, query) if query else NO_OPTIONS)


def _split_userinfo(rest: str) -> tuple[str, str]:
    """Split at the last ``@`` in front of the options, so that a user name may be an address written plainly."""
    before_options = rest.partition("?")[0]
    # A password may hold a plain "?"; then the only "@" follows it.
    part = before_options if "@" in before_options else rest
    at = part.rfind("@")
    return (rest[:at], rest[at + 1 :]) if at >= 0 else ("", rest)


def _host_and_port(authority: str, scheme: Scheme) -> tuple[str, int | None]:
    # What is wrong here may be part of a password with characters that should have been encoded: it is not shown.
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        valid = bool(bracket) and HOST_V6.fullmatch(host) is not None and (not port or port.startswith(":"))
        port = port[1:]
    else:
        host, colon, port = authority.partition(":")
        valid = HOST.fullmatch(host) is not None and (not colon or bool(port))
    if not authority and scheme.host_may_lack:
        return "", None
    if not host:
        raise UsageError("The DSN names no host.", fix=f"Write {scheme.example}.")
    if not valid:
        raise UsageError(
            "The host of the DSN is not a name, an IPv4 address or an IPv6 address in brackets.",
            fix=f"Write {scheme.example}; encode '/', '?', '#' and '@' in a password as %2F, %3F, %23 and %40.",
        )
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= MAX_PORT):  # noqa: PLR2004 - five digits
        raise UsageError("The port of the DSN is not a number from 1 to 65535.", fix=f"Write {scheme.example}.")
    return host, int(port) if port else None


def _options(name: str, scheme: Scheme, query: str) -> Mapping[str, str]:
    options: dict[str, str] = {}
    for item in query.split("&"):
        option, equals, value = item.partition("=")
        if option not in scheme.options:
            raise _unknown_option(name, scheme, option)
        if not equals or not value:
            raise UsageError(f"Option '{option}' of the DSN has no value.", fix=f"Write ?{option}=VALUE.")
        if option in options:
            raise UsageError(f"Option '{option}' of the DSN is given twice.", fix="Keep one of the two.")
        options[option] = _decoded(value, f"option '{option}'")
    return MappingProxyType(options)


def _unknown_option(name: str, scheme: Scheme, option: str) -> UsageError:
    shown = f"Option '{option}'" if OPTION_NAME.fullmatch(option) else "An option"
    close = difflib.get_close_matches(option, scheme.options, 1)
    hint = f"Did you mean '{close[0]}'? " if close else ""
    return UsageError(
        f"{shown} of the DSN is not known to {name}.", fix=f"{hint}Known are: {', '.join(scheme.options)}."
    )


def _decoded(text: str, what: str) -> str:
    try:
        value = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(
            f"The {what} of the DSN is not UTF-8 after decoding.", fix="Encode '%' itself as %25."
        ) from None
    if any(ord(character) < ord(" ") or character == "\x7f" for character in value):
        raise UsageError(f"The {what} of the DSN holds a control character.", fix="Remove it.")
    return value
