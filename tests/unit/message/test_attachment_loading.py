"""From paths, streams and bytes to attachments; the limit of what is held is lowered, not the files raised."""

from __future__ import annotations

import base64
import errno
import gzip
import io
import os
import pickle
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import UsageError
from mailblast.message.attachments import loading
from mailblast.message.attachments.base64_lines import BLOCK_BYTES, encode_lines, encoded_length
from mailblast.message.attachments.file_part import FilePart, read_exactly
from mailblast.message.attachments.loading import AttachmentLoader, Compression
from mailblast.message.attachments.part import attached_part
from mailblast.message.attachments.size import check_total_size, encoded_size
from mailblast.message.attachments.temporary import TemporaryFolder
from mailblast.model.message import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 100_000
LARGE = bytes(range(256)) * 1_000


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LARGEST_IN_MEMORY", LIMIT)


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[TemporaryFolder]:
    (tmp_path / "tmp").mkdir()
    with TemporaryFolder(str(tmp_path / "tmp")) as folder:
        yield folder


def content_of(attachment: Attachment) -> bytes:
    encoded = attachment.encoded
    whole = encoded if isinstance(encoded, bytes) else b"".join(encoded.chunks())
    assert len(encoded) == len(whole)
    lines = whole.split(b"\r\n")
    assert {76} >= {len(line) for line in lines[:-2]}
    return base64.b64decode(whole)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 56, 57, 58, 114, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_lines_are_those_of_the_standard_library(size: int) -> None:
    data = os.urandom(size)
    encoded = encode_lines(data)
    assert base64.encodebytes(data).replace(b"\n", b"\r\n") == encoded
    assert encoded_length(size) == len(encoded)


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, LIMIT])
def test_file_up_to_the_limit_is_held_as_it_is(size: int, temporary: TemporaryFolder) -> None:
    data = os.urandom(size)
    Path("a b.csv").write_bytes(data)
    attachment = AttachmentLoader(temporary).from_path("a b.csv")
    assert ("a b.csv", "text/csv", encode_lines(data), "") == attachment
    assert temporary.path is None


@pytest.mark.parametrize("kind", ["path", "bytes"])
def test_larger_file_is_compressed_into_a_private_file(kind: str, temporary: TemporaryFolder) -> None:
    Path("big.csv").write_bytes(LARGE)
    seen: list[tuple[str, int, int | None]] = []
    loader = AttachmentLoader(temporary, progress=lambda *step: seen.append(step))
    attachment = loader.from_path("big.csv") if kind == "path" else loader.from_bytes(LARGE, "big.csv")
    assert ("big.csv.gz", "application/gzip") == attachment[:2]
    assert LARGE == gzip.decompress(content_of(attachment))
    assert ("big.csv", len(LARGE), len(LARGE)) == seen[-1]
    assert temporary.path is not None
    (path,) = temporary.path.iterdir()
    assert (0o700, 0o600) == (stat.S_IMODE(temporary.path.stat().st_mode), stat.S_IMODE(path.stat().st_mode))
    # In another process it is found by its path, and is not a byte larger for it.
    assert len(pickle.dumps(attachment)) < 1_000
    assert content_of(attachment) == content_of(pickle.loads(pickle.dumps(attachment)))


def test_compressed_twice_gives_the_same_bytes_and_digest(temporary: TemporaryFolder) -> None:
    Path("big.csv").write_bytes(LARGE)
    first = AttachmentLoader(temporary).from_path("big.csv")
    os.utime("big.csv", (1, 1))
    second = AttachmentLoader(temporary).from_path("big.csv")
    assert content_of(first) == content_of(second)
    # No time, no name (RFC 1952).
    assert b"\x1f\x8b\x08\0\0\0\0\0" == content_of(first)[:8]
    assert attached_part(first).digest == attached_part(second).digest


def test_always_compresses_what_is_small_in_memory(temporary: TemporaryFolder) -> None:
    Path("a.txt").write_bytes(b"hello\n" * 100)
    attachment = AttachmentLoader(temporary, Compression.ALWAYS).from_path("a.txt")
    assert ("a.txt.gz", "application/gzip") == attachment[:2]
    assert isinstance(attachment.encoded, bytes)
    assert b"hello\n" * 100 == gzip.decompress(content_of(attachment))
    assert temporary.path is None


