from __future__ import annotations

import gzip
import io
import struct
import zipfile

import pytest

from mailblast.message.attachments.bounced_types import warnings_about


def a_zip(*names: str, comment: bytes = b"") -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
        archive.comment = comment
    return file


@pytest.mark.parametrize("name", ["setup.exe", "RUN.JS", "a.pdf.lnk", "x.jar", "macro.vbs", "setup.exe.gz", "a.exe. "])
def test_file_that_gmail_bounces_is_named(name: str) -> None:
    (warning,) = warnings_about(name, None)
    assert f"bounce files like {name}" in warning


@pytest.mark.parametrize("name", ["report.pdf", "exe", "a.exe.pdf", "list.csv.gz"])
def test_harmless_file_is_not(name: str) -> None:
    assert [] == warnings_about(name, io.BytesIO(b"%PDF-1.7 not an archive, though it says PK\x03\x04"))


def test_zip_is_looked_into_without_unpacking() -> None:
    archive = a_zip("docs/readme.txt", "bin/setup.exe", "a.js", "b.js", "c.js", comment=b"PK\x05 not the end")
    (warning,) = warnings_about("all.zip", archive)
    assert "all.zip holds bin/setup.exe, a.js, b.js and 1 more: Gmail" in warning


def test_zip_behind_something_else_and_under_another_name_is_looked_into() -> None:
    archive = a_zip("setup.exe").getvalue()
    assert [] != warnings_about("x.docx", io.BytesIO(archive))
    assert [] != warnings_about("x.zip", io.BytesIO(b"PK\x03\x04 sfx" + archive))


def test_zip_within_a_zip_and_an_encrypted_one_are_named() -> None:
    (warning,) = warnings_about("a.zip", a_zip("inner.zip"))
    assert "archives within archives" in warning
    data = bytearray(a_zip("secret.txt").getvalue())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (warning,) = warnings_about("a.zip", io.BytesIO(bytes(data)))
    assert "is encrypted" in warning


def test_hostile_name_in_an_archive_is_shown_as_what_it_is() -> None:
    (warning,) = warnings_about("a.zip", a_zip("\x1b[31m\n.exe"))
    assert "\\x1b[31m\\n.exe" in warning


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:30],
        lambda data: data[: data.rindex(b"PK\x05\x06")],
        lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x03"),
        # A table that is longer than the file.
        lambda data: data[:-10] + struct.pack("<I", 2**31) + data[-6:],
        lambda data: data[:-10] + struct.pack("<I", 3) + data[-6:],
        lambda data: data[: data.rindex(b"PK\x05\x06") + 8],
    ],
)
def test_damaged_zip_is_no_error(damage: object) -> None:
    assert callable(damage)
    assert [] == warnings_about("a.zip", io.BytesIO(damage(a_zip("setup.exe").getvalue())))


def test_gzip_is_known_by_the_name_in_its_header() -> None:
    file = io.BytesIO()
    with gzip.GzipFile("tools/setup.exe", "wb", fileobj=file) as archive:
        archive.write(b"x")
    (warning,) = warnings_about("backup.gz", file)
    assert "backup.gz holds setup.exe" in warning
    assert [] == warnings_about("backup.gz", io.BytesIO(gzip.compress(b"x")))
    assert [] == warnings_about("backup.gz", io.BytesIO(b"\x1f\x8b\x08"))


def test_file_that_cannot_be_read_is_judged_by_its_name_alone() -> None:
    class Broken(io.BytesIO):
        def seek(self, *_: int) -> int:
            raise OSError

    assert [] == warnings_about("a.zip", Broken())
