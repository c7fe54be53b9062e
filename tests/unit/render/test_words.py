from __future__ import annotations

import pytest
from jinja2 import Environment, TemplateSyntaxError

from mailblast.render.words import Code, Words, own_lines

ENVIRONMENT = Environment(keep_trailing_newline=True)


@pytest.mark.parametrize(
    "source",
    [
        "plain { } text",
        "Hello {{ name }}, {{ '}}' }} and {{ \"%}\" ~ name }}",
        "{% if a %}x{% elif b %}y{% else %}z{% endif %}",
        "a {{- name -}} b\n  {%- if a -%}\n c {%- endif %}",
        "{% raw %}{{ not code }} {% nor this %}{% endraw %}",
        "{# a comment {{ x }} #}text",
        "jinja0q0z jinja1q {{ name }}",
        "{ {{ name }} } {{{ name }}}"[:14],
        "{{\n name\n}}",
    ],
)
def test_words_restored_render_as_the_source(source: str) -> None:
    values = {"name": "Ada", "a": True, "b": False}
    words = Words(source)

    assert ENVIRONMENT.from_string(source).render(values) == ENVIRONMENT.from_string(words.restore(words.text)).render(
        values
    )
    assert "{{" not in words.text.replace("{{ not code }}", "")


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "{% if %}", "{# x #}", "{", "{{{", "a{"])
def test_text_that_looks_like_code_is_restored_as_text(text: str) -> None:
    words = Words("{{ name }}")

    assert f"{text}Ada" == ENVIRONMENT.from_string(words.restore(text + words.text)).render(name="Ada")


def test_code_tells_its_keyword() -> None:
    words = Words("{%- for x in y -%}{{ x }}{% endfor %}{% set z = 1 %}")

    assert ["for", "", "endfor", "set"] == [
        piece.keyword for piece in words.split(words.text) if isinstance(piece, Code)
    ]


@pytest.mark.parametrize("source", ["{{ a", "{% if", "{# never closed", "{{ 'a }}"])
def test_unfinished_code_is_a_syntax_error(source: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        Words(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a\n{% if x %}\nb\n{% endif %}\nc\n", "a\nb\nc\n"),
        ("{% for i in [1, 2] %}\n- {{ i }}\n{% endfor %}\nend\n", "- 1\n- 2\nend\n"),
        ("a\n  {# note #}  \nb\n", "a\nb\n"),
        ("Dear {% if x %}Dr {% endif %}\nAda\n", "Dear Dr \nAda\n"),
        ("a\n{%- if x %}\nb{% endif %}\n", "a\nb\n"),
        ("a\n{% if x -%}\nb\n{% endif %}\n", "a\nb\n"),
        ("{% raw %}\n{% if x %}\n{% endraw %}", "\n{% if x %}\n"),
    ],
)
def test_tag_alone_on_its_line_leaves_no_line(source: str, expected: str) -> None:
    changed = own_lines(source)

    assert expected == ENVIRONMENT.from_string(changed).render(x=True)
    assert source.count("\n") == changed.count("\n")
