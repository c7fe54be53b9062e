"""Open a session: connect, EHLO, STARTTLS and AUTH through aiosmtplib, then take its transport over."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple, cast

import aiosmtplib

from mailblast.errors import AccountError, ProviderError, ProviderUnavailableError
from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope, Stage
from mailblast.providers.smtp.classify import classifier
from mailblast.providers.smtp.opening_errors import certificate_error, connect_error, refused
from mailblast.providers.smtp.plaintext_guard import PlaintextGuard
from mailblast.providers.smtp.replies import said_reply
from mailblast.providers.smtp.transaction import Extensions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mailblast.model.secret import Secret
    from mailblast.providers.smtp.settings import SmtpSettings

#: A name that a server may look up; "localhost" and names without a dot are of no use to it.
FULL_NAME = re.compile(r"(?=.{4,253}$)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
#: Methods in the order of preference: on an encrypted session the simplest is the safest, for it is tried once.
LOGIN_METHODS = ("plain", "login", "cram-md5")
#: developers.google.com/workspace/gmail/imap/xoauth2-protocol; Microsoft has the same.
TOKEN_METHODS = ("xoauth2",)


class Opened(NamedTuple):
    """A session ready for its first transaction."""

    transport: asyncio.Transport
    extensions: Extensions
    #: Keywords and parameters of the last EHLO, keywords in lower case.
    offered: dict[str, str]


def tls_context(settings: SmtpSettings) -> ssl.SSLContext:
    """Return the TLS settings of all sessions of a pool: verified certificates, at least TLS 1.2 (RFC 8314 section 4).

    Raises:
        ProviderUnavailableError: The file of certificates cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_file:
        try:
            context.load_verify_locations(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ProviderUnavailableError(
                f"The certificates in {settings.ca_file} cannot be used: {error}.", fix="Give a PEM file with ?ca=FILE."
            ) from error
    return context


async def open_session(settings: SmtpSettings, context: ssl.SSLContext | None) -> Opened:
    """Open one session and log in. Nothing is left open when this raises or is cancelled.

    Args:
        settings: Where and how.
        context: None only for ``tls=none``.

    Raises:
        ProviderUnavailableError: The server cannot be reached, trusted or used.
        AccountError: The login was refused.
    """
    client = await logged_in(settings, context)
    # uvloop's transports do not inherit from asyncio's.
    transport = cast("asyncio.Transport | None", client.transport)
    if transport is None or transport.is_closing():
        hang_up(client)
        raise ProviderUnavailableError(f"{settings.address} closed the connection after the login.")
    opened = Opened(transport, extensions(client), dict(client.esmtp_extensions))
    # From here on the client has nothing that it could close.
    client.protocol = client.transport = None
    return opened


async def logged_in(settings: SmtpSettings, context: ssl.SSLContext | None) -> aiosmtplib.SMTP:
    """Return a client that has connected, encrypted and logged in; arguments and errors as ``open_session()``."""
    tokens = settings.tokens
    if tokens is None:
        return await _logged_in(settings, context, settings.password)
    token = await tokens.token()
    try:
        return await _logged_in(settings, context, token)
    except AccountError:
        # It may have ended before its time; a fresh one that is refused is the account's trouble.
        tokens.forget(token)
    return await _logged_in(settings, context, await tokens.token())


async def _logged_in(settings: SmtpSettings, context: ssl.SSLContext | None, secret: Secret | None) -> aiosmtplib.SMTP:
    connected = await _connect(settings)
    try:
        helo_name = await _helo_name(settings, connected)
    except BaseException:
        connected.close()
        raise
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        local_hostname=helo_name,
        sock=connected,
        use_tls=settings.tls == "implicit",
        start_tls=False,
        tls_context=context,
        # Time-outs are set around its calls: its own use wait_for(), which can swallow a cancellation before 3.12.
        timeout=None,
    )
    try:
        async with told_plainly(settings, Stage.CONNECT, settings.timeouts.greeting):
            await client.connect()
        await _greet(client, settings)
        if settings.tls == "starttls":
            await _start_tls(client, settings)
            await _greet(client, settings)
        if settings.user:
            assert secret is not None
            await _login(client, settings, secret)
    except BaseException:
        hang_up(client)
        connected.close()
        raise
    return client


