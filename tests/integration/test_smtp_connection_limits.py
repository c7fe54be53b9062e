"""Servers that want fewer connections, shorter ones or slower ones; and connections that nobody uses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from servers.list_deliveries import ListDeliveries, a_message, messages
from servers.postfix_server import postfix_server
from servers.scripted_smtp import Script, ScriptedSmtp

from mailblast.clock import Clock, SystemClock
from mailblast.errors import AccountError, ProviderUnavailableError
from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.smtp.pool import Pool
from mailblast.providers.smtp.provider import SmtpProvider
from mailblast.providers.smtp.settings import SmtpSettings, Timeouts

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.model.outcome import Attempt

ACCEPTED = Disposition.ACCEPTED


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


def asking(deliveries: ListDeliveries, advice: Advice) -> list[Attempt]:
    """Attempts whose reply asked for something."""
    return [attempt for attempts in deliveries.attempts.values() for attempt in attempts if attempt.advice is advice]


async def test_421_after_every_ten_messages_charges_nobody_and_is_learned() -> None:
    async with ScriptedSmtp(Script(messages_per_connection=10)) as server:
        provider = provider_of(server.dsn, connections=2)
        deliveries = ListDeliveries(messages(205), repeat=True)
        await provider.deliver(deliveries)
        await provider.close()
        assert 205 == len(server.messages) == len(set(server.accepted_rcpts()))
        assert 21 <= server.connections <= 23
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    rotated = asking(deliveries, Advice.ROTATE)
    # Only the first connections had to be told.
    assert 1 <= len(rotated) <= 2
    assert {(Disposition.TEMPORARY, Scope.CONNECTION)} == {(attempt.disposition, attempt.scope) for attempt in rotated}


async def test_432_beyond_three_connections_the_pool_settles_at_three() -> None:
    async with ScriptedSmtp(Script(sessions=3, delays_s={"dot": 0.002})) as server:
        provider = provider_of(server.dsn, connections=10)
        deliveries = ListDeliveries(messages(300), repeat=True)
        await provider.deliver(deliveries)
        # One fewer where a session was being replaced when the fourth was refused; it is tried again in a minute.
        assert 2 <= provider._pool._size.limit <= 3
        await provider.close()
        assert 300 == len(server.messages)
        assert server.connections <= 12
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert 1 <= len(asking(deliveries, Advice.SLOW_DOWN)) <= 9


async def test_slow_down_that_speaks_of_the_domain_keeps_the_connection() -> None:
    reply = b"450 4.2.1 The user you are trying to contact is receiving mail too quickly.\r\n"
    async with ScriptedSmtp(Script(faults={"rcpt": reply})) as server:
        provider = provider_of(server.dsn, connections=1)
        deliveries = ListDeliveries(messages(5))
        await provider.deliver(deliveries)
        await provider.close()
        assert 1 == server.connections
    assert 5 == len(asking(deliveries, Advice.SLOW_DOWN))
    assert 1 == provider._pool._size.limit


async def test_reply_that_names_a_time_hands_it_on() -> None:
    reply = b"451 4.7.1 Greylisted, please try again in 5 minutes\r\n"
    async with ScriptedSmtp(Script(faults={"rcpt": reply})) as server:
        provider = provider_of(server.dsn, connections=1)
        deliveries = ListDeliveries([a_message(1)])
        await provider.deliver(deliveries)
        await provider.close()
    (attempt,) = deliveries.attempts[1]
    assert (300.0, Advice.NONE, Scope.RECIPIENT) == (attempt.retry_after_s, attempt.advice, attempt.scope)


async def test_postfix_takes_three_of_ten_connections_and_nobody_is_lost() -> None:
    with postfix_server(smtpd_client_connection_count_limit="3", smtpd_client_event_limit_exceptions="") as postfix:
        # Connections are replaced all the time, and Postfix counts one for a moment after it has left.
        provider = provider_of(f"smtp://127.0.0.1:{postfix.port}", connections=10, messages_per_connection=15)
        deliveries = ListDeliveries(messages(400))
        await provider.deliver(deliveries)
        limit = provider._pool._size.limit
        await provider.close()
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert 400 == len(deliveries.attempts)
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())
    assert 3 == limit


async def test_server_that_still_counts_the_connection_that_left_is_asked_again() -> None:
    clock = FakeClock()
    script = Script(delays_s={"dot": 0.002})
    async with ScriptedSmtp(script) as server:
        provider = provider_of(server.dsn, connections=2, messages_per_connection=4, clock=clock)
        deliveries = ListDeliveries(messages(24))
        provider._pool._left_s = clock.monotonic()
        script.connections = 1
        await provider.deliver(deliveries)
        await provider.close()
        assert 24 == len(server.messages)
    # The second one was asked for three times before the pool settled for one.
    assert [0.1, 0.4] == clock.slept[:2]
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())


async def test_logins_are_not_hammered() -> None:
    clock = FakeClock()
    async with ScriptedSmtp() as server:
        settings = SmtpSettings("127.0.0.1", server.port, tls="none", connections=1, messages_per_connection=1)
        pool = Pool(replace(settings, logins_per_s=4), clock)
        deliveries = ListDeliveries(messages(12))
        await pool.deliver(deliveries)
        await pool.close()
        assert 12 == server.connections == len(server.messages)
    # Four at once, then four in each further second.
    assert 2.0 == pytest.approx(clock.time_s - FakeClock().time_s)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def idle_pool(server: ScriptedSmtp, clock: FakeClock, **changes: object) -> Pool:
    """A pool with one connection that has nothing to do."""
    settings = SmtpSettings("127.0.0.1", server.port, tls="none", max_age_s=36_000.0)
    pool = Pool(replace(settings, **changes), clock)  # type: ignore[arg-type]  # fields of the settings
    await pool.deliver(ListDeliveries([a_message(1)]))
    return pool


async def until_gone(pool: Pool) -> None:
    while pool._connections:
        pool._changed.clear()
        await pool._changed.wait()


async def until_idle(pool: Pool) -> None:
    while not pool._idle:
        pool._changed.clear()
        await pool._changed.wait()


async def test_idle_connection_is_asked_every_five_minutes(clock: FakeClock) -> None:
    async with ScriptedSmtp() as server:
        pool = await idle_pool(server, clock)
        for checks in range(1, 4):
            clock.advance(299)
            pool.look_after()
            assert checks - 1 == server.client_bytes.count(b"RSET\r\n")
            clock.advance(1)
            pool.look_after()
            await until_idle(pool)
            assert checks == server.client_bytes.count(b"RSET\r\n")
        await pool.deliver(ListDeliveries([a_message(2)]))
        await pool.close()
        assert (1, 2) == (server.connections, len(server.messages))


async def test_idle_connection_that_does_not_answer_is_no_mail_failure(clock: FakeClock) -> None:
    script = Script(faults={"rset": "close"}, faulty_connections=1)
    async with ScriptedSmtp(script) as server:
        pool = await idle_pool(server, clock)
        clock.advance(300)
        pool.look_after()
        await until_gone(pool)
        deliveries = ListDeliveries([a_message(2)])
        await pool.deliver(deliveries)
        await pool.close()
        assert 2 == server.connections
    assert [ACCEPTED] == [attempt.disposition for attempt in deliveries.attempts[2]]


async def test_silent_idle_connection_is_cut_after_the_time_out(clock: FakeClock) -> None:
    async with ScriptedSmtp(Script(faults={"rset": "silent"})) as server:
        pool = await idle_pool(server, clock, timeouts=Timeouts(rset=20.0))
        clock.advance(300)
        pool.look_after()
        clock.advance(20)
        pool.look_after()
        assert not pool._connections
        await pool.close()


async def test_connection_unused_for_half_an_hour_is_closed_although_it_is_checked(clock: FakeClock) -> None:
    async with ScriptedSmtp() as server:
        pool = await idle_pool(server, clock)
        for _ in range(5):
            clock.advance(300)
            pool.look_after()
            await until_idle(pool)
        clock.advance(300)
        pool.look_after()
        await until_gone(pool)
        assert (5, 1) == (server.client_bytes.count(b"RSET\r\n"), server.client_bytes.count(b"QUIT\r\n"))
        await pool.close()


async def test_idle_connection_that_is_too_old_is_closed(clock: FakeClock) -> None:
    async with ScriptedSmtp() as server:
        pool = await idle_pool(server, clock, max_age_s=100.0)
        clock.advance(100)
        pool.look_after()
        await until_gone(pool)
        assert 1 == server.client_bytes.count(b"QUIT\r\n")
        await pool.close()


async def test_pool_looks_after_its_connections_by_itself(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailblast.providers.smtp.pool.UPKEEP_EVERY_S", 0.005)
    async with ScriptedSmtp() as server:
        pool = await idle_pool(server, clock)
        clock.advance(1800)
        await until_gone(pool)
        assert 1 == server.client_bytes.count(b"QUIT\r\n")
        # With no connection there is nothing to look after.
        assert pool._upkeep is None or pool._upkeep.when() > 0
        await pool.close()
        assert pool._upkeep is None


async def test_connection_is_replaced_after_eight_refusals() -> None:
    async with ScriptedSmtp() as server:
        provider = provider_of(server.dsn, connections=1)
        refused = [a_message(number, f"550-at-rcpt+{number}@example.com") for number in range(1, 18)]
        deliveries = ListDeliveries([*refused, a_message(18)])
        await provider.deliver(deliveries)
        await provider.close()
        assert 3 == server.connections
        assert 1 == len(server.messages)
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())


async def test_own_rule_changes_what_a_refusal_comes_to(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        '[[rule]]\nscope = "account"\npermanence = "temporary"\nadvice = "tomorrow"\n'
        'text = "allowance"\nhost = "^127[.]"\nsource = "our relay"\n'
    )
    script = Script(faults={"rcpt": b"550 5.1.1 Your allowance is used up\r\n"})
    async with ScriptedSmtp(script) as server:
        settings = {"MAILBLAST_REPLY_RULES": str(file)}
        provider = make_provider(parse_dsn(server.dsn), settings, clock=SystemClock())
        deliveries = ListDeliveries([a_message(1)])
        await provider.deliver(deliveries)
        await provider.close()
    (attempt,) = deliveries.attempts[1]
    assert (Disposition.TEMPORARY, Scope.ACCOUNT, Advice.TOMORROW) == (
        attempt.disposition,
        attempt.scope,
        attempt.advice,
    )


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"451 Authentication failed: Maximum credits exceeded\r\n", AccountError),
        (b"454 4.7.0 Too many login attempts, please try again later.\r\n", ProviderUnavailableError),
    ],
)
async def test_login_that_waits_for_another_day_stops_the_run(reply: bytes, error: type[Exception]) -> None:
    async with ScriptedSmtp(Script(users={"ada": "p"}, faults={"auth": reply})) as server:
        dsn = server.dsn.replace("//", "//ada:p@")
        provider = provider_of(dsn)
        with pytest.raises(error):
            await provider.open()
        await provider.close()
