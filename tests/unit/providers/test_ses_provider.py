from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore import exceptions as botocore_errors
from fakes import FakeClock
from servers.list_deliveries import ListDeliveries, a_message, messages
from ses_messages import StubClient, broken, bulk_sent, composed, refused, sent

from mailblast.errors import AccountError, JournalError, ProviderError, ProviderUnavailableError
from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.provider import ProviderLimits, SuppressedAddress
from mailblast.providers.ses.provider import SIZE_BYTES, SesProvider
from mailblast.providers.ses.settings import Mode, SesSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REFUSED = botocore_errors.EndpointConnectionError(endpoint_url="https://x", error="refused")
LOST = botocore_errors.ReadTimeoutError(endpoint_url="https://x")
RATE = refused("TooManyRequestsException", 429, "Maximum sending rate exceeded.")
HEALTHY = {
    "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 20_000.0},
    "SendingEnabled": True,
    "ProductionAccessEnabled": True,
    "EnforcementStatus": "HEALTHY",
    "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
    "PricingAttributes": {"CurrentPlan": "ESSENTIALS"},
}
VERIFIED = {"VerifiedForSendingStatus": True, "DkimAttributes": {"SigningEnabled": True, "Status": "SUCCESS"}}


def a_provider(
    monkeypatch: pytest.MonkeyPatch, client: StubClient, clock: FakeClock | None = None, **changes: Any
) -> SesProvider:
    monkeypatch.setattr("mailblast.providers.ses.provider.make_client", lambda _: client)
    return SesProvider(SesSettings(**{"region": "eu-west-1", "concurrency": 4, **changes}), clock=clock or FakeClock())


