"""Files of the journal are damaged between a killed run and the next one: recovered or refused, never begun anew."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault, FaultServer, Script
from servers.mailblast_process import (
    FULL,
    a_list,
    a_template,
    assert_everybody_once,
    assert_nobody_twice,
    bulk,
    bulk_words,
    failures,
    start,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers.fault_server import Serve

ROWS = 300
CAMPAIGN = Path(".mailblast/welcome-list")
DATABASE = CAMPAIGN / "journal.sqlite3"
LOG = CAMPAIGN / "journal.sqlite3-wal"
TRIALS = 4 if FULL else 2


def segment() -> Path:
    (path,) = CAMPAIGN.glob("segment-*.log")
    return path


def has_recorded_end() -> bool:
    """Return whether a batch has been recorded."""
    with contextlib.closing(sqlite3.connect(DATABASE)) as database:
        return database.execute("SELECT value FROM meta WHERE name = 'segment'").fetchone() is not None


def recorded_end() -> int:
    """Return the length that the segment had when the last batch was recorded.

    A loss of whole records behind it cannot be told from a kill at that moment, so no test is made of it.
    """
    with contextlib.closing(sqlite3.connect(DATABASE)) as database:
        (value,) = database.execute("SELECT value FROM meta WHERE name = 'segment'").fetchone()
    return int(value.split()[1])


def cut(path: Path, before: int | None = None) -> None:
    """Truncate a file at a random byte."""
    path.write_bytes(path.read_bytes()[: random.randrange(before or path.stat().st_size)])


def overwrite(path: Path) -> None:
    """Put other bytes somewhere into a file."""
    data = bytearray(path.read_bytes())
    at = random.randrange(len(data) - 16)
    data[at : at + 16] = random.randbytes(16)
    path.write_bytes(data)


def end_in_zeros(path: Path, before: int) -> None:
    """Leave a file as a loss of power may leave it: as long as it was, without its last bytes."""
    data = path.read_bytes()
    at = random.randrange(before)
    path.write_bytes(data[:at] + bytes(len(data) - at))


DAMAGES: dict[str, Callable[[], object]] = {
    "segment cut": lambda: cut(segment(), recorded_end()),
    "segment overwritten": lambda: overwrite(segment()),
    "segment ends in zeros": lambda: end_in_zeros(segment(), recorded_end()),
    "segment empty": lambda: segment().write_bytes(b""),
    "segment removed": lambda: segment().unlink(),
    "database cut": lambda: cut(DATABASE),
    "database overwritten": lambda: overwrite(DATABASE),
    "database empty": lambda: DATABASE.write_bytes(b""),
    "database removed": DATABASE.unlink,
    "database's log cut": lambda: cut(LOG),
    "database's log overwritten": lambda: overwrite(LOG),
    "database's log removed": LOG.unlink,
    "lock overwritten": lambda: (CAMPAIGN / "lock").write_bytes(random.randbytes(100)),
}
#: Nothing about these is random.
ONCE = ("empty", "removed", "lock")


class Killed:
    """A campaign whose run was killed, which can be brought back as often as needed."""

    def __init__(self, server: FaultServer, addresses: list[str]) -> None:
        self.server = server
        self.addresses = addresses
        shutil.copytree(CAMPAIGN, "as it was")
        self.taken = server.log.read_bytes()
        self.held = failures("in_doubt").keys()

    def bring_back(self) -> None:
        shutil.rmtree(CAMPAIGN)
        shutil.copytree("as it was", CAMPAIGN)
        # The server goes on writing at the end of the same file.
        self.server.log.write_bytes(self.taken)


@pytest.fixture
def killed(serve: Serve) -> Killed:
    a_template()
    addresses = a_list(ROWS)
    server = serve(Fault("dot", "", every=4, delay_s=0.1))
    process = start(*bulk_words(server, "--batch-size", "10"))
    # Until some batches are recorded and others are not.
    wait_until(lambda: len(server.taken) >= ROWS / 2 and has_recorded_end(), process)
    process.kill()
    process.communicate()
    server.stop()
    server.script = Script()
    server.start()
    return Killed(server, addresses)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_journal_is_recovered_or_refused_and_nobody_has_two(name: str, killed: Killed) -> None:
    server = killed.server
    for _ in range(1 if any(word in name for word in ONCE) else TRIALS):
        killed.bring_back()
        DAMAGES[name]()
        before = len(server.taken)
        run = bulk(server)
        assert_nobody_twice(server)
        if run.code == 4:
            assert before == len(server.taken)
            assert "damaged" in run.err
            assert str(CAMPAIGN) in run.err
            # Said again, and not repaired behind the user's back.
            assert 4 == bulk(server).code
            assert before == len(server.taken)
        else:
            assert run.code in {0, 1}
            held = failures("in_doubt").keys()
            assert ROWS == run.counts.get("accepted", 0) + len(held)
            assert set(killed.addresses) == held | {message.recipient for message in server.taken}


def test_undamaged_journal_is_gone_on_with(killed: Killed) -> None:
    run = bulk(killed.server)
    assert {"accepted": ROWS - len(killed.held)} == {
        state: count for state, count in run.counts.items() if state != "in_doubt"
    }
    assert_nobody_twice(killed.server)


def test_segment_declared_damaged_is_used_as_far_as_it_can_be_trusted(killed: Killed) -> None:
    path = segment()
    lines = path.read_bytes().split(b"\n")
    lines[len(lines) // 2] = b"what is this"
    path.write_bytes(b"\n".join(lines))
    refused = bulk(killed.server)
    assert 4 == refused.code
    assert f"{path.stem}.damaged" in refused.err
    path.rename(path.with_suffix(".damaged"))
    run = bulk(killed.server)
    assert 1 == run.code
    assert_nobody_twice(killed.server)
    held = failures("in_doubt").keys()
    assert set(killed.addresses) == held | {message.recipient for message in killed.server.taken}
    # They may be sent again, by who takes the risk.
    assert 0 == bulk(killed.server, "--resend-in-doubt").code


def test_closed_journal_keeps_who_has_it_though_it_is_copied_elsewhere(addresses: list[str], serve: Serve) -> None:
    server = serve()
    assert 0 == bulk(server).code
    shutil.copytree(".mailblast", "moved")
    shutil.rmtree(".mailblast")
    Path("moved").rename(".mailblast")
    assert {"skipped": 20} == bulk(server).this_run
    assert_everybody_once(server, addresses)
