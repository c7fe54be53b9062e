"""What a person sees: the table and the chart, on screens of several kinds."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console
from words import a_list

from mailblast.cli import cost_table
from mailblast.cli.app import run
from mailblast.cli.cost_chart import EMPTY, MOST_SERIES, Canvas, Span, chart, series_of, short, volumes_around
from mailblast.cli.recommend import duration_words
from mailblast.cli.terminal import Terminal
from mailblast.costs.estimate import estimate, guide_estimate
from mailblast.costs.hidden import guide_hidden_costs, no_hidden_costs
from mailblast.costs.offers import Estimate, Question
from mailblast.costs.price_file import load_prices


def priced(volume: int, *, hidden: bool = False, approach: str | None = None) -> Estimate:
    costs = guide_hidden_costs() if hidden else no_hidden_costs()
    return estimate(load_prices(), Question(volume, approach=approach), costs, date(2026, 11, 25))


def screen(result: Estimate, width: int, *, braille: bool = True, **options: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False, **options)  # type: ignore[arg-type]  # flags alone
    cost_table.show(result, console)
    for line in chart(result, width, braille=braille):
        console.print(line)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("volume", [1, 100, 5_000, 1_234_567, 10**12])
@pytest.mark.parametrize("hidden", [False, True])
def test_screen_never_breaks_its_lines(width: int, volume: int, *, hidden: bool) -> None:
    text = screen(priced(volume, hidden=hidden), width)
    assert max(map(len, text.splitlines())) <= width
    if volume < 10**12:
        # Nothing but a plan's name is ever cut.
        assert text.splitlines()[1].split()[-1] in {"email", "trust"}
        assert not [line for line in text.splitlines()[3:13] if line.rstrip().endswith("…")]


def test_screen_marks_the_cheapest_by_weight_and_colour_only_where_there_is_colour() -> None:
    plain, coloured = screen(priced(50_000), 80), screen(priced(50_000), 80, force_terminal=True)
    assert "\x1b" not in plain
    assert "\x1b[1;32m" in coloured
    without = screen(priced(50_000), 80, force_terminal=True, no_color=True)
    assert "\x1b[1;32m" not in without
    assert "\x1b[36m" not in without


def test_screen_of_a_wide_terminal_tells_where_prices_are_from() -> None:
    assert "priced on" not in screen(priced(50_000), 80)
    wide = screen(priced(50_000), 120)
    assert "priced on" in wide
    assert "2026-08-13" in wide
    assert "priced on" not in screen(guide_estimate(Question(50_000)), 120)


def test_chart_draws_a_letter_for_each_line_and_marks_volume_and_crossings() -> None:
    lines = [line.plain for line in chart(priced(50_000), 80, braille=True)]
    legend = lines[-1]
    assert "a Amazon SES" in legend
    plot = "\n".join(lines[1:15])
    for letter in "abcdef":
        assert letter in plot
    assert "▲" in lines[15]
    assert plot.count("●") == 3
    assert lines[16].split() == ["100", "1k", "10k", "100k", "1M", "10M"]


def test_chart_without_braille_is_plain_ascii() -> None:
    lines = [line.plain for line in chart(priced(50_000), 80, braille=False)]
    assert all(line.isascii() for line in lines)
    assert "aaaa" in "\n".join(lines)
    assert "^" in lines[15]


def test_chart_draws_no_doubled_lines_and_no_mailboxes() -> None:
    approaches = [each.approach for each in series_of(priced(50_000))]
    assert len(approaches) == MOST_SERIES
    assert "queueSMTP" not in approaches
    assert "gmail" not in approaches
    assert [each.approach for each in series_of(guide_estimate(Question(5)))] == ["sendgrid", "ses", "directSMTP"]
    assert [each.approach for each in series_of(priced(50, approach="gmail"))] == ["gmail"]


@pytest.mark.parametrize(
    ("volume", "span"),
    [(1, (0, 2)), (10, (0, 3)), (50_000, (2, 7)), (100_000, (3, 7)), (10**12, (10, 14)), (3 * 10**13, (11, 14))],
)
def test_chart_shows_the_powers_of_ten_around_a_volume(volume: int, span: tuple[int, int]) -> None:
    assert span == volumes_around(volume)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (1, "1"), (100, "100"), (1_000, "1k"), (10**7, "10M"), (10**9, "1G"), (1e12, "1T")],
)
def test_axis_labels_are_short(value: float, text: str) -> None:
    assert text == short(value)


def test_axis_places_values_by_their_power() -> None:
    span = Span(0, 4)
    assert [0.0, 0.0, 0.5, 1.0, 1.0] == [span.place(value) for value in (0.0, 1, 100, 10_000, 10**9)]


def test_analyze_cost_in_an_ascii_pipe_is_ascii_in_its_chart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr("sys.stdout", file)
    assert run(["analyze-cost", "--volume", "5k", "--price-list", "guide"]) == 0
    file.flush()
    text = file.buffer.getvalue().decode("ascii")
    assert "aaaa" in text
    assert "315.74" in text


@pytest.mark.parametrize("command", ["analyze-cost", "recommend"])
def test_command_in_a_pipe_has_no_escape_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--volume", "50k"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_free_plan_with_a_cap_a_day_says_how_many_days_that_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "5k"]) == 0
    assert "Brevo takes 300 a day: sent in one go, this takes 17 days." in capsys.readouterr().out
    assert run(["recommend", "--volume", "5k", "--per", "month"]) == 0
    assert "sent over 17 days" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.01, "0.1 seconds"), (59, "59.0 seconds"), (60, "1.0 minutes"), (5_400, "1.5 hours"), (86_400, "1.0 days")],
)
def test_duration_is_told_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert words == duration_words(seconds)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_recommend_on_a_terminal_breaks_lines_below_their_own_beginning(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(["recommend", "--volume", "20k"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # Commands stay whole, to be copied.
    assert all(len(line) <= columns for line in lines if not line.startswith("  mailblast "))
    start = next(index for index, line in enumerate(lines) if "5. DKIM" in line)
    if columns < 120:
        assert lines[start + 1].startswith("     ")
    assert not [line for line in lines if line != line.rstrip()]


def test_recommend_where_the_price_file_has_no_such_approach_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = """date = 2026-11-24
currency = "USD"
[[provider]]
approach = "acme"
name = "Acme"
kind = "service"
source = "https://acme.example"
date = 2026-11-24
trust = "high"
[[provider.plan]]
plan = "Basic"
fixed = 9
tiers = [{ per_1000 = 0.01 }]
"""
    Path("mine.toml").write_text(text, encoding="utf-8")
    assert run(["recommend", "--volume", "5k", "--price-list", "mine.toml"]) == 0
    out = capsys.readouterr().out
    assert "not known: mine.toml has no plan of ses that carries this" in out
    assert "Acme, Basic: 10.50 a month" in out
    assert run(["analyze-cost", "--volume", "5k", "--price-list", "mine.toml"]) == 0
    assert "9.05" in capsys.readouterr().out


def test_counting_a_list_shows_a_bar_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_list()
    assert run(["analyze-cost", "--list", "list.csv", "--csv"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(Terminal, "live", True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(["analyze-cost", "--list", "list.csv", "--csv"]) == 0
    assert "Counting, 2 rows" in capsys.readouterr().err


def test_chart_ends_a_line_where_nothing_carries_the_volume() -> None:
    rows = [line.plain for line in chart(priced(100_000, approach="gmail"), 80, braille=False)]
    bottom = rows[14].partition("+")[2]
    # 300,000 a month lie at six tenths of the way from 1,000 to 10,000,000.
    assert 40 <= len(bottom.rstrip()) <= 45
    assert set(bottom) == {"a"}


def test_canvas_puts_no_letter_onto_another_one() -> None:
    canvas = Canvas(4, 2, braille=True)
    assert canvas.letter(1, 0.0, "a", "")
    assert not canvas.letter(1, 0.0, "b", "")
    canvas.mark(1, 0.0)
    assert [character for character, _ in canvas.cells(1)] == [EMPTY, "●", EMPTY, EMPTY]
