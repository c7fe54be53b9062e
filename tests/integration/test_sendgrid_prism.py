"""Prism with Twilio's own OpenAPI file as an independent witness of what we send."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.list_deliveries import ListDeliveries, a_composition, messages
from servers.sendgrid_rules import specs_folder

from mailblast.clock import SystemClock
from mailblast.model.campaign import Mailbox
from mailblast.model.message import Attachment
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.sendgrid.provider import SendgridProvider

if TYPE_CHECKING:
    from collections.abc import Iterator


def missing(reason: str) -> None:
    """Skip here, fail where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def prism() -> Iterator[int]:
    """Return the port of a Prism that answers 400 to what the file does not allow."""
    specs = specs_folder()
    if specs is None:
        # The file is Twilio's and is not part of this project; CI may be without it, too.
        pytest.skip("Twilio's OpenAPI files are not here (MAILBLAST_SENDGRID_SPECS)")
    program = Path(os.environ.get("NODE_PATH", "/nowhere")) / "@stoplight" / "prism-cli" / "dist" / "index.js"
    node = shutil.which("node")
    if node is None or not program.is_file():
        missing("Prism is not installed (npm @stoplight/prism-cli, found by NODE_PATH)")
    words = [str(node), str(program), "mock", "--errors", "-h", "127.0.0.1", "-p", "0", str(specs / "tsg_mail_v3.json")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            port = next(
                (found[1] for line in process.stdout if (found := re.search(r"listening on \S+:(\d+)", line))), None
            )
            assert port is not None, "Prism ended before it listened"
            # Its log must not fill the pipe.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield int(port)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def provider_at(port: int, options: str = "") -> SendgridProvider:
    dsn = parse_dsn(f"sendgrid://?endpoint=http://127.0.0.1:{port}{options}")
    provider = make_provider(dsn, {"SENDGRID_API_KEY": "SG.any"}, clock=SystemClock())
    assert isinstance(provider, SendgridProvider)
    return provider


async def test_prism_takes_our_requests_and_issues_batch_ids(prism: int) -> None:
    provider = provider_at(prism, "&asm=3&categories=a,b&sandbox=on")
    provider.schedule(int(SystemClock().now()) + 3600, await provider.issue_batch_id())
    file = Attachment("a.txt", "text/plain", b"aGVs\r\nbG8=\r\n", "logo")
    full = messages(250)
    full += [
        message._replace(
            id=message.id + 1000,
            composition=a_composition(message.id, message.recipient)._replace(
                layout=None,
                values=(),
                reply_to=Mailbox("R", "r@example.org"),
                attachments=(file,),
                headers=(("List-Id", "<x>"),),
            ),
        )
        for message in messages(3)
    ]
    deliveries = ListDeliveries(full)
    await provider.deliver(deliveries)
    assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
    assert 253 == len(deliveries.attempts)


async def test_prism_refuses_a_bad_address_and_we_find_it(prism: int) -> None:
    """Prism names no field, so the request is narrowed down."""
    full = messages(8)
    bad = a_composition(5, "recipient5@example.com")._replace(recipient=Mailbox("", "no address"))
    full[4] = full[4]._replace(composition=bad)
    deliveries = ListDeliveries(full)
    await provider_at(prism).deliver(deliveries)
    assert [5] == [number for number, each in deliveries.dispositions.items() if each is not Disposition.ACCEPTED]
    assert Disposition.PERMANENT is deliveries.dispositions[5]
