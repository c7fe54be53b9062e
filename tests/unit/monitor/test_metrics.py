from __future__ import annotations

import pytest
from fakes import FakeClock

from mailblast.model.outcome import Outcome, State
from mailblast.monitor.grade import UNGRADED
from mailblast.monitor.metrics import Monitor

ADDRESS = "ann@example.com"


def an_outcome(
    state: State = State.ACCEPTED,
    *,
    provider: str = "smtp:a",
    duration_s: float = 0.1,
    code: int = 0,
    enhanced: str = "",
    text: str = "",
    address: str = ADDRESS,
) -> Outcome:
    return Outcome(
        1, address, address, 1, state, 0.0, provider, code, enhanced, text, attempts=1, duration_s=duration_s
    )


def test_snapshot_of_a_fresh_monitor_is_empty_and_ungraded() -> None:
    snapshot = Monitor(FakeClock()).snapshot()
    assert dict.fromkeys(State, 0) == snapshot.counts
    assert (snapshot.sent, snapshot.failed, snapshot.attempted, snapshot.finished) == (0, 0, 0, 0)
    assert (
        snapshot.throughput_per_s,
        snapshot.error_rate,
        snapshot.average_ms,
        snapshot.p50_ms,
        snapshot.p95_ms,
    ) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert snapshot.grade == UNGRADED
    assert snapshot.fraction is None
    assert snapshot.time_left_s is None


@pytest.mark.parametrize("state", list(State))
def test_counts_hold_every_state(state: State) -> None:
    monitor = Monitor(FakeClock())
    monitor.record(an_outcome(state))
    monitor.record(an_outcome(state))
    assert {**dict.fromkeys(State, 0), state: 2} == monitor.snapshot().counts
    assert monitor.snapshot().finished == 2


@pytest.mark.parametrize(
    ("state", "attempted", "error_rate"),
    [
        (State.ACCEPTED, 2, 0.0),
        (State.FAILED, 2, 0.5),
        (State.DEFERRED, 2, 0.5),
        (State.IN_DOUBT, 2, 0.5),
        (State.INVALID, 1, 0.0),
        (State.SUPPRESSED, 1, 0.0),
        (State.DUPLICATE, 1, 0.0),
        (State.UNSENT, 1, 0.0),
    ],
)
def test_error_rate_counts_only_what_was_attempted(state: State, attempted: int, error_rate: float) -> None:
    monitor = Monitor(FakeClock())
    monitor.record(an_outcome())
    monitor.record(an_outcome(state))
    snapshot = monitor.snapshot()
    assert (attempted, error_rate) == (snapshot.attempted, snapshot.error_rate)


def test_throughput_of_a_short_run_is_divided_by_its_own_length() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock)
    for _ in range(50):
        monitor.record(an_outcome())
    clock.advance(2.5)
    snapshot = monitor.snapshot()
    assert snapshot.window_s == 2.5
    assert snapshot.throughput_per_s == 20.0
    assert snapshot.uptime_s == 2.5


def test_window_forgets_what_is_older_but_totals_do_not() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock)
    monitor.record(an_outcome(State.FAILED, duration_s=9.0))
    clock.advance(59.75)
    monitor.record(an_outcome(duration_s=0.25))
    still = monitor.snapshot()
    assert (still.attempted, still.error_rate, still.average_ms, still.window_s) == (2, 0.5, 4_625.0, 59.75)
    clock.advance(0.25)  # second 60 begins: second 0 leaves the window
    snapshot = monitor.snapshot()
    assert (snapshot.attempted, snapshot.error_rate, snapshot.average_ms, snapshot.window_s) == (1, 0.0, 250.0, 59.0)
    assert (snapshot.sent, snapshot.failed) == (1, 1)


@pytest.mark.parametrize("pause_s", [60.0, 61.0, 62.0, 121.5, 100_000.0])
def test_window_is_empty_after_a_long_silence(pause_s: float) -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock, rate_limit_per_s=5)
    for _ in range(3):
        monitor.record(an_outcome())
        clock.advance(1.0)
    clock.advance(pause_s)
    snapshot = monitor.snapshot()
    assert (snapshot.attempted, snapshot.throughput_per_s) == (0, 0.0)
    assert snapshot.sent == 3
    assert snapshot.grade == UNGRADED
    assert [(each.name, each.sent, each.total_sent) for each in snapshot.providers] == [("smtp:a", 0, 3)]


