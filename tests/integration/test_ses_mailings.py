"""A whole list through SES as servers see it: who got what, letter by letter."""

from __future__ import annotations

import csv
import email
from collections import Counter
from email import policy
from pathlib import Path
from typing import NamedTuple

import pytest
from servers.aws_http import ENVIRONMENT
from servers.mailblast_process import FULL
from servers.moto_server import moto_server
from servers.ses_fake import Script, SesFake
from servers.ses_local import ses_local
from words import json_of

from mailblast.cli.app import run
from mailblast.render.renderer import Renderer
from mailblast.render.template import load_template

pytestmark = pytest.mark.no_cover
#: Moto and npm's server take 10 ms for each.
ROWS = 1000 if FULL else 200
HTML = """<title>Hello {{ name }}, {{ plan }}</title><style>p{color:red}</style>
<body><h1>Dear {{ name }}</h1><p>Your plan is {{ plan }} &amp; {{ note }}.</p>
{% if plan == 'gold' %}<p>Thank you, {{ name }}!</p>{% endif %}
<ul>{% for number in range(3) %}<li>{{ number }}: {{ plan }}</li>{% endfor %}</ul></body>
"""
NOTES = ("", "<b>", '"quoted" & more', "\\", "Grüße \N{GRINNING FACE}", "{one}", "{{seven}}", "a, b", "$1 \\1")
WORDS = ["--from", "Exämple <sender@example.com>", "-t", "welcome.html", "--json", "-q", "--rate", "none"]


class Seen(NamedTuple):
    """What a recipient got."""

    subject: str
    text: str
    html: str


def write(rows: int) -> dict[str, Seen]:
    """Write list and template; return what each recipient must get."""
    Path("welcome.html").write_text(HTML, encoding="utf-8")
    names = ["email", "name", "plan", "note"]
    table = [
        (f"user{number}@example.org", f"Jürgen {number}", "gold" if number % 3 else "tin", NOTES[number % len(NOTES)])
        for number in range(rows)
    ]
    with Path("list.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(table)
    from mailblast.model.campaign import Campaign, Mailbox  # noqa: PLC0415 - for the same CSS as in a campaign
    from mailblast.render.css import with_css_inlined  # noqa: PLC0415 - likewise

    template = load_template(Path("welcome.html"))
    campaign = with_css_inlined(Campaign("c", "t", template, Mailbox("", "s@example.com")))
    renderer = Renderer(campaign.template, inline_css=campaign.inline_css)
    expected = {}
    for row in table:
        content = renderer.render(dict(zip(names, row, strict=True)))
        expected[row[0]] = Seen(content.subject, content.text or "", content.html or "")
    return expected


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_rows_as_they_are_reach_moto_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    expected = write(ROWS)
    with moto_server("sender@example.com") as server:
        assert run(["bulk", "list.csv", *WORDS, "--via", server.dsn("concurrency=8")]) == 0
        assert ROWS == json_of(capsys)["counts"]["accepted"]
        raw = server.raw_messages()
    assert {1} == {len(messages) for messages in raw.values()}
    got = {}
    for recipient, (source,) in raw.items():
        message = email.message_from_bytes(source.encode(), policy=policy.default)
        assert [recipient] == [address.addr_spec for address in message["To"].addresses]
        # Lines end with CRLF on the wire.
        parts = {
            part.get_content_subtype(): str(part.get_content()).replace("\r\n", "\n") for part in message.iter_parts()
        }
        got[recipient] = Seen(message["Subject"], parts["plain"], parts["html"])
    assert expected == got


def test_rows_in_bulk_are_filled_in_by_handlebars_as_here(capsys: pytest.CaptureFixture[str]) -> None:
    expected = write(ROWS)
    with ses_local() as server:
        assert run(["bulk", "list.csv", *WORDS, "--via", server.dsn("mode=bulk")]) == 0
        assert ROWS == json_of(capsys)["counts"]["accepted"]
        emails = server.emails()
    assert ROWS == len(emails)
    got = {}
    bulk = 0
    for mail in emails:
        (recipient,) = (address.partition("<")[2].rstrip(">") or address for address in mail["destination"]["to"])
        got[recipient] = Seen(mail["subject"], mail["body"].get("text", ""), mail["body"].get("html", ""))
        bulk += "{{seven}}" not in got[recipient].text
    assert expected == got
    # One row in nine holds what would be taken for a slot, and goes as it is.
    assert abs(ROWS * 8 / 9 - bulk) <= 1


def test_a_thousand_rows_in_bulk_reach_the_fake_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    expected = write(1000)
    with SesFake(Script(configuration_sets=("news",))).run_in_thread() as server:
        options = "mode=bulk&configuration-set=news&tags=a:b"
        words = [*WORDS, "--via", server.dsn(options), "--reply-to", "Desk <desk@example.com>"]
        assert run(["bulk", "list.csv", *words]) == 0
        assert 1000 == json_of(capsys)["counts"]["accepted"]
    assert dict.fromkeys(expected, 1) == Counter(server.recipients())
    in_bulk = [sent for sent in server.sent if sent.kind == "bulk"]
    assert 888 < len(in_bulk) < 890
    for sent in in_bulk:
        assert expected[sent.recipient] == Seen(sent.subject, sent.text or "", sent.html or "")
        assert ("sender@example.com", ("Desk <desk@example.com>",), "news", (("a", "b"),)) == (
            sent.sender, sent.reply_to, sent.configuration_set, sent.tags
        )  # fmt: skip
        assert sent.to.startswith("=?utf-8?")
    assert [] == server.rendering_failures
    # Calls of many, nearly all of them full.
    assert sum(name == "SendBulkEmail" for name, _ in server.calls) <= 40
