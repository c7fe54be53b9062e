from __future__ import annotations

import json
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock
from servers.sendgrid_fake import KEY, SendgridFake, serving

from mailblast.cli import loop, scheduled
from mailblast.cli.cancel import cancel
from mailblast.cli.scheduled import Scheduled, SchedulingProvider, read_scheduled, schedule_run, write_scheduled
from mailblast.clock import SystemClock
from mailblast.errors import AccountError, JournalDamagedError, JournalError, UsageError
from mailblast.journal.journal import Journal
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.memory import MemoryProvider
from mailblast.providers.registry import make_provider
from mailblast.providers.sendgrid.provider import SendgridProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(".mailblast")
FOLDER = HOME / "news"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[SendgridFake]:
    monkeypatch.setenv("SENDGRID_API_KEY", KEY)
    FOLDER.mkdir(parents=True)
    with serving(SendgridFake()) as running:
        yield running


def via(fake: SendgridFake) -> str:
    return f"sendgrid://?endpoint=http://127.0.0.1:{fake.port}"


def a_schedule(fake: SendgridFake, *hours: float) -> list[Scheduled]:
    """Schedule batches as runs do; an hour of 0 or less is one that was due before."""
    for ahead in hours:
        provider = make_provider(parse_dsn(via(fake)), {"SENDGRID_API_KEY": KEY}, clock=SystemClock())
        assert isinstance(provider, SchedulingProvider)
        when_s = int(time.time() + 3600 * max(ahead, 1))
        loop.run(schedule_run(provider, FOLDER, when_s, via=via(fake), clock=SystemClock()))
        assert isinstance(provider, SendgridProvider)
        assert provider.scheduled_for is not None
        assert when_s == provider.scheduled_for.send_at_s
    records = read_scheduled(FOLDER)
    write_scheduled(
        FOLDER,
        [
            record._replace(send_at_s=int(time.time() + 3600 * ahead))
            for record, ahead in zip(records, hours, strict=True)
        ],
    )
    return read_scheduled(FOLDER)


def states() -> list[str]:
    return [record.state for record in read_scheduled(FOLDER)]


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_schedule_run_keeps_the_batch_on_file_before_anything_is_sent(fake: SendgridFake) -> None:
    (record,) = a_schedule(fake, 2)
    assert record.batch_id in fake.batches
    assert ("sendgrid", via(fake), "scheduled") == (record.provider, record.via, record.state)
    assert 0o600 == stat.S_IMODE((FOLDER / "scheduled.json").stat().st_mode)
    assert ["scheduled.json"] == [path.name for path in FOLDER.iterdir()]
    assert KEY not in (FOLDER / "scheduled.json").read_text()


def test_schedule_run_too_far_ahead_leaves_no_record(fake: SendgridFake) -> None:
    provider = make_provider(parse_dsn(via(fake)), {"SENDGRID_API_KEY": KEY}, clock=SystemClock())
    assert isinstance(provider, SchedulingProvider)
    with pytest.raises(UsageError, match="at most 72 hours"):
        loop.run(schedule_run(provider, FOLDER, int(time.time()) + 73 * 3600, via="x", clock=SystemClock()))
    assert [] == read_scheduled(FOLDER)


def test_providers_that_wait_themselves_schedule_nothing() -> None:
    assert not isinstance(MemoryProvider(), SchedulingProvider)
    assert not isinstance(make_provider(parse_dsn("outbox"), {}, clock=FakeClock()), SchedulingProvider)


