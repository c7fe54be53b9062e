from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailblast.model.campaign import Template
from mailblast.model.message import Content, Layout
from mailblast.render.renderer import Renderer
from mailblast.render.slots import SlotRenderer
from mailblast.render.template import inline_template, load_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROW = {"a": "1 < 2", "b": "B", "items": ["x", "y"], "empty": "", "none": None}


def a_template(html: str | None = None, *, text: str | None = None, subject: str = "Hi", folder: str = "") -> Template:
    return Template("t.html", folder, subject, text, html)


def with_part(template: Template, part: str, source: str | None) -> Template:
    return template._replace(html=source) if part == "html" else template._replace(text=source)


def filled(layout: Layout, values: tuple[str, ...]) -> tuple[str, str | None, str | None]:
    def fill(source: str) -> str:
        for name, value in zip(layout.names, values, strict=True):
            source = source.replace(f"{{{{{name}}}}}", value)
        return source

    text = None if layout.text is None else fill(layout.text)
    return fill(layout.subject), text, None if layout.html is None else fill(layout.html)


def layout_and_values(template: Template, row: Mapping[str, object]) -> tuple[Layout, tuple[str, ...], Content]:
    slots = SlotRenderer(template)
    assert slots.layout is not None
    content = Renderer(template).render(row)
    values = slots.values(row, content)
    assert values is not None
    return slots.layout, values, content


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>Hello</p>", ()),
        ("<p>{{ a }}</p>", ("1 &lt; 2",)),
        ("{{ a }}", ("1 &lt; 2",)),
        ("{{ a }}{{ b }}", ("1 &lt; 2B",)),
        ("{{ a }} {{ b }}", ("1 &lt; 2", "B")),
        ("<ul>{% for i in items %}<li>{{ i }}</li>{% endfor %}</ul>", ("<li>x</li><li>y</li>",)),
        ("{% if b %}yes {{ b }}{% else %}no{% endif %}!", ("yes B",)),
        ("a {%- if b %} {{ b }} {% endif -%} z", (" B ",)),
        ("{% set x = b %}one {% set y = x ~ '2' %}{{ x }} two {{ y }}{% set z = 1 %}", ("B", "B2")),
        ("{% macro m(v) %}<b>{{ v }}</b>{% endmacro %}{{ m(a) }} and {{ m(b) }}", ("<b>1 &lt; 2</b>", "<b>B</b>")),
        ("{% set n = namespace(i=0) %}{% for i in items %}{% set n.i = n.i + 1 %}{% endfor %}: {{ n.i }}", ("", "2")),
        ("{% block top %}top {{ b }}{% endblock %} {{ self.top() }}", ("top B", "top B")),
        ("{% with q = b %}{{ q }}{% endwith %} {% filter upper %}{{ b }}x{% endfilter %}", ("B", "BX")),
        ("{% set x %}<i>{{ a }}</i>{% endset %}[{{ x }}]", ("<i>1 &lt; 2</i>",)),
        ("{# note #}plain{# note #}", ()),
        ("{{ empty }}|", ("",)),
        ("\\{{ b }}.", ("\\B",)),
        ("{{ '{' }}{{ b }}} {{ b }}", ("{B}", "B")),
        ("{ {%- if b %}x{% endif %}} y {{ b }}", ("{x}", "B")),
        ("@media{a{b{c:d}}} {{ b }}", ("B",)),
    ],
)
def test_values_stand_for_the_code_at_the_top(source: str, expected: tuple[str, ...]) -> None:
    layout, values, content = layout_and_values(a_template(source), ROW)

    assert expected == values
    assert (content.subject, content.text, content.html) == filled(layout, values)


def test_layout_keeps_text_as_it_is_and_names_slots_over_all_parts() -> None:
    template = a_template("<p>{{ a }}</p>", text="Dear {{ b }},\n{{ a }}", subject="For {{ b }}")

    layout, values, _ = layout_and_values(template, ROW)

    assert ("For B", "B", "1 < 2", "1 &lt; 2") == values
    subject, first, second, third = layout.names
    assert Layout(layout.names, f"{{{{{subject}}}}}", f"Dear {{{{{first}}}}},\n{{{{{second}}}}}",
                  f"<p>{{{{{third}}}}}</p>") == layout  # fmt: skip


def test_names_differ_between_two_runs() -> None:
    template = a_template("{{ a }}")
    first, second = SlotRenderer(template).layout, SlotRenderer(template).layout

    assert first is not None
    assert second is not None
    assert first.names != second.names


def test_subject_with_code_is_one_slot_as_it_is_sent() -> None:
    template = a_template("x", subject=" {{ a }}\t  for {{ b }} ")

    layout, values, content = layout_and_values(template, ROW)

    assert ("1 < 2 for B",) == values
    assert filled(layout, values)[0] == content.subject