def hang_up(client: aiosmtplib.SMTP) -> None:
    """Close a client at once. Closing TLS politely waits for the server, which may be the one at fault."""
    transport = cast("asyncio.Transport | None", client.transport)
    client.close()
    if transport is not None:
        transport.abort()


def extensions(client: aiosmtplib.SMTP) -> Extensions:
    """Return what the last EHLO offers and we use."""
    offered = client.esmtp_extensions
    size = offered.get("size")
    # RFC 1870 section 4: up to 20 digits; 0 and nothing both mean that no limit is told.
    limit = int(size) if size and re.fullmatch(r"[0-9]{1,20}", size) else 0
    return Extensions(
        pipelining="pipelining" in offered,
        smtputf8="smtputf8" in offered,
        size=size is not None,
        size_limit=limit or None,
    )


async def _connect(settings: SmtpSettings) -> socket.socket:
    """Connect to the first address of the host that answers."""
    try:
        async with asyncio.timeout(settings.timeouts.connect):
            failure: OSError | None = None
            for family, kind, protocol, address in await _addresses(settings):
                connecting = socket.socket(family, kind, protocol)
                connecting.setblocking(False)
                try:
                    await _connect_to(connecting, address)
                except OSError as error:
                    connecting.close()
                    failure = failure or error
                except BaseException:
                    connecting.close()
                    raise
                else:
                    return connecting
            raise failure or OSError("the name has no address")
    except OSError as error:
        raise connect_error(settings, error) from error
    except UnicodeError as error:
        # What Python's IDNA codec says of names with empty or overlong labels.
        raise connect_error(settings, socket.gaierror(socket.EAI_NONAME, "it is no host name")) from error


async def _connect_to(connecting: socket.socket, address: tuple[object, ...]) -> None:
    """Connect to an address that is known; uvloop's ``sock_connect()`` would look it up again, on a thread: 80 µs."""
    try:
        connecting.connect(address)
    except BlockingIOError:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.add_writer(connecting, _set_done, done)
        try:
            await done
        finally:
            loop.remove_writer(connecting)
    error = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _set_done(done: asyncio.Future[None]) -> None:
    # It may be told twice, and after the time is over.
    if not done.done():
        done.set_result(None)


async def _addresses(settings: SmtpSettings) -> list[tuple[int, int, int, tuple[object, ...]]]:
    loop = asyncio.get_running_loop()
    try:
        numeric = ipaddress.ip_address(settings.host.partition("%")[0])
    except ValueError:
        found = await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]
    if numeric.version == 4 or "%" not in settings.host:  # noqa: PLR2004 - IPv4
        family = socket.AF_INET if numeric.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, (settings.host, settings.port))]
    found = await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


@functools.cache
def _own_name() -> str:
    """Return this machine's name; asks the resolver, once."""
    return socket.getfqdn()


