"""Who is measured: the installed program, and what others would use. Each returns its speed and what it cost.

Of ours the whole command counts, from the start of the interpreter to the last record in the journal. Of rivals only
their sending does, by their own clock; of processor time everything counts, start-up included. Connections: ours are
renewed after 100 messages, its default; those of rivals never.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.mailing_of_size import list_of, template_of
from benchmarks.smtppool import smtppool
from servers.availability import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.cases import Case

RIVALS = Path(__file__).parent / "rivals"
ONE, AUTO = "mailblast", "mailblast, auto"
NODEMAILER, PLAIN, SOURCE = "nodemailer", "plain Python", "smtp-source"
#: What listmonk sends with.
SMTPPOOL = "smtppool"
#: Before release 10 it did not pipeline: four round trips a message, then two. Named so where both are installed, as by
#: ``npm install nodemailer nodemailer-9@npm:nodemailer@9``.
NODEMAILER_9 = "nodemailer-9"
#: Longest time for one run.
RUN_S = 1_200
#: Share of the messages that a slower sender gets where its processor is the limit, and where the path is.
SHARES = {NODEMAILER: (4, 4), NODEMAILER_9: (4, 4), SMTPPOOL: (2, 4), PLAIN: (10, 4), SOURCE: (1, 4)}


class Speed(NamedTuple):
    """One run."""

    per_s: float
    #: Microseconds of processor time a message, child processes included; steadier than a clock on a busy machine.
    cpu_us: float


class Place(NamedTuple):
    """Where a case takes place; files are in the current folder."""

    port: int
    #: Bytes of one whole message of ours, for those who make none of their own.
    message_bytes: int
    #: Trusted certificates; None for no TLS.
    ca_file: Path | None
    #: RSA key; None for no signature.
    dkim_key: Path | None
    attachment: Path | None


def bulk_words(case: Case, place: Place) -> list[str]:
    """Return the words of the command for a case, its list left out."""
    html, _ = template_of(case.size_bytes)
    tls = f"smtps://127.0.0.1:{place.port}?ca={place.ca_file}" if place.ca_file else f"smtp://127.0.0.1:{place.port}"
    words = ["-t", html, "-s", "Welcome, {{ name }}", "--via", tls, "--from", "sender@example.com", "-q", "--json"]
    words += ["--connections", str(case.connections)]
    if place.dkim_key:
        words += ["--dkim", "bench@example.com", "--dkim-key", str(place.dkim_key)]
    if place.attachment:
        words += ["--attach", str(place.attachment)]
    return words


def mailblast(case: Case, place: Place, *options: str) -> Speed:
    """Send with the program."""
    shutil.rmtree(".mailblast", ignore_errors=True)
    run = _run([sys.executable, "-m", "mailblast", "bulk", list_of(case.rows), *bulk_words(case, place), *options])
    assert case.rows == json.loads(run.out)["counts"]["accepted"]
    return Speed(case.rows / run.wall_s, run.cpu_s / case.rows * 1e6)


def rival(name: str, command: list[str], case: Case, place: Place, **others: str) -> Speed:
    """Send with one of the programs in ``rivals``."""
    rows = _share(name, case)
    more: dict[str, object] = {**others}
    if place.ca_file:
        more["ca"] = str(place.ca_file)
    if place.attachment:
        more["attachment"] = str(place.attachment)
    if place.dkim_key:
        more["dkim"] = {"domain": "example.com", "selector": "bench", "key": str(place.dkim_key)}
    words = [*command, "127.0.0.1", str(place.port), list_of(rows), *template_of(case.size_bytes)]
    run = _run([*words, str(case.connections), json.dumps(more)])
    sent, seconds = run.out.split()
    assert rows == int(sent)
    return Speed(rows / float(seconds), run.cpu_s / rows * 1e6)


def smtp_source(case: Case, place: Place) -> Speed:
    """Send with Postfix's generator: no list, no template, no journal, four round trips a message."""
    rows = _share(SOURCE, case)
    words = [program("smtp-source", "postfix"), "-s", str(case.connections), "-m", str(rows), "-d"]
    run = _run([*words, "-l", str(place.message_bytes), f"127.0.0.1:{place.port}"])
    return Speed(rows / run.wall_s, run.cpu_s / rows * 1e6)


def contestants(case: Case, place: Place) -> dict[str, Callable[[], Speed]]:
    """Return those who can do what a case asks for and are installed, by name."""
    found: dict[str, Callable[[], Speed]] = {
        ONE: lambda: mailblast(case, place),
        AUTO: lambda: mailblast(case, place, "--processes", "auto"),
    }
    if not case.rivals:
        return found
    nodemailer = [shutil.which("node") or "node", str(RIVALS / "nodemailer_pool.cjs")]
    if NODEMAILER in releases():
        found[NODEMAILER] = lambda: rival(NODEMAILER, nodemailer, case, place)
    if NODEMAILER_9 in releases():
        found[NODEMAILER_9] = lambda: rival(NODEMAILER_9, nodemailer, case, place, module=NODEMAILER_9)
    # It signs nothing.
    if not case.dkim and (pool := smtppool()) is not None:
        found[SMTPPOOL] = lambda: rival(SMTPPOOL, [str(pool)], case, place)
    plain = [sys.executable, str(RIVALS / "plain_python.py")]
    found[PLAIN] = lambda: rival(PLAIN, plain, case, place)
    # It speaks neither TLS nor DKIM.
    if not case.tls and not case.dkim:
        found[SOURCE] = lambda: smtp_source(case, place)
    return found


@functools.cache
def releases() -> dict[str, str]:
    """Return the releases of nodemailer that are installed where ``NODE_PATH`` says, by the name of the package."""
    if shutil.which("node") is None:
        return {}
    folders = [Path(folder) for folder in os.environ.get("NODE_PATH", "").split(os.pathsep) if folder]
    files = {
        name: folder / name / "package.json"
        for name in (NODEMAILER, NODEMAILER_9)
        for folder in folders[::-1]
        if (folder / name / "package.json").exists()
    }
    return {name: json.loads(file.read_text(encoding="utf-8"))["version"] for name, file in files.items()}


class _Run(NamedTuple):
    out: str
    wall_s: float
    cpu_s: float


def _run(words: list[str]) -> _Run:
    before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=RUN_S)
    wall_s, after = time.perf_counter() - started_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-2000:]
    return _Run(done.stdout, wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _share(name: str, case: Case) -> int:
    return max(case.rows // SHARES[name][case.round_trip_ms > 0], 2 * case.connections)
