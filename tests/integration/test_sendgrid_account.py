"""What a SendGrid key may do, scheduled sends and suppression lists, against a server with SendGrid's rules."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from servers.sendgrid_fake import KEY, SendgridFake, errors, serving

from mailblast.clock import SystemClock
from mailblast.errors import AccountError, ProviderUnavailableError, UsageError
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.provider import SuppressedAddress
from mailblast.providers.registry import make_provider
from mailblast.providers.sendgrid import account
from mailblast.providers.sendgrid.provider import SendgridProvider

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake() -> Iterator[SendgridFake]:
    with serving(SendgridFake()) as running:
        yield running


def provider_at(port: int, key: str = KEY) -> SendgridProvider:
    dsn = parse_dsn(f"sendgrid://?timeout=2&endpoint=http://127.0.0.1:{port}")
    provider = make_provider(dsn, {"SENDGRID_API_KEY": key}, clock=SystemClock())
    assert isinstance(provider, SendgridProvider)
    return provider


async def test_probe_tells_key_credits_and_sender(fake: SendgridFake) -> None:
    assert [
        ("connect", f"http://127.0.0.1:{fake.port} answers"),
        ("login", "the key is valid and may send; it has 4 rights"),
        ("quota", "99,000 of 100,000 mails are left, renewed on 2030-01-01"),
        ("sender", "example.org is an authenticated domain"),
    ] == await provider_at(fake.port).probe("news@Example.org")
    assert 0 == fake.requests


async def test_probe_without_sender_asks_for_none(fake: SendgridFake) -> None:
    assert ["connect", "login", "quota"] == [name for name, _ in await provider_at(fake.port).probe()]


@pytest.mark.parametrize(
    ("told", "value"),
    [
        (None, "SendGrid does not tell this key what is left of the credits"),
        ({"remain": 5}, "5 mails are left"),
        ({"remain": "many"}, "SendGrid does not tell this key what is left of the credits"),
    ],
)
async def test_probe_credits_as_far_as_they_are_told(
    fake: SendgridFake, told: dict[str, Any] | None, value: str
) -> None:
    fake.credits = told
    assert ("quota", value) in await provider_at(fake.port).probe()


@pytest.mark.parametrize(
    ("domains", "senders", "value"),
    [
        ([], [{"from_email": "News@example.org", "verified": True}], "news@example.org is a verified sender"),
        (None, [{"from_email": "news@example.org", "verified": True}], "news@example.org is a verified sender"),
        (None, [], "this key may not read whether news@example.org is verified"),
        ([], None, "this key may not read whether news@example.org is verified"),
    ],
)
async def test_probe_sender_as_far_as_it_can_be_read(
    fake: SendgridFake, domains: list[dict[str, Any]] | None, senders: list[dict[str, Any]] | None, value: str
) -> None:
    fake.domains, fake.senders = domains, senders
    assert ("sender", value) in await provider_at(fake.port).probe("news@example.org")


async def test_probe_sender_that_is_not_verified_is_refused(fake: SendgridFake) -> None:
    fake.domains = [{"domain": f"d{number}.example", "valid": True} for number in range(700)]
    fake.domains.append({"domain": "example.org", "valid": False})
    fake.senders = [{"from_email": "news@example.org", "verified": False}]
    with pytest.raises(AccountError, match="neither as a verified sender nor by an authenticated domain.*Authenticate"):
        await provider_at(fake.port).probe("news@example.org")
    fake.domains.append({"domain": "example.org", "valid": True})
    assert ("sender", "example.org is an authenticated domain") in await provider_at(fake.port).probe("n@example.org")


async def test_open_key_that_may_not_send_is_refused(fake: SendgridFake) -> None:
    fake.scopes = ["stats.read"]
    with pytest.raises(AccountError, match="may not send mail.*'Mail Send'"):
        await provider_at(fake.port).open()


async def test_open_wrong_key_is_refused(fake: SendgridFake) -> None:
    with pytest.raises(AccountError, match="401 The provided authorization grant is invalid"):
        await provider_at(fake.port, "SG.wrong").open()


async def test_open_rights_that_cannot_be_read_just_now_stop_nothing(fake: SendgridFake) -> None:
    fake.broken["scopes"] = 503, errors("busy")
    provider = provider_at(fake.port)
    await provider.open()
    assert ("login", "the key is taken") in await provider.probe()


async def test_open_answer_that_is_no_json_stops_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        await provider_at(server.getsockname()[1]).open()
        thread.join(5)


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{}"])
async def test_open_server_that_breaks_off_is_unavailable(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(ProviderUnavailableError, match="cannot be reached"):
            await provider_at(server.getsockname()[1]).open()
        thread.join(5)


async def test_suppressions_are_read_page_by_page(fake: SendgridFake) -> None:
    fake.suppressions = {
        "bounces": [
            {"email": f"b{number}@example.com", "created": 1_600_000_000 + number, "reason": "550 5.1.1 no such user"}
            for number in range(1001)
        ],
        "spam_reports": [{"email": "s@example.com", "created": "odd", "ip": "192.0.2.1"}, {"email": ""}, "odd"],  # type: ignore[list-item]  # as no server should
        "unsubscribes": [{"email": "u@example.com", "created": 1_600_000_000}],
        # Refused for a while only: SendGrid itself mails them again.
        "blocks": [{"email": "full@example.com", "created": 1_600_000_000}],
    }
    found = [each async for each in provider_at(fake.port).suppressions()]
    assert 1003 == len(found)
    assert SuppressedAddress("b1000@example.com", "bounce", 1_600_001_000, "bounces") == found[1000]
    assert [
        SuppressedAddress("s@example.com", "complaint", None, "spam_reports"),
        SuppressedAddress("u@example.com", "unsubscribe", 1_600_000_000, "unsubscribes"),
    ] == found[1001:]


async def test_suppressions_that_the_key_may_not_read_are_an_error(fake: SendgridFake) -> None:
    fake.broken["suppression/bounces"] = 403, errors("access forbidden")
    with pytest.raises(AccountError, match="did not show its list 'bounces': 403"):
        _ = [each async for each in provider_at(fake.port).suppressions()]


async def test_cancel_pause_and_resume_a_batch(fake: SendgridFake) -> None:
    provider = provider_at(fake.port)
    batch_id = await provider.issue_batch_id()
    assert batch_id in fake.batches
    due_s = int(time.time()) + 3600
    await provider.cancel(batch_id, "pause", send_at_s=due_s)
    assert {batch_id: "pause"} == fake.scheduled
    await provider.cancel(batch_id, send_at_s=due_s)
    assert {batch_id: "cancel"} == fake.scheduled
    await provider.resume(batch_id)
    assert {} == fake.scheduled
    with pytest.raises(UsageError, match="neither paused nor cancelled"):
        await provider.resume(batch_id)


async def test_cancel_less_than_ten_minutes_ahead_is_refused_unasked(fake: SendgridFake) -> None:
    provider = provider_at(fake.port)
    batch_id = await provider.issue_batch_id()
    with pytest.raises(UsageError, match="can no longer be called off: SendGrid wants 10 minutes"):
        await provider.cancel(batch_id, send_at_s=int(time.time()) + 599)
    assert {} == fake.scheduled


async def test_cancel_eleventh_batch_says_what_to_do(fake: SendgridFake) -> None:
    provider = provider_at(fake.port)
    for _ in range(10):
        await provider.cancel(await provider.issue_batch_id())
    with pytest.raises(UsageError, match="10 cancelled or paused batches.*--resume"):
        await provider.cancel(await provider.issue_batch_id())
    assert 10 == len(fake.scheduled)


async def test_cancel_unknown_batch_says_what_sendgrid_says(fake: SendgridFake) -> None:
    with pytest.raises(UsageError, match="did not call off batch made-up: invalid batch id"):
        await provider_at(fake.port).cancel("made-up")


@pytest.mark.parametrize(
    ("path", "status", "kind", "what"),
    [
        ("mail/batch", 403, AccountError, "issued no batch id: 403 as told"),
        ("mail/batch", 500, ProviderUnavailableError, "issued no batch id: 500.*Try again"),
        ("mail/batch", 200, AccountError, "issued no batch id: 200"),
        ("user/scheduled_sends", 403, AccountError, "did not call off the batch: 403"),
        ("user/scheduled_sends", 429, ProviderUnavailableError, "did not call off the batch: 429"),
        ("user/scheduled_sends", 400, AccountError, "did not list the batches: 400"),
    ],
)
async def test_scheduling_refused_is_an_error_of_its_kind(
    fake: SendgridFake, path: str, status: int, kind: type[Exception], what: str
) -> None:
    fake.broken[path] = status, errors("as told")
    provider = provider_at(fake.port)
    asked = provider.issue_batch_id() if path == "mail/batch" else provider.cancel("any")
    with pytest.raises(kind, match=what):
        await asked


@pytest.mark.parametrize("body", [b"", b"[]", b'{"batch_id": 5}', b'{"batch_id": "a b"}', b'{"batch_id": ""}'])
async def test_batch_id_that_is_none_is_refused(fake: SendgridFake, body: bytes) -> None:
    fake.broken["mail/batch"] = 201, body
    with pytest.raises(AccountError, match="issued no batch id: 201"):
        await provider_at(fake.port).issue_batch_id()


@pytest.mark.parametrize("body", [b"", b"{}", b"[5, {}]"])
async def test_cancel_with_a_list_that_cannot_be_read_says_what_sendgrid_says(fake: SendgridFake, body: bytes) -> None:
    fake.listed = body
    with pytest.raises(UsageError, match="invalid batch id"):
        await provider_at(fake.port).cancel("made-up")


async def test_suppressions_of_a_server_without_a_last_page_end(
    fake: SendgridFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "MAX_PAGES", 2)
    fake.suppressions["bounces"] = [{"email": f"{number}@example.com"} for number in range(1500)]
    assert 1000 == len([each async for each in provider_at(fake.port).suppressions()])


async def test_resume_refused_is_an_error(fake: SendgridFake) -> None:
    with pytest.raises(AccountError, match="did not let the batch go: 401"):
        await provider_at(fake.port, "SG.wrong").resume("any")


async def test_scheduling_without_a_server_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ProviderUnavailableError, match="Connection refused"):
        await provider_at(port).issue_batch_id()
