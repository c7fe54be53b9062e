from __future__ import annotations

import pytest

from mailblast.errors import TemplateError
from mailblast.render.header_block import HeaderBlock, split_header_block


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Subject: Hi {{ name }}\n\nbody\n", HeaderBlock("Hi {{ name }}", "", "", (), "body\n", 2)),
        (
            "SUBJECT:a\nfrom: A <a@b.example>\nReply-To: c@d.example\nX-One: 1\nList-Id: l\nX-one: 2\n\n\nb",
            HeaderBlock(
                "a", "A <a@b.example>", "c@d.example", (("X-One", "1"), ("List-Id", "l"), ("X-one", "2")), "\nb", 7
            ),
        ),
        ("Subject: a\n  b\n\tc\n\nx", HeaderBlock("a b c", "", "", (), "x", 4)),
        ("Subject:\n folded\n\nx", HeaderBlock("folded", "", "", (), "x", 3)),
        ("Subject: a\n<!doctype html>\n<p>", HeaderBlock("a", "", "", (), "<!doctype html>\n<p>", 1)),
        ("Subject: a", HeaderBlock("a", "", "", (), "", 1)),
        ("X-A: b\n\nx", HeaderBlock("", "", "", (("X-A", "b"),), "x", 2)),
        ("Hello: world\n\nx", HeaderBlock("", "", "", (), "Hello: world\n\nx", 0)),
        ("To: everybody\n\nx", HeaderBlock("", "", "", (), "To: everybody\n\nx", 0)),
        ("\nSubject: a\n\nx", HeaderBlock("", "", "", (), "\nSubject: a\n\nx", 0)),
        ("<p>Subject: a</p>", HeaderBlock("", "", "", (), "<p>Subject: a</p>", 0)),
        ("", HeaderBlock("", "", "", (), "", 0)),
    ],
)
def test_header_block_is_split_off(source: str, expected: HeaderBlock) -> None:
    assert expected == split_header_block(source, "t.txt")


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("just text", "t.txt:2: this line of the header block is no header"),
        ("Bcc: x@y.example", "t.txt:2: Bcc would reach others"),
        ("CC: x@y.example", "would reach others"),
        ("To: x@y.example", "To is written"),
        ("Date: today", "Date is written"),
        ("Message-ID: <x@y>", "is written"),
        ("MIME-Version: 1.0", "is written"),
        ("Content-Type: text/plain", "is written"),
        ("Received: x", "is written"),
        ("DKIM-Signature: x", "is written"),
        ("Return-Path: x", "is written"),
        ("Sender: x", "is written"),
        ("Resent-To: x", "is written"),
        ("Sübject: x", "no header name"),
        ("X_A: x", "no header name"),
        ("subject: again", "given twice"),
        ("From: {{ sender }}", "takes no variables"),
        ("Reply-To: {% if a %}", "takes no variables"),
    ],
)
def test_header_that_may_not_be_set_is_refused_with_its_line(line: str, match: str) -> None:
    with pytest.raises(TemplateError, match=match) as caught:
        split_header_block(f"Subject: a\n{line}\n\nbody", "t.txt")
    assert caught.value.fix
