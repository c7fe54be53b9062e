"""Messages with attachments, read back by the standard library."""

from __future__ import annotations

import email
import email.policy
import zlib
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import InputError, RowFaultError, UsageError
from mailblast.message.attachments.base64_lines import encode_lines
from mailblast.message.attachments.file_part import FilePart, identity_of
from mailblast.message.attachments.part import attached_part
from mailblast.message.builder import MessageBuilder
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.message import Attachment, Content
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from email.message import EmailMessage, MIMEPart

    from mailblast.model.message import Message

TEMPLATE = Template("t.html", "", "s", "Hi {{ name }}\nbye\n", None)
TEXT = Content("Hello", "text\n", None)
HTML = Content("Hello", None, "<p>html</p>\n")
BOTH = Content("Hello", "text\n", "<p>html</p>\n")
PDF = Attachment("Rechnung März.pdf", "application/pdf", encode_lines(b"%PDF" * 1000))
CSV = Attachment("list.csv", "text/csv", encode_lines(b"a,b\r\n"))
EMPTY = Attachment("empty", "application/octet-stream", b"")
LOGO = Attachment("logo.png", "image/png", encode_lines(b"\x89PNG\r\n\x1a\n"), "logo@example.com")
ICON = Attachment("icon.png", "image/png", encode_lines(b"\x89PNG\r\n\x1a\n!"), "icon@example.com")


def builder(*attachments: Attachment, own: bool = False) -> MessageBuilder:
    paths = ("{{ email }}.pdf",) if own else ()
    campaign = Campaign("c", "t0ken", TEMPLATE, Mailbox("The Team", "team@example.com"))
    return MessageBuilder(campaign._replace(attachments=attachments, attachment_paths=paths))


def a_claim(address: str = "ada@example.com") -> Claim:
    variables = {"email": address, "name": "there", "data": ""}
    return Claim(7, Recipient(2, address, address, variables, {}), 1_751_367_157)


def whole(message: Message) -> bytes:
    return b"".join(part if isinstance(part, bytes) else b"".join(part.chunks()) for part in message.parts)


def parsed(message: Message) -> EmailMessage:
    read = email.message_from_bytes(whole(message), policy=email.policy.default)
    assert [] == [defect for part in read.walk() for defect in part.defects]
    return read


def outline(part: EmailMessage | MIMEPart) -> object:
    """Return a part as its content, or a multipart as its kind and parts."""
    if part.is_multipart():
        return (part.get_content_subtype(), *(outline(each) for each in part.iter_parts()))
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    content_id = str(part["Content-ID"] or "")
    disposition = part.get_content_disposition()
    if disposition is None:
        return content
    return (part.get_content_type(), disposition, part.get_filename(), content_id, content)


TEXT_PART, HTML_PART = b"text\r\n", b"<p>html</p>\r\n"
PDF_PART = ("application/pdf", "attachment", "Rechnung März.pdf", "", b"%PDF" * 1000)
CSV_PART = ("text/csv", "attachment", "list.csv", "", b"a,b\r\n")
EMPTY_PART = ("application/octet-stream", "attachment", "empty", "", b"")
LOGO_PART = ("image/png", "inline", "logo.png", "<logo@example.com>", b"\x89PNG\r\n\x1a\n")
ICON_PART = ("image/png", "inline", "icon.png", "<icon@example.com>", b"\x89PNG\r\n\x1a\n!")


@pytest.mark.parametrize(
    ("attachments", "content", "expected"),
    [
        ([PDF], TEXT, ("mixed", TEXT_PART, PDF_PART)),
        ([PDF], HTML, ("mixed", HTML_PART, PDF_PART)),
        ([PDF, CSV], BOTH, ("mixed", ("alternative", TEXT_PART, HTML_PART), PDF_PART, CSV_PART)),
        ([EMPTY], BOTH, ("mixed", ("alternative", TEXT_PART, HTML_PART), EMPTY_PART)),
        ([LOGO], HTML, ("related", HTML_PART, LOGO_PART)),
        ([LOGO, ICON], BOTH, ("alternative", TEXT_PART, ("related", HTML_PART, LOGO_PART, ICON_PART))),
        ([PDF, LOGO], HTML, ("mixed", ("related", HTML_PART, LOGO_PART), PDF_PART)),
        (
            [LOGO, PDF, ICON],
            BOTH,
            ("mixed", ("alternative", TEXT_PART, ("related", HTML_PART, LOGO_PART, ICON_PART)), PDF_PART),
        ),
        ([LOGO, PDF], TEXT, ("mixed", TEXT_PART, LOGO_PART, PDF_PART)),
    ],
)
def test_message_lies_in_levels_that_it_needs(
    attachments: list[Attachment], content: Content, expected: object
) -> None:
    message = builder(*attachments).build(a_claim(), content)
    read = parsed(message)
    assert expected == outline(read)
    assert "Hello" == read["Subject"]
    assert len(whole(message)) == message.size
    related = [part for part in read.walk() if part.get_content_subtype() == "related"]
    assert all(part.get_param("type") == "text/html" for part in related)


