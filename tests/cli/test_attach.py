"""``--attach``, ``--attach-dir`` and ``--compress`` as their user meets them."""

from __future__ import annotations

import gzip
import io
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from words import a_list, a_template, json_of, sent

from mailblast.cli import attachments
from mailblast.cli.app import run
from mailblast.cli.attachments import AttachOptions, load_attachments
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.errors import RunInterruptedError
from mailblast.message.attachments import loading

if TYPE_CHECKING:
    from email.message import EmailMessage

BULK = ("bulk", "list.csv", "-t", "welcome.html", "-q")
SEND = ("send", "--to", "ann@example.com", "-s", "Hi", "--text", "Hello", "-q")


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Path:
    a_template()
    a_list()
    Path("terms.txt").write_bytes(b"the terms")
    folder = Path("temporary").absolute()
    folder.mkdir()
    monkeypatch.setenv("MAILBLAST_TMP", str(folder))
    return folder


def files_of(message: EmailMessage) -> dict[str | None, object]:
    return {part.get_filename(): part.get_payload(decode=True) for part in message.iter_attachments()}


@pytest.mark.parametrize("words", [BULK, SEND])
def test_file_goes_with_every_message(words: tuple[str, ...]) -> None:
    Path("März.csv").write_bytes(b"a,b")
    assert 0 == run([*words, "--attach", "terms.txt", "--attach", "März.csv"])
    assert {"März.csv": b"a,b", "terms.txt": b"the terms"} == files_of(sent()[0])


@pytest.mark.parametrize("words", [BULK, SEND])
def test_template_gives_each_recipient_their_own_file(words: tuple[str, ...]) -> None:
    Path("files").mkdir()
    for address in ("ann@example.com", "bob@example.org"):
        Path(f"files/{address}.txt").write_text(address, encoding="utf-8")
    assert 0 == run([*words, "--attach", "{{ email }}.txt", "--attach", "terms.txt", "--attach-dir", "files"])
    for message in sent():
        address = message["To"].addresses[0].addr_spec
        assert {"terms.txt": b"the terms", f"{address}.txt": address.encode()} == files_of(message)


def test_row_without_its_file_is_invalid_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == run([*BULK, "--json", "--attach", "{{ plan }}.txt"])
    assert 2 == json_of(capsys)["counts"]["invalid"]
    run(["failures", "welcome-list", "--state", "invalid"])
    out = capsys.readouterr().out
    assert "column 'plan': The attachment 'Team.txt' cannot be sent: there is no such file" in out


@pytest.mark.parametrize("compress", ["auto", "always", "never"])
def test_compress_says_which_files_are(
    compress: str, temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "LARGEST_IN_MEMORY", 20)
    Path("large.txt").write_bytes(b"x" * 100)
    words = [word for word in SEND if word != "-q"]
    assert 0 == run([*words, "--attach", "terms.txt", "--attach", "large.txt", "--compress", compress])
    names = {"auto": ["large.txt.gz", "terms.txt"], "always": ["large.txt.gz", "terms.txt.gz"]}.get(
        compress, ["large.txt", "terms.txt"]
    )
    files = files_of(sent()[0])
    assert names == sorted(map(str, files))
    large = files[names[0]]
    assert isinstance(large, bytes)
    assert b"x" * 100 == (large if compress == "never" else gzip.decompress(large))
    assert 1 == capsys.readouterr().err.count("reading the attachment large.txt (0 MB)")
    assert [] == list(temporary.iterdir())


