"""A layout with its values put in is the direct render, for every template and row, or there are no values."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from mailblast.errors import RowFaultError, TemplateError
from mailblast.render.renderer import Renderer
from mailblast.render.slots import SlotRenderer
from mailblast.render.template import inline_template

LITERALS = st.sampled_from(
    ["<p>", "</p>", "<b>", "word ", " ", "\n", "{", "}", "}}", "\\", "&amp;", "<", "{% raw %}{{ a }}{% endraw %}", "Ω"]
)
PRINTS = st.sampled_from(
    ["{{ a }}", "{{ b|upper }}", "{{- a -}}", "{{ '{' }}", "{{ '}}' }}", "{{ a|safe }}", "{{ items|join(', ') }}",
     "{{ x|default('none') }}", "{{ m(b) if m is defined else a }}", "{{ none }}", "{{ items|length }}"]
)  # fmt: skip
SILENT = st.sampled_from(
    ["{% set x = a %}", "{% set x %}<i>{{ b }}</i>{% endset %}", "{# note #}", "{% set x = (x|default('')) ~ b %}",
     "{% macro m(v) %}[{{ v }}]{% endmacro %}", "{% set n = namespace(i=1) %}{% set n.i = n.i + 1 %}"]
)  # fmt: skip


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(st.just("{% if a %}"), inner, st.just("{% else %}"), inner, st.just("{% endif %}")).map("".join),
        st.tuples(st.just("{% for i in items %}{{ i }}"), inner, st.just("{% endfor %}")).map("".join),
        st.tuples(st.just("{% filter upper %}"), inner, st.just("{% endfilter %}")).map("".join),
        st.tuples(st.just("{% autoescape false %}"), inner, st.just("{% endautoescape %}")).map("".join),
        st.tuples(st.just("{% with x = b %}"), inner, st.just("{% endwith %}")).map("".join),
        st.lists(inner, max_size=6).map("".join),
    )


SOURCES = st.recursive(st.one_of(LITERALS, PRINTS, SILENT), blocks, max_leaves=20)
VALUES = st.one_of(
    st.text(max_size=9), st.sampled_from(["", "{", "}", "{{", "}}", "<i>", "\\", "{{ a }}", "  two  blanks ", "s0"])
)


@given(SOURCES, SOURCES, st.sampled_from(["Hi", "Hi {{ a }}", " {{ a }}  {{ b }} "]), VALUES, VALUES, st.lists(VALUES))
@example("\\{{ a }}", "{{ '{' }}{{ a }}}}", "Hi {{ a }}", "{", "}", [])
@example("{{{{ a }}}}", "x", "Hi", "1", "2", ["3"])
def test_filled_layout_is_the_direct_render(
    text: str, html: str, subject: str, a: str, b: str, items: list[str]
) -> None:
    row = {"a": a, "b": b, "items": items, "none": None}
    try:
        template = inline_template(text=text, html=html, subject=subject)
        renderer = Renderer(template)
    except TemplateError:
        return
    try:
        content = renderer.render(row)
    except RowFaultError:
        return
    slots = SlotRenderer(template)
    values = slots.values(row, content)
    if values is None:
        return
    layout = slots.layout
    assert layout is not None

    def fill(source: str | None) -> str | None:
        for name, value in zip(layout.names, values, strict=True):
            source = None if source is None else source.replace(f"{{{{{name}}}}}", value)
        return source

    assert (content.subject, content.text, content.html) == (
        fill(layout.subject),
        fill(layout.text),
        fill(layout.html),
    )
    assert not any("{{" in value or "}}" in value for value in values)


@given(st.lists(st.one_of(st.sampled_from(["<p>", " and ", "\n", " }} "]), st.sampled_from(["{{ a }}", "{{ b }}"]))))
def test_plain_templates_always_have_values(pieces: list[str]) -> None:
    template = inline_template(text="".join(pieces), html="".join(pieces), subject="Hi {{ b }}")
    row = {"a": "<1>", "b": "two"}

    values = SlotRenderer(template).values(row, Renderer(template).render(row))

    assert values is not None
    assert "Hi two" == values[0]