async def _helo_name(settings: SmtpSettings, connected: socket.socket) -> str:
    """Return the name to greet with: a full name of this machine, else its address as a literal (RFC 5321 4.1.4)."""
    if settings.local_hostname:
        return settings.local_hostname
    if not settings.on_loopback:
        name = await asyncio.to_thread(_own_name)
        if FULL_NAME.fullmatch(name) and not name.startswith("localhost"):
            return name
    address = str(connected.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


async def _greet(client: aiosmtplib.SMTP, settings: SmtpSettings) -> None:
    async with told_plainly(settings, Stage.EHLO, settings.timeouts.ehlo):
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError as error:
            # Servers without extensions (RFC 5321 section 4.1.4); never where TLS or a login needs them.
            if settings.tls == "starttls" or settings.user or error.code not in {500, 502, 504}:
                raise
            await client.helo()


async def _start_tls(client: aiosmtplib.SMTP, settings: SmtpSettings) -> None:
    if not client.supports_extension("starttls"):
        raise ProviderUnavailableError(
            f"{settings.address} does not offer STARTTLS, so nothing was sent to it in clear.",
            fix="Use smtps:// with port 465 if it has implicit TLS; otherwise the connection may be tampered with.",
        )
    protocol, transport = client.protocol, cast("asyncio.Transport", client.transport)
    assert protocol is not None
    guard = PlaintextGuard(protocol, transport)
    transport.set_protocol(guard)
    try:
        async with told_plainly(settings, Stage.STARTTLS, settings.timeouts.ehlo):
            await client.starttls()
    except ProviderError:
        if not guard.injected:
            raise
        raise ProviderUnavailableError(
            f"{settings.address} sent more than its reply to STARTTLS before encryption began.",
            fix="Somebody may be tampering with the connection; try from another network.",
        ) from None


async def _login(client: aiosmtplib.SMTP, settings: SmtpSettings, secret: Secret) -> None:
    offered = client.server_auth_methods
    usable = LOGIN_METHODS if settings.tokens is None else TOKEN_METHODS
    method = next((method for method in usable if method in offered), None)
    if method is None:
        said = f"offers {', '.join(offered).upper()}" if offered else "offers no login"
        raise ProviderUnavailableError(
            f"{settings.address} {said}, so '{settings.user}' cannot log in with a "
            f"{'password' if settings.tokens is None else 'token'}.",
            fix="Leave the user out of the DSN if the server needs none, or check host and port.",
        )
    log_in = {
        "plain": client.auth_plain,
        "login": client.auth_login,
        "cram-md5": client.auth_crammd5,
        "xoauth2": client.auth_xoauth2,
    }[method]
    async with told_plainly(settings, Stage.AUTH, settings.timeouts.ehlo):
        await log_in(settings.user, secret.reveal())


@contextlib.asynccontextmanager
async def told_plainly(settings: SmtpSettings, stage: Stage, timeout_s: float) -> AsyncIterator[None]:
    """Bound the time, and turn what aiosmtplib and the TLS layer raise into one line with its remedy."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except aiosmtplib.SMTPResponseException as error:
        if error.code < 0:
            raise ProviderUnavailableError(
                f"{settings.address} does not speak SMTP: it sent a line that is no reply.", fix="Check host and port."
            ) from None
        reply = said_reply(error.code, error.message, stage)
        disposition, scope, advice = classifier(settings.host, settings.extra_rules)(reply)
        final = disposition is Disposition.PERMANENT or advice is Advice.TOMORROW
        if scope is Scope.ACCOUNT and final and stage is Stage.AUTH:
            raise AccountError(
                f"{settings.address} refused the login of '{settings.user}': {refused(reply)}.",
                fix="Check the user name in the DSN and the password in SMTP_PASSWORD."
                if settings.tokens is None
                else "Check the user name in the DSN, and that the token is for this user and for sending mail.",
            ) from None
        raise ProviderUnavailableError(
            f"{settings.address} refused {stage.value.upper()}: {refused(reply)}.", fix=_remedy(stage)
        ) from None
    except TimeoutError as error:
        raise ProviderUnavailableError(
            f"{settings.address} did not answer {stage.value.upper()} in time.",
            fix="The port may want TLS from the first byte (smtps://, 465), or the server is overloaded.",
        ) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise certificate_error(settings, error, stage) from error


def _remedy(stage: Stage) -> str:
    if stage is Stage.CONNECT:
        return "The server takes no connection from here right now; fewer --connections may help, or a later try."
    if stage is Stage.AUTH:
        return "The login is not possible right now; try later."
    return "Try later, or ask the server's operator."
