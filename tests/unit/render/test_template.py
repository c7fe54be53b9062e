from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from mailblast.errors import TemplateError
from mailblast.render.renderer import Renderer
from mailblast.render.template import fingerprint, inline_template, load_template

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_html_template_gets_its_text_from_itself(tmp_path: Path) -> None:
    path = write(tmp_path, "w.html", "<title>Hi {{ name }} &amp; co</title><p>Hello {{ name }}</p>")
    template = load_template(path)

    assert "Hi {{ name }} & co" == template.subject
    assert "Hello {{ name }}\n" == template.text
    assert (str(path), str(tmp_path)) == (template.name, template.folder)
    assert template == pickle.loads(pickle.dumps(template))


def test_text_beside_html_is_its_text_part_and_may_have_headers(tmp_path: Path) -> None:
    html = write(tmp_path, "w.html", "X-A: html\nFrom: h@x.example\n\n<p>Hello</p>")
    write(tmp_path, "w.txt", "Subject: from text\nFrom: t@x.example\nReply-To: r@x.example\nX-a: text\nX-B: b\n\nHi\n")
    template = load_template(html)

    assert "from text" == template.subject
    assert "Hi\n" == Renderer(template).render({}).text
    assert (("X-A", "html"), ("X-B", "b")) == template.headers
    assert ("h@x.example", "r@x.example") == (template.sender, template.reply_to)


def test_html_without_words_has_no_text_part(tmp_path: Path) -> None:
    assert load_template(write(tmp_path, "w.html", "<img src=x>"), subject="s").text is None


def test_text_template_has_one_part(tmp_path: Path) -> None:
    write(tmp_path, "w.html", "<p>not this</p>")
    template = load_template(write(tmp_path, "w.txt", "Subject: s\r\n\r\nHi\r\n{% if a %}\r\nb\r\n{% endif %}\r\n"))

    assert template.html is None
    assert "Hi\n" == Renderer(template).render({"a": False}).text


@pytest.mark.parametrize("name", ["w.md", "w.markdown", "W.MD"])
def test_markdown_template_has_both_parts(tmp_path: Path, name: str) -> None:
    template = load_template(write(tmp_path, name, "X-A: b\n\n# Hello {{ name }}\n\nIt is *on*.\n"))
    content = Renderer(template).render({"name": "Ada"})

    assert "Hello Ada" == content.subject
    assert "# Hello Ada\n\nIt is *on*.\n" == content.text
    assert content.html is not None
    assert "<h1>Hello Ada</h1>\n<p>It is <em>on</em>.</p>" in content.html


@pytest.mark.parametrize(
    ("argument", "block", "title", "expected"),
    [
        ("from argument", "Subject: block\n\n", "<title>title</title>", "from argument"),
        (None, "Subject: block\n\n", "<title>title</title>", "block"),
        (" ", "Subject:\n\n", "<title>title</title>", "title"),
        (None, "", "<TITLE lang=en>\n a\n {{ b }}\n</TITLE >", "a {{ b }}"),
        (None, "", "<!-- <title>no</title> --><title>yes</title>", "yes"),
    ],
)
def test_subject_comes_from_the_first_that_gives_one(
    tmp_path: Path, argument: str | None, block: str, title: str, expected: str
) -> None:
    path = write(tmp_path, "w.html", f"{block}<head>{title}</head><p>x</p>")

    assert expected == load_template(path, subject=argument).subject


@pytest.mark.parametrize("html", ["<p>x</p>", "<title> </title>", "<body><svg><title>drawing</title></svg>"])
def test_template_without_subject_says_how_to_give_one(tmp_path: Path, html: str) -> None:
    with pytest.raises(TemplateError, match="no subject") as caught:
        load_template(write(tmp_path, "w.html", html))
    assert all(way in caught.value.fix for way in ("--subject", "Subject:", "<title>"))


@pytest.mark.parametrize("name", ["w.doc", "w", "w.html.bak", ".html"])
def test_template_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TemplateError, match="no known kind"):
        load_template(write(tmp_path, name, "x"), subject="s")


def test_template_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="missing.html cannot be read: No such file"):
        load_template(tmp_path / "missing.html")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(TemplateError, match="cannot be read"):
        load_template(tmp_path / "folder.txt")
    with pytest.raises(TemplateError, match="over 2 MB"):
        load_template(write(tmp_path, "big.txt", "x" * 2_000_001))