def test_history_is_empty_after_a_silence_of_any_length() -> None:
    for pause_s in range(61, 190):  # each slot of the ring is the oldest once
        clock = FakeClock(1000.0)
        monitor = Monitor(clock)
        monitor.record(an_outcome())
        clock.advance(float(pause_s))
        assert list(monitor.snapshot().history) == [0] * 60


def test_steady_run_measures_its_true_rate_at_every_instant() -> None:
    clock = FakeClock(0.0)
    monitor = Monitor(clock)
    for _ in range(700):
        clock.advance(0.125)
        monitor.record(an_outcome())
        assert monitor.snapshot().throughput_per_s == pytest.approx(8.0, rel=0.003)


def test_history_shows_whole_seconds_oldest_first() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock)
    for count in (3, 0, 2):
        for _ in range(count):
            monitor.record(an_outcome())
        monitor.record(an_outcome(State.INVALID))
        clock.advance(1.0)
    monitor.record(an_outcome(State.FAILED))  # in the running second
    assert monitor.snapshot().history == (3, 0, 2)
    clock.advance(57.0)
    assert (3, 0, 2, 1, *[0] * 56) == monitor.snapshot().history
    clock.advance(1.0)
    assert (0, 2, 1, *[0] * 57) == monitor.snapshot().history


def test_providers_are_counted_apart() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock)
    monitor.record(an_outcome(provider="ses:b", duration_s=0.2))
    monitor.record(an_outcome(provider="ses:b", duration_s=0.4))
    monitor.record(an_outcome(State.DEFERRED, provider="smtp:a", duration_s=1.0))
    clock.advance(2.0)
    ses, smtp = monitor.snapshot().providers
    assert (
        ses.name,
        ses.sent,
        ses.failed,
        ses.throughput_per_s,
        ses.total_sent,
        ses.total_failed,
    ) == ("ses:b", 2, 0, 1.0, 2, 0)
    assert ses.average_ms == pytest.approx(300.0)
    assert (smtp.name, smtp.sent, smtp.failed, smtp.average_ms) == ("smtp:a", 0, 1, 1_000.0)


def test_retry_takes_deferred_back_and_their_next_outcome_counts() -> None:
    monitor = Monitor(FakeClock())
    monitor.progress(2, None)
    monitor.record(an_outcome(State.DEFERRED))
    monitor.record(an_outcome(State.DEFERRED))
    monitor.retry(2)
    assert (monitor.snapshot().failed, monitor.snapshot().in_flight) == (0, 2)
    monitor.record(an_outcome())
    monitor.record(an_outcome(State.FAILED))
    snapshot = monitor.snapshot()
    assert (snapshot.sent, snapshot.failed, snapshot.in_flight) == (1, 1, 0)
    assert snapshot.counts[State.DEFERRED] == 0


def test_grade_is_measured_against_the_limit_in_force() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock, rate_limit_per_s=100)
    for _ in range(20):
        monitor.record(an_outcome())
    clock.advance(2.0)
    assert (monitor.snapshot().grade.score, monitor.snapshot().grade.letter) == (75.0, "C")
    monitor.pace(10.0, "daily cap")
    snapshot = monitor.snapshot()
    assert (
        snapshot.grade.score,
        snapshot.grade.letter,
        snapshot.rate_limit_per_s,
        snapshot.waiting,
    ) == (100.0, "A", 10.0, "daily cap")
    monitor.pace(None)
    assert (monitor.snapshot().grade.score, monitor.snapshot().waiting) == (75.0, "")


def test_senseless_rate_limit_raises() -> None:
    with pytest.raises(ValueError, match="rate limit"):
        Monitor(FakeClock(), rate_limit_per_s=0)
    with pytest.raises(ValueError, match="rate limit"):
        Monitor(FakeClock()).pace(-1)


def test_fraction_counts_outcomes_not_what_the_reader_has_taken() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock, total_bytes=1_000)
    monitor.skip(10)
    monitor.progress(100, 500)  # half the bytes: some 200 rows
    for _ in range(40):
        monitor.record(an_outcome())
    clock.advance(4.0)
    snapshot = monitor.snapshot()
    assert (snapshot.finished, snapshot.in_flight) == (50, 50)
    assert snapshot.fraction == 0.25
    assert snapshot.time_left_s == 15.0  # 150 rows at 10 a second


