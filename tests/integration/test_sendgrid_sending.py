"""The SendGrid provider against a server with SendGrid's rules: who got what, and what is known of the others."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from servers.list_deliveries import ListDeliveries, a_composition, a_message
from servers.sendgrid_fake import KEY, Misdeed, SendgridFake, errors, serving

from mailblast.clock import SystemClock
from mailblast.errors import AccountError, ProviderUnavailableError
from mailblast.model.campaign import Mailbox
from mailblast.model.message import Attachment, Layout, Message
from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.sendgrid import wire
from mailblast.providers.sendgrid.provider import SendgridProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Certificates

ACCEPTED, IN_DOUBT, NOT_SENT = Disposition.ACCEPTED, Disposition.IN_DOUBT, Disposition.NOT_SENT
PERMANENT, TEMPORARY = Disposition.PERMANENT, Disposition.TEMPORARY
LAYOUT = Layout(("a1", "b1"), "Hello {{a1}}", "Dear {{a1}}\n{{b1}}", "<p>Dear {{a1}}</p>{{b1}}")


@pytest.fixture
def fake() -> Iterator[SendgridFake]:
    with serving(SendgridFake()) as running:
        yield running


def provider_at(endpoint: str, options: str = "", key: str = KEY) -> SendgridProvider:
    dsn = parse_dsn(f"sendgrid://?endpoint={endpoint}{options}")
    provider = make_provider(dsn, {"SENDGRID_API_KEY": key}, clock=SystemClock())
    assert isinstance(provider, SendgridProvider)
    return provider


def provider_of(fake: SendgridFake, options: str = "", key: str = KEY) -> SendgridProvider:
    return provider_at(f"http://127.0.0.1:{fake.port}", options, key)


def personal(number: int, address: str = "", **changes: Any) -> Message:
    """Build a message of a layout with two slots, whose values hold what templates are made of."""
    name = f"Zoë {number} <{{{{x}}}}> $1 \\ &amp;"
    message = a_message(number, address)
    composition = a_composition(number, message.recipient)._replace(
        layout=LAYOUT,
        values=(name, f"line {number}\n"),
        content=composition_content(name, number),
        headers=(("List-Unsubscribe", f"<https://example.org/u/{number}>"), ("List-Id", "<news.example.org>")),
    )
    return message._replace(composition=composition._replace(**changes))


def composition_content(name: str, number: int) -> Any:
    content = a_composition(number, "x@example.org").content
    return content._replace(
        subject=f"Hello {name}", text=f"Dear {name}\nline {number}\n", html=f"<p>Dear {name}</p>line {number}\n"
    )


def people(count: int) -> list[Message]:
    return [personal(number) for number in range(1, count + 1)]


async def deliver(provider: SendgridProvider, messages: list[Message]) -> ListDeliveries:
    deliveries = ListDeliveries(messages)
    await provider.deliver(deliveries)
    assert deliveries.all_finished
    return deliveries


async def deliver_refused(provider: SendgridProvider, messages: list[Message]) -> ListDeliveries:
    deliveries = ListDeliveries(messages)
    with pytest.raises(AccountError, match="SendGrid refused the account: [34]"):
        await provider.deliver(deliveries)
    assert deliveries.all_finished
    return deliveries


def addresses(document: dict[str, Any]) -> list[str]:
    return [one["to"][0]["email"] for one in document["personalizations"]]


async def test_thousand_with_one_bad_address_accepts_all_others_as_rendered(fake: SendgridFake) -> None:
    messages = people(1000)
    messages[616] = personal(617, "no address")
    deliveries = await deliver(provider_of(fake), messages)
    assert Counter({ACCEPTED: 999, PERMANENT: 1}) == Counter(deliveries.dispositions.values())
    (refused,) = deliveries.attempts[617]
    assert refused.reply is not None
    assert (400, "Does not contain a valid address.", Scope.RECIPIENT) == (
        refused.reply.code,
        refused.reply.text,
        refused.scope,
    )
    assert [250, 250, 250, 250, 249] == sorted((len(d["personalizations"]) for d in fake.documents), reverse=True)
    assert fake.most_in_flight <= 4
    got = {mail.address: mail for mail in fake.mails}
    assert 999 == len(got) == len(fake.mails)
    for message in messages:
        composition = message.composition
        if message.id == 617 or composition is None:
            continue
        mail = got[message.recipient]
        assert composition.content[:3] == (mail.subject, mail.text, mail.html)
        assert {**dict(composition.headers), "Message-ID": message.message_id} == mail.headers
        assert {"message_id": message.message_id.strip("<>")} == mail.custom_args
        (attempt,) = deliveries.attempts[message.id]
        assert f"fake-{mail.request}" == attempt.provider_id
        assert 0 < attempt.duration_s < 30


async def test_same_address_twice_arrives_twice_in_two_requests(fake: SendgridFake) -> None:
    messages = [personal(1, "a@example.com"), personal(2), personal(3, "A@example.com"), personal(4, "a@example.com")]
    deliveries = await deliver(provider_of(fake), messages)
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert [["A@example.com"], ["a@example.com"], ["a@example.com", "recipient2@example.com"]] == sorted(
        addresses(document) for document in fake.documents
    )


async def test_values_too_large_and_no_layout_go_alone(fake: SendgridFake) -> None:
    long = "ä" * 6000
    messages = [
        personal(1),
        personal(2, values=("x", long), content=composition_content("x", 2)._replace(text=long)),
        personal(3, layout=None, values=()),
        personal(4),
    ]
    deliveries = await deliver(provider_of(fake), messages)
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert [[1], [1], [2]] == [[count] for count in sorted(len(d["personalizations"]) for d in fake.documents)]
    assert long == next(mail for mail in fake.mails if mail.address == "recipient2@example.com").text


async def test_message_that_never_fits_fails_and_the_others_go(fake: SendgridFake) -> None:
    messages = [personal(1), personal(2, headers=(("X-A", "1"), ("X-A", "2"))), personal(3)]
    deliveries = await deliver(provider_of(fake), messages)
    assert {1: ACCEPTED, 2: PERMANENT, 3: ACCEPTED} == deliveries.dispositions
    assert ["begin", "begin"] == [name for name, _ in deliveries.calls if name == "begin"]


async def test_attachments_and_settings_arrive(fake: SendgridFake) -> None:
    file = Attachment("ü.txt", "text/plain", b"aGVs\r\nbG8=\r\n")
    message = personal(1, attachments=(file,), recipient=Mailbox("Zoë", "z@x.org"))
    await deliver(provider_of(fake, "&asm=12&categories=news,spring"), [message])
    (document,) = fake.documents
    assert ({"group_id": 12}, ["news", "spring"]) == (document["asm"], document["categories"])
    assert ("Zoë", "z@x.org") == fake.mails[0][1::-1]
    assert [("ü.txt", "aGVsbG8=")] == [(each["filename"], each["content"]) for each in fake.mails[0].attachments]


async def test_sandbox_is_accepted_and_mails_nothing(fake: SendgridFake) -> None:
    deliveries = await deliver(provider_of(fake, "&sandbox=on"), people(3))
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert [] == fake.mails


def refuse(needle: str, status: int = 400, body: bytes = errors("Bad Request")) -> Any:
    return lambda _number, document: Misdeed(status, body) if needle in str(document) else None


async def test_refusal_that_names_nobody_is_narrowed_down_to_the_one(fake: SendgridFake) -> None:
    fake.misdeed = refuse("recipient77@")
    deliveries = await deliver(provider_of(fake), people(250))
    assert [77] == [number for number, disposition in deliveries.dispositions.items() if disposition is PERMANENT]
    assert Counter({ACCEPTED: 249, PERMANENT: 1}) == Counter(deliveries.dispositions.values())
    assert 249 == len(fake.mails)
    # One request of 250, then two halves for each of eight levels.
    assert fake.requests <= 17


async def test_what_all_have_in_common_is_refused_the_account_stops(fake: SendgridFake) -> None:
    fake.misdeed = refuse("", body=errors("The content is not wanted"))
    deliveries = await deliver_refused(provider_of(fake), people(100))
    assert Counter({PERMANENT: 8, NOT_SENT: 92}) == Counter(deliveries.dispositions.values())
    scopes = [attempts[0].scope for attempts in deliveries.attempts.values() if attempts[0].disposition is PERMANENT]
    assert Counter({Scope.MESSAGE: 7, Scope.ACCOUNT: 1}) == Counter(scopes)
    assert fake.requests < 25


async def test_request_too_large_is_halved_until_it_fits(fake: SendgridFake) -> None:
    fake.misdeed = lambda _number, document: (
        Misdeed(413, errors("content too large")) if len(document["personalizations"]) > 40 else None
    )
    deliveries = await deliver(provider_of(fake), people(250))
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert 250 == len({mail.address for mail in fake.mails}) == len(fake.mails)


async def test_too_fast_sends_nobody_and_says_how_long_to_wait(fake: SendgridFake) -> None:
    fake.rate = (2, 60.0)
    deliveries = await deliver(provider_of(fake, "&batch=10&concurrency=1"), people(40))
    assert [ACCEPTED] * 20 + [TEMPORARY] * 20 == list(deliveries.dispositions.values())
    attempt = deliveries.attempts[40][0]
    assert (Scope.ACCOUNT, Advice.SLOW_DOWN) == (attempt.scope, attempt.advice)
    assert attempt.retry_after_s is not None
    assert 50 < attempt.retry_after_s <= 61
    # The last that fitted says so, too.
    assert (Advice.SLOW_DOWN, Advice.NONE) == (deliveries.attempts[20][0].advice, deliveries.attempts[1][0].advice)
    assert 20 == len(fake.mails)


async def test_lost_answer_leaves_only_its_own_in_doubt(fake: SendgridFake) -> None:
    fake.misdeed = lambda number, _document: Misdeed(lose_answer=True) if number == 1 else None
    deliveries = await deliver(provider_of(fake, "&batch=20&concurrency=1"), people(100))
    assert [number for number, each in deliveries.dispositions.items() if each is IN_DOUBT] == list(range(21, 41))
    assert Counter({ACCEPTED: 80, IN_DOUBT: 20}) == Counter(deliveries.dispositions.values())
    assert deliveries.attempts[21][0].reply is None
    # Until the next answer, no more is at stake than one.
    assert [20, 20, 1, 20] == [len(document["personalizations"]) for document in fake.documents][:4]
    assert 100 == len(fake.mails)


async def test_no_answer_in_time_leaves_its_own_in_doubt(fake: SendgridFake) -> None:
    fake.misdeed = lambda number, _document: Misdeed(delay_s=1.0) if number == 0 else None
    deliveries = await deliver(provider_of(fake, "&batch=5&concurrency=1&timeout=0.3"), people(10))
    assert [IN_DOUBT] * 5 + [ACCEPTED] * 5 == list(deliveries.dispositions.values())


async def test_api_that_answers_nothing_any_more_stops_with_few_in_doubt(fake: SendgridFake) -> None:
    fake.misdeed = lambda _number, _document: Misdeed(lose_answer=True)
    deliveries = ListDeliveries(people(100))
    with pytest.raises(ProviderUnavailableError, match="did not answer 5 requests in a row"):
        await provider_of(fake, "&batch=10&concurrency=1").deliver(deliveries)
    # One request of ten, then four with one each.
    assert 14 == list(deliveries.dispositions.values()).count(IN_DOUBT)
    assert deliveries.all_finished


@pytest.mark.parametrize(
    ("status", "body", "disposition"),
    [
        (500, errors("internal server error"), IN_DOUBT),
        (502, b"<html>Bad Gateway</html>", IN_DOUBT),
        (503, b"upstream connect error or disconnect/reset before headers", IN_DOUBT),
        (504, b"", IN_DOUBT),
        (503, errors("service unavailable"), TEMPORARY),
        (408, b"", TEMPORARY),
    ],
)
async def test_server_error_is_in_doubt_unless_it_says_that_nothing_was_taken(
    fake: SendgridFake, status: int, body: bytes, disposition: Disposition
) -> None:
    fake.misdeed = lambda number, _document: Misdeed(status, body) if number == 0 else None
    deliveries = await deliver(provider_of(fake, "&batch=5&concurrency=1"), people(10))
    assert [disposition] * 5 + [ACCEPTED] * 5 == list(deliveries.dispositions.values())
    attempt = deliveries.attempts[1][0]
    assert attempt.reply is not None
    assert (status, Scope.CONNECTION) == (attempt.reply.code, attempt.scope)


async def test_batch_refused_as_unavailable_is_retried_one_by_one(fake: SendgridFake) -> None:
    fake.misdeed = lambda number, _document: Misdeed(503, errors("service unavailable")) if number == 0 else None
    deliveries = ListDeliveries(people(6), repeat=True)
    provider = provider_of(fake, "&concurrency=2")
    await provider.deliver(deliveries)
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert [6, 1, 1, 1, 1, 1, 1] == [len(document["personalizations"]) for document in fake.documents]
    # Together again after that.
    await deliver(provider, people(6))
    assert 6 == len(fake.documents[-1]["personalizations"])


@pytest.mark.parametrize("status", [401, 403, 404, 405, 406, 451])
async def test_refused_account_is_told_with_its_scope(fake: SendgridFake, status: int) -> None:
    fake.misdeed = lambda _number, _document: Misdeed(status, errors("access forbidden"))
    deliveries = await deliver_refused(provider_of(fake, "&batch=5&concurrency=1"), people(20))
    assert {(PERMANENT, Scope.ACCOUNT)} == {
        (attempts[0].disposition, attempts[0].scope) for attempts in deliveries.attempts.values()
    }
    assert (5, 1) == (len(deliveries.attempts), fake.requests)


async def test_used_up_credits_stop_until_they_are_renewed(fake: SendgridFake) -> None:
    fake.misdeed = lambda _number, _document: Misdeed(401, errors("Maximum credits exceeded"))
    deliveries = await deliver_refused(provider_of(fake), people(3))
    assert {(TEMPORARY, Advice.TOMORROW)} == {
        (each[0].disposition, each[0].advice) for each in deliveries.attempts.values()
    }


async def test_redirect_is_not_followed_with_the_key(fake: SendgridFake) -> None:
    with serving(SendgridFake()) as other:
        target = (("Location", f"http://127.0.0.1:{other.port}/v3/scopes"),)
        fake.misdeed = lambda _number, _document: Misdeed(302, headers=target)
        deliveries = await deliver_refused(provider_of(fake), people(2))
        assert 0 == other.requests
    assert {PERMANENT} == set(deliveries.dispositions.values())


async def test_reset_while_a_large_request_is_written_sent_nothing(fake: SendgridFake) -> None:
    fake.early = lambda number: Misdeed(reset_early=True) if number == 0 else None
    file = Attachment("b.bin", "application/octet-stream", b"A" * 20_000_000)
    deliveries = ListDeliveries([personal(1, attachments=(file,))], repeat=True)
    await provider_of(fake).deliver(deliveries)
    assert [NOT_SENT, ACCEPTED] == [attempt.disposition for attempt in deliveries.attempts[1]]


async def test_nobody_listens_stops_and_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    deliveries = ListDeliveries(people(1000))
    provider = provider_at(f"http://127.0.0.1:{port}")
    with pytest.raises(
        ProviderUnavailableError, match=rf"cannot be reached at http://127.0.0.1:{port}: Connection refused"
    ):
        await provider.deliver(deliveries)
    assert deliveries.all_finished
    assert {NOT_SENT} == set(deliveries.dispositions.values())
    with pytest.raises(ProviderUnavailableError, match="Connection refused"):
        await provider.open()


async def test_tls_is_verified(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SendgridFake()
    with serving(fake, certificates.good):
        with pytest.raises(ProviderUnavailableError, match="certificate is not trusted"):
            await provider_at(f"https://localhost:{fake.port}").open()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
        provider = provider_at(f"https://localhost:{fake.port}")
        await provider.open()
        deliveries = await deliver(provider, people(10))
        assert {ACCEPTED} == set(deliveries.dispositions.values())
        fake.misdeed = lambda _number, _document: Misdeed(delay_s=20.0)
        await cancelled_at_once(provider, fake)


async def cancelled_at_once(provider: SendgridProvider, fake: SendgridFake) -> None:
    deliveries = ListDeliveries(people(30))
    fake.arrived.clear()
    delivering = asyncio.create_task(provider.deliver(deliveries))
    assert await asyncio.to_thread(fake.arrived.wait, 10)
    started_s = time.monotonic()
    delivering.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await delivering
    assert time.monotonic() - started_s < 1.5
    assert delivering.cancelled()
    assert deliveries.all_finished
    assert {IN_DOUBT} == set(deliveries.dispositions.values())


async def test_cancelled_breaks_off_what_waits_for_its_answer(fake: SendgridFake) -> None:
    fake.misdeed = lambda _number, _document: Misdeed(delay_s=20.0)
    await cancelled_at_once(provider_of(fake), fake)


@pytest.mark.parametrize(("patience_s", "disposition"), [(2.0, NOT_SENT), (0.0, IN_DOUBT)])
async def test_cancelled_while_a_request_is_written_sent_nothing_where_that_is_certain(
    patience_s: float, disposition: Disposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ABORT_S", patience_s)
    file = Attachment("b.bin", "application/octet-stream", b"A" * 25_000_000)
    deliveries = ListDeliveries([personal(1, attachments=(file,))])
    with socket.create_server(("127.0.0.1", 0)) as server:
        delivering = asyncio.create_task(provider_at(f"http://127.0.0.1:{server.getsockname()[1]}").deliver(deliveries))
        connection, _ = await asyncio.to_thread(server.accept)
        with connection:
            # Something has come, and no more is read.
            assert await asyncio.to_thread(connection.recv, 10)
            delivering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await delivering
    assert {1: disposition} == deliveries.dispositions


async def test_cancelled_while_it_connects_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ABORT_S", 0.0)
    deliveries = ListDeliveries(people(3))
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"https://localhost:{server.getsockname()[1]}"
        delivering = asyncio.create_task(provider_at(endpoint, "&timeout=0.5").deliver(deliveries))
        connection, _ = await asyncio.to_thread(server.accept)
        with connection:
            # TLS has begun, and gets no answer.
            assert await asyncio.to_thread(connection.recv, 10)
            delivering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await delivering
    assert dict.fromkeys((1, 2, 3), NOT_SENT) == deliveries.dispositions


async def test_tls_that_is_reset_stops_and_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            connection, _ = server.accept()
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        resetting = asyncio.create_task(asyncio.to_thread(reset))
        deliveries = ListDeliveries(people(2))
        with pytest.raises(ProviderUnavailableError, match="cannot be reached"):
            await provider_at(f"https://localhost:{server.getsockname()[1]}").deliver(deliveries)
        await resetting
    assert {NOT_SENT} == set(deliveries.dispositions.values())


async def test_answer_lost_while_another_request_waits_lets_that_go_one_first(fake: SendgridFake) -> None:
    fake.misdeed = lambda number, _document: Misdeed(lose_answer=True) if number == 0 else None
    other = LAYOUT._replace(subject="Hi {{a1}}")
    messages = [*people(5), *(personal(number, layout=other) for number in range(6, 11))]
    deliveries = await deliver(provider_of(fake, "&concurrency=1"), messages)
    assert [IN_DOUBT] * 5 + [ACCEPTED] * 5 == [deliveries.dispositions[number] for number in range(1, 11)]
    assert [5, 1, 4] == [len(document["personalizations"]) for document in fake.documents]


async def test_account_refused_while_another_request_waits_leaves_that_unsent(fake: SendgridFake) -> None:
    fake.misdeed = lambda _number, _document: Misdeed(401, errors("no"))
    messages = [*people(2), personal(3, layout=LAYOUT._replace(subject="Hi {{a1}}"))]
    deliveries = await deliver_refused(provider_of(fake, "&concurrency=1"), messages)
    assert {1: PERMANENT, 2: PERMANENT, 3: NOT_SENT} == deliveries.dispositions
    assert 1 == fake.requests


async def test_defect_of_whoever_is_told_leaves_what_was_sent_sent(fake: SendgridFake) -> None:
    deliveries = ListDeliveries(people(5))

    def fail_once(message: Message, _attempt: object) -> None:
        if message.id == 2:
            raise KeyError("defect")

    deliveries.on_finish = fail_once
    with pytest.raises(KeyError, match="defect"):
        await provider_of(fake).deliver(deliveries)
    assert dict.fromkeys(range(1, 6), ACCEPTED) == deliveries.dispositions


async def test_call_that_cannot_be_made_raises_where_it_is_awaited() -> None:
    calls: Any = wire.Wire(provider_at("http://127.0.0.1:1").settings)
    with pytest.raises(AttributeError):
        await calls.ask("GET", "scopes", query=5)


def test_call_broken_off_writes_nothing_more() -> None:
    call = wire.Call()
    call.may_write()
    call.abort()
    with pytest.raises(ConnectionAbortedError):
        call.may_write()


async def test_stopped_while_it_gathers_sends_nothing_more(fake: SendgridFake) -> None:
    class Stopping(ListDeliveries):
        async def wait(self) -> bool:
            return False

    deliveries = Stopping(people(3))
    await provider_of(fake).deliver(deliveries)
    assert {NOT_SENT} == set(deliveries.dispositions.values())
    assert 0 == fake.requests


async def test_messages_that_trickle_in_share_a_request(fake: SendgridFake) -> None:
    deliveries = ListDeliveries([], stay_open=True)
    delivering = asyncio.create_task(provider_of(fake).deliver(deliveries))
    for message in people(20):
        deliveries.add(message)
        await asyncio.sleep(0.001)
    await deliveries.until_finished(20)
    deliveries.close()
    await delivering
    assert fake.requests <= 4


async def test_scheduled_mail_carries_time_and_batch(fake: SendgridFake) -> None:
    provider = provider_of(fake)
    batch_id = await provider.issue_batch_id()
    send_at_s = int(time.time()) + 3600
    provider.schedule(send_at_s, batch_id)
    deliveries = await deliver(provider, people(3))
    assert {ACCEPTED} == set(deliveries.dispositions.values())
    assert {(send_at_s, batch_id)} == {(mail.send_at, mail.batch_id) for mail in fake.mails}


async def test_batch_id_that_was_not_issued_stops_the_account(fake: SendgridFake) -> None:
    provider = provider_of(fake)
    provider.schedule(int(time.time()) + 3600, "made-up")
    deliveries = await deliver_refused(provider, people(3))
    assert {(PERMANENT, Scope.ACCOUNT)} == {
        (attempts[0].disposition, attempts[0].scope) for attempts in deliveries.attempts.values()
    }
    assert 1 == fake.requests


async def test_wrong_key_is_refused_before_anything_is_sent(fake: SendgridFake) -> None:
    with pytest.raises(AccountError, match="refused the key: 401 .*SENDGRID_API_KEY"):
        await provider_of(fake, key="SG.other").open()


def test_key_is_in_no_message_of_the_package() -> None:
    source = re.sub(r"\s+", " ", str(provider_at("http://127.0.0.1:1").settings))
    assert KEY not in source
