"""Data stays data, whatever it looks like, and conversion never changes what a template computes."""

from __future__ import annotations

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from mailblast.errors import RowFaultError, TemplateError
from mailblast.model.campaign import Template
from mailblast.render.environment import text_environment
from mailblast.render.markdown_html import page_from_markdown
from mailblast.render.plain_text import text_from_html
from mailblast.render.renderer import Renderer
from mailblast.render.template import inline_template
from mailblast.render.words import Words, own_lines

CODE = st.sampled_from(["{{", "}}", "{%", "%}", "{#", "#}", "{{7*7}}", "{% if x %}", "{{ a }}", "{", "}", "jinja0q0z"])
VALUES = st.lists(st.one_of(CODE, st.sampled_from(["<", ">", "&", '"', "\n", "\r\n", "\0"]), st.text(max_size=9))).map(
    "".join
)
RENDERER = Renderer(Template("t", "", "Re: {{ a }}", "[{{ a }}]", "<p>{{ a }}</p>", (("X-A", "{{ a }}"),)))
TAGS = st.sampled_from(
    ["<p>", "</p>", "<br>", "<ul>", "</ul>", "<li>", "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<pre>",
     "</pre>", "<a href='{{ a }}'>", "</a>", "<div hidden>", "</div>", "<style>", "</style>", "<!-- x -->", "<hr>",
     "\n", "# ", "- ", "| a | b |\n|---|---|\n", "```\n", "*", "`", "[", "](", ")"]
)  # fmt: skip


def balanced(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(st.just("{% if a %}"), inner, st.just("{% else %}"), inner, st.just("{% endif %}")).map("".join),
        st.tuples(st.just("{% for i in [1, 2] %}"), inner, st.just("{% endfor %}")).map("".join),
        st.lists(inner, max_size=5).map("".join),
    )


PIECES = st.one_of(
    TAGS, st.sampled_from(["{{ a }}", "{{- a -}}", "{# note #}", "word", " "]), st.text("ab <&;{}%#", max_size=9)
)
SOURCES = st.recursive(PIECES, balanced, max_leaves=20)


@given(VALUES)
def test_value_reaches_every_part_exactly_or_the_row_is_refused(value: str) -> None:
    try:
        content = RENDERER.render({"a": value})
    except RowFaultError:
        assert re.search("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value)
        return

    assert f"[{value}]" == content.text
    assert content.html is not None
    assert "<" not in content.html[3:-4]
    assert (
        f"<p>{value}</p>" == "<p>" + re.sub("&(amp|lt|gt|#34|#39);", lambda match: unescape(match[0]), content.html)[3:]
    )
    assert re.sub(r"[ \t]{2,}|\t", " ", f"Re: {value}").strip(" \t") == content.subject


@given(SOURCES)
def test_words_restore_what_a_template_computes(source: str) -> None:
    environment = text_environment("")
    try:
        expected = environment.from_string(source).render(a="A")
    except Exception:  # noqa: BLE001 - random sources; only those that work are compared
        return
    words = Words(source)

    assert expected == environment.from_string(words.restore(words.text)).render(a="A")
    assert source.count("\n") == own_lines(source).count("\n")


@given(SOURCES)
def test_template_converts_to_one_that_compiles(source: str) -> None:
    """Markup and code may cross in any way: the result compiles and renders, or the template is refused."""
    try:
        template = inline_template(text=None, html=source, subject="s")
        Renderer(template)
    except TemplateError:
        return
    text_environment("").from_string(text_from_html(source)).render(a="A")
    Renderer(template._replace(html=page_from_markdown(source, "s"))).render({"a": "A"})
