from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.cli.terminal import Terminal

if TYPE_CHECKING:
    import pytest


def test_words_go_beside_what_draws_and_to_stderr_again_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, str]] = []
    terminal = Terminal()
    with terminal.beside(lambda text, level: told.append((level, text))):
        terminal.note("mailblast: a")
        terminal.warn("mailblast: b")
    terminal.warn("mailblast: c")

    assert [("info", "a"), ("warning", "b")] == told
    assert "mailblast: c\n" == capsys.readouterr().err


def test_quiet_run_hears_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(quiet=True)
    terminal.note("a")
    terminal.warn("b")

    assert "b\n" == capsys.readouterr().err
