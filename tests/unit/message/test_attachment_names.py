from __future__ import annotations

import pytest

from mailblast.errors import UsageError
from mailblast.message.attachments.content_types import content_type_of
from mailblast.message.attachments.names import LONGEST_NAME, disposition, safe_name
from mailblast.message.attachments.part import attached_part
from mailblast.model.message import Attachment


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("Bericht März.pdf", "Bericht März.pdf"),
        ("Ma\u0308rz.pdf", "März.pdf"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("C:\\temp\\a.txt", "C__temp_a.txt"),
        ("a\r\nBcc: x@y.z", "a Bcc_ x@y.z"),
        ("a\tb", "a b"),
        ("in\0voice\x7f.pdf", "invoice.pdf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\u2028b", "a b"),
        ("half\ud800.txt", "half_.txt"),
        ('the "best" <one>?.txt', "the _best_ _one__.txt"),
        ("evil.exe. .", "evil.exe"),
        ("  many   blanks .txt ", "many blanks .txt"),
        ("con.txt", "_con.txt"),
        ("LPT1", "_LPT1"),
        ("console.txt", "console.txt"),
        ("\u0645\u06cc\u200c\u062e\u0648.txt", "\u0645\u06cc\u200c\u062e\u0648.txt"),
        (".htaccess", ".htaccess"),
        ("", "attachment"),
        ("..", "attachment"),
        ("\u200b", "attachment"),
        ("___", "attachment"),
    ],
)
def test_safe_name_keeps_what_it_is_and_drops_what_harms(name: str, safe: str) -> None:
    assert safe == safe_name(name)


@pytest.mark.parametrize("name", ["n" * 500 + ".pdf", "é" * 300 + ".tar.gz", "€" * 200])
def test_safe_name_too_long_loses_its_middle_not_its_ending(name: str) -> None:
    safe = safe_name(name)
    assert LONGEST_NAME - 3 <= len(safe.encode()) <= LONGEST_NAME
    assert name[-3:] == safe[-3:]


def test_safe_name_too_long_ending_is_no_ending() -> None:
    assert "a." + "b" * 198 == safe_name("a." + "b" * 300)


@pytest.mark.parametrize(
    ("name", "inline", "header"),
    [
        ("a b.pdf", False, b'Content-Disposition: attachment; filename="a b.pdf"\r\n'),
        ("logo.png", True, b'Content-Disposition: inline; filename="logo.png"\r\n'),
        ("", True, b"Content-Disposition: inline\r\n"),
        ("n" * 60, False, b'Content-Disposition: attachment;\r\n filename="' + b"n" * 60 + b'"\r\n'),
        ("ü.txt", False, b"Content-Disposition: attachment;\r\n filename*=utf-8''%C3%BC.txt\r\n"),
        (
            "=?utf-8?q?x?=",
            False,
            b"Content-Disposition: attachment;\r\n filename*=utf-8''%3D%3Futf-8%3Fq%3Fx%3F%3D\r\n",
        ),
        (
            "ü" * 20,
            False,
            b"\r\n ".join(
                (
                    b"Content-Disposition: attachment;",
                    b"filename*0*=utf-8''" + b"%C3%BC" * 9 + b";",
                    b"filename*1*=" + b"%C3%BC" * 10 + b";",
                    b"filename*2*=%C3%BC\r\n",
                )
            ),
        ),
    ],
)
def test_disposition_plain_is_quoted_and_any_other_encoded(name: str, inline: bool, header: bytes) -> None:  # noqa: FBT001
    assert header == disposition(name, inline=inline)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.pdf", "application/pdf"),
        ("A.PDF", "application/pdf"),
        ("a.csv", "text/csv"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.ics", "text/calendar"),
        ("a.tar.gz", "application/gzip"),
        ("a.svgz", "application/gzip"),
        ("a.csv.bz2", "application/x-bzip2"),
        ("a.csv.Z", "application/x-compress"),
        ("a.eml", "application/octet-stream"),
        ("a.mht", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("data_text_html,x", "application/octet-stream"),
        ("noending", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_content_type_follows_the_name(name: str, kind: str) -> None:
    assert kind == content_type_of(name)


@pytest.mark.parametrize("kind", ["", "text", "text/plain\r\nBcc: x", "text/plain; charset=utf-8; x=y", "a/b c", "é/x"])
def test_content_type_that_is_none_is_refused(kind: str) -> None:
    with pytest.raises(UsageError, match="is no content type"):
        attached_part(Attachment("a", kind, b""))


@pytest.mark.parametrize("content_id", ["<a@b>", "a b", "a\r\nBcc: x", "ü@b", "x" * 201])
def test_content_id_that_is_none_is_refused(content_id: str) -> None:
    with pytest.raises(UsageError, match="cannot be a content id"):
        attached_part(Attachment("a", "image/png", b"", content_id))


def test_part_digest_tells_names_types_and_contents_apart() -> None:
    one = Attachment("a", "text/plain; charset=utf-8", b"eA==\r\n")
    others = [one._replace(name="b"), one._replace(content_type="text/csv"), one._replace(encoded=b"eQ==\r\n")]
    digests = {attached_part(each).digest for each in (one, *others, one._replace(content_id="a@b"))}
    assert 5 == len(digests)
    assert attached_part(one) == attached_part(one)
