"""The installed program as a process, and what it says."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.cli.app import run as run_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from servers.fault_server import FaultServer

PROGRAM = str(Path(sys.executable).with_name("mailblast"))
#: Whether faults are tried as often as it takes to trust a change of what they are about, which takes minutes.
FULL = bool(os.environ.get("MAILBLAST_FULL_FAULTS"))
#: Longest time for one command on a slow machine.
COMMAND_S = 50.0


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    document: dict[str, Any]
    err: str

    @property
    def counts(self) -> dict[str, int]:
        """The campaign's counts that are not zero."""
        return {state: count for state, count in self.document["counts"].items() if count}

    @property
    def this_run(self) -> dict[str, int]:
        """This run's counts that are not zero, and those skipped."""
        run = self.document["this_run"]
        counted = {state: count for state, count in run["counts"].items() if count}
        return counted | ({"skipped": run["skipped"]} if run["skipped"] else {})


def start(
    *words: str, stdin: int = subprocess.DEVNULL, before: Callable[[], None] | None = None, measured: bool = True
) -> subprocess.Popen[str]:
    """Start a command; whoever starts it ends it.

    Args:
        words: As typed.
        stdin: As for ``Popen``.
        before: Called in the new process before the program.
        measured: Whether its coverage is measured, where anything's is; it then runs at half the speed.
    """
    environment = {name: value for name, value in os.environ.items() if measured or not name.startswith("COV")}
    return subprocess.Popen(
        [PROGRAM, *words],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=before,  # noqa: PLW1509 - the tests have no threads
    )


def ended(process: subprocess.Popen[str], seconds: float = COMMAND_S) -> Ended:
    """Wait for the end of a command with ``--json``; its counts must add up.

    Raises:
        subprocess.TimeoutExpired: It did not end in time; it has been killed.
    """
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return _read(process.returncode, out, err)


def _read(code: int, out: str, err: str) -> Ended:
    assert "Traceback" not in err, err
    assert out.count("\n") <= 1, out
    document = json.loads(out) if out else {}
    if "counts" in document:
        assert document["rows"] - document.get("skipped", 0) == sum(document["counts"].values()), document
        run = document.get("this_run", {})
        if "skipped" in run:
            assert run["rows"] == run["skipped"] + sum(run["counts"].values()), document
        assert document["counts"]["sending"] == 0, document
    return Ended(code, document, err)


def told(*words: str) -> tuple[int, str, str]:
    """Run a command that only reads in this process, which takes a tenth of the time; return what a process would."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run_here(list(words))
    return code, out.getvalue(), err.getvalue()


def wait_until(
    reached: Callable[[], bool], process: subprocess.Popen[str] | None = None, seconds: float = 30.0
) -> None:
    """Wait until something is so, while a command runs where one is given.

    Raises:
        AssertionError: The command has ended, or it took too long; the command is killed then.
    """
    ends_s = time.monotonic() + seconds
    while not reached():
        in_time = time.monotonic() < ends_s
        if process is not None and (process.poll() is not None or not in_time):
            process.kill()
            raise AssertionError((f"within {seconds} s: {in_time}", process.returncode, process.communicate()))
        assert in_time, f"not within {seconds} s"
        time.sleep(0.01)


def children_of(pid: int) -> list[int]:
    """Return the living children of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def has_connection(port: int) -> bool:
    """Return whether somebody is connected to a port of this machine."""
    found = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return any(local.endswith(f":{port:04X}") and state == "01" for local, _, state in found)


def bulk_words(server: FaultServer | str, *words: str, list_: str = "list.csv") -> list[str]:
    """Return the words of a ``bulk`` command to a server, or to the DSN of one."""
    dsn = server if isinstance(server, str) else server.dsn
    given = ["bulk", list_, "-t", "welcome.html", "--via", dsn, "--from", "news@example.com", "-q", "--json"]
    return given + list(words)


def bulk(server: FaultServer | str, *words: str, list_: str = "list.csv", seconds: float = COMMAND_S) -> Ended:
    """Run ``bulk`` to its end."""
    return ended(start(*bulk_words(server, *words, list_=list_)), seconds)


def status(campaign: str = "welcome-list") -> Ended:
    """Return what ``status --json`` says."""
    return _read(*told("status", campaign, "--json"))


def failures(states: str, campaign: str = "welcome-list") -> dict[str, Mapping[str, str]]:
    """Return the rows of ``failures`` by address."""
    code, out, err = told("failures", campaign, "--state", states)
    assert 0 == code, err
    return {row["email"]: row for row in csv.DictReader(io.StringIO(out))}


def a_list(rows: int | Iterable[str], name: str = "list.csv") -> list[str]:
    """Write a list of that many addresses, or of these; return the addresses."""
    addresses = [f"user{number}@example.org" for number in range(rows)] if isinstance(rows, int) else list(rows)
    lines = ["email,name", *(f"{address},Reader {number}" for number, address in enumerate(addresses))]
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return addresses


def a_template(text: str = "") -> None:
    """Write the template."""
    body = f"<title>News for {{{{ name }}}}</title><p>Dear {{{{ name }}}}, this is the news.</p>{text}"
    Path("welcome.html").write_text(body, encoding="utf-8")


def assert_everybody_once(server: FaultServer, addresses: Iterable[str]) -> None:
    """Assert that the server has taken exactly one message for each of these, and none else."""
    taken = Counter(message.recipient for message in server.taken)
    assert dict.fromkeys(addresses, 1) == taken, _difference(taken, addresses)


def assert_nobody_twice(server: FaultServer) -> None:
    """Assert that the server has taken at most one message for anybody."""
    twice = {address: count for address, count in Counter(each.recipient for each in server.taken).items() if count > 1}
    assert {} == twice


def _difference(taken: Counter[str], addresses: Iterable[str]) -> str:
    wanted = set(addresses)
    twice = [address for address, count in taken.items() if count > 1]
    return (
        f"missing {sorted(wanted - taken.keys())[:5]}, twice {twice[:5]}, strange {sorted(taken.keys() - wanted)[:5]}"
    )
