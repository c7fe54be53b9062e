from __future__ import annotations

import base64
from pathlib import Path

import pytest

from mailblast.delivery.composer import Composer, ContentChangedError
from mailblast.delivery.row_attachments import RowAttachments
from mailblast.errors import RowFaultError, TemplateError, UsageError
from mailblast.message.attachments.base64_lines import encode_lines
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.message import Attachment
from mailblast.model.recipient import Claim, Recipient

TEMPLATE = Template("t.txt", "", "Hi {{ name }}", "Hello\n", None)


@pytest.fixture(autouse=True)
def _files() -> None:
    Path("invoices").mkdir()
    for number in (1, 2):
        Path(f"invoices/{number}  of 2.pdf").write_bytes(b"invoice %d" % number)


def a_campaign(*paths: str, folder: str = "invoices") -> Campaign:
    campaign = Campaign("news", "t0ken", TEMPLATE, Mailbox("", "news@example.com"))
    return campaign._replace(attachment_paths=paths, attachment_folder=folder)


def a_claim(digest: int | None = None, **columns: str) -> Claim:
    fields = {"email": "ann@example.com", **columns}
    recipient = Recipient(2, "ann@example.com", "ann@example.com", {"name": "there", **fields}, fields)
    return Claim(7, recipient, 1, 0, digest)


def test_each_recipient_gets_their_own_file() -> None:
    composer = Composer(a_campaign("{{ number }}  of 2.pdf"))
    for number in ("1", "2"):
        message = composer.compose(a_claim(number=number))
        assert encode_lines(b"invoice %b" % number.encode()) in message.parts
        assert f'filename="{number} of 2.pdf"'.encode() in b"".join(
            part for part in message.parts if isinstance(part, bytes)
        )


def test_path_is_a_template_without_escapes() -> None:
    Path("invoices/R&D <1>.txt").write_bytes(b"x")
    paths = ["{{ unit }} {{ '<' ~ number }}>.txt", "{% if vip is defined %}a{% else %}1  of 2.pdf{% endif %}"]
    rows = RowAttachments(paths, "invoices")
    one, other = rows.load(a_claim(unit="R&D", number="1").recipient)
    assert ("R&D _1_.txt", "1 of 2.pdf") == (one.attachment.name, other.attachment.name)
    assert isinstance(one.attachment.encoded, bytes)
    assert b"x" == base64.b64decode(one.attachment.encoded)


@pytest.mark.parametrize(
    ("path", "columns", "column", "said"),
    [
        ("{{ number }}.pdf", {"number": "3"}, "number", "'3.pdf' cannot be sent: there is no such file"),
        ("{{ number }}.pdf", {"number": "../../etc/passwd"}, "number", "'..' is not allowed"),
        ("{{ path }}", {"path": "/etc/passwd"}, "path", "outside of the folder"),
        ("{{ path }}", {"path": ""}, "path", "empty for this row"),
        ("{{ year }}/{{ number }}.pdf", {"year": "1", "number": "2"}, "", "no such file"),
        ("{{ number }}.pdf", {}, "number", r"needs 'number', which this row lacks \(--attach {{ number }}.pdf"),
        ("{{ ''.__class__ }}", {}, "", "may not do this"),
    ],
)
def test_path_that_leads_nowhere_is_a_fault_of_the_row(
    path: str, columns: dict[str, str], column: str, said: str
) -> None:
    with pytest.raises(RowFaultError, match=said) as caught:
        Composer(a_campaign(path)).compose(a_claim(None, **columns))
    assert column == caught.value.column


def test_path_that_is_no_template_stops_the_start() -> None:
    with pytest.raises(TemplateError, match=r"--attach {{ number.pdf:1"):
        Composer(a_campaign("{{ number.pdf"))


def test_folder_that_is_missing_stops_the_start() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        Composer(a_campaign("{{ number }}.pdf", folder="nowhere"))


def test_message_in_doubt_is_not_repeated_with_another_file() -> None:
    campaign = a_campaign("{{ number }}  of 2.pdf")
    first = Composer(campaign).compose(a_claim(number="1"))
    assert first == Composer(campaign).compose(a_claim(first.digest, number="1"))
    Path("invoices/1  of 2.pdf").write_bytes(b"invoice I")
    with pytest.raises(ContentChangedError):
        Composer(campaign).compose(a_claim(first.digest, number="1"))


def test_composition_carries_all_attachments() -> None:
    shared = Attachment("terms.txt", "text/plain", encode_lines(b"terms"))
    campaign = a_campaign("{{ number }}  of 2.pdf")._replace(attachments=(shared,))
    composition = Composer(campaign, composition=True).compose(a_claim(number="2")).composition
    assert composition is not None
    assert ["terms.txt", "2 of 2.pdf"] == [attachment.name for attachment in composition.attachments]
