"""Attachments from the command line to a server: what arrives, what memory it takes, and what is left behind."""

from __future__ import annotations

import base64
import email
import email.policy
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from servers.fault_server import Fault, FaultServer, Script
from servers.mailblast_process import PROGRAM, a_list, a_template, bulk_words, ended, start, status, wait_until
from servers.scripted_smtp import Script as Answers
from servers.scripted_smtp import ScriptedSmtp
from servers.smtp_sink import smtp_sink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

MB = 1024**2
SPARSE_BYTES = 80 * MB
#: Above what a run without attachments takes.
MOST_MEMORY = 150 * MB


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files; beside it a template."""
    a_template()
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("MAILBLAST_TMP", str(folder))
    return folder


@pytest.fixture
def dump() -> Iterator[Path]:
    """Where smtp-sink, which gives up its rights, keeps what it takes."""
    with tempfile.TemporaryDirectory(prefix="mailblast-sink-") as name:
        yield Path(name)


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def a_sparse_file(name: str = "data.bin") -> str:
    """Write a large file that takes no room, with something in its middle; return its digest."""
    with Path(name).open("wb") as file:
        file.seek(SPARSE_BYTES // 2)
        file.write(b"something")
        file.truncate(SPARSE_BYTES)
    with Path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Run(NamedTuple):
    code: int
    err: str
    peak_bytes: int


#: The system counts what a process had before it became another program, so a small one starts the command.
LAUNCHER = """
import json, os, resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([ended.returncode, ended.stderr, peak if sys.platform == "darwin" else peak * 1024]))
"""


def measured(*words: str) -> Run:
    """Run a command to its end; return the peak of its resident memory, too."""
    launched = subprocess.run(
        [sys.executable, "-c", LAUNCHER, PROGRAM, *words], stdout=subprocess.PIPE, check=True, timeout=50
    )
    return Run(*json.loads(launched.stdout))


def parsed(path: Path) -> EmailMessage:
    """Read a message as smtp-sink keeps it: behind lines of its own about the envelope."""
    raw = path.read_bytes()
    return email.message_from_bytes(raw[raw.index(b"From: ") :], policy=email.policy.default)


def content_of(part: object) -> bytes:
    assert isinstance(part, email.message.Message)
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def as_usual() -> None:
    """A parent in the background leaves SIGINT ignored to all its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_large_file_arrives_whole_in_little_memory(processes: str, dump: Path, temporary: Path) -> None:
    a_list(3)
    digest = a_sparse_file()
    with smtp_sink(dump_folder=dump) as port:
        run = measured(*bulk_words(f"smtp://127.0.0.1:{port}", "--attach", "data.bin", "--processes", processes))
    assert 0 == run.code, run.err
    assert run.peak_bytes < MOST_MEMORY
    messages = [parsed(path) for path in left_in(dump)]
    assert 3 == len(messages)
    for message in messages:
        (part,) = message.iter_attachments()
        assert ("data.bin.gz", "application/gzip") == (part.get_filename(), part.get_content_type())
        assert digest == hashlib.sha256(gzip.decompress(content_of(part))).hexdigest()
    assert [] == left_in(temporary)


def test_never_sends_a_large_file_as_it_is(dump: Path, temporary: Path) -> None:
    a_list(1)
    data = os.urandom(1_000) * (51 * 1024 + 800)
    Path("data.bin").write_bytes(data)
    with smtp_sink(dump_folder=dump) as port:
        words = bulk_words(f"smtp://127.0.0.1:{port}", "--attach", "data.bin", "--compress", "never")
        run = measured(*words)
    assert 0 == run.code, run.err
    assert run.peak_bytes < MOST_MEMORY
    # The standard library's parser takes seconds for this.
    head, _, encoded = left_in(dump)[0].read_bytes().rpartition(b'filename="data.bin"\n\n')
    assert b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n" in head
    assert data == base64.b64decode(encoded.partition(b"\n\n--=_")[0])
    assert [] == left_in(temporary)


def test_held_file_is_shared_by_all_in_flight(dump: Path) -> None:
    a_list(40)
    data = os.urandom(4 * MB)
    Path("data.bin").write_bytes(data)
    with smtp_sink() as port:
        words = bulk_words(f"smtp://127.0.0.1:{port}", "--attach", "data.bin", "--connections", "20")
        run = measured(*words)
        without = measured(*bulk_words(f"smtp://127.0.0.1:{port}", "--connections", "20", "-c", "without"))
    assert (0, 0) == (run.code, without.code)
    # Encoded once 5.5 MB, with copies of some blocks; one copy for each message in flight would be 110 MB.
    assert run.peak_bytes - without.peak_bytes < 40 * MB


