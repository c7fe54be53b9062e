"""``bulk`` as its user meets it: words in, exit code, stdout and stderr out, mail in a folder."""

from __future__ import annotations

import gzip
import io
import json
import socket
import sys
from pathlib import Path

import pytest
from words import HTML, a_list, a_template, body_of, json_of, sent

from mailblast.cli.app import run


@pytest.fixture(autouse=True)
def _template() -> None:
    a_template()


def bulk(*words: str) -> int:
    return run(["bulk", *words])


def test_bulk_with_nothing_configured_writes_to_the_outbox_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(a_list(), "--template", "welcome.html") == 0
    captured = capsys.readouterr()
    assert "nothing leaves this machine" in captured.err
    assert "2 rows" in captured.out
    ann, bob = sent()
    assert ("Hello Ann", "Ann <ann@example.com>") == (ann["Subject"], ann["To"])
    assert "your plan is Solo" in body_of(bob)


def test_bulk_again_sends_none_and_new_rows_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(a_list(), "-t", "welcome.html", "-q") == 0
    assert bulk(a_list(), "-t", "welcome.html", "-q") == 0
    assert len(sent()) == 2
    capsys.readouterr()
    rows = ["new@example.com,New,Team", "bob@example.org,Bob,Solo", "ann@example.com,Ann,Team"]
    assert bulk(a_list(rows), "-t", "welcome.html", "-q", "--json") == 0
    document = json_of(capsys)
    assert len(sent()) == 3
    assert document["campaign"] == "welcome-list"
    assert document["state"] == "complete"
    assert document["rows"] == 3
    assert document["counts"]["accepted"] == 3
    assert (3, 2, 1) == (
        document["this_run"]["rows"],
        document["this_run"]["skipped"],
        document["this_run"]["counts"]["accepted"],
    )
    assert len(document["counts"]) == 9
    assert document["exit_code"] == 0


def test_bulk_bad_rows_are_counted_named_and_exit_one(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        "ann@example.com,Ann,Team",
        ",Nobody,Team",
        "no-address,No,Team",
        "ann@example.com,Ann,Team",
        "b@example.com,,",
    ]
    assert bulk(a_list(rows), "-t", "welcome.html", "-q", "--json") == 1
    document = json_of(capsys)
    counts = document["this_run"]["counts"]
    assert (2, 2, 1, 5) == (counts["accepted"], counts["invalid"], counts["duplicate"], document["this_run"]["rows"])
    assert "Dear there" in body_of(sent()[1])
    assert run(["failures", "welcome-list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("email,name,plan,")
    assert "no-address" in lines[2]


def test_bulk_row_that_misses_a_variable_is_invalid_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.jsonl").write_text(
        '{"email": "a@example.com", "plan": "x"}\n{"email": "b@example.com"}\n', encoding="utf-8"
    )
    assert bulk("rows.jsonl", "-t", "welcome.html", "-q", "--json") == 1
    assert json_of(capsys)["counts"]["invalid"] == 1
    run(["failures", "welcome-rows"])
    assert "'plan'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("list.tsv", b"email\tname\tplan\na@example.com\tA\tx\n", 1),
        ("list.jsonl", b'{"email": "a@example.com", "name": "A", "plan": {"x": 1}}\n', 1),
        ("list.csv.gz", gzip.compress(b"email,name,plan\na@example.com,A,x\nb@example.com,B,y\n", mtime=0), 2),
        ("list.csv", b"\xef\xbb\xbfemail;name;plan\r\na@example.com;A;x\r\n", 1),
    ],
)
def test_bulk_reads_every_form_of_list(name: str, content: bytes, count: int) -> None:
    Path(name).write_bytes(content)
    assert bulk(name, "-t", "welcome.html", "-q") == 0
    assert count == len(sent())


def test_bulk_reads_bare_addresses_with_there_and_data() -> None:
    Path("t.txt").write_text("Subject: Hi {{ name }}\n\n{{ email }} {{ name }} {{ data }}\n", encoding="utf-8")
    Path("list.txt").write_text(
        'bare@example.com\nann@example.com,Ann,x,y\n{"email": "j@example.com", "name": "J"}\n', encoding="utf-8"
    )
    assert bulk("list.txt", "-t", "t.txt", "-q") == 0
    ann, jay, bare = sent()
    assert ann.get_content().strip() == "ann@example.com Ann x, y"
    assert bare.get_content().strip() == "bare@example.com there"
    assert jay["Subject"] == "Hi J"


