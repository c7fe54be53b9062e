from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from words import json_of, sent

from mailblast.cli.app import run
from mailblast.cli.init import FILES

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]


def test_init_makes_a_folder_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["init", "start"]) == 0
    assert {*FILES.values()} == {path.name for path in Path("start").iterdir()}
    monkeypatch.chdir("start")
    assert run(["verify", "list.csv", "-t", "welcome.html", "--strict"]) == 0
    assert run(["bulk", "list.csv", "-t", "welcome.html", "-q"]) == 0
    assert len(sent()) == 3


def test_init_overwrites_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.csv").write_text("mine", encoding="utf-8")
    assert run(["init"]) == 0
    assert "kept     list.csv" in capsys.readouterr().out
    assert Path("list.csv").read_text(encoding="utf-8") == "mine"
    assert run(["init"]) == 0


def test_init_where_no_folder_can_be_is_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").touch()
    assert run(["init", "taken/inside"]) == 2
    assert "taken" in capsys.readouterr().err


def test_starter_template_is_the_sample_template() -> None:
    for name in ("welcome.html", "welcome.txt"):
        starter = ROOT / "mailblast" / "cli" / "starter" / name
        assert (ROOT / "templates" / name).read_bytes() == starter.read_bytes()


def test_init_as_json_names_what_was_written_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.csv").write_text("mine", encoding="utf-8")
    assert run(["init", "--json"]) == 0
    document = json_of(capsys)
    assert ["list.csv"] == document["kept"]
    assert len(document["written"]) == len(FILES) - 1
    assert document["command"].startswith("mailblast bulk")
