from __future__ import annotations

import stat
from pathlib import Path

import pytest
from words import a_list, a_template, json_of

from mailblast.cli.app import run
from mailblast.clock import SystemClock
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Recipient


@pytest.fixture
def _campaign() -> None:
    assert run(["bulk", a_list(), "-t", a_template(), "-q"]) == 0


@pytest.mark.usefixtures("_campaign")
def test_report_writes_a_private_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "welcome-list"]) == 0
    assert "welcome-list-report.html: open it in a browser" in capsys.readouterr().out
    path = Path("welcome-list-report.html")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert "<title>welcome-list: mailing report</title>" in path.read_text(encoding="utf-8")


@pytest.mark.usefixtures("_campaign")
def test_report_json_writes_a_page_only_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["report", "welcome-list", "--json"]) == 0
    assert 2 == json_of(capsys)["counts"]["accepted"]
    assert not Path("welcome-list-report.html").exists()
    assert run(["report", "welcome-list", "--json", "-o", "page.html"]) == 0
    assert Path("page.html").exists()


@pytest.mark.usefixtures("_campaign")
def test_report_that_cannot_be_written_or_found_is_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "welcome-list", "-o", "no/where.html"]) == 2
    assert "no/where.html cannot be written" in capsys.readouterr().err
    assert run(["report", "nothing"]) == 2
    assert "no campaign nothing" in capsys.readouterr().err


@pytest.mark.parametrize("campaign", ["welcome", "welcome-report"])
def test_report_never_takes_the_place_of_a_template(campaign: str, capsys: pytest.CaptureFixture[str]) -> None:
    template = a_template(name=f"{campaign}.html")
    assert run(["bulk", a_list(), "-t", template, "-q", "--campaign", "welcome"]) == 0
    before = Path(template).read_bytes()
    # A second time it is a report that is written over.
    for _ in range(2):
        assert (0 if campaign == "welcome" else 2) == run(["report", "welcome"])
    assert before == Path(template).read_bytes()
    capsys.readouterr()
    assert run(["report", "welcome", "-o", template]) == 2
    assert f"{template} is there and is no report" in capsys.readouterr().err
    assert before == Path(template).read_bytes()


@pytest.mark.parametrize(("provider", "cost"), [("smtp:smtp.sendgrid.net", "$19.95"), ("ses:eu-west-1", "$0.00")])
def test_report_tells_what_the_mailing_cost(provider: str, cost: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipients = [Recipient(1, "a@x.org", "a@x.org", {}, {})]
    with Journal.open(Path(".mailblast").absolute(), "sent", clock=SystemClock()) as journal:
        journal.begin_run(provider=provider, template_fingerprint="")
        (claim,) = journal.claim(recipients, ClaimPolicy()).claims
        outcome = Outcome(claim.id, "a@x.org", "a@x.org", 1, State.ACCEPTED, 1.0, provider)
        journal.fold([outcome])
        journal.end_run(counts=journal.counts(), rows=1, exit_code=0)
    assert run(["report", "sent", "--json"]) == 0
    assert cost == json_of(capsys)["cost"]
