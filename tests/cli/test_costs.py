from __future__ import annotations

import pytest
from words import json_of

from mailblast.cli.app import run


@pytest.mark.parametrize(
    ("volume", "monthly"),
    [
        (1, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 500.00, "sendgrid": 315.00}),
        (100, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 500.01, "sendgrid": 315.00}),
        (5000, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 500.50, "sendgrid": 315.74}),
        (50000, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 505.00, "sendgrid": 322.49}),
    ],
)
def test_analyze_cost_gives_the_guides_figures_to_the_cent(
    volume: int, monthly: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze-cost", "--volume", str(volume), "--json"]) == 0
    document = json_of(capsys)
    assert monthly == {each["approach"]: each["monthly"] for each in document["approaches"]}
    assert (volume, "month", "guide") == (document["volume"], document["per"], document["price_list"])
    for each in document["approaches"]:
        total = each["fixed"] + each["variable"] + sum(each["hidden"].values())
        assert each["monthly"] == pytest.approx(total, abs=0.011)
        assert each["per_email"] == pytest.approx(each["monthly"] / volume, abs=0.011)


def test_analyze_cost_as_table_holds_every_approach(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "5k", "--price-list", "guide"]) == 0
    out = capsys.readouterr().out
    for word in ("directSMTP", "2,150.00", "500.50", "315.74", "development time"):
        assert word in out


def test_analyze_cost_of_one_approach_per_day(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "2000", "--per", "day", "--approach", "ses", "--json"]) == 0
    (ses,) = json_of(capsys)["approaches"]
    assert (6.00, 506.00) == (ses["variable"], ses["monthly"])


@pytest.mark.parametrize("volume", ["0", "-5", "x", "1e999", "nan", "1.5"])
@pytest.mark.parametrize("command", ["analyze-cost", "recommend"])
def test_volume_that_is_none_is_code_two_in_one_line(
    command: str, volume: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, f"--volume={volume}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_unknown_approach_and_price_list_are_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "5", "--approach", "sess"]) == 2
    assert "Did you mean ses?" in capsys.readouterr().err
    assert run(["analyze-cost", "--volume", "5", "--price-list", "mine"]) == 2
    assert "mine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("volume", "approach"),
    [
        (1, "directSMTP"),
        (99, "directSMTP"),
        (100, "queueSMTP"),
        (999, "queueSMTP"),
        (1000, "ses"),
        (9999, "ses"),
        (10000, "sendgrid"),
        (1234567, "sendgrid"),
    ],
)
def test_recommend_follows_the_guides_thresholds(
    volume: int, approach: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["recommend", "--volume", str(volume), "--json"]) == 0
    document = json_of(capsys)
    assert approach == document["approach"]
    assert (volume, "day") == (document["volume"], document["per"])
    for name in ("why", "monthly_cost", "cheapest", "command"):
        assert document[name]


def test_recommend_command_has_only_words_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    run(["bulk", "--help"])
    known = capsys.readouterr().out
    for volume in (50, 500, 5000, 50000):
        run(["recommend", "--volume", str(volume), "--json"])
        command = json_of(capsys)["command"]
        for word in command.split():
            if word.startswith("--"):
                assert word in known


def test_recommend_on_screen_tells_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recommend", "--volume", "5000"]) == 0
    out = capsys.readouterr().out
    for word in ("5,000 messages a day: ses", "US dollars a month", "SPF", "mailblast bulk"):
        assert word in out
