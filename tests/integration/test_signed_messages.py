"""Signatures judged by others: OpenDKIM, and dkimpy on what has been through Postfix."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from servers.aiosmtpd_server import aiosmtpd_server
from servers.availability import program
from servers.list_deliveries import ListDeliveries
from servers.postfix_server import postfix_server
from servers.scripted_smtp import ScriptedSmtp
from signing import URL, a_signed_campaign, dns_records, keys, pem, rsa_key, verified
from words import a_list, a_template

from mailblast.cli.app import run
from mailblast.clock import SystemClock
from mailblast.message.builder import MessageBuilder
from mailblast.model.campaign import ListHeaders
from mailblast.model.message import Content, Message
from mailblast.model.outcome import Disposition
from mailblast.model.recipient import Claim, Recipient
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider

TEXTS = [
    "Hello\n",
    "",
    "\n\n\n",
    ".\n..\n.leading\nFrom here\n",
    "trailing blanks   \t\n   \n",
    "x" * 5000 + "\n",
    "y" * 997 + "\n" + "z" * 998 + "\n",
    "größe 日本語 \N{WOMAN}\n" * 40,
    "MAIL FROM:<evil@example.org>\r\n.\r\nQUIT\r\n",
]
SUBJECTS = [
    "Hello",
    "Größe für alle, die so lange Betreffzeilen lesen wollen, dass sie gefaltet werden",
    "=?utf-8?q?x?=",
]


def a_message(number: int, *, ed25519: bool = False) -> Message:
    code = "c" * (40 + 100 * (number % 9))
    variables = {"email": f"r{number}@example.com", "name": 'Ada "Q", the é', "code": code}
    recipient = Recipient(number, f"k{number}", f"r{number}@example.com", variables, variables)
    text = TEXTS[number % len(TEXTS)]
    content = Content(SUBJECTS[number % len(SUBJECTS)], text, f"<p>{text}</p>" if number % 2 else None)
    links = ListHeaders("https://example.com/leave/{{ code }}", "leave@example.com", "news.example.com")
    campaign = a_signed_campaign(ed25519=ed25519, list_headers=links)
    return MessageBuilder(campaign, keys()).build(Claim(number, recipient, 1_751_367_157), content)


def raw_of(message: Message) -> bytes:
    return b"".join(part for part in message.parts if isinstance(part, bytes))


async def test_messages_that_went_through_postfix_are_still_verified() -> None:
    with aiosmtpd_server() as (recorder, port):
        settings = {"default_transport": f"smtp:[127.0.0.1]:{port}", "smtp_dns_support_level": "disabled"}
        with postfix_server(**settings) as postfix:
            dsn = parse_dsn(f"smtp://127.0.0.1:{postfix.port}")
            provider = make_provider(dsn, {}, connections=2, clock=SystemClock())
            deliveries = ListDeliveries([a_message(number, ed25519=True) for number in range(1, 19)])
            await provider.open()
            await provider.deliver(deliveries)
            await provider.close()
            assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
            ends_s = time.monotonic() + 30
            while len(recorder.envelopes) < 18:
                assert time.monotonic() < ends_s
                time.sleep(0.05)  # noqa: ASYNC251 - Postfix works on by itself
    received = [envelope.original_content or b"" for envelope in recorder.envelopes]
    assert all(raw.startswith(b"Received: ") for raw in received)
    assert [[True, True]] * 18 == [verified(raw) for raw in received]
    # One URI, whole and not encoded, however long.
    lines = [line for raw in received for line in raw.split(b"\r\n") if line.startswith(b"List-Unsubscribe:")]
    assert 18 == sum(b"<https://example.com/leave/c" in line and b"c>" in line for line in lines)


def test_opendkim_verifies_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    opendkim = program("opendkim", "opendkim")
    records = {name.decode().rstrip("."): value.decode() for name, value in dns_records().items() if b"rsa" in name}
    (tmp_path / "dns").write_text("".join(f"{name} {value}\n" for name, value in records.items()))
    config = tmp_path / "opendkim.conf"
    config.write_text(
        f"Mode v\nSyslog no\nSocket local:{tmp_path}/socket\nTemporaryDirectory {tmp_path}\n"
        f"TestDNSData {tmp_path}/dns\nTrustAnchorFile /dev/null\n"
    )
    paths = []
    for number in range(1, 31):
        path = tmp_path / f"{number}.eml"
        path.write_bytes(raw_of(a_message(number)))
        paths.append(str(path))
    (tmp_path / "changed.eml").write_bytes(raw_of(a_message(9)).replace(b"r9@", b"r8@"))
    paths.append(str(tmp_path / "changed.eml"))
    command = [opendkim, "-x", str(config), "-t", ",".join(paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    said = done.stdout + done.stderr

    assert 30 == said.count("2048-bit key) succeeded"), said
    assert 1 == said.count("failed: signature verification failed"), said


@pytest.mark.parametrize("processes", ["1", "2"])
def test_program_signs_in_each_of_its_processes(processes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("dkim.pem").write_text(pem(rsa_key()))
    Path("dkim.pem").chmod(0o600)
    monkeypatch.setenv("MAILBLAST_UNSUBSCRIBE_SECRET", "a secret of its own")
    a_template()
    a_list([f"user{number}@example.com,User {number},x" for number in range(120)])
    words = ["bulk", "list.csv", "-t", "welcome.html", "-q", "--from", "team@example.com", "--connections", "4"]
    words += ["--batch-size", "10", "--unsubscribe", URL, "--dkim", "rsa@example.com", "--dkim-key", "dkim.pem"]
    with ScriptedSmtp().run_in_thread() as server:
        code = run([*words, "--via", server.dsn, "--processes", processes])
    assert 0 == code
    assert [[True]] * 120 == [verified(message.content) for message in server.messages]
