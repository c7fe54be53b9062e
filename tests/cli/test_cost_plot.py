from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from mailblast.cli.app import run

if TYPE_CHECKING:
    import pytest


def plot(name: str, *words: str) -> str:
    assert run(["analyze-cost", "--volume", "50k", "--plot", name, "--json", *words]) == 0
    return Path(name).read_text(encoding="utf-8")


def test_plot_is_svg_without_scripts_and_without_anything_from_elsewhere() -> None:
    text = plot("cost.svg")
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {each.tag.rpartition("}")[2] for each in root.iter()}.isdisjoint({"script", "image", "foreignObject"})
    assert not [name for each in root.iter() for name in each.attrib if name.startswith("on") or name.endswith("href")]
    assert "http" not in text.replace("http://www.w3.org/", "")
    words = "".join(root.itertext())
    for word in ("Amazon SES", "SendGrid", "the cheapest changes", "messages a month", "10k", "prefers-color-scheme"):
        assert word in words


def test_plot_of_the_same_figures_is_the_same_file() -> None:
    assert plot("one.svg") == plot("two.svg")


def test_plot_as_page_holds_picture_table_and_notes() -> None:
    text = plot("cost.HTML", "--hidden", "guide")
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert "<svg" in text
    assert "<?xml" not in text
    for word in ("<td>Communication Services</td>", "505.00", "From 9,001 a month on", "Prices older than 180 days"):
        assert word in text


def test_plot_of_a_price_file_with_markup_is_escaped() -> None:
    name = '<b>\\"&</b>'
    Path("mine.toml").write_text(
        f"""date = 2026-11-24
currency = "USD"
[[provider]]
approach = "acme"
name = "{name}"
kind = "service"
source = "https://acme.example"
date = 2026-11-24
trust = "high"
[[provider.plan]]
plan = "{name}"
fixed = 0
tiers = [{{ per_1000 = 0 }}]
""",
        encoding="utf-8",
    )
    assert "<b>" not in plot("cost.html", "--price-list", "mine.toml")
    ET.fromstring(plot("cost.svg", "--price-list", "mine.toml"))


def test_plot_of_the_guide_says_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-cost", "--volume", "5", "--price-list", "guide", "--plot", "cost.svg"]) == 0
    assert "the chart is in cost.svg" in capsys.readouterr().err
    ET.fromstring(Path("cost.svg").read_text(encoding="utf-8"))
