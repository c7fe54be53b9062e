"""Postfix's smtp-sink: takes mail at the speed of C, for load."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from servers.availability import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds until it must listen.
START_S = 10.0


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_listening(port: int, seconds: float = START_S) -> None:
    """Wait until somebody listens on a port of this machine."""
    ends_s = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def smtp_sink(*options: str, dump_folder: Path | None = None) -> Iterator[int]:
    """Run smtp-sink; yield its port.

    Args:
        options: Such as ``-r rcpt`` for soft errors; see smtp-sink(1).
        dump_folder: Where each message is kept as a file; None keeps none.
    """
    path, port = program("smtp-sink", "postfix"), free_port()
    command = [path, *options]
    if dump_folder is not None:
        dump_folder.chmod(0o777)
        command += ["-d", f"{dump_folder}/%M."]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    process = subprocess.Popen([*command, f"127.0.0.1:{port}", "200"], stderr=subprocess.PIPE)
    try:
        wait_until_listening(port)
        yield port
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