def test_fraction_is_whole_only_when_every_row_has_an_outcome() -> None:
    monitor = Monitor(FakeClock(), total_bytes=1_000)
    monitor.progress(2, 1_000)
    monitor.record(an_outcome())
    assert monitor.snapshot().fraction == 0.5
    monitor.record(an_outcome(State.INVALID))
    assert (monitor.snapshot().fraction, monitor.snapshot().time_left_s) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("total_bytes", "rows", "position"),
    [(None, 5, 100), (0, 0, 0), (100, 5, None), (100, 0, 0)],
)
def test_fraction_is_unknown_without_a_length(total_bytes: int | None, rows: int, position: int | None) -> None:
    monitor = Monitor(FakeClock(), total_bytes=total_bytes)
    monitor.progress(rows, position)
    assert monitor.snapshot().fraction is None


def test_fraction_of_a_list_that_grew_while_it_was_read_stays_within_one() -> None:
    monitor = Monitor(FakeClock(), total_bytes=100)
    monitor.progress(2, 150)
    monitor.record(an_outcome())
    assert monitor.snapshot().fraction == 0.5


def test_known_rows_go_before_bytes() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock, total_bytes=100, total_rows=40)
    monitor.progress(10, 100)
    for _ in range(10):
        monitor.record(an_outcome())
    clock.advance(5.0)
    snapshot = monitor.snapshot()
    assert (snapshot.fraction, snapshot.time_left_s) == (0.25, 15.0)
    assert snapshot.progress_of(100) == (0.1, 45.0)
    assert snapshot.progress_of(None) == (0.25, 15.0)
    assert snapshot.progress_of(3) == (1.0, 0.0)  # fewer than there were


def test_fraction_under_a_limit_is_the_share_of_what_the_run_will_do() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock, total_bytes=1_000_000)
    monitor.skip(500)
    monitor.progress(600, 600, left=100)  # of some million rows
    for _ in range(50):
        monitor.record(an_outcome())
    clock.advance(5.0)
    snapshot = monitor.snapshot()
    assert (200, 0.25, 15.0) == (snapshot.limited_rows, snapshot.fraction, snapshot.time_left_s)
    assert (0.25, 15.0) == snapshot.progress_of(1_000_000)
    monitor.progress(700, 700, left=0)
    for _ in range(150):
        monitor.record(an_outcome())
    assert (1.0, 0.0) == (monitor.snapshot().fraction, monitor.snapshot().time_left_s)


def test_fraction_under_a_limit_beyond_the_list_is_the_share_of_the_list() -> None:
    monitor = Monitor(FakeClock(), total_bytes=1_000)
    monitor.skip(10)
    monitor.progress(100, 500, left=101)
    for _ in range(40):
        monitor.record(an_outcome())
    assert (None, 0.25) == (monitor.snapshot().limited_rows, monitor.snapshot().fraction)


def test_fraction_of_a_list_without_a_length_is_known_under_a_limit() -> None:
    monitor = Monitor(FakeClock())
    monitor.progress(100, None, left=100)
    monitor.record(an_outcome())
    assert (200, 0.005) == (monitor.snapshot().limited_rows, monitor.snapshot().fraction)


def test_fraction_of_an_empty_list_is_unknown() -> None:
    assert Monitor(FakeClock(), total_rows=0).snapshot().progress_of(None) == (None, None)
    assert Monitor(FakeClock()).snapshot().progress_of(0) == (None, None)


def test_time_left_is_unknown_while_nothing_moves() -> None:
    monitor = Monitor(FakeClock(), total_rows=40)
    monitor.skip(10)
    assert (monitor.snapshot().fraction, monitor.snapshot().time_left_s) == (0.25, None)


def test_percentiles_are_within_ten_percent() -> None:
    monitor = Monitor(FakeClock())
    for milliseconds in range(1, 101):
        monitor.record(an_outcome(duration_s=milliseconds / 1_000))
    snapshot = monitor.snapshot()
    assert snapshot.p50_ms == pytest.approx(50, rel=0.10)
    assert snapshot.p95_ms == pytest.approx(95, rel=0.10)


@pytest.mark.parametrize(("duration_s", "shown_ms"), [(0.0, 0.01), (1e-9, 0.01), (1e6, 2_684_354.56)])
def test_percentiles_beyond_the_histogram_are_its_ends(duration_s: float, shown_ms: float) -> None:
    monitor = Monitor(FakeClock())
    monitor.record(an_outcome(duration_s=duration_s))
    assert monitor.snapshot().p95_ms == pytest.approx(shown_ms)
    assert monitor.snapshot().average_ms == 1_000 * duration_s


