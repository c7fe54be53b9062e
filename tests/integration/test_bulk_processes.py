"""``bulk --processes``: several processes, the same promises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.mailblast_process import children_of
from servers.scripted_smtp import Script, ScriptedSmtp
from words import a_list, a_template, json_of

from mailblast.cli.app import run
from mailblast.cli.child_process import ChildOptions, command
from mailblast.executors.processes import MAX_DEATHS_IN_ROW

if TYPE_CHECKING:
    from mailblast.cli.campaigns import Transport

ROWS = 2000


def a_long_list(rows: int = ROWS) -> str:
    return a_list([f"user{number}@example.com,User {number},x" for number in range(rows)])


def words(server: ScriptedSmtp, *more: str) -> list[str]:
    words = ["bulk", "list.csv", "-t", "welcome.html", "-q", "--json", "--from", "sender@example.com"]
    return [*words, "--via", server.dsn, "--connections", "4", *more]


def start(server: ScriptedSmtp, **constants: float) -> subprocess.Popen[bytes]:
    """Start a run of two processes, some constants of its executor being others."""
    program = "import sys, mailblast.executors.processes as processes, mailblast.cli.app as app\n"
    program += "".join(f"processes.{name} = {value}\n" for name, value in constants.items())
    program += "sys.exit(app.run(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *words(server, "--processes", "2")]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def wait_for(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    ends_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _inputs() -> None:
    a_template()
    a_long_list()


@pytest.mark.parametrize("processes", ["2", "3", "auto"])
def test_rows_arrive_once_each_over_the_connections_asked_for(
    processes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedSmtp().run_in_thread() as server:
        assert run(words(server, "--processes", processes)) == 0
        document = json_of(capsys)
        assert document["counts"]["accepted"] == ROWS == document["this_run"]["rows"]
        assert {f"user{number}@example.com": 1 for number in range(ROWS)} == Counter(server.accepted_rcpts())
        # One more for the check at the start, which may not be closed yet.
        assert server.most_connections <= 5
        assert run(words(server, "--processes", processes)) == 0
        assert len(server.messages) == ROWS


def test_run_with_other_processes_continues(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedSmtp().run_in_thread() as server:
        for number, processes in enumerate(("1", "2", "1"), 1):
            assert run(words(server, "--processes", processes, "--limit", "500")) == 0
            assert len(server.messages) == 500 * number
        assert {1} == set(Counter(server.accepted_rcpts()).values())


def test_account_that_is_refused_in_a_child_stops_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script(faults={"mail": b"550 5.4.5 Daily user sending limit exceeded\r\n"})
    with ScriptedSmtp(script).run_in_thread() as server:
        assert run(words(server, "--processes", "2")) == 4
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert "5.4.5" in captured.err
    assert document["counts"]["unsent"] == document["this_run"]["rows"] == document["rows"]


def test_outcomes_of_every_kind_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["550-at-rcpt@example.com,A,x", "451-at-rcpt@example.com,B,x", "ann@example.com,C,x", "bad,D,x"]
    a_list(rows)
    with ScriptedSmtp().run_in_thread() as server:
        assert run(words(server, "--processes", "2", "--retry-for", "0", "--batch-size", "1")) == 1
    counts = json_of(capsys)["counts"]
    assert (1, 1, 1, 1) == (counts["failed"], counts["deferred"], counts["accepted"], counts["invalid"])


def test_rate_is_shared_by_the_processes(capsys: pytest.CaptureFixture[str]) -> None:
    arrivals: list[float] = []
    with ScriptedSmtp().run_in_thread() as server:
        server.on_body = lambda _rcpt: arrivals.append(time.monotonic())
        assert run(words(server, "--processes", "2", "--rate", "1201/s")) == 0
    assert len(server.messages) == ROWS
    worst = max(sum(1 for moment in arrivals if start <= moment < start + 1) for start in arrivals[::20])
    # Two processes on a busy machine: what each lets out evenly may arrive a little bunched.
    assert worst <= 1201 * 1.1


def test_modules_of_the_users_folder_are_not_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("json", "email", "mailblast"):
        Path(f"{name}.py").write_text("raise SystemExit(9)", encoding="utf-8")
    with ScriptedSmtp().run_in_thread() as server:
        assert run(words(server, "--processes", "2", "--limit", "10")) == 0
    assert len(server.messages) == 10


def test_child_that_dies_at_start_again_and_again_stops_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[int] = []

    def dying(index: int, *_: object) -> list[str]:
        started.append(index)
        return [sys.executable, "-S", "-c", "raise SystemExit(7)"]

    with ScriptedSmtp().run_in_thread() as server:
        with monkeypatch.context() as patch:
            patch.setattr("mailblast.cli.bulk_routes.command", dying)
            assert run(words(server, "--processes", "2")) == 4
        assert [] == server.messages
        captured = capsys.readouterr()
        document = json.loads(captured.out)
        assert "4 times in a row, at last with code 7" in captured.err
        assert document["counts"]["unsent"] == document["this_run"]["rows"] == document["rows"] > 0
        assert max(Counter(started).values()) == MAX_DEATHS_IN_ROW + 1
        assert run(words(server, "--processes", "2")) == 0
        assert {f"user{number}@example.com": 1 for number in range(ROWS)} == Counter(server.accepted_rcpts())


def test_child_that_cannot_use_its_settings_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistaken(index: int, fd: int, transport: Transport, options: ChildOptions) -> list[str]:
        return command(index, fd, transport, options._replace(via=("often",)))

    monkeypatch.setattr("mailblast.cli.bulk_routes.command", mistaken)
    with ScriptedSmtp().run_in_thread() as server:
        assert run(words(server, "--processes", "2")) == 2
    captured = capsys.readouterr()
    assert captured.err.count("mailblast: 'often' is no kind of provider") == 1
    counts = json.loads(captured.out)["counts"]
    assert counts["unsent"] == sum(counts.values())


def test_killed_child_is_replaced_and_its_batches_settled(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedSmtp(Script(delays_s={"dot": 0.002})).run_in_thread() as server:
        process = start(server)
        for goal in (200, 600, 1000):
            wait_for(lambda goal=goal: len(server.messages) > goal)
            os.kill(children_of(process.pid)[0], signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
        counts = json.loads(out)["counts"]
        assert sum(counts.values()) == ROWS
        assert counts["in_doubt"] <= 3 * 2
        assert counts["accepted"] + counts["in_doubt"] == ROWS
        assert {1} == set(Counter(server.accepted_rcpts()).values())
        assert counts["accepted"] <= len(server.messages) <= ROWS
        assert process.returncode == (1 if counts["in_doubt"] else 0)


def test_killed_parent_leaves_its_children_to_finish_and_the_next_run_to_continue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ScriptedSmtp(Script(delays_s={"dot": 0.002})).run_in_thread() as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "mailblast", *words(server, "--processes", "2")], stdout=subprocess.DEVNULL
        )
        wait_for(lambda: len(server.messages) > 300)
        children = children_of(process.pid)
        process.kill()
        process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
        assert run(words(server, "--processes", "2")) in {0, 1}
        counts = json_of(capsys)["counts"]
        # What was in flight was finished by the children and is on file: nobody is in doubt.
        assert (ROWS, 0) == (counts["accepted"], counts["in_doubt"])
        assert {f"user{number}@example.com": 1 for number in range(ROWS)} == Counter(server.accepted_rcpts())


def test_child_that_cannot_write_its_segment_stops_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cramped(index: int, fd: int, transport: Transport, options: ChildOptions) -> list[str]:
        return ["/bin/sh", "-c", 'ulimit -f 40; exec "$@"', "sh", *command(index, fd, transport, options)]

    with ScriptedSmtp().run_in_thread() as server:
        with monkeypatch.context() as patch:
            patch.setattr("mailblast.cli.bulk_routes.command", cramped)
            assert run(words(server, "--processes", "2")) == 4
        captured = capsys.readouterr()
        assert "The journal segment" in captured.err
        assert 0 < len(server.messages) < ROWS
        assert run(words(server, "--processes", "2")) in {0, 1}
        counts = json_of(capsys)["counts"]
        assert ROWS == counts["accepted"] + counts["in_doubt"]
        assert {1} == set(Counter(server.accepted_rcpts()).values())


def test_all_children_killed_at_once_are_replaced() -> None:
    with ScriptedSmtp(Script(delays_s={"dot": 0.002})).run_in_thread() as server:
        process = start(server)
        for goal in (200, 700):
            wait_for(lambda goal=goal: len(server.messages) > goal)
            for child in children_of(process.pid):
                os.kill(child, signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
        counts = json.loads(out)["counts"]
        assert counts["in_doubt"] <= 2 * 4
        assert ROWS == counts["accepted"] + counts["in_doubt"]
        assert {1} == set(Counter(server.accepted_rcpts()).values())


def test_orphans_whose_server_is_gone_end_at_once() -> None:
    with ScriptedSmtp(Script(delays_s={"dot": 0.002})).run_in_thread() as server:
        process = start(server)
        wait_for(lambda: len(server.messages) > 100)
        children = children_of(process.pid)
    # They wait to connect again now.
    time.sleep(1.2)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 2)


@pytest.mark.parametrize("whom", ["all", "child"])
def test_sigterm_to_processes_ends_the_run_in_good_order(whom: str) -> None:
    with ScriptedSmtp(Script(delays_s={"dot": 0.005})).run_in_thread() as server:
        process = start(server)
        wait_for(lambda: len(server.messages) > 100)
        children = children_of(process.pid)
        for pid in [*children, process.pid] if whom == "all" else children[:1]:
            os.kill(pid, signal.SIGTERM)
        out, _ = process.communicate(timeout=40)
        assert process.returncode == 143
        counts = json.loads(out)["counts"]
        assert (0, len(server.messages)) == (counts["in_doubt"], counts["accepted"])


def test_second_ctrl_c_ends_children_that_do_not_hear() -> None:
    with ScriptedSmtp(Script(delays_s={"dot": 0.005})).run_in_thread() as server:
        process = start(server, ABORT_S=0.3)
        wait_for(lambda: len(server.messages) > 100)
        for child in children_of(process.pid):
            os.kill(child, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
        assert process.returncode == 130
        document = json.loads(out)
        assert document["this_run"]["rows"] == sum(document["this_run"]["counts"].values())
        assert document["counts"]["in_doubt"] <= 4
        assert document["counts"]["accepted"] + document["counts"]["in_doubt"] >= len(server.messages)


@pytest.mark.parametrize("text", ["0", "65", "two", "-1"])
def test_number_of_processes_that_is_none_is_code_two(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bulk", "list.csv", "-t", "welcome.html", f"--processes={text}"]) == 2
    assert "--processes" in capsys.readouterr().err


def test_ctrl_c_with_processes_ends_resumably() -> None:
    with ScriptedSmtp(Script(delays_s={"dot": 0.005})).run_in_thread() as server:
        process = start(server)
        wait_for(lambda: len(server.messages) > 100)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=40)
        assert process.returncode == 130
        document = json.loads(out)
        assert document["counts"]["in_doubt"] == 0
        assert document["counts"]["accepted"] == len(server.messages)
        assert document["this_run"]["rows"] == sum(document["this_run"]["counts"].values())
