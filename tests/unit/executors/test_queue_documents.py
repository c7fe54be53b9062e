"""Campaigns and attachments as they are stored, and taken out again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import JournalError
from mailblast.executors.queue.blobs import HELD_BYTES, EncodedFile, FolderBlobs
from mailblast.executors.queue.document import Delivery, from_document, to_document
from mailblast.executors.queue.files import (
    ServerQueue,
    is_queued,
    is_queued_here,
    read_queue_file,
    read_server_file,
    remove_queue_file,
    write_queue_file,
    write_server_file,
)
from mailblast.executors.queue.includes import unpack_files, with_included_files
from mailblast.model.campaign import Campaign, Dkim, ListHeaders, Mailbox, Template
from mailblast.model.message import Attachment

if TYPE_CHECKING:
    from pathlib import Path

CAMPAIGN = Campaign(
    "spring",
    "0123456789abcdef",
    Template("welcome.html", "", "Hi {{ name }}", "text", "<p>é</p>", (("X-Kind", "news"),), "a@b.c", ""),
    Mailbox("Nück", "news@example.com"),
    Mailbox("", "answers@example.com"),
    (Attachment("a.txt", "text/plain", b"aGVsbG8=\r\n"), Attachment("b.txt", "text/plain", b"eA==\r\n", "cid@x")),
    ("{{ file }}",),
    "/files",
    inline_css=False,
    dkim=Dkim("example.com", "s1", "s2"),
    list_headers=ListHeaders("https://x/{{ token }}", "u@example.com", "l.example.com", "a:b:c:d", auto_submitted=True),
)
DELIVERY = Delivery("smtp://x", 5, 100, ("14/s",), ("example.org 1/s",), 1000, queued_s=5.0, priority=2)


def test_campaign_comes_back_as_it_was(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    stored = json.loads(json.dumps(to_document(CAMPAIGN, DELIVERY, blobs.put)))
    assert (CAMPAIGN, DELIVERY) == from_document(stored, blobs.get)


def test_plain_campaign_comes_back_as_it_was(tmp_path: Path) -> None:
    plain = Campaign("c", "t", Template("t", "", "s", "x", None), Mailbox("", "a@b.c"))
    stored = json.loads(json.dumps(to_document(plain, Delivery(), FolderBlobs(tmp_path).put)))
    assert (plain, Delivery()) == from_document(stored, FolderBlobs(tmp_path).get)


def test_document_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2"):
        from_document({"version": 2}, lambda _: b"")


def test_queue_file_is_read_and_removed(tmp_path: Path) -> None:
    assert not is_queued(tmp_path)
    write_queue_file(tmp_path, CAMPAIGN, DELIVERY)
    assert is_queued(tmp_path)
    assert is_queued_here(tmp_path)
    assert (CAMPAIGN, DELIVERY) == read_queue_file(tmp_path)
    remove_queue_file(tmp_path)
    assert not is_queued(tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_attachment_that_is_gone_is_told(tmp_path: Path) -> None:
    write_queue_file(tmp_path, CAMPAIGN, DELIVERY)
    for path in (tmp_path / "queued").iterdir():
        path.unlink()
    with pytest.raises(JournalError, match="cannot be read"):
        read_queue_file(tmp_path)


def test_server_file_tells_where_and_whether_it_is_over(tmp_path: Path) -> None:
    assert read_server_file(tmp_path) is None
    write_server_file(tmp_path, ServerQueue("redis://x", "t"))
    assert is_queued(tmp_path)
    assert not is_queued_here(tmp_path)
    write_server_file(tmp_path, ServerQueue("redis://x", "t", is_over=True))
    assert ServerQueue("redis://x", "t", is_over=True) == read_server_file(tmp_path)
    assert not is_queued(tmp_path)


def test_large_attachment_is_read_in_whole_lines(tmp_path: Path) -> None:
    line = b"x" * 76 + b"\r\n"
    data = line * (HELD_BYTES // 78 + 2000)
    blobs = FolderBlobs(tmp_path / "blobs")
    name = blobs.put(data)
    part = blobs.get(name)
    assert blobs.has(name)
    assert isinstance(part, EncodedFile)
    pieces = list(part.chunks())
    assert data == b"".join(pieces)
    assert len(data) == len(part)
    assert all(piece.endswith(b"\r\n") for piece in pieces)
    # A part that streams is kept like one that is held.
    assert name == blobs.put(part)
    with open(part.path, "wb") as file:  # noqa: PTH123 - cut short
        file.write(line)
    with pytest.raises(OSError, match="shorter"):
        list(part.chunks())


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(JournalError, match="cannot be kept"):
        FolderBlobs(tmp_path / "file").put(b"x")


def test_files_that_a_template_includes_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "foot.html").write_text("{% include 'deep.html' %}", encoding="utf-8")
    (tmp_path / "deep.html").write_text("deep", encoding="utf-8")
    html = "{% include 'parts/foot.html' %}{% include 'gone.html' %}{% include which %}"
    files = with_included_files(Template("t", str(tmp_path), "s", None, html))
    assert {"parts/foot.html": "{% include 'deep.html' %}", "deep.html": "deep"} == files
    folder = tmp_path / "elsewhere"
    assert str(folder) == unpack_files(files, folder)
    assert "deep" == (folder / "deep.html").read_text(encoding="utf-8")


def test_template_without_code_includes_nothing() -> None:
    assert {} == with_included_files(Template("t", "/", "s", "{{ x }}", None))
    assert {} == with_included_files(Template("t", "/", "s", "{% broken", None))


def test_files_outside_their_folder_are_refused(tmp_path: Path) -> None:
    assert "" == unpack_files({}, tmp_path)
    for name in ("../x", "/etc/x"):
        with pytest.raises(JournalError, match="outside its folder"):
            unpack_files({name: ""}, tmp_path / "f")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(JournalError, match="cannot be written"):
        unpack_files({"x": ""}, tmp_path / "file")
