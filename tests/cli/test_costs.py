from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from words import a_list, a_template, json_of

from mailblast.cli.app import run
from mailblast.cli.cost_of_run import cost_of_run

GUIDE = ("--price-list", "guide")


@pytest.mark.parametrize(
    ("volume", "monthly"),
    [
        (1, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 500.00, "sendgrid": 315.00}),
        (50, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 500.01, "sendgrid": 315.00}),
        (100, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 500.01, "sendgrid": 315.00}),
        (1000, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 500.10, "sendgrid": 315.14}),
        (5000, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 500.50, "sendgrid": 315.74}),
        (50000, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 505.00, "sendgrid": 322.49}),
        (1234567, {"directSMTP": 2150.00, "queueSMTP": 2150.00, "ses": 623.46, "sendgrid": 500.17}),
    ],
)
def test_analyze_cost_gives_the_guides_figures_to_the_cent(
    volume: int, monthly: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze-cost", "--volume", str(volume), *GUIDE, "--json"]) == 0
    document = json_of(capsys)
    assert monthly == {each["approach"]: each["monthly"] for each in document["approaches"]}
    assert (volume, "month", "guide") == (document["volume"], document["per"], document["price_list"])
    for each in document["approaches"]:
        total = each["fixed"] + each["variable"] + sum(each["hidden"].values())
        assert each["monthly"] == pytest.approx(total, abs=0.011)
        assert each["per_email"] == pytest.approx(each["monthly"] / volume, abs=0.011)


def test_analyze_cost_as_table_holds_every_approach(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "5k", *GUIDE]) == 0
    out = capsys.readouterr().out
    for word in ("directSMTP", "2,150.00", "500.50", "315.74", "development time", "From 3,700,301 a month on, ses"):
        assert word in out


def test_analyze_cost_of_one_approach_per_day(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["analyze-cost", "--volume", "2000", "--per", "day", "--approach", "ses", "--json"]
    assert run([*words, *GUIDE]) == 0
    (ses,) = json_of(capsys)["approaches"]
    assert (6.00, 506.00) == (ses["variable"], ses["monthly"])
    assert run(words) == 0
    (ses,) = json_of(capsys)["approaches"]
    assert (6.00, {}, 6.00, "à la carte") == (ses["variable"], ses["hidden"], ses["monthly"], ses["plan"])


def test_analyze_cost_uses_dated_prices_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "100_000", "--json"]) == 0
    document = json_of(capsys)
    monthly = {each["approach"]: each["monthly"] for each in document["approaches"]}
    assert monthly["ses"] == 10.00
    assert monthly["sendgrid"] == 34.95
    assert monthly["postmark"] == 126.00
    assert monthly["azure"] == 25.00
    assert document["price_list"] == "prices.toml"
    assert document["price_date"] >= "2026-11-24"
    assert document["cheapest"]["approach"] == "ses"
    assert {"from": "brevo", "to": "ses", "volume": 9001, "monthly": 0.9} in document["crossings"]


@pytest.mark.parametrize(("hidden", "total"), [("none", 0.0), ("guide", 500.0), ("mine.toml", 12.5), (None, 0.0)])
def test_analyze_cost_hidden_costs_are_apart_and_chosen(
    hidden: str | None, total: float, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.toml").write_text("[ses]\nupkeep = 12.5\n", encoding="utf-8")
    words = ["analyze-cost", "--volume", "10k", "--approach", "ses", "--json"]
    assert run([*words, *(("--hidden", hidden) if hidden else ())]) == 0
    document = json_of(capsys)
    (ses,) = document["approaches"]
    assert total == sum(ses["hidden"].values())
    assert (1.0, 1.0 + total) == (ses["price"], ses["monthly"])
    assert (hidden or "none") == document["hidden_costs"]
    assert run([*words, *GUIDE, "--hidden", "none"]) == 0
    assert json_of(capsys)["approaches"][0]["monthly"] == 1.0


def test_analyze_cost_as_csv_has_a_row_for_each_approach(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "1M", "--csv", "--hidden", "guide"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    (sendgrid,) = [row for row in rows if row["approach"] == "sendgrid"]
    assert {
        "fixed": "499.00",
        "variable": "240.00",
        "hidden": "300.00",
        "monthly": "1039.00",
    }.items() <= sendgrid.items()
    assert (sendgrid["per_email"], sendgrid["plan"]) == ("0.001039", "Pro 700K")
    assert len(rows) == 10
    assert run(["analyze-cost", "--volume", "50", "--csv", *GUIDE]) == 0
    assert capsys.readouterr().out.count("\n") == 5


def test_analyze_cost_counts_attachments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "1k", "--approach", "azure", "--attachments-size", "2MB", "--json"]) == 0
    assert json_of(capsys)["approaches"][0]["monthly"] == 0.49
    assert run(["analyze-cost", "--volume", "1k", "--attachments-size", "25MB"]) == 0
    out = capsys.readouterr().out
    assert "with 25 MB of attachments" in out
    assert "Too small for this: SendGrid takes 30 MB a message" in " ".join(out.split())


