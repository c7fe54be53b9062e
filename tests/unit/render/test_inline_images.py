from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from mailblast.errors import TemplateError
from mailblast.model.campaign import Template
from mailblast.render.inline_images import InlineImages, with_inline_images

PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
GIF, JPEG, WEBP = b"GIF89a" + b"\0" * 200, b"\xff\xd8\xff\xe0", b"RIFF\x01\0\0\0WEBPVP8 "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mail"
    (folder / "img").mkdir(parents=True)
    for name, data in {"logo.png": PNG, "img/a b.gif": GIF, "p.jpg": JPEG, "w.webp": WEBP, "same.png": PNG}.items():
        (folder / name).write_bytes(data)
    return folder


def inline(folder: Path | str, html: str | None) -> InlineImages:
    return with_inline_images(Template("t.html", str(folder), "s", "t", html))


def test_file_becomes_a_part_of_the_message_named_by_its_content(folder: Path) -> None:
    result = inline(folder, '<p><IMG class="x" SRC="logo.png" alt="a > b"></p>')
    (picture,) = result.attachments
    assert isinstance(picture.encoded, bytes)

    assert f'<p><IMG class="x" src="cid:{picture.content_id}" alt="a > b"></p>' == result.template.html
    assert ("logo.png", "image/png") == (picture.name, picture.content_type)
    assert PNG == b64decode(picture.encoded)
    assert all(len(line) <= 76 for line in picture.encoded.split(b"\r\n"))
    assert picture.encoded.endswith(b"\r\n")
    assert result == inline(folder, '<p><IMG class="x" SRC="logo.png" alt="a > b"></p>')
    assert () == result.findings


def test_each_file_is_sent_once(folder: Path) -> None:
    html = "<img src=logo.png ><img src='./logo.png'><img src=\"same.png\"><img src='img/a%20b.gif?v=1'>"
    result = inline(folder, html)

    assert ["logo.png", "a b.gif"] == [picture.name for picture in result.attachments]
    assert 3 == str(result.template.html).count(result.attachments[0].content_id)


@pytest.mark.parametrize(("name", "kind"), [("p.jpg", "image/jpeg"), ("w.webp", "image/webp")])
def test_kind_is_told_by_the_content(name: str, kind: str, folder: Path) -> None:
    (folder / name).rename(folder / "picture.png")

    assert [kind] == [picture.content_type for picture in inline(folder, '<img src="picture.png">').attachments]


@pytest.mark.parametrize(
    ("html", "finding"),
    [
        (None, ""),
        ("<p>no picture</p>", ""),
        ("<p>&lt;img src='x'&gt;</p>", ""),
        ('<img src="https://example.com/a.png">', ""),
        ('<img src="cid:made@elsewhere">', ""),
        ('<img alt="none">', ""),
        ('<img data-src="logo.png">', ""),
        ('<img src="{{ logo }}">', "template.image_variable"),
        ('<img src="img/{{ logo }}.png">', "template.image_link"),
        ('<img src="/logo.png">', "template.image_link"),
        ('<img src="//example.com/a.png">', "template.image_link"),
        ('<img src="">', "template.image_link"),
        ('<img src="data:image/png;base64,AAAA">', "template.image_data"),
        ('<a href="/about">a</a>', "template.link"),
        ("<a class='x' href='about.html'>a</a><a href='about.html'>b</a>", "template.link"),
        ('<a href="https://example.com">a</a><a href="#top">b</a><a href="{{ url }}">c</a><a>d</a>', ""),
        ('<a href="mailto:a@example.com">a</a><a href="tel:1">b</a>', ""),
    ],
)
def test_what_is_no_file_stays_and_is_warned_of_where_nobody_would_see_it(
    html: str | None, finding: str, folder: Path
) -> None:
    result = inline(folder, html)

    assert (html, ()) == (result.template.html, result.attachments)
    assert ([finding] if finding else []) == [each.id for each in result.findings]
    assert all(each.fix and each.message for each in result.findings)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("none.png", "there is no picture"),
        ("img", "there is no picture"),
        ("../outside.png", "outside"),
        ("%2e%2e/outside.png", "outside"),
        ("link.png", "outside"),
        ("big.png", "over 2 MB"),
        ("page.png", "no picture that mail programs show"),
        ("empty.png", "no picture that mail programs show"),
        ("a%00.png", "there is no picture"),
    ],
)
def test_file_that_cannot_be_shown_stops_the_start(source: str, words: str, folder: Path) -> None:
    (folder.parent / "outside.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "big.png").write_bytes(PNG + b"\0" * 2_000_000)
    (folder / "page.png").write_text("<svg/>")
    (folder / "empty.png").touch()

    with pytest.raises(TemplateError, match=words):
        inline(folder, f'<img src="{source}">')


def test_picture_of_html_without_a_folder_stops_the_start() -> None:
    with pytest.raises(TemplateError, match="no folder"):
        inline("", '<img src="logo.png">')


def test_picture_that_may_not_be_read_stops_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TemplateError, match="Permission denied"):
        inline(folder, '<img src="logo.png">')