def in_turn(*methods: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Answer with each of these once, then with the last for ever."""
    waiting = list(methods)

    def method(request: Mapping[str, Any]) -> Any:
        return (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)

    return method


def account(**changes: Any) -> Callable[[Mapping[str, Any]], Any]:
    return lambda _: {**HEALTHY, **changes}


# What the account says.


async def test_open_takes_rate_and_quota_from_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = a_provider(monkeypatch, StubClient(get_account=account()))
    await provider.open()
    assert ProviderLimits(4, SIZE_BYTES, 14.0, per_day=50_000, left_today=30_000) == provider.limits
    assert provider.account is not None
    assert ("ESSENTIALS", ("BOUNCE", "COMPLAINT")) == (provider.account.plan, provider.account.suppressed_reasons)


@pytest.mark.parametrize(("most", "sent_before", "left"), [(-1.0, 5.0, None), (200.0, 250.0, 0), (200.0, 200.0, 0)])
async def test_quota_may_have_no_limit_and_is_never_overdrawn(
    monkeypatch: pytest.MonkeyPatch, most: float, sent_before: float, left: int | None
) -> None:
    quota = {"Max24HourSend": most, "MaxSendRate": 1.0, "SentLast24Hours": sent_before}
    provider = a_provider(monkeypatch, StubClient(get_account=account(SendQuota=quota)))
    await provider.open()
    assert left == provider.limits.left_today
    assert (None if most < 0 else int(most)) == provider.limits.per_day


@pytest.mark.parametrize(("rate", "calls"), [(14.0, 16), (200.0, 50), (5_000.0, 128)])
async def test_calls_at_once_follow_the_rate_unless_asked_otherwise(
    monkeypatch: pytest.MonkeyPatch, rate: float, calls: int
) -> None:
    quota = {"Max24HourSend": -1.0, "MaxSendRate": rate, "SentLast24Hours": 0.0}
    provider = a_provider(monkeypatch, StubClient(get_account=account(SendQuota=quota)), concurrency=None)
    await provider.open()
    assert calls == provider.limits.concurrency


@pytest.mark.parametrize("code", ["AccessDeniedException", "AccessDenied"])
async def test_account_that_may_not_be_read_gives_14_a_second(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    provider = a_provider(monkeypatch, StubClient(get_account=refused(code, 403)))
    await provider.open()
    assert (14.0, None, None) == (provider.limits.rate_per_s, provider.limits.per_day, provider.limits.left_today)
    assert provider.account is None


async def test_account_is_asked_again_when_it_was_asked_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    client = StubClient(get_account=in_turn(RATE, RATE, account()))
    provider = a_provider(monkeypatch, client, clock)
    before = clock.monotonic()
    await provider.open()
    assert (3, 50_000) == (len(client.requests), provider.limits.per_day)
    assert 2.0 <= clock.monotonic() - before <= 3.0


async def test_account_that_is_always_too_busy_gives_14_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(get_account=RATE)
    provider = a_provider(monkeypatch, client)
    await provider.open()
    assert (3, 14.0) == (len(client.requests), provider.limits.rate_per_s)


@pytest.mark.parametrize(
    ("method", "kind", "part"),
    [
        (account(EnforcementStatus="SHUTDOWN"), AccountError, "suspended"),
        (account(SendingEnabled=False), AccountError, "paused"),
        (account(ProductionAccessEnabled=False), AccountError, "sandbox"),
        (refused("UnrecognizedClientException", 403, "The security token is invalid."), AccountError, "Unrecognized"),
        (refused("InvalidSignatureException", 403), AccountError, "InvalidSignature"),
        (refused("InternalFailure", 500), ProviderUnavailableError, "500 InternalFailure"),
        (broken(REFUSED), ProviderUnavailableError, "cannot be reached"),
        (broken(LOST), ProviderUnavailableError, "cannot be reached"),
        (broken(botocore_errors.NoCredentialsError()), AccountError, "credentials"),
    ],
)
@pytest.mark.parametrize("asked", ["open", "probe"])
async def test_account_that_cannot_mail_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, method: Callable[..., Any], kind: type[ProviderError], part: str, asked: str
) -> None:
    provider = a_provider(monkeypatch, StubClient(get_account=method))
    with pytest.raises(kind, match=part) as raised:
        await getattr(provider, asked)()
    assert raised.value.fix


async def test_sandbox_may_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(get_account=account(ProductionAccessEnabled=False))
    provider = a_provider(monkeypatch, client, allow_sandbox=True)
    await provider.open()
    assert ("access", "the sandbox: verified addresses only") in await provider.probe()


# What a probe finds.


async def test_probe_tells_key_rate_quota_access_suppression_and_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(get_account=account(), get_email_identity=lambda _: VERIFIED)
    assert [
        ("connect", "SES answers at https://email.example"),
        ("login", "the key is valid"),
        ("rate", "14 recipients a second"),
        ("quota", "30,000 of 50,000 recipients left for today"),
        ("access", "production access"),
        ("suppression", "SES suppresses after: bounce, complaint"),
        ("plan", "essentials"),
        ("sender", "a@example.com is verified, DKIM is signed"),
    ] == await a_provider(monkeypatch, client).probe("a@example.com")


async def test_probe_of_an_account_without_limits_suppression_and_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    quota = {"Max24HourSend": -1.0, "MaxSendRate": 1_000_000.0, "SentLast24Hours": 1234.0}
    method = account(SendQuota=quota, SuppressionAttributes={}, PricingAttributes={})
    facts = dict(await a_provider(monkeypatch, StubClient(get_account=method)).probe())
    assert "1,000,000 recipients a second" == facts["rate"]
    assert "no daily limit; 1,234 sent in the last 24 hours" == facts["quota"]
    assert "SES suppresses nobody by itself" == facts["suppression"]
    assert "plan" not in facts
    assert "sender" not in facts


@pytest.mark.parametrize(
    ("method", "part"), [(refused("AccessDeniedException", 403), "ses:GetAccount"), (RATE, "too often")]
)
async def test_probe_without_an_account_says_why(
    monkeypatch: pytest.MonkeyPatch, method: Callable[..., Any], part: str
) -> None:
    assert part in dict(await a_provider(monkeypatch, StubClient(get_account=method)).probe())["login"]


@pytest.mark.parametrize("verified", ["ann@mail.news.example.com", "mail.news.example.com", "example.com"])
async def test_sender_is_verified_by_its_address_its_domain_or_one_above(
    monkeypatch: pytest.MonkeyPatch, verified: str
) -> None:
    missing = refused("NotFoundException", 404)
    client = StubClient(
        get_account=account(),
        get_email_identity=lambda request: VERIFIED if request["EmailIdentity"] == verified else missing(request),
    )
    facts = dict(await a_provider(monkeypatch, client).probe("ann@mail.news.example.com"))
    assert f"{verified} is verified, DKIM is signed" == facts["sender"]


@pytest.mark.parametrize(
    ("method", "kind", "part"),
    [
        (refused("NotFoundException", 404), AccountError, "no identity of this account"),
        (lambda _: {"VerifiedForSendingStatus": False, "VerificationStatus": "PENDING"}, AccountError, "pending"),
        (lambda _: {}, AccountError, "not verified"),
        (refused("BadRequestException"), AccountError, "BadRequest"),
        (broken(LOST), ProviderUnavailableError, "cannot be reached"),
    ],
)
async def test_sender_that_is_not_verified_is_told(
    monkeypatch: pytest.MonkeyPatch, method: Callable[..., Any], kind: type[ProviderError], part: str
) -> None:
    client = StubClient(get_account=account(), get_email_identity=method)
    with pytest.raises(kind, match=part) as raised:
        await a_provider(monkeypatch, client).probe("ann@example.com")
    assert raised.value.fix


async def test_sender_that_may_not_be_looked_at_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(get_account=account(), get_email_identity=refused("AccessDeniedException", 403))
    facts = dict(await a_provider(monkeypatch, client).probe("ann@example.com"))
    assert "ses:GetEmailIdentity" in facts["sender"]


async def test_sender_without_dkim_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    dkim = {"SigningEnabled": False, "Status": "NOT_STARTED"}
    client = StubClient(
        get_account=account(),
        get_email_identity=lambda _: {"VerifiedForSendingStatus": True, "DkimAttributes": dkim},
    )
    facts = dict(await a_provider(monkeypatch, client).probe("ann@example.com"))
    assert "ann@example.com is verified, DKIM is not signed (not started)" == facts["sender"]


async def test_suppression_list_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    when = datetime(2026, 11, 1, tzinfo=UTC)

    def page(request: Mapping[str, Any]) -> dict[str, Any]:
        number = int(request.get("NextToken", "0"))
        item = {"EmailAddress": f"a{number}@example.com", "Reason": "BOUNCE", "LastUpdateTime": when}
        return {"SuppressedDestinationSummaries": [item], **({"NextToken": str(number + 1)} if number < 2 else {})}

    client = StubClient(list_suppressed_destinations=page)
    found = [address async for address in a_provider(monkeypatch, client).suppressions()]
    assert [SuppressedAddress(f"a{number}@example.com", "bounce", when.timestamp()) for number in range(3)] == found
    assert [None, "1", "2"] == [request.get("NextToken") for _, request in client.requests]
    assert {1000} == {request["PageSize"] for _, request in client.requests}


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (refused("AccessDeniedException", 403), AccountError),
        (broken(REFUSED), ProviderUnavailableError),
        (refused("InternalFailure", 500), ProviderUnavailableError),
    ],
)
async def test_suppression_list_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, method: Callable[..., Any], kind: type[ProviderError]
) -> None:
    provider = a_provider(monkeypatch, StubClient(list_suppressed_destinations=method))
    with pytest.raises(kind):
        await anext(aiter(provider.suppressions()))


async def test_suppression_list_is_waited_for_where_it_is_asked_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slow = FakeClock(), refused("TooManyRequestsException", 429)
    page = {"SuppressedDestinationSummaries": [{"EmailAddress": "a@example.com", "Reason": "COMPLAINT"}]}
    client = StubClient(list_suppressed_destinations=in_turn(slow, slow, lambda _: page))
    found = [address async for address in a_provider(monkeypatch, client, clock).suppressions()]
    assert [SuppressedAddress("a@example.com", "complaint")] == found
    assert [1.1, 1.1] == clock.slept
    for_ever = a_provider(monkeypatch, StubClient(list_suppressed_destinations=slow), clock)
    with pytest.raises(ProviderUnavailableError, match="asked too often"):
        await anext(aiter(for_ever.suppressions()))
    assert 6 == len(clock.slept)


# What is sent.


async def test_raw_sends_each_message_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(send_email=sent)
    deliveries = ListDeliveries(messages(30))
    await a_provider(monkeypatch, client).deliver(deliveries)
    assert dict.fromkeys(range(1, 31), Disposition.ACCEPTED) == deliveries.dispositions
    assert {"single"} == {attempts[0].provider_id for attempts in deliveries.attempts.values()}
    assert ["send_email"] * 30 == client.names()


async def test_bulk_sends_fifty_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(send_bulk_email=bulk_sent)
    deliveries = ListDeliveries([composed(number) for number in range(1, 121)])
    await a_provider(monkeypatch, client, mode=Mode.BULK).deliver(deliveries)
    assert dict.fromkeys(range(1, 121), Disposition.ACCEPTED) == deliveries.dispositions
    assert [50, 50, 20] == sorted((len(request["BulkEmailEntries"]) for _, request in client.requests), reverse=True)


async def test_bulk_call_is_no_larger_than_a_second_of_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(get_account=account(), send_bulk_email=bulk_sent)
    provider = a_provider(monkeypatch, client, mode=Mode.BULK)
    await provider.open()
    await provider.deliver(ListDeliveries([composed(number) for number in range(1, 29)]))
    assert [14, 14] == [len(request["BulkEmailEntries"]) for name, request in client.requests if name != "get_account"]


async def test_bulk_sends_what_it_cannot_express_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(send_bulk_email=bulk_sent, send_email=sent)
    deliveries = ListDeliveries(
        [composed(1), composed(2, layout=None), composed(3, headers=(("X", "é"),)), composed(4)]
    )
    await a_provider(monkeypatch, client, mode=Mode.BULK).deliver(deliveries)
    assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
    assert ["send_bulk_email", "send_email", "send_email"] == sorted(client.names())


async def test_address_outside_ascii_fails_without_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient()
    deliveries = ListDeliveries([a_message(1, "jürgen@example.com", needs_smtputf8=True)])
    await a_provider(monkeypatch, client).deliver(deliveries)
    ((attempt,),) = deliveries.attempts.values()
    assert (Disposition.PERMANENT, Scope.RECIPIENT) == (attempt.disposition, attempt.scope)
    assert "begin" not in {name for name, _ in deliveries.calls}


async def test_throttling_asks_to_slow_down_and_is_not_repeated_here(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(send_email=RATE)
    deliveries = ListDeliveries([a_message(1)])
    await a_provider(monkeypatch, client).deliver(deliveries)
    ((attempt,),) = deliveries.attempts.values()
    assert (Disposition.TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN) == (
        attempt.disposition, attempt.scope, attempt.advice
    )  # fmt: skip
    assert ["send_email"] == client.names()


async def test_bulk_call_that_is_refused_is_retried_recipient_by_recipient(monkeypatch: pytest.MonkeyPatch) -> None:
    def single(request: Mapping[str, Any]) -> Any:
        if request["Destination"]["ToAddresses"] == ["recipient2@example.com"]:
            return refused("BadRequestException", 400, "Illegal address")(request)
        return sent(request)

    client = StubClient(send_bulk_email=refused("BadRequestException"), send_email=single)
    deliveries = ListDeliveries([composed(number) for number in range(1, 13)])
    await a_provider(monkeypatch, client, mode=Mode.BULK).deliver(deliveries)
    failed = {number for number, how in deliveries.dispositions.items() if how is Disposition.PERMANENT}
    assert {2} == failed
    assert 11 == list(deliveries.dispositions.values()).count(Disposition.ACCEPTED)
    assert ["send_bulk_email", *["send_email"] * 12] == client.names()
    assert 12 == sum(name == "begin" for name, _ in deliveries.calls)


async def test_failed_entry_is_tried_once_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def bulk(request: Mapping[str, Any]) -> Any:
        results = bulk_sent(request)
        results["BulkEmailEntryResults"][1] = {"Status": "FAILED", "Error": "could not"}
        return results

    client = StubClient(send_bulk_email=bulk, send_email=refused("MessageRejected", 400, "virus"))
    deliveries = ListDeliveries([composed(number) for number in range(1, 4)])
    await a_provider(monkeypatch, client, mode=Mode.BULK).deliver(deliveries)
    assert [Disposition.ACCEPTED, Disposition.PERMANENT, Disposition.ACCEPTED] == [
        deliveries.dispositions[number] for number in (1, 2, 3)
    ]
    assert ["send_bulk_email", "send_email"] == client.names()


@pytest.mark.parametrize("method", [RATE, refused("ServiceUnavailable", 503)])
async def test_bulk_call_that_must_wait_comes_back_one_by_one(
    monkeypatch: pytest.MonkeyPatch, method: Callable[..., Any]
) -> None:
    client = StubClient(send_bulk_email=method, send_email=sent)
    provider = a_provider(monkeypatch, client, mode=Mode.BULK)
    batch = [composed(number) for number in range(1, 4)]
    first = ListDeliveries(batch)
    await provider.deliver(first)
    assert {Disposition.TEMPORARY} == set(first.dispositions.values())
    second = ListDeliveries(batch)
    await provider.deliver(second)
    assert {Disposition.ACCEPTED} == set(second.dispositions.values())
    assert ["send_bulk_email", "send_email", "send_email", "send_email"] == client.names()


async def test_lost_answer_of_a_bulk_call_puts_it_in_doubt_and_makes_the_next_careful(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = StubClient(send_bulk_email=in_turn(broken(LOST), bulk_sent), send_email=sent)
    provider = a_provider(monkeypatch, client, mode=Mode.BULK)
    lost = ListDeliveries([composed(number) for number in range(1, 4)])
    await provider.deliver(lost)
    assert {Disposition.IN_DOUBT} == set(lost.dispositions.values())
    await provider.deliver(ListDeliveries([composed(4)]))
    await provider.deliver(ListDeliveries([composed(5), composed(6)]))
    assert ["send_bulk_email", "send_email", "send_bulk_email"] == client.names()


async def test_ses_that_is_not_there_ends_the_delivery_with_nothing_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries = ListDeliveries(messages(50), repeat=True)
    with pytest.raises(ProviderUnavailableError, match="cannot be reached") as raised:
        await a_provider(monkeypatch, StubClient(send_email=broken(REFUSED))).deliver(deliveries)
    assert raised.value.fix
    assert deliveries.all_finished
    assert {Disposition.NOT_SENT} == set(deliveries.dispositions.values())


async def test_ses_that_never_answers_ends_the_delivery_with_few_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries = ListDeliveries(messages(50))
    with pytest.raises(ProviderUnavailableError, match="does not answer"):
        await a_provider(monkeypatch, StubClient(send_email=broken(LOST))).deliver(deliveries)
    assert deliveries.all_finished
    assert 5 <= list(deliveries.dispositions.values()).count(Disposition.IN_DOUBT) <= 9


async def test_single_failures_between_answers_do_not_end_the_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    def method(request: Mapping[str, Any]) -> Any:
        number = int(request["Destination"]["ToAddresses"][0].removeprefix("recipient").partition("@")[0])
        return broken(LOST)(request) if number % 3 == 0 else sent(request)

    deliveries = ListDeliveries(messages(60))
    await a_provider(monkeypatch, StubClient(send_email=method), concurrency=1).deliver(deliveries)
    assert 20 == list(deliveries.dispositions.values()).count(Disposition.IN_DOUBT)


async def test_missing_credentials_end_the_delivery_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(send_email=broken(botocore_errors.NoCredentialsError()))
    deliveries = ListDeliveries(messages(50), stay_open=True)
    with pytest.raises(AccountError, match="credentials"):
        await a_provider(monkeypatch, client).deliver(deliveries)
    assert {Disposition.NOT_SENT} == set(deliveries.dispositions.values())
    assert len(client.requests) <= 8


class Unreadable:
    """A part whose file has gone."""

    def __len__(self) -> int:
        return 4

    def chunks(self) -> Iterator[bytes]:
        raise FileNotFoundError(2, "No such file", "big.gz")


async def test_file_that_cannot_be_read_leaves_its_message_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(send_email=sent)
    deliveries = ListDeliveries([a_message(1)._replace(parts=(b"x", Unreadable())), a_message(2)])
    await a_provider(monkeypatch, client).deliver(deliveries)
    assert {1: Disposition.NOT_SENT, 2: Disposition.ACCEPTED} == deliveries.dispositions
    assert ["send_email"] == client.names()


@pytest.mark.parametrize("mode", [Mode.RAW, Mode.BULK])
async def test_journal_that_cannot_be_written_lets_nothing_leave(monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    client = StubClient(send_email=sent, send_bulk_email=bulk_sent)
    deliveries = ListDeliveries([composed(number) for number in range(1, 30)])

    def fail() -> None:
        raise JournalError("disk full")

    deliveries.on_commit = fail
    with pytest.raises(JournalError):
        await a_provider(monkeypatch, client, mode=mode).deliver(deliveries)
    assert deliveries.all_finished
    assert {Disposition.NOT_SENT} == set(deliveries.dispositions.values())
    assert [] == client.requests


async def test_cancelled_delivery_leaves_in_doubt_only_what_threads_had_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    begun = threading.Semaphore(0)

    def method(request: Mapping[str, Any]) -> Any:
        begun.release()
        gate.wait()
        return sent(request)

    client = StubClient(send_email=method)
    deliveries = ListDeliveries(messages(50))
    delivering = asyncio.create_task(a_provider(monkeypatch, client).deliver(deliveries))
    for _ in range(4):
        await asyncio.to_thread(begun.acquire)
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    gate.set()
    assert deliveries.all_finished
    assert dict.fromkeys(range(1, 5), Disposition.IN_DOUBT) == deliveries.dispositions


async def test_cancelled_delivery_starts_no_call_more(monkeypatch: pytest.MonkeyPatch) -> None:
    called = asyncio.Event()
    loop = asyncio.get_running_loop()

    def bulk(request: Mapping[str, Any]) -> Any:
        loop.call_soon_threadsafe(called.set)
        return refused("BadRequestException")(request)

    client = StubClient(send_bulk_email=bulk, send_email=sent)
    deliveries = ListDeliveries([composed(number) for number in range(1, 15)])
    delivering = asyncio.create_task(a_provider(monkeypatch, client, mode=Mode.BULK).deliver(deliveries))
    await called.wait()
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert deliveries.all_finished
    begun = sum(how is not Disposition.NOT_SENT for how in deliveries.dispositions.values())
    assert client.names().count("send_email") <= begun


async def test_stopped_delivery_gives_back_what_waits_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(ListDeliveries):
        async def wait(self) -> bool:
            return False

    client = StubClient(send_bulk_email=bulk_sent)
    deliveries = Stopping([composed(1), composed(2)])
    await a_provider(monkeypatch, client, mode=Mode.BULK).deliver(deliveries)
    assert {1: Disposition.NOT_SENT, 2: Disposition.NOT_SENT} == deliveries.dispositions
    assert [] == client.requests


async def test_split_call_is_given_back_when_the_delivery_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = broken(botocore_errors.NoCredentialsError())
    client = StubClient(send_bulk_email=refused("BadRequestException"), send_email=gone)
    deliveries = ListDeliveries([composed(number) for number in range(1, 13)])
    with pytest.raises(AccountError):
        await a_provider(monkeypatch, client, mode=Mode.BULK, concurrency=1).deliver(deliveries)
    assert deliveries.all_finished
    assert {Disposition.NOT_SENT} == set(deliveries.dispositions.values())


async def test_call_that_is_refused_after_the_delivery_failed_is_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def bulk(request: Mapping[str, Any]) -> Any:
        failed.wait(5)
        return refused("BadRequestException")(request)

    client = StubClient(send_bulk_email=bulk, send_email=broken(botocore_errors.NoCredentialsError()))
    deliveries = ListDeliveries([*(composed(number) for number in range(1, 51)), composed(51, layout=None)])
    deliveries.on_finish = lambda _message, _attempt: failed.set()
    with pytest.raises(AccountError):
        await a_provider(monkeypatch, client, mode=Mode.BULK).deliver(deliveries)
    assert dict.fromkeys(range(1, 52), Disposition.NOT_SENT) == deliveries.dispositions
    assert ["send_bulk_email", "send_email"] == client.names()


async def test_close_closes_the_client_and_a_later_delivery_makes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StubClient(send_email=sent)
    provider = a_provider(monkeypatch, client)
    await provider.close()
    await provider.deliver(ListDeliveries([a_message(1)]))
    await provider.close()
    await provider.close()
    assert 1 == client.closed
    await provider.deliver(ListDeliveries([a_message(2)]))
    assert ["send_email", "send_email"] == client.names()
