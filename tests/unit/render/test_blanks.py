from __future__ import annotations

from itertools import product

import pytest

from mailblast.render.blanks import Blanks, blanks_of
from mailblast.render.environment import html_environment, text_environment

PLAIN = [
    "Hi {{ a }}\n",
    "{{ a }}{{ b }}",
    "{{ a | default('you') }}!",
    "{{ a|d('<you>') }}",
    "{{ a | default('you', true) }}",
    "{{ a | default('', boolean=true) }}{{ b }}",
    "{{ a | default('you', false) }}",
]
OTHER = [
    "{{ a | upper }}",
    "{{ a | default(b) }}",
    "{{ a | default }}",
    "{{ a | default(1) }}",
    "{{ a.b | default('x') }}",
    "{{ a | upper | default('x') }}",
    "{{ a | default(default_value='x') }}",
    "{{ a | default(*b) }}",
    "{{ a | default('x', true, 1) }}",
    "{% if a %}x{% endif %}",
    "{{ self }}",
    "{{ a }}{{ a ~ b }}",
]
VALUES = ["", "Ada", "<&>", " ", None, 0, 3, ["x"]]


def blanks(source: str, *, html: bool = False) -> Blanks | None:
    environment = html_environment("") if html else text_environment("")
    return blanks_of(environment.parse(source), escapes=html)


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("source", PLAIN)
def test_blanks_are_filled_as_jinja_does(source: str, *, html: bool) -> None:
    found = blanks(source, html=html)
    assert found is not None
    template = (html_environment("") if html else text_environment("")).from_string(source)

    for a, b in product(VALUES, VALUES):
        filled = found.filled({"a": a, "b": b})
        assert filled in {template.render(a=a, b=b), ""}
        # What is no text is left to Jinja.
        assert filled or not (a and b and isinstance(a, str) and isinstance(b, str))


@pytest.mark.parametrize("source", PLAIN[2:5])
def test_default_stands_for_a_value_that_is_missing(source: str) -> None:
    found = blanks(source)
    assert found is not None

    assert text_environment("").from_string(source).render() == found.filled({})


def test_missing_value_without_default_is_left_to_jinja() -> None:
    found = blanks("Hi {{ a }}")
    assert found is not None

    assert found.values({}) is None
    assert not found.filled({})


@pytest.mark.parametrize("source", OTHER)
def test_other_code_has_no_blanks(source: str) -> None:
    assert blanks(source) is None
