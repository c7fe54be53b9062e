from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import RowFaultError, TemplateError
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.render.css import inlined, inliner, with_css_inlined, with_style_sheets
from mailblast.render.renderer import Renderer
from mailblast.render.template import load_template

if TYPE_CHECKING:
    from css_inline import CSSInliner

FOLDER = Path(__file__).parents[3] / "templates"
STYLE = "<style>p { color: red } .x, #y > b { margin: 0; font-family: 'A B', \"C\" } td[align=left] { top: 0 }</style>"
ROWS: list[dict[str, object]] = [
    {"name": "Ada & <b>", "items": [{"a": "1"}, {"a": "2"}], "on": True, "url": "https://x.example/?a=1&b=2"},
    {"name": "", "items": [], "on": False, "url": "#"},
    {"name": "Bob", "items": [{"a": str(n)} for n in range(7)], "on": True, "url": "/"},
]


class Dom(HTMLParser):
    """What a reader makes of a page; what parsers add or leave away is neither shown nor styled."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.events: list[object] = []
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        if tag not in {"tbody", "html", "head", "body"}:
            self.events.append((tag, sorted((name, _normal(value)) for name, value in attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False
        if tag not in {"tbody", "html", "head", "body"}:
            self.events.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._in_style:
            self.events.append(data.strip())


def _normal(value: str | None) -> str:
    return re.sub(r"\s*([:;,])\s*", r"\1", value or "").rstrip(";")


def a_campaign(html: str | None, folder: str = "", **changes: object) -> Campaign:
    campaign = Campaign("c", "t", Template("t.html", folder, "s", None, html), Mailbox("", "a@example.com"))
    return campaign._replace(**changes)  # type: ignore[arg-type]  # fields by name


def page(body: str, style: str = STYLE) -> str:
    return f"<!doctype html>\n<html><head>{style}</head>\n<body>{body}</body></html>\n"


ONCE = [
    "<p>{{ name }}</p>",
    "<p class=x style='top: 1px'>{{ name }}</p>{# a comment #}<p>b</p>",
    "{% if on %}<p>{{ name }}</p>{% elif name %}<p class='x'>b</p>{% else %}<b>c</b>{% endif %}",
    "<table>{% for item in items %}<tr><td align=left>{{ item.a }}</td></tr>\n{% else %}<tr></tr>{% endfor %}</table>",
    '<div id="y">{% for item in items %}{% if on %}<b>{{ loop.index }}</b>{% endif %}{% endfor %}<br/></div>',
    '<a class="x" href="{{ url }}" title="a {{ name }}">l</a><img src="{{ url }}" alt="">',
    "{% set n = name %}<p>{{ n | upper }}</p><!--[if mso]><p>{% if on %}x{% endif %}</p><![endif]-->",
    "<!-- {% if on %} --><p>a</p><!-- {% endif %} -->",
    '<p style="color:blue">{{ "<b>" }}</p>',
]
PER_MESSAGE = [
    # Elements of its own.
    "<p>{{ name | safe }}</p>",
    "{% for item in items recursive %}<p>{{ loop(item) }}</p>{% endfor %}",
    "{% macro m() %}<p>a</p>{% endmacro %}{{ m() }}",
    "{% include 'x.html' ignore missing %}<p>a</p>",
    "{% raw %}<p>{{ a }}</p>{% endraw %}",
    # Code that decides which styles a tag gets.
    '<p class="{{ name }}">a</p>',
    '<p {% if on %}class="x"{% endif %}>a</p>',
    '<p style="color: {{ name }}">a</p>',
    '<td align="{{ name }}">a</td>',
    "<a href={{ url }}>a</a>",
    "<{{ 'p' }}>a</p>",
    # Branches that hold no whole elements.
    "{% if on %}<div id=y>{% else %}<div>{% endif %}<b>a</b></div>",
    "<div>{% if on %}</div><div id=y>{% endif %}<b>a</b></div>",
    "{% for item in items %}<li>{{ item.a }}{% endfor %}",
    "<p>a",
    "</p>",
    # A parser moves what stands where it may not.
    "<p>{% if on %}<div>a</div>{% endif %}<b>c</b></p>",
    "<table><div id=y><b>a</b></div></table>",
    "<p><body class=x></body></p>",
]


@pytest.mark.parametrize("body", ONCE)
def test_styles_are_moved_once_where_this_gives_what_each_message_would(body: str) -> None:
    html = page(body)
    campaign = with_css_inlined(a_campaign(html))
    template = campaign.template

    assert not campaign.inline_css
    assert html != template.html
    assert campaign == with_css_inlined(campaign)
    assert html.count("\n") == str(template.html).count("\n")
    each, once = Renderer(Template("t.html", "", "s", None, html), inline_css=True), Renderer(template)
    for row in ROWS:
        expected, got = each.render(row).html, once.render(row).html
        assert Dom(str(expected)).events == Dom(str(got)).events


@pytest.mark.parametrize("body", PER_MESSAGE)
def test_styles_are_left_to_each_message_where_no_proof_holds(body: str) -> None:
    campaign = with_css_inlined(a_campaign(page(body)))

    assert campaign.inline_css
    assert page(body) == campaign.template.html
    assert campaign == with_css_inlined(campaign)


@pytest.mark.parametrize(
    "selector",
    ["p + p", "p ~ b", "tr:nth-child(2)", "p:first-child", "p:not(.x)", "p { b { top: 0 } } a", "a:is(b, p)"],
)
def test_selectors_that_look_at_neighbours_leave_it_to_each_message(selector: str) -> None:
    html = page("{% for item in items %}<p>a</p>{% endfor %}", f"<style>{selector} {{ top: 1px }}</style>")

    assert with_css_inlined(a_campaign(html)).inline_css


@pytest.mark.parametrize(
    "style",
    [
        "<style>@charset 'utf-8'; @import 'x'; p { color: red } @media (max-width: 9px) { p + p { top: 0 } }</style>",
        "<style>/* p + p { */ p::before { content: '+ ~ } {' } p { color: red }</style>",
        "<style>a:hover { top: 0 } } p { color: red }</style>",
    ],
)
def test_rules_that_cannot_stand_in_a_tag_do_not_matter_and_stay(style: str) -> None:
    campaign = with_css_inlined(a_campaign(page("<p>{{ name }}</p>", style)))
    html = str(campaign.template.html)

    assert not campaign.inline_css
    assert "<style>" in html


def test_rules_for_pointer_and_screen_stay_and_others_go() -> None:
    style = "<style>p { color: red }\na:hover { color: pink }\n@media (max-width: 9px) { p { top: 0 } }</style>"
    html = str(with_css_inlined(a_campaign(page("<p>a</p>", style))).template.html)

    assert '<p style="color: red;">a</p>' in html
    assert "a:hover" in html
    assert "@media (max-width: 9px)" in html
    assert "p { color: red }" not in html


def test_style_sheet_for_print_stays_where_it_is() -> None:
    style = '<style media="print">p { color: black }</style><style media="screen">p { top: 0 }</style>'
    campaign = with_css_inlined(a_campaign(page("<p>{{ name }}</p><p>{{ name|safe }}</p>", style)))
    html = Renderer(campaign.template, inline_css=campaign.inline_css).render(ROWS[0]).html

    assert "color: black" in str(html)
    assert '<p style="top: 0' in str(html)
    marked = str(with_css_inlined(campaign).template.html)
    assert 1 == marked.count("data-css-inline")


@pytest.mark.parametrize("style", ["p { color: {{ name }} }", "{% if name %}p { color: red }{% endif %}"])
def test_code_in_a_style_sheet_leaves_it_to_each_message(style: str) -> None:
    html = page("<p>a</p>", f"<style>{style}</style>")
    campaign = with_css_inlined(a_campaign(html))

    assert campaign.inline_css
    rendered = Renderer(campaign.template, inline_css=True).render({"name": "red"}).html
    assert '<p style="color: red' in str(rendered)


@pytest.mark.parametrize("name", ["welcome", "newsletter", "invoice", "receipt"])
def test_ready_templates_are_inlined_once_and_keep_their_size(name: str) -> None:
    template = load_template(FOLDER / f"{name}.html")
    campaign = with_css_inlined(a_campaign(None)._replace(template=template))

    assert not campaign.inline_css
    assert 12_000 > len(str(campaign.template.html))
    assert "@media" in str(campaign.template.html)


@pytest.mark.parametrize("html", [None, "<p>{{ name }}</p>", page("<p>a</p>", "")])
def test_page_without_style_sheet_is_left_alone_and_nothing_is_loaded(
    html: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "css_inline", None)
    monkeypatch.setitem(sys.modules, "mailblast.render.css_once", None)
    inliner.cache_clear()
    campaign = with_css_inlined(a_campaign(html))

    assert html == campaign.template.html
    Renderer(campaign.template._replace(text="t"), inline_css=True).render(ROWS[0])


def test_page_whose_style_sheet_comes_with_an_include_is_inlined_on_each_message(tmp_path: Path) -> None:
    (tmp_path / "base.html").write_text(page("{% block b %}{% endblock %}"))
    html = "{% extends 'base.html' %}{% block b %}<p>{{ name }}</p>{% endblock %}"
    campaign = with_css_inlined(a_campaign(html, str(tmp_path)))

    assert campaign.inline_css
    assert '<p style="color: red' in str(Renderer(campaign.template, inline_css=True).render(ROWS[2]).html)


def test_page_is_not_inlined_where_that_is_not_wanted() -> None:
    campaign = a_campaign(page("<p>a</p>"), inline_css=False)

    assert campaign is with_css_inlined(campaign)


def test_inliner_that_gives_up_is_a_fault_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class GivesUp:
        def inline(self, html: str) -> str:
            raise ValueError("no")

    def gives_up() -> CSSInliner:
        return GivesUp()  # type: ignore[return-value]  # has what is called

    monkeypatch.setattr("mailblast.render.css.inliner", gives_up)
    monkeypatch.setattr("mailblast.render.css_once.inliner", gives_up)

    assert with_css_inlined(a_campaign(page("<p>a</p>"))).inline_css
    with pytest.raises(RowFaultError, match="style sheets"):
        inlined(page("<p>a</p>"))


def test_style_sheet_beside_the_template_is_written_into_it(tmp_path: Path) -> None:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "my mail.css").write_text("\ufeffp { color: red }\n@media print{#a{top:0}}\n")
    link = '<link href="css/my%20mail.css?v=2"\n media="screen" rel="stylesheet">'
    html = f"<head>\n{link}<title>T</title></head><p>a</p>"
    (tmp_path / "t.html").write_text(html)
    template = load_template(tmp_path / "t.html")

    assert '<style media="screen">p { color: red } @media print{ #a{top:0}}</style>' in str(template.html)
    assert html.count("\n") == str(template.html).count("\n")
    assert '<p style="color: red' in str(with_css_inlined(a_campaign(template.html)).template.html)


@pytest.mark.parametrize(
    "tag",
    [
        '<link rel="stylesheet" href="https://example.com/a.css">',
        '<link rel="stylesheet" href="//example.com/a.css">',
        '<link rel="stylesheet" href="/a.css">',
        '<link rel="stylesheet" href="{{ a }}.css">',
        '<link rel="stylesheet">',
        '<link rel="stylesheet" href="">',
        '<link rel="icon" href="stylesheet.css">',
    ],
)
def test_other_links_stay_and_are_not_fetched(tag: str) -> None:
    html = page("<p>a</p>", STYLE + tag)

    assert html == with_style_sheets(html, "", "t.html")
    assert tag in str(with_css_inlined(a_campaign(html)).template.html)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no.css", "there is no style sheet"),
        ("../outside.css", "outside"),
        ("link.css", "outside"),
        ("folder", "there is no style sheet"),
        ("big.css", "over 500 KB"),
        ("latin.css", "not UTF-8"),
        ("closing.css", "</style"),
        ("a%00.css", "there is no style sheet"),
        ("x" * 300, "there is no style sheet"),
    ],
)
def test_style_sheet_that_cannot_be_read_stops_the_start(target: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "outside.css").write_text("p{}")
    (folder / "link.css").symlink_to(tmp_path / "outside.css")
    (folder / "big.css").write_text(" " * 500_001)
    (folder / "latin.css").write_bytes(b"\xe9")
    (folder / "closing.css").write_text("</STYLE >")

    with pytest.raises(TemplateError, match=words):
        with_style_sheets(f'<link rel="stylesheet" href="{target}">', str(folder), "t.html")


def test_style_sheet_without_a_folder_stops_the_start() -> None:
    with pytest.raises(TemplateError, match="no folder"):
        with_style_sheets("<link rel=stylesheet href=a.css>", "", "t.html")


def test_style_sheet_that_may_not_be_read_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.css").write_text("p{}")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TemplateError, match="Permission denied"):
        with_style_sheets("<link rel=stylesheet href=a.css>", str(tmp_path), "t.html")