def test_subject_that_changes_when_it_is_sent_gives_no_values() -> None:
    template = a_template("x", subject="two  blanks")

    assert SlotRenderer(template).values({}, Renderer(template).render({})) is None


def test_included_file_is_a_value(tmp_path: Path) -> None:
    (tmp_path / "foot.html").write_text("<hr>{{ b }}")

    _, values, _ = layout_and_values(a_template("Hi {% include 'foot.html' %}", folder=str(tmp_path)), ROW)

    assert ("<hr>B",) == values


def test_imported_macro_fills_slots(tmp_path: Path) -> None:
    (tmp_path / "m.html").write_text("{% macro bold(x) %}<b>{{ x }}</b>{% endmacro %}")
    source = "{% from 'm.html' import bold %}Hi {{ bold(b) }}{% import 'm.html' as m %} and {{ m.bold(a) }}"

    _, values, _ = layout_and_values(a_template(source, folder=str(tmp_path)), ROW)

    assert ("<b>B</b>", "<b>1 &lt; 2</b>") == values


@pytest.mark.parametrize("part", ["html", "text"])
@pytest.mark.parametrize("source", ["{% extends 'base.txt' %}", "{% raw %}{{ b }}{% endraw %} {{ b }}",
                                    "{% raw %}{{ b }}{% endraw %}", "{{ b }}{% raw %} x {{ {% endraw %}"])  # fmt: skip
def test_template_that_cannot_be_split_has_no_layout(tmp_path: Path, source: str, part: str) -> None:
    (tmp_path / "base.txt").write_text("Dear {{ b }}")
    template = with_part(a_template("x", text="y", folder=str(tmp_path)), part, source)
    slots = SlotRenderer(template)

    assert slots.layout is None
    assert slots.values(ROW, Renderer(template).render(ROW)) is None


@pytest.mark.parametrize("value", ["{{", "}}", "{{s0}}", "a {{ b", "\n}}"])
@pytest.mark.parametrize("part", ["html", "text"])
def test_value_that_could_be_taken_for_a_slot_gives_no_values(value: str, part: str) -> None:
    template = with_part(a_template("{{ b }}", text="{{ b }}"), part, "{{ a }}")

    assert (
        SlotRenderer(template).values({"a": value, "b": ""}, Renderer(template).render({"a": value, "b": ""})) is None
    )


def test_single_braces_in_a_value_are_kept() -> None:
    template = a_template("{{ a }} {{ b }} {{ a }}")
    row = {"a": "{x}", "b": "}{"}

    _, values, _ = layout_and_values(template, row)

    assert ("{x}", "}{", "{x}") == values


@pytest.mark.parametrize("change", [{"html": "other"}, {"text": "other"}, {"subject": "other"}, {"text": None},
                                    {"html": None}])  # fmt: skip
def test_content_that_is_not_what_the_layout_gives_has_no_values(change: dict[str, str | None]) -> None:
    template = a_template("<p>{{ a }}</p>", text="{{ a }}")
    content = Renderer(template).render(ROW)._replace(**change)  # type: ignore[arg-type]  # one field each

    assert SlotRenderer(template).values(ROW, content) is None


@pytest.mark.parametrize("part", ["html", "text"])
def test_part_that_the_template_lacks_gives_no_values(part: str) -> None:
    template = with_part(a_template("x", text="y"), part, None)
    content = Content("Hi", "y", "x")

    assert SlotRenderer(template).values(ROW, content) is None


def test_code_that_gives_another_result_each_time_gives_no_values() -> None:
    template = a_template("{{ range(99999)|random ~ range(99999)|random }}")

    assert SlotRenderer(template).values({}, Renderer(template).render({})) is None


def test_row_that_cannot_fill_the_slots_gives_no_values() -> None:
    template = a_template("{{ a }}")

    assert SlotRenderer(template).values({}, Content("Hi", None, "x")) is None


def test_text_made_from_html_has_slots() -> None:
    template = inline_template(
        text=None,
        html="<h1>Hi {{ b }}</h1><ul>{% for i in items %}<li>{{ i }}</li>{% endfor %}</ul><p>{{ a }} end</p>",
        subject="Hi",
    )
    layout, values, content = layout_and_values(template, ROW)

    assert (content.subject, content.text, content.html) == filled(layout, values)
    assert len(layout.names) == 6


@pytest.mark.parametrize("name", ["mail.md", "mail.html"])
def test_file_templates_have_slots(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Subject: To {{ b }}\nX-Tag: {{ b }}\n\n# Hello {{ b }}\n\n**{{ a }}** & more {{ none }}\n")
    layout, values, content = layout_and_values(load_template(path), ROW)

    assert (content.subject, content.text, content.html) == filled(layout, values)
    assert (("X-Tag", "B"),) == content.headers
