"""The templates that come with the program."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mailblast.errors import RowFaultError
from mailblast.render.renderer import Renderer
from mailblast.render.template import load_template

FOLDER = Path(__file__).parents[3] / "templates"
ITEMS = [
    {"description": "Planning <workshop>", "quantity": 2, "price": "480"},
    {"description": "Garden plan", "quantity": 1, "price": 129.5},
]
SAMPLES: dict[str, dict[str, object]] = {
    "welcome.html": {"name": "Ada & Bob", "plan": "Pro"},
    "newsletter.html": {"name": "Ada & Bob", "unsubscribe_url": "https://example.com/leave/x?a=1&b=2"},
    "invoice.html": {
        "name": "Ada & Bob",
        "invoice_number": "2026/42",
        "due_date": "24 December 2026",
        "items": ITEMS,
        "total": "1089.5",
    },
    "receipt.html": {
        "name": "Ada & Bob",
        "order_number": "F 1007",
        "paid_on": "24 November 2026",
        "items": ITEMS,
        "total": 1089.5,
        "card_last4": "0042",
    },
}
VOID = {"meta", "br", "img", "hr", "link", "input"}


class _Nesting(HTMLParser):
    """Collect tags that are not closed where they should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_every_template_has_a_sample_and_a_text_part() -> None:
    assert set(SAMPLES) == {path.name for path in FOLDER.glob("*.html")}
    assert {name.replace(".html", ".txt") for name in SAMPLES} == {path.name for path in FOLDER.glob("*.txt")}


@pytest.mark.parametrize("name", SAMPLES)
def test_template_renders_without_leftovers(name: str) -> None:
    content = Renderer(load_template(FOLDER / name)).render(SAMPLES[name])
    assert content.text is not None
    assert content.html is not None

    assert content.subject.strip()
    assert not re.search(r"\{[{%#]|[%#}]\}|None|undefined", content.text + content.html + content.subject)
    assert "Ada & Bob" in content.text
    assert "Ada &amp; Bob" in content.html
    assert "Bristol" in content.text
    assert "Bristol" in content.html
    if "items" in SAMPLES[name]:
        assert "Planning <workshop>, 2 x $480.00" in content.text
        assert "Planning &lt;workshop&gt;" in content.html
        assert "$1,089.50" in content.text
        assert "$1,089.50" in content.html
        assert "\n\n\n" not in content.text


@pytest.mark.parametrize("name", SAMPLES)
def test_template_is_sound_html_that_fetches_nothing(name: str) -> None:
    html = Renderer(load_template(FOLDER / name)).render(SAMPLES[name]).html
    assert html is not None
    nesting = _Nesting()
    nesting.feed(html)

    assert ([], []) == (nesting.wrong, nesting.open)
    assert not re.search(r"<(img|link|script|iframe|form)\b|url\(|@import|src=", html)
    assert len(html.encode()) < 12_000
    assert all(len(line) < 998 for line in html.split("\n"))


@pytest.mark.parametrize("name", SAMPLES)
def test_template_without_one_of_its_variables_is_a_fault_of_the_row(name: str) -> None:
    renderer = Renderer(load_template(FOLDER / name))

    assert set(SAMPLES[name]) == renderer.variables
    for variable in renderer.variables - {"plan", "unsubscribe_url"}:
        with pytest.raises(RowFaultError) as caught:
            renderer.render({key: value for key, value in SAMPLES[name].items() if key != variable})
        assert variable == caught.value.column


@pytest.mark.parametrize("plan", [{}, {"plan": ""}, {"plan": None}])
def test_welcome_without_plan_names_the_free_one(plan: dict[str, object]) -> None:
    content = Renderer(load_template(FOLDER / "welcome.html")).render({"name": "Ada", **plan})

    assert "Your Free plan" in str(content.text)
    assert "<strong>Free</strong>" in str(content.html)


@pytest.mark.parametrize("link", [None, "https://example.com/leave/x?a=1&b=2"])
def test_newsletter_shows_how_to_leave(link: str | None) -> None:
    variables = {"name": "Ada"} if link is None else {"name": "Ada", "unsubscribe_url": link}
    content = Renderer(load_template(FOLDER / "newsletter.html")).render(variables)

    assert (link or "letter@fernhill.example") in str(content.text)
    assert f'href="{(link or "mailto:letter@fernhill.example?subject=unsubscribe").replace("&", "&amp;")}"' in str(
        content.html
    )


def test_readme_names_every_template_and_variable() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert all(f"`{word}`" in readme for name, sample in SAMPLES.items() for word in (name, *sample))
