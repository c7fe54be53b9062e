"""How many connections there are, how long they live, and what happens when none can be had."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from servers.list_deliveries import ListDeliveries, a_message, messages
from servers.scripted_smtp import Script, ScriptedSmtp
from servers.smtp_sink import free_port

from mailblast.clock import Clock, SystemClock
from mailblast.errors import JournalError, ProviderUnavailableError
from mailblast.model.outcome import Attempt, Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.smtp.provider import SmtpProvider

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.model.message import Message

ACCEPTED, NOT_SENT, IN_DOUBT = Disposition.ACCEPTED, Disposition.NOT_SENT, Disposition.IN_DOUBT


def provider_of(
    dsn: str, *, connections: int = 5, messages_per_connection: int | None = None, clock: Clock | None = None
) -> SmtpProvider:
    provider = make_provider(
        parse_dsn(dsn),
        {},
        connections=connections,
        messages_per_connection=messages_per_connection,
        clock=clock or SystemClock(),
    )
    assert isinstance(provider, SmtpProvider)
    return provider


async def test_connections_are_never_more_than_messages() -> None:
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=10)
        await provider.deliver(ListDeliveries(messages(3)))
        await provider.close()
        assert server.connections <= 3


async def test_connections_are_never_more_than_asked_for() -> None:
    async with ScriptedSmtp(Script(delays_s={"dot": 0.002})) as server:
        provider = provider_of(server.dsn, connections=4)
        await provider.deliver(ListDeliveries(messages(200)))
        await provider.close()
        assert 4 == server.most_connections


async def test_pipelined_connection_holds_two_messages_at_most() -> None:
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=3)
        deliveries = ListDeliveries(messages(100))
        await provider.deliver(deliveries)
        await provider.close()
    assert deliveries.most_in_flight <= 6


async def test_messages_leave_once_each_where_commits_are_gathered() -> None:
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=5, messages_per_connection=7)
        deliveries = ListDeliveries(messages(300), commit_is_remote=True)
        await provider.deliver(deliveries)
        await provider.close()
    assert dict.fromkeys(range(1, 301), ACCEPTED) == deliveries.dispositions
    assert 300 == len(server.messages)


async def test_connection_is_replaced_after_its_share_of_messages() -> None:
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=1, messages_per_connection=10)
        deliveries = ListDeliveries(messages(35))
        await provider.deliver(deliveries)
        await provider.close()
        assert 4 == server.connections
        assert 1 == server.most_connections
        assert 4 == server.client_bytes.count(b"QUIT\r\n")
        counts = [sum(message.connection == number for message in server.messages) for number in (1, 2, 3, 4)]
        assert [10, 10, 10, 5] == counts
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())


async def test_connection_is_replaced_at_its_age() -> None:
    clock = FakeClock()
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=1, clock=clock)
        await provider.deliver(ListDeliveries([a_message(1)]))
        clock.advance(299)
        await provider.deliver(ListDeliveries([a_message(2)]))
        assert 1 == server.connections
        clock.advance(2)
        await provider.deliver(ListDeliveries([a_message(3)]))
        await provider.close()
        assert 2 == server.connections
        assert 3 == len(server.messages)


async def test_long_idle_connection_is_asked_before_it_gets_a_message() -> None:
    clock = FakeClock()
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=1, clock=clock)
        await provider.deliver(ListDeliveries([a_message(1)]))
        clock.advance(40)
        await provider.deliver(ListDeliveries([a_message(2)]))
        await provider.close()
        assert 1 == server.client_bytes.count(b"RSET\r\n")
        assert 2 == len(server.messages)


async def test_long_idle_connection_that_is_dead_costs_no_message_an_attempt() -> None:
    clock = FakeClock()
    script = Script(faults={"rset": "close"}, faulty_connections=1)
    async with ScriptedSmtp(script) as server:
        provider = provider_of(server.dsn, connections=1, clock=clock)
        await provider.deliver(ListDeliveries([a_message(1)]))
        clock.advance(40)
        deliveries = ListDeliveries([a_message(2)])
        await provider.deliver(deliveries)
        await provider.close()
        assert 2 == server.connections
    assert [ACCEPTED] == [attempt.disposition for attempt in deliveries.attempts[2]]


async def test_idle_connection_that_the_server_closes_is_replaced() -> None:
    async with ScriptedSmtp() as first:
        provider = provider_of(first.dsn, connections=1)
        await provider.deliver(ListDeliveries([a_message(1)]))
        port = first.port
    await asyncio.sleep(0.02)
    with pytest.raises(ProviderUnavailableError, match=f"127.0.0.1:{port} refused the connection"):
        await provider.deliver(ListDeliveries([a_message(2)]))
    await provider.close()


async def test_server_takes_fewer_connections_the_pool_settles() -> None:
    async with ScriptedSmtp(Script(connections=2, delays_s={"dot": 0.002})) as server:
        provider = provider_of(server.dsn, connections=8)
        deliveries = ListDeliveries(messages(200))
        await provider.deliver(deliveries)
        await provider.close()
        assert 200 == len(server.messages)
        # Each of the eight was tried once, not again and again.
        assert server.connections <= 2 + 8
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())


async def test_pool_that_settled_tries_one_more_after_a_minute() -> None:
    clock = FakeClock()
    script = Script(connections=1, delays_s={"dot": 0.005})
    async with ScriptedSmtp(script) as server:
        provider = provider_of(server.dsn, connections=2, clock=clock, messages_per_connection=1000)
        deliveries = ListDeliveries(messages(300))

        def loosen(_message: Message, _attempt: Attempt) -> None:
            if len(deliveries.attempts) == 30:
                script.connections = None
                clock.advance(61)

        deliveries.on_finish = loosen
        await provider.deliver(deliveries)
        await provider.close()
        assert 2 == len({message.connection for message in server.messages})


async def test_server_that_comes_back_is_used_again() -> None:
    port = free_port()
    provider = provider_of(f"smtp://127.0.0.1:{port}")
    deliveries = ListDeliveries(messages(5), repeat=True)
    with pytest.raises(ProviderUnavailableError):
        await provider.deliver(deliveries)
    assert deliveries.all_finished
    async with ScriptedSmtp(port=port) as server:
        await provider.deliver(deliveries)
        await provider.close()
        assert 5 == len(server.messages)


@pytest.mark.parametrize(
    ("dsn", "what"),
    [
        ("smtp://does-not-exist.invalid:25?tls=none", "does-not-exist.invalid was not found"),
        ("smtp://mx..example.com:25?tls=none", "mx..example.com was not found: it is no host name"),
        ("smtp://127.0.0.1:{port}", "refused the connection.*587"),
        ("smtp://[::1]:{port}", "::1.*(refused the connection|no route|No connection)"),
    ],
)
async def test_no_connection_tells_cause_and_remedy(dsn: str, what: str) -> None:
    with pytest.raises(ProviderUnavailableError, match=what) as caught:
        await provider_of(dsn.format(port=free_port())).open()
    assert "\n" not in str(caught.value)


async def test_connect_time_out_tells_the_seconds() -> None:
    # A listener whose queue is full answers no further connection.
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        with socket.socket() as first, socket.socket() as second:
            first.setblocking(False)
            second.setblocking(False)
            for filler in (first, second):
                filler.connect_ex(("127.0.0.1", port))
            provider = provider_of(f"smtp://127.0.0.1:{port}?connect-timeout=0.2")
            with pytest.raises(ProviderUnavailableError, match="did not answer within 0.2 s"):
                await provider.open()


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (b"554 5.7.1 Not for you\r\n", "refused CONNECT: 554 5.7.1 Not for you"),
        (b"421 4.7.0 Too many connections\r\n", "refused CONNECT: 421 4.7.0 Too many connections.*fewer --connections"),
        ("garbage", "does not speak SMTP"),
        ("close", "closed the connection at CONNECT"),
        ("silent", "did not answer CONNECT in time"),
    ],
)
async def test_greeting_goes_wrong_tells_cause(fault: str | bytes, what: str) -> None:
    async with ScriptedSmtp(Script(faults={"connect": fault})) as server:
        with pytest.raises(ProviderUnavailableError, match=what):
            await provider_of(f"{server.dsn}?greeting-timeout=0.2").open()


async def test_server_without_extensions_is_greeted_the_old_way() -> None:
    async with ScriptedSmtp(Script(faults={"ehlo": b"502 5.5.1 Unknown\r\n"})) as server:
        provider = provider_of(server.dsn)
        await provider.deliver(ListDeliveries(messages(3)))
        await provider.close()
        assert 3 == len(server.messages)
        assert b"HELO [127.0.0.1]\r\n" in server.client_bytes


async def test_helo_option_is_the_name_given() -> None:
    async with ScriptedSmtp() as server:
        provider = provider_of(f"{server.dsn}?helo=mail.example.org")
        await provider.open()
        await provider.close()
        assert b"EHLO mail.example.org\r\n" in server.client_bytes


async def test_open_tells_the_servers_size() -> None:
    async with ScriptedSmtp(Script(("SIZE 1234",))) as server:
        provider = provider_of(server.dsn)
        await provider.open()
        await provider.close()
    assert 1234 == provider.limits.size_bytes


async def test_cancelled_after_the_dot_is_in_doubt_before_it_is_not_sent() -> None:
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=2)
        deliveries = ListDeliveries(
            [a_message(1, "silent-at-dot@example.com"), a_message(2, "silent-at-rcpt@example.com"), a_message(3)]
        )
        delivering = asyncio.create_task(provider.deliver(deliveries))
        await server.until_arrived(1)
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        assert deliveries.all_finished
        await provider.close()
    assert IN_DOUBT is deliveries.dispositions[1]
    assert {NOT_SENT} == {deliveries.dispositions[number] for number in deliveries.dispositions if number != 1}


async def test_cancelled_while_connecting_finishes_what_was_held() -> None:
    async with ScriptedSmtp(Script(faults={"connect": "silent"})) as server:
        provider = provider_of(server.dsn)
        deliveries = ListDeliveries(messages(3))
        delivering = asyncio.create_task(provider.deliver(deliveries))
        await server.until_connected()
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        assert deliveries.all_finished
    assert {NOT_SENT} == set(deliveries.dispositions.values())


async def test_close_says_quit_on_every_connection() -> None:
    async with ScriptedSmtp(Script(delays_s={"dot": 0.005})) as server:
        provider = provider_of(server.dsn, connections=3)
        await provider.deliver(ListDeliveries(messages(30)))
        await provider.close()
        assert 3 == server.client_bytes.count(b"QUIT\r\n") == server.connections


async def test_close_does_not_wait_for_a_silent_server() -> None:
    async with ScriptedSmtp(Script(faults={"quit": "silent"})) as server:
        provider = provider_of(f"{server.dsn}?quit-timeout=0.1")
        await provider.open()
        await asyncio.wait_for(provider.close(), 2)


async def test_take_fails_ends_the_run_with_its_error() -> None:
    deliveries = ListDeliveries(messages(20))
    take = deliveries.take

    def fail_at_the_tenth() -> Message | None:
        if len(deliveries.attempts) >= 10:
            raise JournalError("cannot be read")
        return take()

    deliveries.take = fail_at_the_tenth  # type: ignore[method-assign]  # a fault is put in
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=2)
        with pytest.raises(JournalError, match="cannot be read"):
            await asyncio.wait_for(provider.deliver(deliveries), 10)
        await provider.close()
        accepted = [number for number, disposition in deliveries.dispositions.items() if disposition is ACCEPTED]
        assert len(server.messages) == len(accepted)
    assert deliveries.all_finished


async def test_message_that_cannot_be_sent_leaves_an_idle_connection_usable() -> None:
    async with ScriptedSmtp(Script(("PIPELINING", "SIZE 100"))) as server:
        provider = provider_of(server.dsn, connections=1)
        await provider.open()
        deliveries = ListDeliveries([a_message(1, body=b"x" * 100), a_message(2, body=b"y" * 100)])
        await asyncio.wait_for(provider.deliver(deliveries), 5)
        assert {Disposition.PERMANENT} == set(deliveries.dispositions.values())
        last = ListDeliveries([a_message(3, body=b"z\r\n")])
        await asyncio.wait_for(provider.deliver(last), 5)
        await provider.close()
        assert 1 == server.connections == len(server.messages)


async def test_certificates_file_that_holds_none_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("nothing")
    provider = provider_of(f"smtp://localhost:{free_port()}?tls=starttls&ca={broken}")
    with pytest.raises(ProviderUnavailableError, match=r"ca.pem cannot be used.*\?ca=FILE"):
        await provider.open()


async def test_defect_while_opening_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr("mailblast.providers.smtp.pool.open_session", fail)
    deliveries = ListDeliveries(messages(2))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(provider_of("smtp://127.0.0.1:1").deliver(deliveries), 5)
    assert deliveries.all_finished
    assert {NOT_SENT} == set(deliveries.dispositions.values())


async def test_finish_fails_ends_the_run_with_its_error() -> None:
    deliveries = ListDeliveries(messages(20))

    def fail(message: Message, _attempt: Attempt) -> None:
        if message.id == 5:
            raise JournalError("cannot be written")

    deliveries.on_finish = fail
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=2)
        with pytest.raises(JournalError, match="cannot be written"):
            await asyncio.wait_for(provider.deliver(deliveries), 10)
        await provider.close()
    assert deliveries.all_finished


async def test_commit_fails_while_others_wait_for_work_ends_the_run() -> None:
    deliveries = ListDeliveries([a_message(1), a_message(2)], stay_open=True)

    def fail() -> None:
        raise JournalError("disk full")

    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=4)
        delivering = asyncio.create_task(provider.deliver(deliveries))
        await deliveries.until_finished(2)
        deliveries.on_commit = fail
        deliveries.add(a_message(3))
        with pytest.raises(JournalError, match="disk full"):
            await asyncio.wait_for(delivering, 5)
        await provider.close()
        assert 2 == len(server.messages)
    assert NOT_SENT is deliveries.dispositions[3]