def test_never_sends_a_large_file_from_where_it_is(temporary: TemporaryFolder) -> None:
    Path("big.csv").write_bytes(LARGE)
    seen: list[int] = []
    loader = AttachmentLoader(temporary, Compression.NEVER, lambda _name, done, _total: seen.append(done))
    attachment = loader.from_path("big.csv")
    assert ("big.csv", "text/csv") == attachment[:2]
    assert isinstance(attachment.encoded, FilePart)
    assert str(Path("big.csv").resolve()) == attachment.encoded.path
    assert LARGE == content_of(attachment)
    assert len(LARGE) == seen[-1]
    assert temporary.path is None


def test_never_keeps_large_bytes_in_a_file(temporary: TemporaryFolder) -> None:
    attachment = AttachmentLoader(temporary, Compression.NEVER).from_bytes(LARGE, "big.csv")
    assert ("big.csv", "text/csv", LARGE) == (*attachment[:2], content_of(attachment))
    assert isinstance(attachment.encoded, FilePart)


@pytest.mark.parametrize("compression", Compression)
def test_stream_of_any_size_goes_through_a_file(compression: Compression, temporary: TemporaryFolder) -> None:
    attachment = AttachmentLoader(temporary, compression).from_stream(io.BytesIO(b"x,y\n"), "dump.csv")
    assert isinstance(attachment.encoded, FilePart)
    if compression is Compression.NEVER:
        assert ("dump.csv", "text/csv", b"x,y\n") == (*attachment[:2], content_of(attachment))
    else:
        assert ("dump.csv.gz", b"x,y\n") == (attachment.name, gzip.decompress(content_of(attachment)))


def test_named_pipe_is_read_to_its_end(temporary: TemporaryFolder) -> None:
    os.mkfifo("dump.sql")

    def write() -> None:
        with Path("dump.sql").open("wb", buffering=0) as pipe:
            pipe.writelines(LARGE[start : start + 1_000] for start in range(0, len(LARGE), 1_000))

    writer = threading.Thread(target=write)
    writer.start()
    attachment = AttachmentLoader(temporary).from_path("dump.sql")
    writer.join()
    assert ("dump.sql.gz", LARGE) == (attachment.name, gzip.decompress(content_of(attachment)))


def test_picture_is_never_compressed(temporary: TemporaryFolder) -> None:
    loader = AttachmentLoader(temporary, Compression.ALWAYS)
    attachment = loader.from_bytes(b"\x89PNG", "logo.png", content_id="logo@x")
    assert ("logo.png", "image/png", encode_lines(b"\x89PNG"), "logo@x") == attachment
    assert "image/x" == loader.from_bytes(b"", "logo.png", "image/x", content_id="a@x").content_type


