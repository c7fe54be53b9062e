from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.journal.figures import LATENCY_EDGES_S, ErrorKind
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.journal.reading import JournalReader
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Recipient
from mailblast.report.contents import gather, to_json
from mailblast.report.page import to_html
from mailblast.report.remedies import remedy_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailblast.model.recipient import Claim
    from mailblast.report.contents import ReportData

SCRIPT = "<script>alert('x')</script>"
NOW_S = 1_700_000_500.0
SAID = {
    State.ACCEPTED: (250, "2.0.0", "Ok"),
    State.FAILED: (550, "5.1.1", f"No such user {SCRIPT}"),
    State.DEFERRED: (451, "", "Try again"),
    State.IN_DOUBT: (0, "", "the connection broke"),
}


def an_outcome(claim: Claim, state: State, at_s: float, provider: str = "smtp:a") -> Outcome:
    recipient = claim.recipient
    code, enhanced, text = SAID[state]
    time_s = FakeClock().time_s + at_s
    said = (provider, code, enhanced, text, 1, 0.03)
    return Outcome(claim.id, recipient.key, recipient.address, recipient.row, state, time_s, *said)


def a_campaign(home: Path, states: list[State], *, domain: str = "example.com", ended: bool = True) -> None:
    clock = FakeClock()
    with Journal.open(home, "welcome", clock=clock) as journal:
        journal.begin_run(provider=f"smtp:{SCRIPT}", template_fingerprint="")
        addresses = [f"user{number}@{domain if number else 'other.example'}" for number in range(len(states))]
        recipients = [Recipient(number, address, address, {}, {}) for number, address in enumerate(addresses)]
        claims = journal.claim(recipients, ClaimPolicy()).claims
        pairs = zip(claims, states, strict=True)
        journal.fold([an_outcome(claim, state, at_s=10.0 * claim.id) for claim, state in pairs])
        if ended:
            clock.advance(100)
            journal.end_run(counts=journal.counts(), rows=len(states), exit_code=1, grade="B")


def a_report(home: Path, cost: str = "") -> ReportData:
    with JournalReader(home, "welcome") as reader:
        return gather(reader, now_s=NOW_S, cost=cost)


@pytest.fixture
def states() -> list[State]:
    return [*[State.ACCEPTED] * 6, *[State.FAILED] * 2, State.DEFERRED, State.IN_DOUBT]


def test_json_holds_every_figure(tmp_path: Path, states: list[State]) -> None:
    a_campaign(tmp_path, states)
    document = to_json(a_report(tmp_path, cost="$1.00"))
    assert (10, 6, "$1.00", "B") == (
        document["rows"],
        document["counts"]["accepted"],
        document["cost"],
        document["grade"],
    )
    intervals = document["timeline"]["intervals"]
    assert (6, 4) == tuple(sum(each[name] for each in intervals) for name in ("accepted", "not_accepted"))
    assert [("smtp:a", 6)] == [(each["name"], each["counts"]["accepted"]) for each in document["providers"]]
    assert [("example.com", 9), ("other.example", 1)] == [
        (each["name"], sum(each["counts"].values())) for each in document["domains"]
    ]
    latency = document["latency"]
    assert 10 == latency["counts"][LATENCY_EDGES_S.index(0.05)] == sum(latency["counts"])
    assert [("failed", 2), ("deferred", 1), ("in_doubt", 1)] == [
        (each["outcome"], each["count"]) for each in document["errors"]
    ]


def test_page_is_self_contained_and_runs_no_script(tmp_path: Path, states: list[State]) -> None:
    a_campaign(tmp_path, states, domain=f"ex{SCRIPT.replace(' ', '')}.com")
    page = to_html(a_report(tmp_path, cost="$1.00"))
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page
    loaded = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'>)\s]+)""", page)
    assert [] == [each for each in loaded if not each.startswith("#")]
    assert page.count("<svg") >= 4
    for words in ("$1.00", "grade of the last run", "60.0 %", "take it off the list", "Recipient domains"):
        assert words in page


def test_page_of_a_campaign_without_an_attempt_has_no_charts(tmp_path: Path) -> None:
    a_campaign(tmp_path, [])
    data = a_report(tmp_path)
    assert to_json(data)["timeline"] is None
    page = to_html(data)
    assert "<svg" not in page
    assert "Runs" in page


def test_page_of_a_killed_campaign_says_how_to_go_on(tmp_path: Path) -> None:
    a_campaign(tmp_path, [State.ACCEPTED], ended=False)
    page = to_html(a_report(tmp_path))
    assert "The last run was killed" in page


def test_page_of_a_running_campaign_says_so(tmp_path: Path) -> None:
    a_campaign(tmp_path, [State.ACCEPTED])
    with Journal.open(tmp_path, "welcome", clock=FakeClock()) as journal:
        journal.begin_run(provider="smtp:a", template_fingerprint="")
        assert "A run is going on" in to_html(a_report(tmp_path))


def test_page_of_a_campaign_with_somebody_left_says_how_to_go_on(tmp_path: Path) -> None:
    a_campaign(tmp_path, [State.ACCEPTED, State.DEFERRED])
    assert "Run the same command again to continue" in to_html(a_report(tmp_path))


def test_providers_are_compared_where_there_are_two(tmp_path: Path) -> None:
    a_campaign(tmp_path, [State.ACCEPTED])
    with Journal.open(tmp_path, "welcome", clock=FakeClock()) as journal:
        claims = journal.claim([Recipient(2, "b@x.org", "b@x.org", {}, {})], ClaimPolicy()).claims
        journal.fold([an_outcome(claims[0], State.ACCEPTED, 5.0, "smtp:b")])
    data = a_report(tmp_path)
    assert {"smtp:a", "smtp:b"} == {share.name for share in data.providers}
    assert "<h2>Providers</h2>" in to_html(data)


def errors() -> Iterator[tuple[ErrorKind, str]]:
    for state, code, enhanced, words in (
        (State.FAILED, 550, "5.1.1", "does not exist"),
        (State.DEFERRED, 451, "4.9.9", "run the same command again"),
        (State.FAILED, 599, "", "mailblast failures"),
        (State.DEFERRED, 0, "", "run the same command again"),
        (State.IN_DOUBT, 250, "5.1.1", "--resend-in-doubt"),
    ):
        yield ErrorKind(state, code, enhanced, 1, "", ""), words


@pytest.mark.parametrize(("error", "words"), list(errors()))
def test_remedy_follows_code_and_state(error: ErrorKind, words: str) -> None:
    assert words in remedy_of(error)
