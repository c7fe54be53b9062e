"""A private Postfix: a real mail server with its own folders, on a free port, that discards what it takes."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from servers.availability import program
from servers.smtp_sink import free_port, wait_until_listening

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
smtp unix - - n - - smtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
#: Seconds for each call of the postfix command.
COMMAND_S = 20


class Postfix(NamedTuple):
    """A running instance."""

    port: int
    log: Path


@contextlib.contextmanager
def postfix_server(**settings: str) -> Iterator[Postfix]:
    """Run an instance.

    Args:
        settings: Further parameters of main.cf, such as ``message_size_limit="1000"``.
    """
    postfix = program("postfix", "postfix")
    if os.geteuid() != 0:
        reason = "Postfix starts only as root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Not under pytest's own folder: Postfix's user must be able to walk down to it.
    with tempfile.TemporaryDirectory(prefix="mailblast-postfix-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        config = _configure(folder, port, settings)
        _run(postfix, config, "start")
        try:
            wait_until_listening(port)
            yield Postfix(port, folder / "log")
        finally:
            _run(postfix, config, "stop", check=False)


def _configure(folder: Path, port: int, settings: dict[str, str]) -> Path:
    config, data = folder / "etc", folder / "data"
    for path in (config, folder / "queue", data):
        path.mkdir(mode=0o755)
    owner = pwd.getpwnam("postfix")
    os.chown(data, owner.pw_uid, owner.pw_gid)
    parameters = {
        "compatibility_level": "3.6",
        "queue_directory": str(folder / "queue"),
        "data_directory": str(data),
        "maillog_file": str(folder / "log"),
        "maillog_file_prefixes": str(folder),
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "myhostname": "postfix.example",
        "mynetworks": "127.0.0.0/8",
        "mydestination": "",
        "local_recipient_maps": "",
        "alias_maps": "",
        "alias_database": "",
        "default_transport": "discard",
        "relay_transport": "discard",
        "smtpd_recipient_restrictions": "permit_mynetworks,reject",
        **settings,
    }
    (config / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in parameters.items()))
    (config / "master.cf").write_text(SERVICES.format(port=port))
    return config


def _run(postfix: str, config: Path, command: str, *, check: bool = True) -> None:
    done = subprocess.run(
        [postfix, "-c", str(config), command], capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    if check and done.returncode != 0:
        pytest.fail(f"postfix {command} failed: {done.stderr}")
