"""The same list through every way out: each recipient reads the same, whatever carried it."""

from __future__ import annotations

import csv
import email
from email import policy
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from servers.aws_http import ENVIRONMENT
from servers.mailblast_process import FULL, bulk
from servers.moto_server import moto_server
from servers.scripted_smtp import ScriptedSmtp
from servers.sendgrid_fake import KEY, SendgridFake, serving
from servers.ses_fake import SesFake
from servers.ses_local import ses_local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.no_cover
#: Each of the notes below with both plans, and more than a call takes.
ROWS = 1000 if FULL else 120
LONG = "a long line, " * 160
#: What lists hold; each must come out as it went in.
NOTES = (
    "plain", "Gr\xfc\xdfe aus K\xf6ln", "\N{GRINNING FACE}\N{ZERO WIDTH JOINER}\N{ROCKET}", "<b>bold</b>",
    "<script>alert(1)</script>", "{{7*7}}", "{{{raw}}}", "{% if x %}", "{{#if x}}", "{{!-- gone --}}", "\\{{ name }}",
    '"quoted" & \'single\'', "&amp; &lt;", "\\", "\\n \\0 \\1 $1 $& %s %(name)s", "-name-", "%name%", "[name]",
    "*|NAME|*", "=3D =\xdf=", "https://example.com/?a=b&c=d", LONG, "\N{GRINNING FACE}" * 700, ".", "..",
    ".leading dot", "one\n.\ntwo\n..three\nFrom here\n", "tab\there", "  spaces  ", "\u202eright to left", "a, b; c",
    "`${1+1}`", "QUIT\nRSET\n",
)  # fmt: skip
TEXT = ".{{ name }}\n{{ note }}\n.\n..\nFrom {{ name }}: {{ note }}|\n{% if plan == 'gold' %}Thank you.{% endif %}\n"
HTML = """<title>{{ name }}, {{ line }}</title><style>p{color:red}</style>
<body>
.<h1>Dear {{ name }}</h1><p id="note">{{ note }}</p>
<a href="https://example.com/?q={{ line|urlencode }}&amp;n={{ name|urlencode }}" title="{{ line }}">{{ name }}</a>
{% if plan == 'gold' %}<p>Thank you, {{ name }}!</p>{% endif %}</body>
"""


class Seen(NamedTuple):
    """What a recipient reads; lines end with LF, the last one without."""

    subject: str
    text: str
    html: str


def seen(subject: object, text: object, html: object) -> Seen:
    return Seen(str(subject), *(str(part).replace("\r\n", "\n").removesuffix("\n") for part in (text, html)))


def seen_in(source: bytes) -> Seen:
    message = email.message_from_bytes(source, policy=policy.default)
    assert not message.defects
    parts = {part.get_content_subtype(): part.get_content() for part in message.iter_parts()}
    return seen(message["Subject"], parts["plain"], parts["html"])


def write() -> dict[str, tuple[str, str, str]]:
    """Write list and template; return subject, text and note that each recipient must get."""
    Path("welcome.html").write_text(HTML, encoding="utf-8")
    Path("welcome.txt").write_text(TEXT, encoding="utf-8")
    expected = {}
    with Path("list.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["email", "name", "plan", "note", "line"])
        for number in range(ROWS):
            name, note = f"J\xfcrgen {number}", NOTES[number % len(NOTES)]
            line = " ".join(note.split())[:60].strip()
            plan = "gold" if number % 2 else "tin"
            address = f"user{number}@example.org"
            writer.writerow([address, name, plan, note, line])
            thanks = "Thank you." if number % 2 else ""
            text = f".{name}\n{note}\n.\n..\nFrom {name}: {note}|\n{thanks}"
            expected[address] = (f"{name}, {line}", text, note)
    return expected


def through_smtp() -> dict[str, Seen]:
    with ScriptedSmtp().run_in_thread() as server:
        send(server.dsn)
    assert ROWS == len(server.messages)
    contents = (received.content for received in server.messages)
    return dict(zip(server.accepted_rcpts(), map(seen_in, contents), strict=True))


def through_ses_raw() -> dict[str, Seen]:
    with moto_server("news@example.com") as server:
        send(server.dsn())
        raw = server.raw_messages()
    assert {1} == {len(messages) for messages in raw.values()}
    return {recipient: seen_in(source.encode()) for recipient, (source,) in raw.items()}


def through_ses_bulk() -> dict[str, Seen]:
    with SesFake().run_in_thread() as server:
        send(server.dsn("mode=bulk"))
    assert [] == server.rendering_failures
    assert ROWS == len(server.sent)
    # Only what Handlebars would read goes as it is.
    assert sum(sent.kind == "raw" for sent in server.sent) <= ROWS / 3
    return {
        sent.recipient: seen_in(sent.raw) if sent.kind == "raw" else seen(sent.subject, sent.text, sent.html)
        for sent in server.sent
    }


def through_handlebars() -> dict[str, Seen]:
    with ses_local() as server:
        send(server.dsn("mode=bulk"))
        emails = server.emails()
    assert ROWS == len(emails)
    got = {}
    for mail in emails:
        (recipient,) = (address.partition("<")[2].rstrip(">") or address for address in mail["destination"]["to"])
        got[recipient] = seen(mail["subject"], mail["body"]["text"], mail["body"]["html"])
    return got


def through_sendgrid() -> dict[str, Seen]:
    with serving(SendgridFake()) as server:
        send(f"sendgrid://?endpoint=http://127.0.0.1:{server.port}")
    assert [] == server.schema_errors
    assert ROWS == len(server.mails)
    return {mail.address: seen(mail.subject, mail.text, mail.html) for mail in server.mails}


def send(dsn: str) -> None:
    """Mail the list by the installed program."""
    ended = bulk(dsn, "--rate", "none")
    assert (0, {"accepted": ROWS}) == (ended.code, ended.counts), ended


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "SENDGRID_API_KEY": KEY}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def by_smtp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    """What each recipient reads whose mail went through SMTP, where no service fills anything in."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(tmp_path_factory.mktemp("smtp"))
        write()
        yield through_smtp()


def test_hostile_list_is_read_through_smtp_as_it_was_written(by_smtp: dict[str, Seen]) -> None:
    expected = write()
    assert {address: row[:2] for address, row in expected.items()} == {
        address: (each.subject, each.text) for address, each in by_smtp.items()
    }
    for address, (_, _, note) in expected.items():
        shown = by_smtp[address].html.partition('id="note"')[2].partition(">")[2].partition("</p>")[0]
        assert note == unescape(shown)
        assert "<script" not in by_smtp[address].html


@pytest.mark.parametrize("through", [through_ses_raw, through_ses_bulk, through_handlebars, through_sendgrid])
def test_hostile_list_is_read_through_services_as_through_smtp(
    through: Callable[[], dict[str, Seen]], by_smtp: dict[str, Seen]
) -> None:
    write()
    assert by_smtp == through()