def test_errors_are_grouped_by_code_whatever_the_text_quotes() -> None:
    monitor = Monitor(FakeClock())
    for name in ("ann", "bob", "cem"):
        address = f"{name}@example.com"
        monitor.record(
            an_outcome(State.FAILED, code=550, enhanced="5.1.1", text=f"<{address}>: unknown", address=address)
        )
    monitor.record(an_outcome(State.DEFERRED, code=451, enhanced="4.7.1", text="later"))
    first, second = monitor.snapshot().errors
    assert (
        first.reason,
        first.count,
        first.address,
        first.state,
        first.provider,
    ) == ("550 5.1.1 <...>: unknown", 3, "cem@example.com", State.FAILED, "smtp:a")
    assert (second.reason, second.count) == ("451 4.7.1 later", 1)


def test_errors_without_a_code_are_grouped_by_text_without_the_address() -> None:
    monitor = Monitor(FakeClock())
    for address in ("ann@example.com", "bob@example.com", ""):
        monitor.record(an_outcome(State.INVALID, text=f"'{address}' has no dot" if address else "", address=address))
    monitor.record(an_outcome(State.IN_DOUBT))
    empty, dots = sorted(monitor.snapshot().errors, key=lambda group: group.reason)[::-1]
    assert (empty.reason, empty.count) == ("in_doubt", 2)
    assert (dots.reason, dots.count, dots.address) == ("'...' has no dot", 2, "bob@example.com")


def test_errors_are_not_noted_for_rows_that_are_as_they_should_be() -> None:
    monitor = Monitor(FakeClock())
    for state in (State.ACCEPTED, State.SUPPRESSED, State.DUPLICATE, State.UNSENT):
        monitor.record(an_outcome(state, text="because"))
    assert monitor.snapshot().errors == ()


def test_errors_stay_bounded_and_keep_what_is_seen_again() -> None:
    monitor = Monitor(FakeClock())
    for number in range(1_000):
        monitor.record(an_outcome(State.FAILED, text=f"reason {number} " + "x" * 10_000))
        monitor.record(an_outcome(State.FAILED, text="always"))
    errors = monitor.snapshot().errors
    assert len(errors) == 10
    assert (errors[0].reason, errors[0].count) == ("always", 1_000)
    assert errors[1].reason.startswith("reason 999 ")
    assert max(len(group.reason) for group in errors) == 300


def test_rows_per_second_count_rows_of_every_outcome() -> None:
    clock = FakeClock(1000.0)
    monitor = Monitor(clock)
    monitor.record(an_outcome())
    monitor.record(an_outcome(State.SUPPRESSED))
    clock.advance(1.0)
    snapshot = monitor.snapshot()
    assert (snapshot.rows_per_s, snapshot.throughput_per_s) == (2.0, 1.0)


def test_domains_are_counted_in_the_window_and_in_the_run() -> None:
    clock = FakeClock()
    monitor = Monitor(clock)
    for state, address in (
        (State.ACCEPTED, "a@one.example"),
        (State.FAILED, "b@one.example"),
        (State.ACCEPTED, "c@two"),
    ):
        monitor.record(an_outcome(state, address=address))
    clock.advance(61)
    monitor.record(an_outcome(address="d@two"))
    domains = {each.name: each for each in monitor.snapshot().domains}
    assert (1, 1, 0, 0) == (
        domains["one.example"].total_sent,
        domains["one.example"].total_failed,
        domains["one.example"].sent,
        domains["one.example"].failed,
    )
    assert (2, 1) == (domains["two"].total_sent, domains["two"].sent)
    assert ["one.example", "two"] == [each.name for each in monitor.snapshot().domains]


def test_domains_beyond_the_bound_share_one_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailblast.monitor.metrics.MOST_DOMAINS", 2)
    monitor = Monitor(FakeClock())
    for domain in ("a", "b", "c", "d", "d", "a"):
        monitor.record(an_outcome(address=f"x@{domain}"))
    assert {"a": 2, "b": 1, "(others)": 3} == {each.name: each.total_sent for each in monitor.snapshot().domains}


def test_snapshot_holds_the_quota_that_was_told() -> None:
    monitor = Monitor(FakeClock())
    assert monitor.snapshot().quota is None
    monitor.quota(3, 500)
    assert (3, 500) == monitor.snapshot().quota


def test_snapshot_holds_the_connections_that_were_told() -> None:
    monitor = Monitor(FakeClock())
    assert monitor.snapshot().connections is None
    monitor.connections(3)
    assert 3 == monitor.snapshot().connections


def test_snapshot_holds_the_transports_that_were_told() -> None:
    monitor = Monitor(FakeClock())
    assert monitor.snapshot().transports is None
    monitor.transports(2, 0.998)
    assert (2, 0.998) == monitor.snapshot().transports