@pytest.mark.parametrize("compression", Compression)
def test_files_that_receivers_bounce_are_told(compression: Compression, temporary: TemporaryFolder) -> None:
    Path("setup.exe").write_bytes(b"MZ")
    loader = AttachmentLoader(temporary, compression)
    loader.from_path("setup.exe")
    loader.from_bytes(b"MZ", "run.js")
    loader.from_stream(io.BytesIO(b"MZ"), "run.vbs")
    assert ["setup.exe", "run.js", "run.vbs"] == [warning.split()[6].strip(";") for warning in loader.warnings]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing.pdf", "missing.pdf cannot be read: No such file.*Check its name"),
        (".", "is a folder"),
        ("/dev/zero", "is a device"),
        ("a\0b", "NUL"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_path_that_is_no_file_is_told(path: str, said: str, temporary: TemporaryFolder) -> None:
    with pytest.raises(UsageError, match=said):
        AttachmentLoader(temporary).from_path(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_file_that_may_not_be_read_is_told(temporary: TemporaryFolder) -> None:
    Path("a.pdf").touch(mode=0)
    with pytest.raises(UsageError, match="a.pdf cannot be read: Permission denied"):
        AttachmentLoader(temporary).from_path("a.pdf")


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("size", [10, LIMIT + 1])
@pytest.mark.parametrize("change", ["grows", "shrinks", "is touched"])
def test_file_that_changes_while_it_is_read_is_told(
    change: str, size: int, compression: Compression, temporary: TemporaryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("log.txt")
    path.write_bytes(b"x" * size)

    def changing(name: str, file: object) -> list[str]:
        if change == "grows":
            path.write_bytes(b"x" * (size + 5))
        elif change == "shrinks":
            path.write_bytes(b"x" * (size - 5))
        else:
            os.utime(path, (1, 1))
        return []

    monkeypatch.setattr(loading, "warnings_about", changing)
    with pytest.raises(UsageError, match="it changed while it was read. Send it when nobody writes"):
        AttachmentLoader(temporary, compression).from_path(path)


def test_disk_full_is_told_with_where(temporary: TemporaryFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(temporary, "create", lambda: (full, Path("/dev/full")))
    with pytest.raises(UsageError, match=f"written in {temporary.base}: No space left on device. .*MAILBLAST_TMP"):
        AttachmentLoader(temporary).from_bytes(os.urandom(LIMIT * 10), "big.bin")


def test_temporary_file_that_cannot_be_made_is_told(
    temporary: TemporaryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> tuple[int, Path]:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(temporary, "create", fail)
    with pytest.raises(UsageError, match="cannot be written.*quota"):
        AttachmentLoader(temporary).from_stream(io.BytesIO(b"x"), "a")


@pytest.fixture
def part(temporary: TemporaryFolder) -> FilePart:
    encoded = AttachmentLoader(temporary, Compression.NEVER).from_stream(io.BytesIO(LARGE), "a.bin").encoded
    assert isinstance(encoded, FilePart)
    return encoded


@pytest.mark.parametrize("change", ["gone", "longer", "shorter", "other bytes", "other file", "link", "pipe"])
def test_part_whose_file_is_no_longer_what_it_was_cannot_be_read(change: str, part: FilePart) -> None:
    part.check()
    path = Path(part.path)
    if change in {"gone", "link", "pipe"}:
        path.unlink()
    if change == "link":
        Path("other").write_bytes(LARGE)
        path.symlink_to(Path("other").resolve())
    elif change == "pipe":
        os.mkfifo(path)
    elif change == "longer":
        path.write_bytes(LARGE + b"x")
    elif change == "shorter":
        path.write_bytes(LARGE[:-1])
    elif change == "other bytes":
        path.write_bytes(LARGE[::-1])
        os.utime(path, (1, 1))
    elif change == "other file":
        Path("other").write_bytes(LARGE)
        Path("other").replace(path)
    with pytest.raises(OSError, match="No such|changed|symbolic links"):
        list(part.chunks())
    with pytest.raises(OSError, match="No such|changed"):
        part.check()


@pytest.mark.parametrize("change", ["bytes", "length"])
def test_part_whose_file_changes_while_it_is_read_never_comes_to_its_end(change: str, part: FilePart) -> None:
    status = Path(part.path).stat()
    chunks = part.chunks()
    read = len(next(chunks))
    with Path(part.path).open("r+b") as file:
        if change == "bytes":
            file.seek(200_000)
            file.write(b"????")
        else:
            file.truncate(BLOCK_BYTES * 2)
    # As a file on a disk that fails would do it: without a trace.
    os.utime(part.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    rest: list[bytes] = []
    with pytest.raises(OSError, match="changed since the run began"):
        rest.extend(chunks)
    assert read + sum(map(len, rest)) < len(part)


def test_part_read_in_pieces_by_a_reluctant_system_is_the_same(part: FilePart, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: read(descriptor, min(size, 1_000)))
    assert encode_lines(LARGE) == b"".join(part.chunks())
    with Path(part.path).open("rb") as file:
        assert LARGE == read_exactly(file.fileno(), len(LARGE) + 1)


def test_digest_of_a_part_of_another_kind_is_taken_from_what_it_yields() -> None:
    class Streamed:
        def __len__(self) -> int:
            return 6

        def chunks(self) -> Iterator[bytes]:
            yield from (b"eA", b"==\r\n")

    streamed = attached_part(Attachment("a", "text/csv", Streamed()))
    assert streamed.digest == attached_part(Attachment("a", "text/csv", b"eA==\r\n")).digest


def test_total_size_over_the_providers_limit_is_refused() -> None:
    files = [Attachment("small.txt", "text/plain", b"x" * 100_000), Attachment("big.pdf", "a/b", b"x" * 2_000_000)]
    assert 2_100_000 == encoded_size(files)
    check_total_size([], 1)
    check_total_size(files, None)
    check_total_size(files, 2_100_000 + 16_384)
    said = r"2.0 MB, and smtp:x takes 2.0 MB \(big.pdf has 1.9 MB when encoded\)."
    with pytest.raises(UsageError, match=said):
        check_total_size(iter(files), 2_100_000 + 16_383, provider="smtp:x")