@pytest.mark.parametrize("shared", [[], [LOGO], [CSV], [LOGO, CSV]])
@pytest.mark.parametrize("content", [TEXT, HTML, BOTH])
def test_own_attachments_follow_those_of_all(shared: list[Attachment], content: Content) -> None:
    building = builder(*shared, own=True)
    own = [attached_part(PDF), attached_part(EMPTY)]
    read = outline(parsed(building.build(a_claim(), content, own)))
    assert isinstance(read, tuple)
    files = [CSV_PART] if CSV in shared else [LOGO_PART] if LOGO in shared and content is TEXT else []
    if shared == [LOGO, CSV] and content is TEXT:
        files = [LOGO_PART, CSV_PART]
    assert "mixed" == read[0]
    assert [*files, PDF_PART, EMPTY_PART] == list(read[2:])
    without = outline(parsed(building.build(a_claim(), content)))
    assert isinstance(without, tuple)
    assert read[:-2] == without


def test_contents_are_shared_not_copied() -> None:
    building = builder(PDF, LOGO)
    own = attached_part(CSV)
    one = building.build(a_claim(), BOTH, [own])
    other = building.build(a_claim("bob@example.com"), BOTH, [own])
    for content in (PDF.encoded, LOGO.encoded, CSV.encoded):
        assert 1 == sum(part is content for part in one.parts)
    # Of all but the first part even what stands between the contents of all is one object.
    assert [True, True, True] == [a is b for a, b in zip(one.parts[1:4], other.parts[1:4], strict=True)]
    assert {bytes} == {type(part) for part in one.parts[::2]}


def test_same_claim_gives_the_same_bytes_and_digest_and_any_change_another() -> None:
    messages = [
        builder(*some).build(a_claim(), content)
        for some in ([], [PDF], [CSV], [PDF, CSV], [CSV, PDF], [PDF._replace(name="x.pdf")])
        for content in (TEXT, BOTH)
    ]
    own = [builder(own=True).build(a_claim(), TEXT, [attached_part(each)]) for each in (PDF, LOGO)]
    # The same bytes in another way.
    assert messages[2] == own[0]
    messages.append(own[1])
    assert builder(PDF).build(a_claim(), BOTH) == builder(PDF).build(a_claim(), BOTH)
    assert not [1 for one, other in combinations(messages, 2) if one.digest == other.digest]


def test_message_without_attachments_is_as_before() -> None:
    message = builder().build(a_claim(), BOTH)
    assert 1 == len(message.parts)
    assert zlib.crc32(whole(message)) == message.digest


def test_boundaries_occur_nowhere_else() -> None:
    hostile = "=_" + "\n--=_ --\n".join(f"--{level}" for level in ("mixed", "alternative", "related"))
    content = Content("s", hostile, hostile)
    read = parsed(builder(PDF, LOGO).build(a_claim(), content))
    boundaries = [str(part.get_boundary()) for part in read.walk() if part.get_boundary()]
    assert 3 == len(set(boundaries))
    raw = whole(builder(PDF, LOGO).build(a_claim(), content))
    # The header, one before each part, and the end.
    assert [4, 4, 4] == [raw.count(f"{boundary}".encode()) for boundary in boundaries]
    assert max(map(len, raw.split(b"\r\n"))) <= 78


def test_attachment_without_name_has_none() -> None:
    read = parsed(builder(LOGO._replace(name="")).build(a_claim(), HTML))
    assert None is list(read.iter_parts())[1].get_filename()


def test_message_without_content_is_refused() -> None:
    with pytest.raises(RowFaultError, match="no content"):
        builder(PDF).build(a_claim(), Content("s", None, None))


def test_attachment_that_cannot_be_written_stops_the_start() -> None:
    with pytest.raises(UsageError, match="content type"):
        builder(PDF._replace(content_type="x"))


def test_file_of_all_that_is_gone_stops_the_run() -> None:
    path = Path("big.bin").absolute()
    path.write_bytes(b"x" * 100_000)
    part = FilePart(str(path), identity_of(path.stat()), zlib.crc32(b"x" * 100_000))
    building = builder(Attachment("big.bin", "application/octet-stream", part))
    message = building.build(a_claim(), TEXT)
    assert b"x" * 100_000 == list(parsed(message).iter_parts())[1].get_payload(decode=True)
    path.write_bytes(b"y")
    with pytest.raises(InputError, match="big.bin cannot be sent: It has changed since"):
        building.build(a_claim(), TEXT)
    path.unlink()
    with pytest.raises(InputError, match="big.bin cannot be sent: No such file"):
        building.build(a_claim(), TEXT)