def test_stdin_is_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    assert 0 == run([*SEND, "--attach", "-"])
    (content,) = files_of(sent()[0]).items()
    assert isinstance(content[1], bytes)
    assert ("stdin.gz", b"from a pipe") == (content[0], gzip.decompress(content[1]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*BULK, "--attach", "missing.pdf"], "missing.pdf cannot be read: No such file"),
        ([*SEND, "--attach", "missing.pdf"], "missing.pdf cannot be read: No such file"),
        ([*SEND, "--attach", "."], "is a folder"),
        ([*SEND, "--attach", "{{ x.pdf"], "--attach {{ x.pdf:1"),
        ([*BULK, "--attach", "{{ x.pdf"], "--attach {{ x.pdf:1"),
        ([*BULK, "--attach", "{{ x }}", "--attach-dir", "nowhere"], "The folder of attachments"),
        ([*SEND, "--attach-dir", "files"], "--attach-dir is given without --attach"),
        (["bulk", "-", "-t", "welcome.html", "--attach", "-"], "LIST and --attach - cannot both be read from stdin"),
        ([*SEND, "--attach", "-", "--attach", "-"], "--attach - and --attach - cannot both"),
        (["send", "--to", "a@b.c", "-s", "s", "--text", "-", "--attach", "-"], "the message and --attach -"),
        ([*SEND, "--attach", "terms.txt", "--compress", "maybe"], "maybe"),
    ],
)
def test_what_cannot_be_attached_is_told_and_nothing_is_sent(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"email\na@example.com\n")))
    assert run(words) in {2, 3}
    assert said in capsys.readouterr().err
    assert not Path("outbox/new").exists() or not sent()


def test_mistake_in_a_path_leaves_no_campaign_behind(capsys: pytest.CaptureFixture[str]) -> None:
    assert 3 == run([*BULK, "--attach", "{{ x.pdf"])
    assert 2 == run([*BULK, "--attach", "{{ x }}", "--attach-dir", "nowhere"])
    assert not Path(".mailblast").exists()


def test_files_that_receivers_bounce_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("setup.exe").write_bytes(b"MZ")
    assert 0 == run([*SEND, "--attach", "setup.exe"])
    assert "mailblast: Gmail and others bounce files like setup.exe" in capsys.readouterr().err


def test_dry_run_shows_names_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    Path("Ann.pdf").write_bytes(b"x" * 100_000)
    Path("Bob.pdf").write_bytes(b"x" * 300_000)
    words = ["--dry-run", "--attach", "terms.txt", "--attach", "{{ name }}.pdf"]
    assert 0 == run(["bulk", "list.csv", "-t", "welcome.html", *words])
    out = capsys.readouterr().out
    assert "Attached: terms.txt\nAttached: Ann.pdf\n" in out
    assert "Dear Ann, your plan is Team." in out
    assert "0.5  MB in all" in out
    assert 0 == run(["bulk", "list.csv", "-t", "welcome.html", *words, "--json"])
    assert 400_000 * 1.36 < json_of(capsys)["size_bytes"] < 400_000 * 1.4


def test_test_message_carries_attachments() -> None:
    assert 0 == run([*BULK, "--test-to", "me@example.com", "--attach", "terms.txt"])
    assert {"terms.txt": b"the terms"} == files_of(sent()[0])


def test_ctrl_c_while_files_are_read_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "warnings_about", interrupted)
    assert 130 == run([*SEND, "--attach", "terms.txt"])
    assert "Interrupted while attachments were read" in capsys.readouterr().err


class LiveTerminal(Terminal):
    """One on which a bar is drawn."""

    @property
    def live(self) -> bool:
        return True


def test_bar_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(loading, "LARGEST_IN_MEMORY", 20)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    Path("[large].txt").write_bytes(b"x" * 100)
    Path("larger.txt").write_bytes(b"x" * 200)
    options = AttachOptions(("[large].txt", "larger.txt"))
    with ExitStack() as stack:
        attached = load_attachments(options, Settings.load(), LiveTerminal(), stack)
    assert ["[large].txt.gz", "larger.txt.gz"] == [attachment.name for attachment in attached.attachments]
    err = capsys.readouterr().err
    assert "[large].txt" in err
    assert "200/200 bytes" in err
    assert "reading the attachment" not in err


def test_bar_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LARGEST_IN_MEMORY", 20)
    Path("large.txt").write_bytes(b"x" * 100)
    bars: list[attachments._Bar] = []
    original = attachments._Bar.show

    def interrupted(bar: attachments._Bar, name: str, done: int, total: int | None) -> None:
        original(bar, name, done, total)
        bars.append(bar)
        raise KeyboardInterrupt

    monkeypatch.setattr(attachments._Bar, "show", interrupted)
    with ExitStack() as stack, pytest.raises(RunInterruptedError):
        load_attachments(AttachOptions(("large.txt",)), Settings.load(), LiveTerminal(), stack)
    assert bars[0]._progress is not None
    assert bars[0]._progress.live.is_started is False
