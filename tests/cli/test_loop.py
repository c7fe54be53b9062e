from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from mailblast.cli.loop import be_a_batch_job

CODE = """
import asyncio, os, sys
from mailblast.cli import loop

async def policy():
    return os.sched_getscheduler(0)

if len(sys.argv) > 1:
    os.sched_setscheduler(0, int(sys.argv[1]), os.sched_param(0))
print(loop.run(policy()))
"""


def policy_of_a_run(*words: str) -> int:
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True, timeout=30)
    return int(done.stdout)


def test_system_that_refuses_is_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "SCHED_BATCH", 3, raising=False)
    monkeypatch.setattr(os, "sched_getscheduler", refuse, raising=False)

    be_a_batch_job()


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no batch policy")
def test_run_is_batch_work_unless_its_user_has_chosen_otherwise() -> None:
    assert os.SCHED_BATCH == policy_of_a_run()
    assert os.SCHED_IDLE == policy_of_a_run(str(os.SCHED_IDLE))
