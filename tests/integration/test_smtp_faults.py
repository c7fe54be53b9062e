"""What a server may do wrong, and what must then be known of every message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from servers.list_deliveries import ListDeliveries, a_message, messages
from servers.scripted_smtp import Script, ScriptedSmtp

from mailblast.clock import Clock, SystemClock
from mailblast.errors import ProviderUnavailableError
from mailblast.model.outcome import Disposition
from mailblast.model.reply import Scope, Stage
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.smtp.provider import SmtpProvider

if TYPE_CHECKING:
    from mailblast.model.outcome import Attempt

ACCEPTED, TEMPORARY, PERMANENT = Disposition.ACCEPTED, Disposition.TEMPORARY, Disposition.PERMANENT
NOT_SENT, IN_DOUBT = Disposition.NOT_SENT, Disposition.IN_DOUBT
EXTENSIONS = pytest.mark.parametrize("extensions", [("PIPELINING", "SIZE 52428800"), ()], ids=["pipelined", "single"])


def provider_of(
    server: ScriptedSmtp, *, connections: int = 1, options: str = "", clock: Clock | None = None
) -> SmtpProvider:
    provider = make_provider(parse_dsn(server.dsn + options), {}, connections=connections, clock=clock or SystemClock())
    assert isinstance(provider, SmtpProvider)
    return provider


async def deliver(server: ScriptedSmtp, deliveries: ListDeliveries, *, connections: int = 1, options: str = "") -> None:
    provider = provider_of(server, connections=connections, options=options)
    try:
        await asyncio.wait_for(provider.deliver(deliveries), 20)
    finally:
        await provider.close()
    assert deliveries.all_finished


async def attempt_at(server: ScriptedSmtp, recipient: str, body: bytes = b"Hello\r\n") -> Attempt:
    """Send one message between two good ones; return what came of it, after checking the others."""
    deliveries = ListDeliveries([a_message(1), a_message(2, recipient, body), a_message(3)], repeat=True)
    await deliver(server, deliveries)
    assert ACCEPTED is deliveries.dispositions[1]
    assert ACCEPTED is deliveries.dispositions[3]
    return deliveries.attempts[2][0]


@EXTENSIONS
@pytest.mark.parametrize("code", [450, 452, 550, 552, 554])
@pytest.mark.parametrize("verb", ["rcpt", "data", "dot"])
async def test_refusal_at_each_verb_counts_for_its_message_only(
    verb: str, code: int, extensions: tuple[str, ...]
) -> None:
    async with ScriptedSmtp(Script(extensions)) as server:
        attempt = await attempt_at(server, f"{code}-at-{verb}@example.com")
        assert 1 == server.connections
    assert attempt.reply is not None
    assert code == attempt.reply.code
    assert {"rcpt": Stage.RCPT, "data": Stage.DATA, "dot": Stage.BODY}[verb] is attempt.reply.stage
    assert attempt.disposition in {TEMPORARY, PERMANENT}
    assert ["recipient1@example.com", "recipient3@example.com"] == server.accepted_rcpts()


@EXTENSIONS
@pytest.mark.parametrize("verb", ["rcpt", "data", "dot"])
async def test_421_at_each_verb_is_an_answer_and_ends_the_connection(verb: str, extensions: tuple[str, ...]) -> None:
    async with ScriptedSmtp(Script(extensions)) as server:
        deliveries = ListDeliveries([a_message(1), a_message(2, f"421-at-{verb}@example.com"), a_message(3)])
        await deliver(server, deliveries)
        assert server.connections <= 2
    (attempt,) = deliveries.attempts[2]
    assert (TEMPORARY, Scope.CONNECTION) == (attempt.disposition, attempt.scope)
    assert attempt.reply is not None
    assert 421 == attempt.reply.code
    # In the pipeline behind it there may be one more, certainly not sent.
    assert deliveries.dispositions[3] in {ACCEPTED, NOT_SENT}


@EXTENSIONS
@pytest.mark.parametrize("fault", ["close", "reset"])
@pytest.mark.parametrize("verb", ["rcpt", "data", "body", "dot"])
async def test_connection_ends_only_complete_messages_are_in_doubt(
    verb: str, fault: str, extensions: tuple[str, ...]
) -> None:
    # Larger than all buffers on the way, so that its final dot cannot have left before the server hangs up.
    body = b"0123456789\r\n" * 1_000_000 if verb == "body" else b"Hello\r\n"
    async with ScriptedSmtp(Script(extensions)) as server:
        attempt = await attempt_at(server, f"{fault}-at-{verb}@example.com", body) if verb == "dot" else None
        if attempt is None:
            deliveries = ListDeliveries(
                [a_message(1), a_message(2, f"{fault}-at-{verb}@example.com", body), a_message(3)]
            )
            await deliver(server, deliveries)
            attempt = deliveries.attempts[2][0]
            assert ACCEPTED is deliveries.dispositions[1]
            assert 1 == server.accepted_rcpts().count("recipient1@example.com")
    assert (IN_DOUBT if verb == "dot" else NOT_SENT) is attempt.disposition
    assert attempt.reply is None


@EXTENSIONS
@pytest.mark.parametrize("verb", ["connect", "ehlo", "mail", "rcpt", "data"])
async def test_connection_ends_once_all_are_sent_exactly_once_after_retry(
    verb: str, extensions: tuple[str, ...]
) -> None:
    script = Script(extensions, faults={verb: "close"}, faulty_connections=1)
    async with ScriptedSmtp(script) as server:
        deliveries = ListDeliveries(messages(20), repeat=True)
        provider = provider_of(server)
        if verb in {"connect", "ehlo"}:
            with pytest.raises(ProviderUnavailableError):
                await provider.deliver(deliveries)
        await provider.deliver(deliveries)
        await provider.close()
        assert {ACCEPTED} == set(deliveries.dispositions.values())
        assert [f"recipient{number}@example.com" for number in range(1, 21)] == sorted(
            server.accepted_rcpts(), key=lambda address: int(address[len("recipient") :].partition("@")[0])
        )


@EXTENSIONS
async def test_mail_refused_dependent_replies_are_ignored(extensions: tuple[str, ...]) -> None:
    async with ScriptedSmtp(Script(extensions, faults={"mail": "451"}, faulty_connections=1)) as server:
        deliveries = ListDeliveries(messages(3))
        await deliver(server, deliveries)
        assert 1 == server.connections
        assert [] == server.messages
    for attempts in deliveries.attempts.values():
        (attempt,) = attempts
        assert attempt.reply is not None
        assert (451, Stage.MAIL) == (attempt.reply.code, attempt.reply.stage)


async def test_go_ahead_without_recipient_gets_a_lone_dot_and_a_reset() -> None:
    async with ScriptedSmtp(Script(faults={"data": b"354 Go on\r\n"})) as server:
        attempt = await attempt_at(server, "550-at-rcpt@example.com")
        assert b"DATA\r\n.\r\nRSET\r\nMAIL" in server.client_bytes
        assert ["recipient1@example.com", "recipient3@example.com"] == server.accepted_rcpts()
    assert PERMANENT is attempt.disposition


@EXTENSIONS
@pytest.mark.parametrize("fault", ["garbage", "extra"])
@pytest.mark.parametrize("verb", ["rcpt", "data", "dot"])
async def test_replies_out_of_step_nothing_is_sent_twice(verb: str, fault: str, extensions: tuple[str, ...]) -> None:
    async with ScriptedSmtp(Script(extensions)) as server:
        deliveries = ListDeliveries([a_message(1), a_message(2, f"{fault}-at-{verb}@example.com"), a_message(3)])
        await deliver(server, deliveries)
        arrived = server.accepted_rcpts()
    assert len(arrived) == len(set(arrived))
    assert ACCEPTED is deliveries.dispositions[1]
    if fault == "garbage":
        assert (IN_DOUBT if verb == "dot" else NOT_SENT) is deliveries.dispositions[2]
    for number, disposition in deliveries.dispositions.items():
        name = f"recipient{number}@" if number != 2 else f"{fault}-at-"
        has_arrived = any(address.startswith(name) for address in arrived)
        # What is accepted has arrived, what is not sent has not, and doubt is never told where there is none.
        assert disposition is IN_DOUBT or has_arrived == (disposition is ACCEPTED)


async def test_endless_reply_line_closes_the_connection() -> None:
    async with ScriptedSmtp(Script(faults={"rcpt": b"250 " + b"x" * 1_000_000})) as server:
        deliveries = ListDeliveries([a_message(1)])
        await deliver(server, deliveries)
    assert NOT_SENT is deliveries.dispositions[1]


@EXTENSIONS
@pytest.mark.parametrize("split", ["bytes", "crlf", "lines"])
async def test_replies_in_odd_packets_are_understood(split: str, extensions: tuple[str, ...]) -> None:
    async with ScriptedSmtp(Script(extensions, split=split)) as server:
        deliveries = ListDeliveries([*messages(10), a_message(11, "550-at-rcpt@example.com"), a_message(12)])
        await deliver(server, deliveries)
        assert 11 == len(server.messages)
    assert PERMANENT is deliveries.dispositions[11]


@EXTENSIONS
async def test_late_final_reply_is_waited_for(extensions: tuple[str, ...]) -> None:
    clock = FakeClock()
    async with ScriptedSmtp(Script(extensions, delays_s={"dot": 1.5})) as server:
        provider = provider_of(server, clock=clock)
        deliveries = ListDeliveries([a_message(1)])
        delivering = asyncio.create_task(provider.deliver(deliveries))
        await server.until_arrived(1)
        clock.advance(599)
        await delivering
        await provider.close()
    assert ACCEPTED is deliveries.dispositions[1]


async def test_final_reply_after_600_s_is_in_doubt() -> None:
    clock = FakeClock()
    async with ScriptedSmtp() as server:
        provider = provider_of(server, clock=clock)
        deliveries = ListDeliveries([a_message(1, "silent-at-dot@example.com"), a_message(2)])
        delivering = asyncio.create_task(provider.deliver(deliveries))
        await server.until_arrived(1)
        clock.advance(601)
        await asyncio.wait_for(delivering, 10)
        await provider.close()
    (attempt,) = deliveries.attempts[1]
    assert (IN_DOUBT, None, Scope.CONNECTION) == (attempt.disposition, attempt.reply, attempt.scope)
    assert 601 == pytest.approx(attempt.duration_s, abs=1)
    assert NOT_SENT is deliveries.dispositions[2]


@pytest.mark.parametrize(
    ("verb", "option", "disposition"),
    [
        ("rcpt", "rcpt-timeout", NOT_SENT),
        ("data", "data-timeout", NOT_SENT),
        ("dot", "final-timeout", IN_DOUBT),
    ],
)
@EXTENSIONS
async def test_silence_longer_than_the_verbs_time_out_closes(
    verb: str, option: str, disposition: Disposition, extensions: tuple[str, ...]
) -> None:
    async with ScriptedSmtp(Script(extensions)) as server:
        deliveries = ListDeliveries([a_message(1, f"silent-at-{verb}@example.com")])
        await deliver(server, deliveries, options=f"?{option}=0.1")
    assert disposition is deliveries.dispositions[1]


@EXTENSIONS
async def test_421_after_some_messages_nothing_is_lost(extensions: tuple[str, ...]) -> None:
    async with ScriptedSmtp(Script(extensions, messages_per_connection=7)) as server:
        deliveries = ListDeliveries(messages(50), repeat=True)
        await deliver(server, deliveries, connections=2)
        assert 50 == len(set(server.accepted_rcpts())) == len(server.messages)
    assert {ACCEPTED} == set(deliveries.dispositions.values())


async def test_refused_recipients_connection_is_replaced_after_eight() -> None:
    async with ScriptedSmtp() as server:
        refused = [a_message(number, f"550-at-rcpt+{number}@example.com") for number in range(1, 21)]
        deliveries = ListDeliveries([*refused, a_message(21)])
        await deliver(server, deliveries)
        assert 3 == server.connections
        assert 1 == len(server.messages)


async def test_large_body_tiny_buffers_arrives_whole() -> None:
    body = b"0123456789\r\n.\r\n..two\r\n" * 100_000
    async with ScriptedSmtp(Script(tiny_buffers=True)) as server:
        deliveries = ListDeliveries([a_message(1, body=body), a_message(2, body=body), a_message(3)])
        await deliver(server, deliveries)
        assert {len(body)} == {len(message.content.partition(b"\r\n\r\n")[2]) for message in server.messages[:2]}
        assert body == server.messages[0].content.partition(b"\r\n\r\n")[2]
        assert 3 == len(server.messages)


async def test_early_refusal_of_a_large_body_is_an_answer() -> None:
    body = b"0123456789\r\n" * 1_000_000
    async with ScriptedSmtp(Script(tiny_buffers=True)) as server:
        deliveries = ListDeliveries([a_message(1, "552-at-body@example.com", body), a_message(2)])
        await deliver(server, deliveries)
        assert ["recipient2@example.com"] == server.accepted_rcpts()
    (attempt,) = deliveries.attempts[1]
    assert attempt.reply is not None
    assert (PERMANENT, 552) == (attempt.disposition, attempt.reply.code)


async def test_marks_are_on_file_before_the_first_byte_of_a_body_arrives() -> None:
    deliveries = ListDeliveries(messages(200))
    checked = []

    def check(rcpt: str) -> None:
        number = int(rcpt[len("RCPT TO:<recipient") :].partition("@")[0])
        checked.append(deliveries.is_committed(number))

    async with ScriptedSmtp() as server:
        server.on_body = check
        await deliver(server, deliveries, connections=4)
    assert [True] * 200 == checked


async def test_final_dot_of_a_large_body_leaves_after_its_mark() -> None:
    body = b"0123456789\r\n" * 500_000
    deliveries = ListDeliveries([a_message(1, body=body)])
    begun_at_first_byte = []
    async with ScriptedSmtp(Script(tiny_buffers=True)) as server:
        server.on_body = lambda _: begun_at_first_byte.append(("begin", 1) in deliveries.calls)
        await deliver(server, deliveries)
    # As late as possible: the block in front of the dot is on its way before the mark.
    assert [False] == begun_at_first_byte
    assert [("take", 1), ("begin", 1), ("commit", 0), ("finish", 1)] == deliveries.calls


@EXTENSIONS
async def test_message_over_the_servers_size_is_refused_without_the_wire(extensions: tuple[str, ...]) -> None:
    limited = (*(item for item in extensions if not item.startswith("SIZE")), "SIZE 100")
    async with ScriptedSmtp(Script(limited)) as server:
        deliveries = ListDeliveries([a_message(1, body=b"x" * 100 + b"\r\n"), a_message(2, body=b"y\r\n")])
        await deliver(server, deliveries)
        assert b"recipient1@" not in server.client_bytes
        assert b"SIZE=" in server.client_bytes
    (attempt,) = deliveries.attempts[1]
    assert attempt.reply is not None
    assert (PERMANENT, Scope.MESSAGE) == (attempt.disposition, attempt.scope)
    assert (552, "5.3.4", Stage.MAIL) == (*attempt.reply[:2], attempt.reply.stage)
    assert ACCEPTED is deliveries.dispositions[2]


async def test_smtputf8_is_used_only_where_needed_and_offered() -> None:
    recipients = [a_message(1, "grün@example.com", needs_smtputf8=True), a_message(2)]
    async with ScriptedSmtp() as server:
        deliveries = ListDeliveries(recipients)
        await deliver(server, deliveries)
        assert ["SMTPUTF8" in message.mail for message in server.messages] == [True, False]
        assert "RCPT TO:<grün@example.com>" == server.messages[0].rcpts[0]
    async with ScriptedSmtp(Script(("PIPELINING",))) as server:
        deliveries = ListDeliveries(recipients)
        await deliver(server, deliveries)
        assert 1 == len(server.messages)
    (attempt,) = deliveries.attempts[1]
    assert attempt.reply is not None
    assert (PERMANENT, Scope.MESSAGE, "5.6.7") == (attempt.disposition, attempt.scope, attempt.reply.enhanced)


@pytest.mark.parametrize(
    "address",
    [
        "a@b.c> NOTIFY=x",
        "a@b.c\r\nRCPT TO:<evil@x.example>",
        "a@b.c\nQUIT",
        "<a@b.c>",
        "a b@c.d",
        "",
        "a@b.c\0",
        "\x7f@b.c",
    ],
)
async def test_address_that_would_change_a_command_never_reaches_the_wire(address: str) -> None:
    async with ScriptedSmtp() as server:
        deliveries = ListDeliveries(
            [a_message(1)._replace(recipient=address), a_message(2)._replace(sender=address or "\r"), a_message(3)]
        )
        await deliver(server, deliveries)
        assert ["recipient3@example.com"] == server.accepted_rcpts()
        assert 1 == server.client_bytes.count(b"RCPT TO")
    assert [PERMANENT, PERMANENT, ACCEPTED] == [deliveries.dispositions[number] for number in (1, 2, 3)]


async def test_server_that_always_drops_ends_the_run_without_doubt() -> None:
    async with ScriptedSmtp(Script(faults={"mail": "close"})) as server:
        deliveries = ListDeliveries(messages(10))
        await deliver(server, deliveries, connections=3)
        assert [] == server.messages
    assert {NOT_SENT} == set(deliveries.dispositions.values())
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())
