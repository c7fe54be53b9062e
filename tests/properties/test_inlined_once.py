"""Where a template's styles are moved once, each message gets what it would get by itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from css_inline import CSSInliner
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import TemplateSyntaxError

from mailblast.errors import RowFaultError, TemplateError
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.render.css import with_css_inlined
from mailblast.render.renderer import Renderer

SELECTORS = [
    "p", "div p", "div > b", ".x", "#y b", "td", "table td", "p.x", "*", "a[title]", "[class~=x]", "p + p",
    "p:first-child", "li", "b:hover", "ul li",
]  # fmt: skip
OPENING = [
    "<p>",
    "<div>",
    "<div class='x'>",
    "<div id=y>",
    "<p class=x>",
    "<b>",
    "<table>",
    "<tr>",
    "<td>",
    "<ul>",
    "<li>",
]
PIECES = [
    *OPENING, *(f"</{tag}>" for tag in ("p", "div", "b", "table", "tr", "td", "ul", "li")),
    "{% if on %}", "{% else %}", "{% endif %}", "{% for n in items %}", "{% endfor %}", "{{ n }}", "{{ v }}",
    "{{ v | safe }}", '<a title="{{ v }}" href="#">', "</a>", "<br>", "<!-- c -->", "{# c #}", "text",
    "<p style='top:1px'>", '<p class="{{ v }}">',
]  # fmt: skip
#: Reads a page as browsers do, moving what stands where it may not, and writes it out.
PARSER = CSSInliner(inline_style_tags=False, keep_style_tags=True, load_remote_stylesheets=False)
ROWS = [
    {"on": on, "items": list(range(count)), "v": value, "n": "n"}
    for on, count, value in ((True, 2, "x"), (False, 0, "<p>a</p>"), (True, 0, ""), (False, 3, "'\"&"))
]


@st.composite
def whole_elements(draw: st.DrawFn, depth: int = 3) -> str:
    """Give a body whose elements and blocks lie in each other as they should."""
    kinds = ["text", "value"] if depth == 0 else ["text", "value", "element", "element", "if", "for", "two"]
    inner = whole_elements(depth - 1) if depth else st.just("")
    match draw(st.sampled_from(kinds)):
        case "element":
            opening = draw(st.sampled_from([*OPENING, '<a title="{{ v }}">']))
            tag = re.match(r"<(\w+)", opening)
            assert tag is not None
            return f"{opening}{draw(inner)}</{tag[1]}>"
        case "if":
            return f"{{% if on %}}{draw(inner)}{{% else %}}{draw(inner)}{{% endif %}}"
        case "for":
            return f"{{% for n in items %}}{draw(inner)}{{% endfor %}}"
        case "two":
            return draw(inner) + draw(inner)
        case "value":
            return "{{ v }}"
        case _:
            return "text"


class Styles(HTMLParser):
    """The elements of a page with their styles, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[object] = []
        self.feed(html.partition("<body>")[2])
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"tbody", "colgroup"}:
            style = re.sub(r"\s*([:;,])\s*", r"\1", dict(attrs).get("style") or "").rstrip(";")
            self.found.append((tag, style))

    def handle_data(self, data: str) -> None:
        self.found.extend(data.split())


@given(
    st.lists(st.sampled_from(SELECTORS), min_size=1, max_size=4),
    whole_elements() | st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
)
@example(["div p"], "<div>{% if on %}<p>{{ v }}</p>{% endif %}</div>")
@example(["p b"], "<p>{% if on %}<div>text</div>{% endif %}<b>text</b></p>")
@example(["a b"], '<a href="#">{% if on %}<a href="#">text</a>{% endif %}<b>text</b></a>')
def test_styles_moved_once_are_those_of_each_message(selectors: list[str], body: str) -> None:
    rules = "".join(f"{selector} {{ margin: {number}px }}" for number, selector in enumerate(selectors))
    html = f"<!doctype html><html><head><style>{rules}</style></head><body>{body}</body></html>"
    template = Template("t.html", "", "s", None, html)
    try:
        each = Renderer(template, inline_css=True)
        campaign = with_css_inlined(Campaign("c", "t", template, Mailbox("", "a@example.com")))
    except (TemplateError, TemplateSyntaxError):
        return
    if campaign.inline_css:
        return
    once = Renderer(campaign.template)
    for row in ROWS:
        try:
            expected, got = each.render(row).html, once.render(row).html
        except RowFaultError:
            continue
        assert Styles(PARSER.inline(str(expected))).found == Styles(PARSER.inline(str(got))).found