def test_each_recipient_gets_their_own_file_and_who_has_none_is_invalid(dump: Path) -> None:
    addresses = a_list(3)
    Path("files").mkdir()
    for address in addresses[:2]:
        Path(f"files/{address}.txt").write_text(f"for {address}", encoding="utf-8")
    with smtp_sink(dump_folder=dump) as port:
        words = bulk_words(f"smtp://127.0.0.1:{port}", "--attach", "{{ email }}.txt", "--attach-dir", "files")
        run = ended(start(*words))
    assert (1, {"accepted": 2, "invalid": 1}) == (run.code, run.counts)
    got = {}
    for path in left_in(dump):
        message = parsed(path)
        (part,) = message.iter_attachments()
        got[message["To"].addresses[0].addr_spec] = content_of(part).decode()
    assert {address: f"for {address}" for address in addresses[:2]} == got


def test_attachments_over_the_servers_limit_are_an_error_before_the_run() -> None:
    a_list(3)
    Path("data.bin").write_bytes(os.urandom(2 * MB))
    with ScriptedSmtp(Answers(extensions=("SIZE 1048576",))).run_in_thread() as server:
        run = ended(start(*bulk_words(server.dsn, "--attach", "data.bin")))
    assert 2 == run.code
    assert "With its attachments a message has 2.8 MB" in run.err
    assert "takes 1.0 MB" in run.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_while_a_pipe_is_read_leaves_no_file(number: signal.Signals, temporary: Path) -> None:
    a_list(1)
    os.mkfifo("dump")
    process = start(*bulk_words("outbox:outbox", "--attach", "dump"), before=as_usual)
    with Path("dump").open("wb", buffering=0) as pipe:
        pipe.write(os.urandom(MB))
        wait_until(lambda: bool(left_in(temporary)), process)
        process.send_signal(number)
        process.wait(10)
    _, err = process.communicate()
    assert process.returncode == (130 if number is signal.SIGINT else -number), err
    assert "Traceback" not in err
    assert [] == left_in(temporary)
    assert not Path("outbox").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_the_run_leaves_no_file(number: signal.Signals, temporary: Path, tmp_path: Path) -> None:
    a_list(3)
    a_sparse_file()
    server = FaultServer(tmp_path / "taken.log", Script((Fault("dot", "", delay_s=20),)))
    server.start()
    try:
        process = start(*bulk_words(server, "--attach", "data.bin", "--connections", "1"), before=as_usual)
        wait_until(lambda: len(server.taken) == 1, process)
        assert 1 == len(left_in(temporary))
        process.send_signal(number)
        time.sleep(0.5)
        process.send_signal(number)
        run = ended(process)
    finally:
        server.stop()
    assert 128 + number == run.code
    assert {"in_doubt": 1, "unsent": 2} == run.counts
    assert [] == left_in(temporary)


def test_killed_run_leaves_what_the_next_one_sweeps_after_an_hour(temporary: Path, tmp_path: Path) -> None:
    a_list(2)
    a_sparse_file()
    server = FaultServer(tmp_path / "taken.log", Script((Fault("dot", "", delay_s=20),)))
    server.start()
    try:
        process = start(*bulk_words(server, "--attach", "data.bin", "--connections", "1"))
        wait_until(lambda: len(server.taken) == 1, process)
        process.kill()
        process.communicate()
    finally:
        server.stop()
    (left,) = left_in(temporary)
    assert 0 == start_and_end("bulk", "list.csv", "-t", "welcome.html", "--from", "a@example.com", "-c", "a", "-q")
    assert left.exists()
    os.utime(left, (time.time() - 3700,) * 2)
    assert 0 == start_and_end("bulk", "list.csv", "-t", "welcome.html", "--from", "a@example.com", "-c", "b", "-q")
    assert [] == left_in(temporary)
    assert {"in_doubt": 1, "unsent": 1} == status().counts


def start_and_end(*words: str) -> int:
    process = start(*words)
    process.communicate(timeout=50)
    return process.returncode


def test_file_that_goes_during_the_run_stops_it(temporary: Path, tmp_path: Path) -> None:
    a_list(4)
    a_sparse_file()
    server = FaultServer(tmp_path / "taken.log", Script((Fault("dot", "", delay_s=1),)))
    server.start()
    try:
        process = start(
            *bulk_words(server, "--attach", "data.bin", "--connections", "1", "--messages-per-connection", "1")
        )
        wait_until(lambda: len(server.taken) == 1, process)
        for path in temporary.rglob("attachment-*"):
            path.unlink()
        run = ended(process)
    finally:
        server.stop()
    assert 3 == run.code, run
    assert "cannot be sent: No such file" in run.err
    assert 4 == run.counts["accepted"] + run.counts["unsent"]
    assert run.counts["unsent"] >= 2
