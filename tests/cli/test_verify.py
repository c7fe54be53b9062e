from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.dns_server import DnsServer
from words import ROWS, a_list, a_template, json_of

from mailblast.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_verify_clean_list_and_template_is_code_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", a_list(), "-t", a_template(), "--json"]) == 0
    document = json_of(capsys)
    assert (0, 0) == (document["errors"], document["warnings"])
    assert ["template.compiles", "list.rows"] == [check["id"] for check in document["checks"]]
    assert set(document["checks"][0]) == {"id", "level", "subject", "row", "message", "fix"}
    assert not Path("outbox").exists()
    assert not Path(".mailblast").exists()


def test_verify_names_every_bad_row_with_id_and_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*ROWS, "no-address,X,y", "ann@example.com,Again,x", ",Nobody,"]
    assert run(["verify", a_list(rows), "-t", a_template(), "--json"]) == 1
    document = json_of(capsys)
    found = {(check["id"], check["row"]) for check in document["checks"] if check["row"]}
    assert found == {("list.row", 4), ("list.duplicate", 5), ("list.row", 6)}
    assert (2, 1) == (document["errors"], document["warnings"])


def test_verify_renders_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f'{{"email": "u{number}@example.com", "name": "U", "plan": "x"}}' for number in range(2500)]
    lines[2400] = '{"email": "u@example.com", "name": "U"}'
    Path("list.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert run(["verify", "list.jsonl", "-t", a_template(), "--json"]) == 1
    (fault,) = (check for check in json_of(capsys)["checks"] if check["id"] == "template.row")
    assert fault["row"] == 2401
    assert "plan" in fault["message"]


def test_verify_warnings_count_only_when_strict(capsys: pytest.CaptureFixture[str]) -> None:
    a_list(["ann@example.com,Ann,x", "ann@example.com,Ann,x"])
    assert run(["verify", "list.csv"]) == 0
    assert run(["verify", "list.csv", "--strict"]) == 1
    assert "list.duplicate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "finding"),
    [
        (["missing.csv"], "list.readable"),
        (["columns.csv"], "list.columns"),
        (["quote.csv"], "list.readable"),
        (["list.csv", "-t", "missing.html"], "template.compiles"),
        (["-t", "syntax.html"], "template.compiles"),
        (["--via", "smtp://127.0.0.1:1"], "provider.connect"),
        (["--via", "outbox:taken"], "provider.connect"),
    ],
)
def test_verify_what_cannot_be_used_is_an_error(
    words: list[str], finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_list()
    Path("taken").touch()
    Path("columns.csv").write_text("first,last\nA,B\n", encoding="utf-8")
    Path("quote.csv").write_text('email\na@example.com\n"b@example.com\n', encoding="utf-8")
    Path("syntax.html").write_text("<title>{{ x</title>", encoding="utf-8")
    assert run(["verify", *words, "--json"]) == 1
    errors = [check for check in json_of(capsys)["checks"] if check["level"] == "error"]
    assert [finding] == [check["id"] for check in errors]
    assert all(check["message"] for check in errors)


def test_verify_variable_that_is_no_column_is_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    run(["verify", a_list(), "-t", a_template("<title>{{ nmae }}</title>"), "--json"])
    found = {check["id"]: check["message"] for check in json_of(capsys)["checks"]}
    assert "'nmae'" in found["template.variable"]


def test_verify_empty_list_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", a_list([]), "--json"]) == 0
    assert [check["id"] for check in json_of(capsys)["checks"]] == ["list.empty"]


def test_verify_with_nothing_given_looks_at_the_provider(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify"]) == 0
    assert "provider.connect" in capsys.readouterr().out


def test_verify_long_html_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    html = f"<title>x</title><p>{'word ' * 20000}</p>"
    assert run(["verify", "-t", a_template(html)]) == 0
    assert "102 KB" in capsys.readouterr().out


def test_verify_many_findings_of_a_kind_are_cut_short_on_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", a_list(["bad,x,y"] * 50)]) == 1
    out = capsys.readouterr().out
    assert "and 30 more" in out
    assert "50 errors" in out


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    server = DnsServer(
        {
            ("good.org", "MX"): ["10 mx.good.org"],
            ("mx.good.org", "A"): ["9.9.9.9"],
            ("good.org", "TXT"): ["v=spf1 include:amazonses.com -all"],
            ("amazonses.com", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
            ("_dmarc.good.org", "TXT"): ["v=DMARC1; p=reject; rua=mailto:a@good.org"],
        }
    )
    monkeypatch.setenv("MAILBLAST_DNS", server.address)
    yield server
    server.close()


@pytest.mark.usefixtures("name_server")
def test_verify_dns_names_domains_that_take_no_mail(capsys: pytest.CaptureFixture[str]) -> None:
    a_list(["ann@good.org,Ann,x", "bob@gone.org,Bob,x", "cyd@gone.org,Cyd,x"])
    assert run(["verify", "list.csv", "--json"]) == 0
    capsys.readouterr()
    assert run(["verify", "list.csv", "--dns", "--json"]) == 1
    (found,) = (check for check in json_of(capsys)["checks"] if check["id"] == "dns.no_domain")
    assert ("bob@gone.org", 3) == (found["subject"], found["row"])


@pytest.mark.usefixtures("name_server")
def test_verify_domain_tells_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--domain", "Good.org"]) == 0
    out = capsys.readouterr().out
    assert "Sending domain" in out
    assert "SPF is right" in out
    assert run(["verify", "--domain", "bad.org", "--ip", "192.0.2.1", "--json"]) == 1
    errors = {check["id"] for check in json_of(capsys)["checks"] if check["level"] == "error"}
    assert {"domain.spf", "domain.dmarc", "domain.ptr"} == errors


@pytest.mark.usefixtures("name_server")
def test_verify_domain_wants_the_providers_include(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILBLAST_VIA", "sendgrid")
    run(["verify", "--domain", "good.org"])
    assert "SPF does not include sendgrid.net" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--domain", "no domain"], "--domain 'no domain' is no domain"),
        (["--domain", "good.org", "--ip", "1.2.3"], "--ip '1.2.3' is no IP address"),
        (["--ip", "192.0.2.1"], "--ip is about a sending domain"),
        (["--dkim", "mail@good.org"], "--dkim is about a sending domain"),
        (["--dkim-key", "dkim.pem"], "--dkim-key is about a sending domain"),
        (["--domain", "good.org", "--dkim", "selector"], "--dkim 'selector'"),
        (["--domain", "good.org", "--reply-to", "nobody"], "--reply-to 'nobody'"),
    ],
)
def test_verify_usage_is_code_two_and_one_object(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", *words, "--json"]) == 2
    assert message in json_of(capsys)["error"]


def test_verify_message_checks_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.eml").write_bytes(b"From: a@b.c\r\n\r\nHi\r\n")
    assert run(["verify", "--message", "a.eml"]) == 1
    assert "There is no Date header" in capsys.readouterr().out
    assert run(["verify", "--message", "missing.eml"]) == 1
    with Path("large.eml").open("wb") as file:
        file.truncate(50_000_001)
    assert run(["verify", "--message", "large.eml"]) == 1
    assert "larger than 50 MB" in capsys.readouterr().out


def test_verify_names_who_is_on_the_do_not_mail_list(capsys: pytest.CaptureFixture[str]) -> None:
    run(["suppress", "add", "ann@example.com"])
    assert run(["verify", a_list()]) == 0
    assert "row 2, ann@example.com: It is on the do-not-mail list (manual)" in capsys.readouterr().out
    # Her address is good, and no mail will be sent there.
    run(["verify", a_list()])
    assert "2 of 2 rows have a good address." in capsys.readouterr().out
    run(["verify", a_list(), "-t", a_template()])
    assert "1 of 2 rows can be sent." in capsys.readouterr().out


def test_verify_of_many_findings_of_a_kind_shows_some_and_counts_all(capsys: pytest.CaptureFixture[str]) -> None:
    a_list([f"bad{number},X,y" for number in range(50)])
    assert run(["verify", "list.csv"]) == 1
    out = capsys.readouterr().out
    assert "… and 30 more; --json has them all" in out
    assert "50 errors, 0 warnings" in out


def test_verify_that_is_interrupted_tells_what_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: object, *_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("mailblast.checks.list_check.ListCheck._addresses", interrupted)
    a_list(["bad,X,y"])
    assert run(["verify", "list.csv", "--json"]) == 130
    document = json_of(capsys)
    assert (1, False) == (document["errors"], document["complete"])
    assert run(["verify", "list.csv"]) == 130
    assert "Interrupted: this is a part" in capsys.readouterr().out


def test_verify_that_must_stop_in_the_middle_still_gives_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    a_list(["bad,X,y"])
    assert run(["verify", "list.csv", "--domain", "no domain"]) == 2
    assert "1 errors" in capsys.readouterr().out


def test_verify_attachments_that_all_get(capsys: pytest.CaptureFixture[str]) -> None:
    Path("terms.pdf").write_bytes(b"x" * 1_000)
    Path("tool.exe").write_bytes(b"x")
    os.mkfifo("pipe")
    with Path("large.bin").open("wb") as file:
        file.truncate(30_000_000)
    assert run(["verify", a_list(), "--attach", "terms.pdf", "--json"]) == 0
    assert "attachment.size" in {check["id"] for check in json_of(capsys)["checks"]}
    words = [f"--attach={name}" for name in ("missing.pdf", "tool.exe", "large.bin", "pipe")]
    assert run(["verify", a_list(), *words, "--json"]) == 1
    found = {(check["id"], check["level"]) for check in json_of(capsys)["checks"]}
    assert {
        ("attachment.readable", "error"),
        ("attachment.readable", "warning"),
        ("attachment.type", "warning"),
        ("attachment.size", "warning"),
    } <= found


def test_verify_attachments_of_single_recipients(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bills").mkdir()
    Path("bills/Team.pdf").write_bytes(b"x")
    words = ["verify", a_list(), "-t", a_template(), "--attach", "{{ plan }}.pdf", "--attach-dir", "bills", "--json"]
    assert run(words) == 1
    (fault,) = (check for check in json_of(capsys)["checks"] if check["level"] == "error")
    assert ("attachment.row", 3) == (fault["id"], fault["row"])
    assert "Solo.pdf" in fault["message"]
