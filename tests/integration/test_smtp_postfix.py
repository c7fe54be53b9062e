"""Against Postfix: a real server's idea of pipelining, sizes and limits."""

from __future__ import annotations

from servers.list_deliveries import ListDeliveries, a_message, messages
from servers.postfix_server import Postfix, postfix_server

from mailblast.clock import SystemClock
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider


async def test_thousand_messages_are_all_queued_once(postfix: Postfix) -> None:
    provider = make_provider(parse_dsn(f"smtp://127.0.0.1:{postfix.port}"), {}, connections=5, clock=SystemClock())
    deliveries = ListDeliveries(messages(1000, size_bytes=2000))
    await provider.open()
    await provider.deliver(deliveries)
    await provider.close()
    attempts = [attempt for attempts in deliveries.attempts.values() for attempt in attempts]
    assert 1000 == len(attempts)
    assert {Disposition.ACCEPTED} == {attempt.disposition for attempt in attempts}
    # The names it gave them are all different, and its log knows each.
    names = {attempt.provider_id for attempt in attempts}
    assert 1000 == len(names)
    log = postfix.log.read_text()
    assert all(f" {name}: message-id=" in log for name in names)
    assert "improper command pipelining" not in log


async def test_size_refusals_and_lines_with_dots_are_understood() -> None:
    with postfix_server(message_size_limit="20000", smtpd_forbid_bare_newline="yes") as postfix:
        provider = make_provider(parse_dsn(f"smtp://127.0.0.1:{postfix.port}"), {}, connections=2, clock=SystemClock())
        deliveries = ListDeliveries(
            [
                a_message(1, body=b"x" * 70 + b"\r\n.\r\n..\r\nMAIL FROM:<evil@example.org>\r\n"),
                a_message(2, body=b"0123456789\r\n" * 5_000),
                a_message(3, "not-an-address"),
                a_message(4),
            ]
        )
        await provider.open()
        await provider.deliver(deliveries)
        await provider.close()
        assert 20000 == provider.limits.size_bytes
    assert Disposition.ACCEPTED is deliveries.dispositions[1]
    assert Disposition.PERMANENT is deliveries.dispositions[2]
    assert Disposition.ACCEPTED is deliveries.dispositions[4]


async def test_connection_limit_of_the_server_is_kept() -> None:
    with postfix_server(smtpd_client_connection_count_limit="3", smtpd_client_event_limit_exceptions="") as postfix:
        provider = make_provider(parse_dsn(f"smtp://127.0.0.1:{postfix.port}"), {}, connections=8, clock=SystemClock())
        deliveries = ListDeliveries(messages(300))
        await provider.deliver(deliveries)
        await provider.close()
    assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
    assert 300 == len(deliveries.attempts)