ROWS = (
    "ann@example.com,Ann,T",
    "ANN@EXAMPLE.COM,Ann,T",
    "no address,x,y",
    "bob@example.org,Bob,S",
    "ann@example.com,,",
)
COUNTED = {"name": "list.csv", "rows": 5, "recipients": 3, "duplicates": 1, "invalid": 1}


def test_analyze_cost_counts_a_list_without_duplicates_and_invalid_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--list", a_list(ROWS), "--json"]) == 0
    document = json_of(capsys)
    assert COUNTED == document["list"]
    assert document["volume"] == 3
    assert run(["analyze-cost", "--list", "list.csv"]) == 0
    told = "list.csv: 3 recipients in 5 rows; left out are 1 duplicates and 1 invalid."
    assert told in capsys.readouterr().out


def test_analyze_cost_counts_a_list_by_the_column_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Path("invoices.csv").write_text("who;nr\na@b.de;1\na@b.de;2\na@b.de;2\n", encoding="cp1252")
    words = ["--email-column", "who", "--key", "nr", "--list-format", "csv", "--encoding", "cp1252", "--json"]
    assert run(["analyze-cost", "--list", "invoices.csv", *words]) == 0
    assert json_of(capsys)["volume"] == 2


def test_recommend_counts_a_list_and_names_it_in_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recommend", "--list", a_list(ROWS), "--json"]) == 0
    document = json_of(capsys)
    assert COUNTED == document["list"]
    assert document["approach"] == "directSMTP"
    assert document["command"].startswith("mailblast bulk list.csv ")
    assert run(["recommend", "--list", "list.csv"]) == 0
    assert "3 messages a day: directSMTP" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["analyze-cost", "recommend"])