def test_cancel_takes_back_what_is_not_due(fake: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = a_schedule(fake, -1, 2, 3)
    assert cancel("news") == 0
    assert {second.batch_id: "cancel", third.batch_id: "cancel"} == fake.scheduled
    assert ["scheduled", "cancel", "cancel"] == states()
    out = capsys.readouterr().out
    assert f"Batch {second.batch_id}, due {scheduled.shown_time(second.send_at_s)}: taken back." in out
    assert first.batch_id not in out
    assert "stay on record as accepted and get nothing" in out
    assert "--campaign news-2" in out


def test_cancel_pause_then_resume_lets_it_go(fake: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    (record,) = a_schedule(fake, 2)
    assert cancel("news", pause=True) == 0
    assert ({record.batch_id: "pause"}, ["pause"]) == (fake.scheduled, states())
    assert cancel("news", resume=True) == 0
    assert ({}, ["scheduled"]) == (fake.scheduled, states())
    out = capsys.readouterr().out
    assert "held." in out
    assert "let go again." in out
    assert "on record as accepted" not in out


def test_cancel_resume_lets_go_what_was_held_past_its_time(fake: SendgridFake) -> None:
    first, second = a_schedule(fake, 2, 3)
    assert cancel("news", pause=True) == 0
    write_scheduled(FOLDER, [record._replace(send_at_s=1_600_000_000) for record in read_scheduled(FOLDER)])
    assert cancel("news", resume=True) == 0
    assert {} == fake.scheduled
    assert first.batch_id != second.batch_id


def test_cancel_json_has_a_row_for_each_batch(fake: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    (record,) = a_schedule(fake, 2)
    assert cancel("news", json_output=True) == 0
    row = {
        "batch_id": record.batch_id,
        "send_at": scheduled.shown_time(record.send_at_s),
        "provider": "sendgrid",
        "state": "cancel",
        "error": "",
    }
    assert {"campaign": "news", "batches": [row], "exit_code": 0} == document(capsys)


def test_cancel_too_late_for_one_does_the_others(fake: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    late, early = a_schedule(fake, 0.1, 2)
    assert cancel("news") == 1
    assert {early.batch_id: "cancel"} == fake.scheduled
    assert ["scheduled", "cancel"] == states()
    captured = capsys.readouterr()
    assert f"Batch {late.batch_id} can no longer be called off" in captured.err
    assert "on record as accepted" not in captured.out


@pytest.mark.parametrize(
    ("hours", "options", "what"),
    [
        ((), {}, "'news' has nothing scheduled"),
        ((-1,), {}, "was due 20.*: it is on its way"),
        ((2,), {"resume": True}, "no batch that could be let go again"),
        ((-1,), {"resume": True}, "no batch that could be let go again"),
        ((2,), {"pause": True, "resume": True}, "opposites"),
        ((2,), {"via": "outbox:box"}, "outbox keeps no mail for later"),
    ],
)
def test_cancel_where_there_is_nothing_to_do_says_why(
    fake: SendgridFake, hours: tuple[float, ...], options: dict[str, Any], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_schedule(fake, *hours)
    try:
        code = cancel("news", **options)
    except UsageError as error:
        told = str(error)
    else:
        # One batch at a time: what is wrong with it is told beside it.
        assert code == 1
        told = capsys.readouterr().err
    assert re.search(what, told)
    assert {} == fake.scheduled


def test_cancel_twice_says_so(fake: SendgridFake) -> None:
    a_schedule(fake, 2)
    assert cancel("news") == 0
    with pytest.raises(UsageError, match="no batch that could be taken back"):
        cancel("news")


def test_cancel_key_refused_keeps_the_record(fake: SendgridFake, monkeypatch: pytest.MonkeyPatch) -> None:
    a_schedule(fake, 2)
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.wrong")
    with pytest.raises(AccountError, match="401"):
        cancel("news")
    assert ["scheduled"] == states()


def test_cancel_unknown_campaign_names_it_and_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="There is no campaign nope in .mailblast. No run has been recorded there yet"):
        cancel("nope")
    for name in ("news", "offers"):
        Journal.open(HOME, name, clock=SystemClock()).close()
    with pytest.raises(UsageError, match="There is no campaign nope in .mailblast. Known ones: news, offers."):
        cancel("nope")


def test_cancel_name_that_is_no_campaign_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        cancel("../news")


def a_row(**changes: object) -> str:
    row = {"batch_id": "a", "provider": "p", "via": "v", "state": "cancel"}
    times = dict.fromkeys(("send_at", "time"), "2026-01-01T00:00:00Z")
    return json.dumps({"scheduled": [{**row, **times, **changes}]})


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"scheduled": [{}]}', '{"scheduled": 5}', "\x00", a_row(send_at="soon"), a_row(time=5),
        a_row(state="gone"), a_row(batch_id=5), a_row(via=""),
    ],
)  # fmt: skip
def test_read_scheduled_damaged_is_told(text: str) -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "scheduled.json").write_text(text)
    with pytest.raises(JournalDamagedError, match="scheduled.json is damaged.*app.sendgrid.com"):
        read_scheduled(FOLDER)


def test_read_scheduled_not_text_is_told() -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "scheduled.json").write_bytes(b"\xff\xfe")
    with pytest.raises(JournalDamagedError):
        read_scheduled(FOLDER)


def test_read_scheduled_that_cannot_be_read_is_told() -> None:
    (FOLDER / "scheduled.json").mkdir(parents=True)
    with pytest.raises(JournalError, match="cannot be read"):
        read_scheduled(FOLDER)


def test_write_scheduled_that_cannot_be_written_leaves_nothing_behind() -> None:
    (FOLDER / "scheduled.json").mkdir(parents=True)
    with pytest.raises(JournalError, match="cannot be written"):
        write_scheduled(FOLDER, [])
    assert ["scheduled.json"] == [path.name for path in FOLDER.iterdir()]