def test_bulk_reads_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"email,name,plan\na@example.com,A,x\n")

        @staticmethod
        def isatty() -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert bulk("-", "-t", "welcome.html", "-q") == 0
    assert len(sent()) == 1
    assert Path(".mailblast/welcome-stdin").is_dir()


def test_bulk_dry_run_shows_messages_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = set(Path().iterdir()) | {Path(a_list())}
    assert bulk("list.csv", "-t", "welcome.html", "--dry-run", "--rate", "2/s") == 0
    out = capsys.readouterr().out
    assert "Subject: Hello Ann" in out
    assert "would send         2" in out
    assert "0:00:01" in out
    assert before == set(Path().iterdir())


def test_bulk_dry_run_as_json_counts_what_a_run_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    bulk(a_list(["ann@example.com,Ann,x"]), "-t", "welcome.html", "-q")
    capsys.readouterr()
    rows = ["ann@example.com,Ann,x", "b@example.com,B,x", "bad,B,x", "b@example.com,B,x"]
    assert bulk(a_list(rows), "-t", "welcome.html", "-q", "--dry-run", "--json") == 1
    document = json_of(capsys)
    assert (4, 1, 1, 1, 1) == (
        document["rows"],
        document["skipped"],
        document["messages"],
        document["counts"]["invalid"],
        document["counts"]["duplicate"],
    )
    assert len(sent()) == 1


def test_bulk_limit_sends_the_first_and_the_next_run_the_next() -> None:
    rows = [f"user{number}@example.com,U,x" for number in range(10)]
    assert bulk(a_list(rows), "-t", "welcome.html", "-q", "--limit", "3") == 0
    assert ["user0@example.com", "user1@example.com", "user2@example.com"] == [
        str(m["To"].addresses[0].addr_spec) for m in sent()
    ]
    assert bulk("list.csv", "-t", "welcome.html", "-q", "--limit", "3") == 0
    assert len(sent()) == 6
    assert bulk("list.csv", "-t", "welcome.html", "-q") == 0
    assert len(sent()) == 10


def test_bulk_sample_sends_a_share_and_a_full_run_the_rest() -> None:
    rows = [f"user{number}@example.com,U,x" for number in range(400)]
    assert bulk(a_list(rows), "-t", "welcome.html", "-q", "--sample", "25%") == 0
    share = len(sent())
    assert 60 < share < 140
    assert bulk("list.csv", "-t", "welcome.html", "-q", "--sample", "25%") == 0
    assert share == len(sent())
    assert bulk("list.csv", "-t", "welcome.html", "-q") == 0
    assert len(sent()) == 400


def test_bulk_test_to_sends_the_first_message_elsewhere_and_records_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [",Nobody,x", "ann@example.com,Ann,Team"]
    assert bulk(a_list(rows), "-t", "welcome.html", "-q", "--test-to", "me@example.net", "--json") == 0
    assert json_of(capsys)["outcome"] == "accepted"
    (message,) = sent()
    assert message["To"].addresses[0].addr_spec == "me@example.net"
    assert message["Subject"] == "Hello Ann"
    assert not Path(".mailblast").exists()
    assert bulk("list.csv", "-t", "welcome.html", "-q") == 1
    assert len(sent()) == 2


def test_bulk_key_column_sends_several_messages_to_one_address() -> None:
    Path("list.csv").write_text(
        "email,name,plan,no\na@example.com,A,x,1\na@example.com,A,y,2\na@example.com,A,y,2\n", encoding="utf-8"
    )
    assert bulk("list.csv", "-t", "welcome.html", "-q", "--key", "no") == 0
    assert len(sent()) == 2


