from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailblast.bounces import mailbox
from mailblast.bounces.mailbox import read_mailbox
from mailblast.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def contents(path: Path) -> list[bytes | None]:
    return [message.content for message in read_mailbox(path)]


def test_mailbox_may_be_one_message(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(b"Subject: x\n\nbody\n")
    assert [b"Subject: x\n\nbody\n"] == contents(tmp_path / "one.eml")


def test_mailbox_may_be_a_folder_of_messages(tmp_path: Path) -> None:
    for name in ("b.eml", "a.eml", ".hidden"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "sub").mkdir()
    assert [b"a.eml", b"b.eml"] == contents(tmp_path)


def test_mailbox_may_be_a_maildir(tmp_path: Path) -> None:
    for folder in ("new", "cur", "tmp"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_bytes(folder.encode())
    assert [b"new", b"cur"] == contents(tmp_path)


def test_mailbox_may_be_an_mbox(tmp_path: Path) -> None:
    (tmp_path / "box").write_bytes(b"From a Mon\nSubject: 1\n\none\n\nFrom b Mon\nSubject: 2\n\ntwo\n")
    messages = list(read_mailbox(tmp_path / "box"))
    assert [b"Subject: 1\n\none\n", b"Subject: 2\n\ntwo\n"] == [message.content for message in messages]
    assert messages[1].place.endswith("box, message 2")


def test_message_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "MAX_MESSAGE_BYTES", 20)
    (tmp_path / "large").write_bytes(b"x" * 21)
    (tmp_path / "box").write_bytes(b"From a Mon\n" + b"x" * 21 + b"\n\nFrom b Mon\nx: 1\n")
    assert [None] == contents(tmp_path / "large")
    assert [None, b"x: 1\n"] == contents(tmp_path / "box")


def test_message_that_cannot_be_opened_is_told_as_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gone"
    path.symlink_to(tmp_path / "nowhere")
    assert mailbox._file(path).content is None


def test_mailbox_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        contents(tmp_path / "missing")
