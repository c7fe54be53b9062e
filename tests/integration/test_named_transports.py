"""``--via-column`` and ``--from-column``: each row has its own transport and sender."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.scripted_smtp import Script, ScriptedSmtp
from words import a_template, json_of, sent

from mailblast.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Iterator

BULK = ["bulk", "list.csv", "-t", "welcome.html", "-q", "--json"]


@pytest.fixture
def servers() -> Iterator[list[ScriptedSmtp]]:
    with ScriptedSmtp().run_in_thread() as first, ScriptedSmtp().run_in_thread() as second:
        yield [first, second]


def write(rows: list[str], transports: dict[str, str]) -> None:
    a_template("<title>Hello {{ name }}</title><p>Dear {{ name }}.</p>")
    Path("list.csv").write_text("\n".join(["email,name,via,Sender", *rows]) + "\n", encoding="utf-8")
    lines = ["[transports]", *(f'{name} = "{dsn}"' for name, dsn in transports.items())]
    Path("mailblast.toml").write_text("\n".join(lines), encoding="utf-8")


def froms(server: ScriptedSmtp) -> set[str]:
    return {message.mail for message in server.messages}


def test_two_senders_over_1000_rows_each_by_their_own_server(
    servers: list[ScriptedSmtp], capsys: pytest.CaptureFixture[str]
) -> None:
    senders = ["", "Bills <bills@example.org>"]
    rows = [f"user{number}@example.com,N,{('', 'bills')[number % 2]},{senders[number % 2]}" for number in range(1000)]
    write(rows, {"bills": servers[1].dsn.replace("127.0.0.1", "localhost")})
    words = [*BULK, "--via", servers[0].dsn, "--from", "news@example.com"]
    assert run([*words, "--via-column", "via", "--from-column", "sender", "--debug"]) == 0
    captured = capsys.readouterr()
    assert [500, 500] == [len(server.messages) for server in servers]
    assert {f"user{number}@example.com" for number in range(1, 1000, 2)} == set(servers[1].accepted_rcpts())
    assert [["news@example.com"], ["bills@example.org"]] == [
        sorted({re.findall("<(.*?)>", mail)[0] for mail in froms(server)}) for server in servers
    ]
    assert "2 of at most 10 open, hit rate 99.8% of 1,000 requests, 0 evicted" in captured.err
    assert '"transports": {"size": 2, "maximum": 10, "hits": 998, "misses": 2, ' in captured.out
    assert '"hit_rate": 0.998' in captured.out
    assert all(server.most_connections <= 5 for server in servers)


def test_row_may_choose_a_name_and_never_a_server(
    servers: list[ScriptedSmtp], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"a@example.com,A,{servers[1].dsn},",
        "b@example.com,B,unknown,",
        "c@example.com,C,main,nobody",
        "d@example.com,D,main,",
    ]
    write(rows, {"main": servers[0].dsn})
    words = [*BULK, "--via", servers[0].dsn, "--from", "news@example.com", "--via-column", "VIA"]
    assert run([*words, "--from-column", "Sender"]) == 1
    counts = json_of(capsys)["counts"]
    assert (1, 3) == (counts["accepted"], counts["invalid"])
    assert ["d@example.com"] == servers[0].accepted_rcpts()
    assert [] == servers[1].messages


def test_deferred_row_goes_by_its_own_transport_in_the_next_run(
    servers: list[ScriptedSmtp], capsys: pytest.CaptureFixture[str]
) -> None:
    write(["451-at-rcpt@example.com,A,second,", "b@example.com,B,,"], {"second": servers[1].dsn})
    words = [*BULK, "--via", servers[0].dsn.replace("127.0.0.1", "localhost"), "--from", "news@example.com"]
    assert run([*words, "--via-column", "via", "--retry-for", "0"]) == 1
    assert 1 == json_of(capsys)["counts"]["deferred"]
    assert ["b@example.com"] == servers[0].accepted_rcpts()
    assert b"451-at-rcpt" in servers[1].client_bytes


def test_transport_whose_account_is_refused_stops_the_run_resumably(
    servers: list[ScriptedSmtp], capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script(faults={"mail": b"550 5.4.5 Daily user sending limit exceeded\r\n"})
    rows = [f"user{number}@example.com,N,{('', 'shut')[number % 2]}," for number in range(400)]
    with ScriptedSmtp(script).run_in_thread() as shut:
        write(rows, {"shut": shut.dsn.replace("127.0.0.1", "localhost")})
        words = [*BULK, "--via", servers[0].dsn, "--from", "news@example.com", "--via-column", "via"]
        assert run(words) == 4
        document = json_of(capsys)
        counts = document["counts"]
        assert document["rows"] == counts["accepted"] + counts["unsent"]
        assert len(servers[0].messages) == counts["accepted"]
        write(rows, {"shut": servers[1].dsn.replace("127.0.0.1", "localhost")})
        assert run(words) == 0
    assert 400 == json_of(capsys)["counts"]["accepted"]
    assert [200, 200] == [len(server.messages) for server in servers]


@pytest.mark.parametrize(
    ("transports", "more", "what"),
    [
        ({}, [], "needs [transports] in mailblast.toml"),
        ({"a": "smpt://x"}, [], "[transports] a: 'smpt:' is no kind of provider"),
        ({"a": "outbox:b"}, ["--processes", "2"], "is for one process"),
        ({"a": "outbox:b"}, ["--via", "outbox:c", "--via", "outbox:d"], "goes with one --via"),
        ({"a": "outbox:b"}, ["--via", "smtp://127.0.0.1:9"], "only write into a folder"),
        ({"a": "smtp://127.0.0.1:9"}, [], "No provider is configured for rows that choose none"),
        (
            {"a": "smtp://127.0.0.1:9?tls=none"},
            ["--via", "smtp://127.0.0.1:9"],
            "the same account with different options",
        ),
        ({"a": "outbox:b"}, ["--queue"], "is for a run of this command"),
        ({"a": "outbox:b"}, ["--from-column", "who"], "has no column 'who'"),
    ],
)
def test_transports_that_do_not_go_together_are_told_before_anything_is_sent(
    transports: dict[str, str], more: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(["ann@example.com,Ann,a,"], transports)
    assert run([*BULK, "--via-column", "via", "--from", "news@example.com", *more]) in {2, 3}
    assert what in capsys.readouterr().err
    assert not Path("b").exists()


def test_test_message_goes_by_the_transport_of_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    write(["ann@example.com,Ann,a,"], {"a": "outbox:own"})
    words = [*BULK, "--via-column", "via", "--via", "outbox:usual", "--from-column", "Sender"]
    assert run([*words, "--test-to", "me@example.com"]) == 0
    assert ["me@example.com"] == [str(message["To"]).rpartition("<")[2].rstrip(">") for message in sent("own")]
    assert not Path("usual").exists()


def test_rows_with_transports_of_their_own_go_by_one_process_where_that_is_left_to_us(
    servers: list[ScriptedSmtp], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(count: int) -> None:
        raise AssertionError(f"{count} processes are made ahead for nothing")

    monkeypatch.setattr("mailblast.cli.bulk_job.make_spares", refuse)
    monkeypatch.setattr("mailblast.cli.process_count._cores", lambda: 2)
    write(["a@example.com,A,,", "b@example.com,B,bills,"], {"bills": servers[1].dsn})
    words = [*BULK, "--via", servers[0].dsn, "--from", "news@example.com", "--connections", "10"]
    assert 0 == run([*words, "--via-column", "via", "--processes", "auto"])
    assert [["a@example.com"], ["b@example.com"]] == [server.accepted_rcpts() for server in servers]


def test_from_column_by_two_processes(servers: list[ScriptedSmtp], capsys: pytest.CaptureFixture[str]) -> None:
    write([f"user{number}@example.com,N,,s{number % 3}@example.org" for number in range(300)], {})
    words = [*BULK, "--via", servers[0].dsn, "--from", "news@example.com", "--from-column", "sender"]
    assert run([*words, "--processes", "2"]) == 0
    assert 300 == json_of(capsys)["counts"]["accepted"]
    assert {"s0", "s1", "s2"} == {re.findall("<(.*?)@", mail)[0] for mail in froms(servers[0])}
