"""kill -9 while SES is handed a list: nobody is mailed twice, nobody is lost, few are in doubt."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from servers.aws_http import ENVIRONMENT
from servers.mailblast_process import a_list, a_template, bulk, bulk_words, start, status, wait_until
from servers.ses_fake import Script, SesFake

ROWS = {"raw": 800, "bulk": 3_000}
CALLS = 4
#: Recipients in flight at most.
IN_FLIGHT = {"raw": CALLS, "bulk": CALLS * 50}


@pytest.mark.parametrize("mode", ["raw", "bulk"])
def test_killed_again_and_again_nobody_is_mailed_twice_and_nobody_is_lost(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    rows = ROWS[mode]
    addresses = a_list(rows)
    a_template()
    kills = 3
    with SesFake(Script(delay_s=0.01)).run_in_thread() as server:
        dsn = server.dsn(f"mode={mode}&concurrency={CALLS}")
        words = ("--rate", "none", "--retry-for", "0")
        for kill in range(1, kills + 1):
            process = start(*bulk_words(dsn, *words), measured=False)
            goal = kill * rows // (kills + 2)
            wait_until(lambda goal=goal: len(server.sent) >= goal, process)  # type: ignore[misc]  # bound early
            process.send_signal(signal.SIGKILL)
            process.communicate()
        ended = bulk(dsn, *words)
    got = Counter(server.recipients())
    assert {1} == set(got.values())
    assert rows == sum(ended.counts.values())
    in_doubt = ended.counts.get("in_doubt", 0)
    assert in_doubt <= kills * IN_FLIGHT[mode]
    assert ended.counts["accepted"] == rows - in_doubt
    # Who is missing at SES is in doubt, and nobody else is.
    assert len(set(addresses) - got.keys()) <= in_doubt
    assert (1 if in_doubt else 0) == ended.code
    assert ended.counts == status().counts
