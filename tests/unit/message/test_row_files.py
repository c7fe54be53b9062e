from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from mailblast.errors import RowFaultError, UsageError
from mailblast.message.attachments import row_files
from mailblast.message.attachments.file_part import FilePart, read_exactly
from mailblast.message.attachments.row_files import RowFiles


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    for name in ("base/2025", "outside", "base-too"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.pdf").write_bytes(name.encode())
    Path("base/März 1.pdf").write_bytes(b"march")


def content(files: RowFiles, path: str) -> bytes:
    encoded = files.load(path).attachment.encoded
    return base64.b64decode(encoded if isinstance(encoded, bytes) else b"".join(encoded.chunks()))


def test_file_inside_is_loaded_under_its_own_name() -> None:
    files = RowFiles("base")
    attachment = files.load("2025/a.pdf").attachment
    assert ("a.pdf", "application/pdf", b"base/2025") == (*attachment[:2], content(files, "2025/a.pdf"))
    assert b"march" == content(files, "./März 1.pdf")
    assert b"march" == content(files, str(Path("base/März 1.pdf").absolute()))
    assert b"base-too" == content(RowFiles(""), "base-too/a.pdf")


def test_link_that_stays_inside_is_followed_and_keeps_the_rows_name() -> None:
    Path("base/latest.pdf").symlink_to("2025/a.pdf")
    Path("base/newest").symlink_to(Path("base/2025").absolute())
    files = RowFiles("base")
    assert "latest.pdf" == files.load("latest.pdf").attachment.name
    assert b"base/2025" == content(files, "newest/a.pdf")


def test_folder_may_itself_be_a_link() -> None:
    Path("link").symlink_to("base")
    assert b"base/2025" == content(RowFiles("link"), "2025/a.pdf")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing.pdf", "there is no such file"),
        ("2025/a.pdf/x", "there is no such file"),
        ("../outside/a.pdf", "'..' is not allowed"),
        ("2025/../2025/a.pdf", "'..' is not allowed"),
        ("../base-too/a.pdf", "'..' is not allowed"),
        ("/etc/passwd", "outside of the folder"),
        ("//etc/passwd", "outside of the folder"),
        ("out/a.pdf", "outside of the folder"),
        ("out.pdf", "outside of the folder"),
        (".", "outside of the folder"),
        ("2025", "it is not a file"),
        ("pipe", "it is not a file"),
        ("socket/../x", "'..' is not allowed"),
        ("loop", "leads nowhere|outside of the folder|no such file"),
        ("dangling", "there is no such file"),
        ("n" * 300, "File name too long"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("a\0.pdf", "control character"),
        ("a\n.pdf", "control character"),
        ("a\ud800.pdf", "control character"),
        ("a/" * 600, "too long"),
    ],
)
def test_path_that_may_not_be_followed_is_a_fault_of_the_row(path: str, said: str, tmp_path: Path) -> None:
    base = Path("base")
    (base / "out").symlink_to(tmp_path / "outside")
    (base / "out.pdf").symlink_to("../outside/a.pdf")
    (base / "loop").symlink_to("loop")
    (base / "dangling").symlink_to("nothing")
    os.mkfifo(base / "pipe")
    with pytest.raises(RowFaultError, match=said) as caught:
        RowFiles("base").load(path, column="file")
    assert "file" == caught.value.column
    if path.strip(" ") and path.isprintable() and len(path) < 1_000:
        assert repr(path) in caught.value.reason


@pytest.mark.parametrize("swapped", ["base/2025", "base/2025/a.pdf"])
def test_link_put_there_between_look_and_open_is_not_followed(
    swapped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RowFiles("base")
    real = os.path.realpath

    def swapping(path: Path) -> str:
        found = real(path)
        target = tmp_path / "outside" if swapped.endswith("2025") else tmp_path / "outside" / "a.pdf"
        Path(swapped).rename(tmp_path / "aside")
        Path(swapped).symlink_to(target)
        return found

    monkeypatch.setattr(os.path, "realpath", swapping)
    with pytest.raises(RowFaultError, match="leads nowhere|no such file"):
        files.load("2025/a.pdf")


@pytest.mark.parametrize("folder", ["missing", "base/2025/a.pdf"])
def test_folder_that_is_none_is_told(folder: str) -> None:
    with pytest.raises(UsageError, match=f"The folder of attachments {folder} cannot be used.*--attach-dir"):
        RowFiles(folder)


def test_same_file_is_encoded_once_until_it_changes() -> None:
    files = RowFiles("base")
    first = files.load("2025/a.pdf")
    assert first is files.load("2025/a.pdf")
    Path("base/2025/a.pdf").write_bytes(b"changed and longer")
    assert b"changed and longer" == content(files, "2025/a.pdf")
    # The same file under another name is another attachment.
    Path("base/b.pdf").symlink_to("2025/a.pdf")
    assert "b.pdf" == files.load("b.pdf").attachment.name


@pytest.mark.parametrize(("limit", "value"), [("KEPT_FILES", 3), ("KEPT_BYTES", 3 * 6)])
def test_files_that_were_not_used_for_long_are_forgotten(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, limit, value)
    for name in "abcd":
        Path(f"base/{name}").write_bytes(b"x")
    files = RowFiles("base")
    parts = {name: files.load(name) for name in "abc"}
    assert parts["a"] is files.load("a")
    files.load("d")
    assert parts["a"] is files.load("a")
    assert parts["b"] is not files.load("b")


def test_larger_file_is_read_when_it_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "LARGEST_HELD", 1_000)
    data = os.urandom(300_000)
    Path("base/large.bin").write_bytes(data)
    files = RowFiles("base")
    part = files.load("large.bin")
    assert isinstance(part.attachment.encoded, FilePart)
    assert data == content(files, "large.bin")
    assert part is files.load("large.bin")
    assert len(data) < len(part.attachment.encoded)


def test_file_over_the_limit_is_a_fault_of_the_row() -> None:
    with Path("base/huge.bin").open("wb") as file:
        file.truncate(50 * 1024**2 + 1)
    with pytest.raises(RowFaultError, match="it is over 50 MB"):
        RowFiles("base").load("huge.bin")


@pytest.mark.parametrize("held", [0, 10**6])
@pytest.mark.parametrize("size", [4, 13])
def test_file_that_changes_while_it_is_read_is_a_fault_of_the_row(
    size: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "LARGEST_HELD", held)
    real = read_exactly

    def changing(descriptor: int, wanted: int) -> bytes:
        Path("base/2025/a.pdf").write_bytes(b"x" * size)
        return real(descriptor, wanted)

    monkeypatch.setattr(row_files, "read_exactly", changing)
    with pytest.raises(RowFaultError, match="it changed while it was read"):
        RowFiles("base").load("2025/a.pdf")
