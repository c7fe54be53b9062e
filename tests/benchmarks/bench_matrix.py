"""Messages a second under many circumstances, side by side in one run: a star of cases around one.

The base is 5 KB of personalised text and HTML from a CSV list, over 10 connections to Postfix's smtp-sink on loopback,
no delay, no TLS, no signature. Each further case changes one thing; see ``cases``. Contestants take turns, so that a
noisy moment meets all alike; figures are medians of ``BENCH_ROUNDS`` rounds. ``BENCH_ROWS`` scales all cases.

- Round trips are those of the delay proxy. Cases without one do not go through it.
- smtp-sink has no TLS, so that case goes to a sink of ours, and there is one without TLS to the same sink beside it.
- nodemailer 9 sends one command at a time, as the targets suppose; from release 10 on it pipelines the envelope, so
  that a message takes it two round trips and no longer four. Both are measured where both are installed; the older one
  is looked for under the name ``nodemailer-9``.
- smtp-source makes no signature and speaks no TLS; it renders nothing and writes down nothing.
- listmonk's engine is not here: it is written in Go, and no Go compiler is asked for. ``go`` in the JSON says whether
  the machine has one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks import results
from benchmarks.cases import BASE, CASES, QUICK, Case
from benchmarks.contestants import (
    AUTO,
    NODEMAILER,
    NODEMAILER_9,
    ONE,
    PLAIN,
    SMTPPOOL,
    SOURCE,
    Place,
    contestants,
    releases,
)
from benchmarks.mailing_of_size import message_bytes_of
from servers.delay_proxy import delay_proxy
from servers.smtp_sink import smtp_sink
from servers.tls_sink import tls_sink
from signing import pem, rsa_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contestants import Speed
    from servers.certificates import Certificates

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3_600)]

NAMES = (ONE, AUTO, NODEMAILER, NODEMAILER_9, SMTPPOOL, PLAIN, SOURCE)
#: What is asked for in the base case: ours with all cores, over theirs.
TARGETS = {NODEMAILER: 6.0, NODEMAILER_9: 6.0, SMTPPOOL: 1.4, PLAIN: 15.0, SOURCE: 0.75}
#: The case that the round trip decides and not the processor, and what is asked for there: one round trip a message
#: instead of four.
FAR = "50 ms, 5 connections"
FAR_TARGETS = {NODEMAILER_9: 3.5}
#: Least share of the rate at which every connection sends a message each round trip; the rest is the program's start
#: and the renewal of connections.
FAR_SHARE = 0.8


@pytest.fixture(scope="module")
def matrix() -> Iterator[list[dict[str, Any]]]:
    """The figures of all cases, shown and written at the end."""
    figures: list[dict[str, Any]] = []
    yield figures
    show(figures)
    results.record(
        "matrix", {"cases": figures, "targets": TARGETS, "far_targets": FAR_TARGETS, "nodemailer": releases()}
    )


@contextlib.contextmanager
def place_of(case: Case, certificates: Certificates) -> Iterator[Place]:
    """Run the servers of a case and write its files."""
    key = attachment = None
    size_bytes = message_bytes_of(case.size_bytes)
    if case.dkim:
        key = Path("dkim.pem").absolute()
        key.write_text(pem(rsa_key()), encoding="ascii")
        key.chmod(0o600)
    if case.attachment_bytes:
        attachment = Path("attached.bin").absolute()
        attachment.write_bytes(os.urandom(case.attachment_bytes))
        # As base64 in lines of 76 characters.
        size_bytes += case.attachment_bytes * 4 // 3 * 78 // 76
    with contextlib.ExitStack() as stack:
        own = case.tls or case.own_sink
        port = stack.enter_context(tls_sink(certificates.good_pem if case.tls else None) if own else smtp_sink())
        if case.round_trip_ms:
            port = stack.enter_context(delay_proxy(port, case.round_trip_ms / 2))
        yield Place(port, size_bytes, certificates.ca_file if case.tls else None, key, attachment)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_matrix(case: Case, certificates: Certificates, matrix: list[dict[str, Any]], tmp_path: Path) -> None:
    speeds: dict[str, list[Speed]] = {}
    with place_of(case, certificates) as place:
        for _ in range(case.rounds):
            for name, measure in contestants(case, place).items():
                speeds.setdefault(name, []).append(measure())
    medians = {name: statistics.median(each.per_s for each in runs) for name, runs in speeds.items()}
    shown = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in medians.items())
    print(f"\n  {case.name} ({case.rows:,} of {place.message_bytes:,} bytes): {shown}")
    matrix.append(
        {
            **case._asdict(),
            "message_bytes": place.message_bytes,
            "rates": {name: [each.per_s for each in runs] for name, runs in speeds.items()},
            "medians": medians,
            "cpu_us": {name: min(each.cpu_us for each in runs) for name, runs in speeds.items()},
            "ratios": {name: medians[AUTO] / rate for name, rate in medians.items() if name not in {ONE, AUTO}},
        }
    )
    # Lists of a million rows and journals add up.
    shutil.rmtree(tmp_path, ignore_errors=True)
    if not QUICK and case.rivals:
        # A floor that a noisy machine keeps as well; the figures that count are printed.
        assert medians[ONE] > 2 * medians[PLAIN]
    if case.name == FAR:
        ours = max(medians[ONE], medians[AUTO])
        assert ours >= FAR_SHARE * case.connections * 1000 / case.round_trip_ms
        for name, times in FAR_TARGETS.items():
            assert ours >= times * medians.get(name, 0.0)


def show(figures: list[dict[str, Any]]) -> None:
    """Print the table of medians and ratios, and how the base case stands to what is asked for."""
    head = ["case", *(f"{name}/s" for name in NAMES), *(f"auto / {name}" for name in TARGETS)]
    rows = [
        [
            each["name"],
            *(f"{each['medians'][name]:,.0f}" if name in each["medians"] else "-" for name in NAMES),
            *(f"{each['ratios'][name]:.2f}" if name in each["ratios"] else "-" for name in TARGETS),
        ]
        for each in figures
    ]
    machine = results.machine()
    results.print_table(f"Messages a second; {machine['processor']}, {machine['cores']} cores", head, rows)
    results.print_table(
        "Processor time a message in µs, start-up included, least of all rounds",
        ["case", *NAMES],
        [
            [each["name"], *(f"{each['cpu_us'][name]:,.0f}" if name in each["cpu_us"] else "-" for name in NAMES)]
            for each in figures
        ],
    )
    for each in figures:
        if each["name"] == BASE.name:
            for name, ratio in each["ratios"].items():
                print(f"  {ratio:6.2f} times {name}; asked for: {TARGETS[name]}")
        for name in FAR_TARGETS.keys() & each["ratios"].keys() if each["name"] == FAR else ():
            ratio = max(each["medians"][ours] for ours in (ONE, AUTO)) / each["medians"][name]
            print(f"  {ratio:6.2f} times {name} over {FAR}; asked for: {FAR_TARGETS[name]}")
    if not machine["go"]:
        print("  There is no Go compiler here, so listmonk's engine was not measured.")