def test_list_that_holds_nobody_or_is_not_there_is_code_three(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (a_list(["x,y,z"]), "none.csv"):
        assert run([command, "--list", name]) == 3
        assert capsys.readouterr().err.count("\n") == 1


BAD_VOLUMES = ["0", "-5", "x", "1e999", "nan", "inf", "1.5", "", "9" * 400, "1000000000001"]


@pytest.mark.parametrize("volume", BAD_VOLUMES)
@pytest.mark.parametrize("command", ["analyze-cost", "recommend"])
@pytest.mark.parametrize("more", [(), GUIDE])
def test_volume_that_is_none_is_code_two_in_one_line(
    command: str, volume: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, f"--volume={volume}", *more]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Neither --volume nor --list."),
        (["--volume", "5", "--list", "list.csv"], "Both --volume and --list."),
        (["--volume", "5", "--price-list", "mine"], "'mine' cannot be read: No such file"),
        (
            ["--volume", "5", "--price-list", "bad.toml"],
            "bad.toml, provider 1 (Acme), plan 1 (Basic): 'fixed' is missing.",
        ),
        (["--volume", "5", "--price-list", "minus.toml"], "'fixed' is -1, which is negative."),
        (["--volume", "5", "--hidden", "mine"], "'mine' cannot be read"),
        (["--volume", "5", "--attachments-size", "big"], "'big' is not a size."),
        (["--volume", "5", "--attachments-size", "2MB", *GUIDE], "--attachments-size means nothing to the guide's"),
        (["--volume", "5", "--ask-ses", *GUIDE], "--ask-ses means nothing to the guide's"),
    ],
)
@pytest.mark.parametrize("command", ["analyze-cost", "recommend"])
def test_options_that_cannot_be_honoured_are_code_two_in_one_line(
    command: str, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
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
"""
    Path("bad.toml").write_text(text, encoding="utf-8")
    Path("minus.toml").write_text(f"{text}fixed = -1\n", encoding="utf-8")
    assert run([command, *words]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--approach", "sess"], "Did you mean ses?"),
        (["--approach", "sess", *GUIDE], "Did you mean ses?"),
        (["--approach", "pigeon"], "Known are directSMTP,"),
        (["--approach", "gmail"], "Gmail cannot carry 1,000,000 messages a month: takes 10,000 a day."),
        (["--json", "--csv"], "exclude each other"),
        (["--plot", "cost.png"], "neither .svg nor .html"),
        (["--plot", "none/cost.svg"], "cannot be written: No such file or directory"),
    ],
)
def test_analyze_cost_that_cannot_be_is_code_two(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze-cost", "--volume", "1M", *words]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.count("\n") == 1


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
@pytest.mark.parametrize("more", [(), GUIDE])
def test_recommend_follows_the_guides_thresholds(
    volume: int, approach: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["recommend", "--volume", str(volume), "--json", *more]) == 0
    document = json_of(capsys)
    assert approach == document["approach"]
    assert (volume, "day") == (document["volume"], document["per"])
    for name in ("why", "monthly_cost", "cheapest", "command", "commands", "setup", "mailboxes"):
        assert document[name]


def test_recommend_by_the_guide_costs_what_the_guide_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recommend", "--volume", "5000", "--json", *GUIDE]) == 0
    document = json_of(capsys)
    assert (515.0, "sendgrid") == (document["monthly_cost"], document["cheapest"]["approach"])
    assert run(["recommend", "--volume", "5000", "--json"]) == 0
    document = json_of(capsys)
    assert (15.0, "ses") == (document["monthly_cost"], document["cheapest"]["approach"])


def test_recommend_commands_have_only_words_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[str, str] = {}
    for volume in (50, 500, 5000, 50000):
        run(["recommend", "--volume", str(volume), "--json"])
        for command in json_of(capsys)["commands"]:
            _, name, *words = command.split()
            if name not in known:
                assert run([name, "--help"]) == 0
                known[name] = capsys.readouterr().out
            for word in words:
                if word.startswith("--"):
                    assert word in known[name], command


def test_recommend_on_screen_tells_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recommend", "--volume", "5000"]) == 0
    out = capsys.readouterr().out
    for word in ("5,000 messages a day: ses", "US dollars a month", "SPF", "mailblast bulk", "6.0 minutes", "7 days"):
        assert word in out


def dry_run(*words: str) -> int:
    return run(["bulk", a_list(), "-t", a_template(), "--dry-run", "--from", "a@example.com", *words])


def test_dry_run_ends_with_recipients_size_cost_and_duration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "x")
    assert dry_run("--via", "smtp://me@smtp.sendgrid.net:587") == 0
    *_, send, size, cost, duration = capsys.readouterr().out.splitlines()
    assert send.split()[:3] == ["would", "send", "2"]
    assert "MB in all" in size
    assert cost.split(maxsplit=2) == [
        "cost",
        "19.95",
        "US dollars by SendGrid, Essentials 50K, if nothing else is sent in the month",
    ]
    assert duration.split() == ["duration", "0:00:00"]


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("smtp://me@email-smtp.eu-west-1.amazonaws.com:587", {"approach": "ses", "price_of": "provider"}),
        ("smtp://me@mail.example.com:587", {"approach": "directSMTP", "monthly": 6.0}),
        ("outbox:out", {"price_of": "cheapest", "monthly": 0.0}),
    ],
)
def test_dry_run_as_json_has_the_cost_at_the_provider(
    via: str, expected: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "x")
    assert dry_run("--via", via, "--json") == 0
    assert expected.items() <= json_of(capsys)["cost"].items()


def test_dry_run_of_nobody_has_no_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bulk", a_list(["x,y,z"]), "-t", a_template(), "--dry-run", "--json"]) == 1
    assert json_of(capsys)["cost"] is None
    assert run(["bulk", "list.csv", "-t", "welcome.html", "--dry-run"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].split() == ["would", "send", "0", "by", "outbox"]


@pytest.mark.parametrize(
    ("scheme", "name", "messages"), [("icloud", "smtp:smtp.mail.me.com", 5), ("gmail", "smtp:smtp.gmail.com", 10**6)]
)
def test_cost_of_a_run_that_has_no_price_is_said_to_be_unknown(scheme: str, name: str, messages: int) -> None:
    cost = cost_of_run(scheme, name, messages, 0)
    assert cost.to_json() is None
    assert cost.words()[0] == "not known"


def test_cost_of_a_run_counts_attachments() -> None:
    offer = cost_of_run("smtp", "smtp:smtp.azurecomm.net", 1_000, 2_000_000).offer
    assert offer is not None
    assert Decimal("0.49") == offer.price