def test_bulk_sender_is_flag_then_header_block_then_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBLAST_FROM", "env@example.com")
    monkeypatch.setenv("MAILBLAST_REPLY_TO", "answers@example.com")
    Path("plain.txt").write_text("Subject: x\n\nhello\n", encoding="utf-8")
    Path("block.txt").write_text("Subject: x\nFrom: Block <block@example.com>\n\nhello\n", encoding="utf-8")
    a_list(["a@example.com,A,x"])
    for template, flag, expected in (
        ("plain.txt", None, "env@example.com"),
        ("block.txt", None, "Block <block@example.com>"),
        ("block.txt", "Flag <flag@example.com>", "Flag <flag@example.com>"),
    ):
        words = ["--from", flag] if flag else []
        assert (
            bulk(
                "list.csv", "-t", template, "-q", "-c", f"c{len(expected)}", "--via", f"outbox:{len(expected)}", *words
            )
            == 0
        )
        (message,) = sent(str(len(expected)))
        assert expected == message["From"]
        assert message["Reply-To"] == "answers@example.com"


def test_bulk_changed_template_continues_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(a_list(["a@example.com,A,x"]), "-t", "welcome.html") == 0
    Path("welcome.html").write_text(HTML.replace("Dear", "Hi"), encoding="utf-8")
    capsys.readouterr()
    assert bulk(a_list(["a@example.com,A,x", "b@example.com,B,x"]), "-t", "welcome.html") == 0
    assert "template has changed" in capsys.readouterr().err
    assert len(sent()) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.csv", "-t", "welcome.html"], 3, "missing.csv"),
        ([".", "-t", "welcome.html"], 3, "folder"),
        (["list.csv", "-t", "missing.html"], 3, "missing.html"),
        (["list.csv", "-t", "list.csv"], 3, "list.csv"),
        (["list.csv", "-t", "welcome.html", "--via", "smpt://h"], 2, "smtp"),
        (["list.csv", "-t", "welcome.html", "--via", "smtp://u:secret@h.example:587"], 2, "SMTP_PASSWORD"),
        (["list.csv", "-t", "welcome.html", "--via", "smtp://h.example:587"], 2, "No sender"),
        (["list.csv", "-t", "welcome.html", "--via", "smtp://127.0.0.1:1", "--from", "a@b.test"], 4, "127.0.0.1:1"),
        (["list.csv", "-t", "welcome.html", "--from", "nobody"], 2, "nobody"),
        (["list.csv", "-t", "welcome.html", "--rate", "fast"], 2, "fast"),
        (["list.csv", "-t", "welcome.html", "--sample", "1"], 2, "--sample"),
        (["list.csv", "-t", "welcome.html", "--retry-for", "soon"], 2, "--retry-for"),
        (["list.csv", "-t", "welcome.html", "-c", "../x"], 2, "../x"),
        (["list.csv", "-t", "welcome.html", "--dry-run", "--test-to", "a@b.test"], 2, "exclude"),
        (["list.csv", "-t", "welcome.html", "--email-column", "mail"], 3, "mail"),
        (["list.csv", "-t", "welcome.html", "--key", "no"], 3, "no"),
        (["list.csv", "-t", "welcome.html", "--encoding", "klingon"], 2, "klingon"),
        (["empty.csv", "-t", "welcome.html"], 3, "empty"),
        (["columns.csv", "-t", "welcome.html"], 3, "--email-column"),
        (["latin.csv", "-t", "welcome.html"], 3, "--encoding"),
        (["list.csv", "-t", "syntax.html"], 3, "syntax.html:1"),
        (["list.csv", "-t", "untitled.html"], 3, "ubject"),
    ],
)
def test_bulk_mistake_is_one_line_with_its_code(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_list()
    Path("empty.csv").touch()
    Path("columns.csv").write_text("first,last\nA,B\n", encoding="utf-8")
    Path("latin.csv").write_bytes("email,name,plan\na@example.com,J\xfcrgen,x\n".encode("latin-1"))
    Path("syntax.html").write_text("<title>{{ name</title>", encoding="utf-8")
    Path("untitled.html").write_text("<p>x</p>", encoding="utf-8")
    assert code == bulk(*words)
    captured = capsys.readouterr()
    last = captured.err.strip().splitlines()[-1]
    assert said in last
    assert last.startswith("mailblast: ")
    assert "secret" not in captured.err + captured.out
    assert "Traceback" not in captured.err


def test_bulk_mistake_with_json_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk("missing.csv", "-t", "welcome.html", "--json") == 3
    document = json_of(capsys)
    assert document["exit_code"] == 3
    assert "missing.csv" in document["error"]


def test_bulk_header_only_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(a_list([]), "-t", "welcome.html", "-q", "--json") == 0
    assert json_of(capsys)["rows"] == 0


def test_bulk_unclosed_quote_sends_what_stands_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["a@example.com,A,x", "b@example.com,B,x", '"c@example.com,C,x', "d@example.com,D,x"]
    assert bulk(a_list(rows), "-t", "welcome.html", "-q") == 3
    assert len(sent()) == 2
    error = capsys.readouterr().err
    assert "row 4" in error
    assert "quote" in error


def test_bulk_wrong_encoding_in_the_middle_sends_what_stands_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    # Far behind what is read before the first message leaves.
    rows = [f"user{number}@example.com,U,{'x' * 200}" for number in range(1000)]
    Path("list.csv").write_bytes("\n".join(["email,name,plan", *rows, "z@example.com,J\xfcrgen,x"]).encode("latin-1"))
    assert bulk("list.csv", "-t", "welcome.html", "-q") == 3
    assert "1,002" in capsys.readouterr().err
    assert len(list(Path("outbox/new").iterdir())) == 1000


def test_bulk_outbox_that_cannot_be_written_is_code_four(capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("a file", encoding="utf-8")
    assert bulk(a_list(), "-t", "welcome.html", "--via", "outbox:taken") == 4
    assert "taken" in capsys.readouterr().err


def test_bulk_state_folder_that_cannot_be_made_is_refused_before_sending(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("taken").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("MAILBLAST_HOME", "taken")
    assert bulk(a_list(), "-t", "welcome.html") == 4
    assert "taken" in capsys.readouterr().err
    assert not Path("outbox").exists()


@pytest.mark.parametrize(
    "words",
    [[], ["bulk"], ["bulk", "--nope"], ["nope"], ["bulk", "list.csv"], ["bulk", "l", "-t", "t", "--limit", "0"]],
)
def test_words_that_do_not_fit_are_code_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    captured = capsys.readouterr()
    assert "Usage" in captured.err + captured.out


def test_bulk_log_format_json_gives_lines_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(a_list(), "-t", "welcome.html", "--via", "outbox:out", "--log-format", "json") == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert ["start", "end"] == events


def test_bulk_quiet_says_nothing_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(a_list(), "-t", "welcome.html", "--quiet", "--via", "outbox:out") == 0
    assert capsys.readouterr().err == ""


def test_bulk_quiet_still_says_that_nothing_leaves_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk(a_list(), "-t", "welcome.html", "--quiet") == 0
    assert "nothing leaves this machine" in capsys.readouterr().err


def test_bulk_by_mail_is_refused_for_a_campaign_that_went_to_an_outbox(capsys: pytest.CaptureFixture[str]) -> None:
    server = ["--via", "smtp://127.0.0.1:1", "--from", "a@example.com"]
    assert bulk(a_list(), "-t", "welcome.html", "-q") == 0
    assert bulk("list.csv", "-t", "welcome.html", "-q", *server) == 2
    assert "--campaign welcome-list-sent" in capsys.readouterr().err
    # A campaign of its own gets as far as the server, which nobody runs here.
    assert bulk("list.csv", "-t", "welcome.html", "-q", *server, "--campaign", "welcome-list-sent") == 4


def test_bulk_template_that_does_not_compile_leaves_no_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    a_template("<title>{{ name | shout }}</title>", "odd.html")
    assert bulk(a_list(), "-t", "odd.html", "-q") == 3
    assert "shout" in capsys.readouterr().err
    assert not Path(".mailblast").exists()


def test_bulk_reply_to_and_subject_flags_win(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--reply-to", "Help <help@example.com>", "--subject", "For {{ name }}"]
    assert bulk(a_list(), "-t", "welcome.html", "-q", *words) == 0
    assert [("For Ann", "Help <help@example.com>"), ("For Bob", "Help <help@example.com>")] == [
        (message["Subject"], message["Reply-To"]) for message in sent()
    ]


def test_bulk_list_format_and_encoding_override_the_name() -> None:
    Path("list.dat").write_bytes("email\tname\tplan\na@example.com\tJ\xfcrgen\tx\n".encode("latin-1"))
    assert bulk("list.dat", "-t", "welcome.html", "-q", "--list-format", "tsv", "--encoding", "cp1252") == 0
    assert sent()[0]["Subject"] == "Hello J\xfcrgen"


def test_bulk_email_column_is_taken_by_its_name() -> None:
    Path("list.csv").write_text("contact,name,plan\na@example.com,A,x\n", encoding="utf-8")
    assert bulk("list.csv", "-t", "welcome.html", "-q", "--email-column", "contact") == 0
    assert len(sent()) == 1


@pytest.mark.parametrize(("size", "batches"), [("1", "1"), ("3", "2"), ("1000", "5")])
def test_bulk_batch_size_and_batches_change_nothing_but_the_way(size: str, batches: str) -> None:
    rows = [f"user{number}@example.com,U,x" for number in range(20)]
    words = ["--batch-size", size, "--batches", batches, "--durable"]
    assert bulk(a_list(rows), "-t", "welcome.html", "-q", *words) == 0
    assert len(sent()) == 20


class Typing(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "words", "code", "asked"),
    [("y\n", [], 4, True), ("n\n", [], 2, True), ("", ["--yes"], 4, False), ("n\n", ["--limit", "5"], 4, False)],
)
def test_bulk_asks_before_a_large_first_run_to_a_real_server(
    typed: str, words: list[str], code: int, *, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_list([f"user{number}@example.com,U,x" for number in range(1001)])
    screen = Typing()
    monkeypatch.setattr(sys, "stdin", Typing(typed))
    monkeypatch.setattr(sys, "stderr", screen)
    server = ["--via", "smtp://127.0.0.1:1", "--from", "a@example.com"]
    # A server that nobody runs: whoever says yes is told that it cannot be reached.
    assert code == bulk("list.csv", "-t", "welcome.html", *server, *words, "-q")
    assert asked == ("1,001 recipients" in screen.getvalue())


def test_bulk_serves_metrics_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        assert bulk(a_list(), "-t", "welcome.html", "--metrics-port", port) == 2
        assert f"--metrics-port {port} cannot be opened" in capsys.readouterr().err
    assert bulk(a_list(), "-t", "welcome.html", "--metrics-port", port, "--metrics-file", "run.prom") == 0
    assert f"metrics at http://127.0.0.1:{port}/metrics" in capsys.readouterr().err
    text = Path("run.prom").read_text(encoding="utf-8")
    assert 'mailblast_outcomes{campaign="welcome-list",outcome="accepted"} 2.0' in text


def test_bulk_alerts_that_a_run_could_not_begin(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tell.py").write_text("import sys; open('alert.json', 'w').write(sys.stdin.read())", encoding="utf-8")
    words = ["--from", "a@example.com", "--via", "smtp://127.0.0.1:1", "--alert-command", f"'{sys.executable}' tell.py"]
    assert bulk(a_list(), "-t", "welcome.html", *words, "--alert-webhook", "http://127.0.0.1:1/") == 4
    alert = json.loads(Path("alert.json").read_text(encoding="utf-8"))
    assert ("stopped", "welcome-list") == (alert["alert"], alert["campaign"])
    assert "the alert address at 127.0.0.1 cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--alert-command", "'open"], "--alert-command cannot be read"),
        (["--alert-webhook", "nowhere"], "--alert-webhook is no web address"),
        (["--metrics-file", "no/where.prom"], "--metrics-file no/where.prom cannot be written"),
    ],
)
def test_bulk_who_cannot_be_told_is_code_two(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bulk", a_list(), "-t", a_template(), *words]) == 2
    assert message in capsys.readouterr().err


def test_bulk_metrics_port_in_the_settings_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILBLAST_METRICS_PORT", "70000")
    assert run(["bulk", a_list(), "-t", a_template()]) == 2
    assert "MAILBLAST_METRICS_PORT is 70000" in capsys.readouterr().err


def test_bulk_alerts_that_a_quota_is_nearly_used_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mailblast.cli.outcome_text.REFRESH_S", 0.05)
    a_list([f"user{number}@example.com,U,x" for number in range(30)])
    assert bulk("list.csv", "-t", "welcome.html", "--daily-cap", "10", "--rate", "20/s") == 4
    assert "alert kind=quota" in capsys.readouterr().err