def test_template_in_utf_8_with_mark_is_read_and_in_another_encoding_refused(tmp_path: Path) -> None:
    assert "é" == load_template(write(tmp_path, "a.txt", b"\xef\xbb\xbfSubject: \xc3\xa9\n\nx")).subject
    with pytest.raises(TemplateError, match=r"b.txt:3: .*not UTF-8"):
        load_template(write(tmp_path, "b.txt", b"Subject: a\n\n\xe9"))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("w.html", "Subject: a\n\n<p>\n{{ name", "w.html:4:"),
        ("w.html", "<title>x</title>\n{% if a %}", "w.html:2:"),
        ("w.html", "<title>x</title>\n{% nosuchtag %}", "w.html:2: .*nosuchtag"),
        ("w.txt", "Subject: a\n\n{{ }}", "w.txt:3:"),
        ("w.txt", "Subject: {{ a\n\nx", "the subject of .*w.txt:1:"),
        ("w.md", "# a\n\n{% endif %}", "w.md:3:"),
    ],
)
def test_syntax_error_names_file_and_line(tmp_path: Path, name: str, content: str, match: str) -> None:
    with pytest.raises(TemplateError, match=match):
        load_template(write(tmp_path, name, content))


def test_syntax_error_beside_names_that_file(tmp_path: Path) -> None:
    write(tmp_path, "w.txt", "Hi\n{{ oops")
    with pytest.raises(TemplateError, match=r"w\.txt:2:"):
        load_template(write(tmp_path, "w.html", "<title>a</title>"))


def test_html_that_gives_no_text_asks_for_one(tmp_path: Path) -> None:
    html = "<title>t</title>{% block a %}<div hidden>{% endblock %}</div>"
    with pytest.raises(TemplateError, match="No text part can be made") as caught:
        load_template(write(tmp_path, "w.html", html))
    assert ".txt" in caught.value.fix


def test_inline_template_takes_what_it_is_given() -> None:
    assert ("s", "Subject: x\n\nHi", None) == inline_template(text="Subject: x\n\nHi", html=None, subject="s")[2:5]
    assert ("t", "Hi\n", "<title>t</title>Hi") == inline_template(text=None, html="<title>t</title>Hi", subject=None)[
        2:5
    ]
    assert "a" == inline_template(text="a", html="<p>b</p>", subject="s").text
    assert "" == inline_template(text="a", html=None, subject="s").folder


@pytest.mark.parametrize(
    ("text", "html", "subject", "match"),
    [
        (None, None, "s", "neither text nor HTML"),
        ("a", None, None, "no subject"),
        (None, "<p>a</p>", "", "no subject"),
        (None, "{{ a", "s", "the HTML:1:"),
    ],
)
def test_inline_template_that_lacks_something_is_refused(
    text: str | None, html: str | None, subject: str | None, match: str
) -> None:
    with pytest.raises(TemplateError, match=match):
        inline_template(text=text, html=html, subject=subject)


def test_fingerprint_follows_every_source(tmp_path: Path) -> None:
    base = load_template(write(tmp_path, "w.html", "<title>t</title>{% include 'a/b.html' %}"))
    prints = [fingerprint(base)]
    write(tmp_path, "a/b.html", "{% include 'c.txt' ignore missing %}{% include ['no.html', 'd.html'] %}")
    prints.append(fingerprint(base))
    for name, content in (
        ("c.txt", "1"),
        ("c.txt", "{{ broken"),
        ("d.html", "{% include 'a/b.html' %}"),
        ("d.html", b"\xff"),
    ):
        write(tmp_path, name, content)
        prints.append(fingerprint(base))
    changes: list[dict[str, Any]] = [
        {name: "{{ other }}"} for name in ("subject", "text", "html", "sender", "reply_to")
    ]
    prints.extend(fingerprint(base._replace(**change)) for change in changes)
    prints.append(fingerprint(base._replace(headers=(("X-A", "b"),))))
    prints.append(fingerprint(base._replace(text=None)))
    prints.append(fingerprint(base._replace(text="")))

    assert len(prints) == len(set(prints))
    assert fingerprint(base) == fingerprint(base)
    assert all(16 == len(one) for one in prints)


def test_fingerprint_follows_all_files_where_a_name_is_computed(tmp_path: Path) -> None:
    template = load_template(write(tmp_path, "w.html", "<title>t</title>{% include kind ~ '.html' %}"))
    before = fingerprint(template)
    write(tmp_path, "b2b.html", "x")

    assert before != fingerprint(template)
    assert fingerprint(template._replace(folder=""))
