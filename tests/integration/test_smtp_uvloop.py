"""The same on uvloop, whose transports behave a little differently: the loop that runs are made on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from servers.list_deliveries import ListDeliveries, a_message, messages
from servers.scripted_smtp import Script, ScriptedSmtp

from mailblast.clock import SystemClock
from mailblast.errors import ProviderUnavailableError
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider

if TYPE_CHECKING:
    from servers.certificates import Certificates

uvloop = pytest.importorskip("uvloop")

ACCEPTED, NOT_SENT, IN_DOUBT = Disposition.ACCEPTED, Disposition.NOT_SENT, Disposition.IN_DOUBT
LARGE = b"0123456789\r\n.dot\r\n" * 200_000


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_small_large_and_refused_messages_pass(tls: str, certificates: Certificates) -> None:
    async def run() -> tuple[ListDeliveries, ScriptedSmtp]:
        script = Script(tls=certificates.good if tls != "none" else None, implicit_tls=tls == "implicit")
        async with ScriptedSmtp(script) as server:
            dsn = f"smtp://localhost:{server.port}?tls={tls}&ca={certificates.ca_file}"
            provider = make_provider(parse_dsn(dsn), {}, connections=3, messages_per_connection=10, clock=SystemClock())
            sent = [*messages(50), a_message(51, body=LARGE), a_message(52, "550-at-rcpt@example.com"), a_message(53)]
            deliveries = ListDeliveries(sent)
            await provider.open()
            await asyncio.wait_for(provider.deliver(deliveries), 30)
            await provider.close()
            return deliveries, server

    deliveries, server = uvloop.run(run())
    dispositions = deliveries.dispositions
    assert Disposition.PERMANENT is dispositions.pop(52)
    assert {ACCEPTED} == set(dispositions.values())
    assert 52 == len(server.messages)
    (large,) = (message for message in server.messages if "recipient51@" in message.rcpts[0])
    assert LARGE == large.content.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("recipient", "body", "disposition"),
    [
        ("close-at-dot@example.com", b"x\r\n", IN_DOUBT),
        ("reset-at-dot@example.com", b"x\r\n", IN_DOUBT),
        ("close-at-rcpt@example.com", b"x\r\n", NOT_SENT),
        ("reset-at-data@example.com", b"x\r\n", NOT_SENT),
        ("close-at-body@example.com", LARGE * 4, NOT_SENT),
        ("garbage-at-dot@example.com", b"x\r\n", IN_DOUBT),
        ("silent-at-dot@example.com", b"x\r\n", IN_DOUBT),
    ],
)
def test_connection_ends_what_is_certain_is_told(recipient: str, body: bytes, disposition: Disposition) -> None:
    async def run() -> ListDeliveries:
        async with ScriptedSmtp() as server:
            dsn = parse_dsn(f"{server.dsn}?final-timeout=0.2")
            provider = make_provider(dsn, {}, connections=1, clock=SystemClock())
            deliveries = ListDeliveries([a_message(1, recipient, body)])
            await asyncio.wait_for(provider.deliver(deliveries), 20)
            await provider.close()
            return deliveries

    assert disposition is uvloop.run(run()).dispositions[1]


def test_cancelled_finishes_everything_taken() -> None:
    async def run() -> ListDeliveries:
        async with ScriptedSmtp() as server:
            provider = make_provider(parse_dsn(server.dsn), {}, connections=4, clock=SystemClock())
            deliveries = ListDeliveries(messages(5000), stay_open=True)
            delivering = asyncio.create_task(provider.deliver(deliveries))
            await deliveries.until_finished(50)
            delivering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await delivering
            await provider.close()
            return deliveries

    deliveries = uvloop.run(run())
    assert deliveries.all_finished
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())


def test_plaintext_behind_the_reply_to_starttls_stops(certificates: Certificates) -> None:
    async def run() -> None:
        script = Script(tls=certificates.good, injected=b"250 AUTH PLAIN\r\n")
        async with ScriptedSmtp(script) as server:
            dsn = parse_dsn(f"smtp://localhost:{server.port}?tls=starttls&ca={certificates.ca_file}")
            with pytest.raises(ProviderUnavailableError, match="sent more than its reply"):
                await make_provider(dsn, {}, clock=SystemClock()).open()

    uvloop.run(run())
