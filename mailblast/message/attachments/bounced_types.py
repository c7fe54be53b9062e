"""Kinds of files that large receivers bounce, whatever they hold: Gmail's list (support.google.com, answer 6590).

Names inside archives count as well. They are read from the archive's table of contents; nothing is unpacked.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = """
    ade adp apk appx appxbundle bat cab chm cmd com cpl diagcab diagcfg diagpkg dll dmg ex ex_ exe hta img ins iso isp
    jar jnlp js jse lib lnk mde mjs msc msi msix msixbundle msp mst nsh pif ps1 scr sct shb sys vb vbe vbs vhd vxd wsc
    wsf wsh xll
"""
BOUNCED = frozenset(_NAMES.split())
ARCHIVES = frozenset({"7z", "bz2", "gz", "rar", "tar", "tgz", "xz", "zip"})

#: The end of a ZIP file: 22 bytes behind a comment of at most 64 KB (PKWARE APPNOTE 4.3.16).
_END = struct.Struct("<4s4H2IH")
_END_MARK = b"PK\x05\x06"
_LONGEST_END = _END.size + 65_535
#: An entry of its table of contents (APPNOTE 4.3.12).
_ENTRY = struct.Struct("<4s6H3I5H2I")
_ENTRY_MARK = b"PK\x01\x02"
_ENCRYPTED, _UTF8 = 0x1, 0x800
#: Most of a table that is read; some 50,000 names.
_LONGEST_TABLE = 4 * 1024**2
#: Most names that one warning lists.
_SHOWN = 3
#: A gzip header with a name in it (RFC 1952 section 2.3).
_GZIP_MARK, _HAS_NAME, _GZIP_HEADER = b"\x1f\x8b\x08", 0x08, 10
_LONGEST_GZIP_NAME = 1024


def warnings_about(name: str, file: BinaryIO | None) -> list[str]:
    """Return why receivers may bounce an attachment, a sentence each; nothing where all is well.

    Args:
        name: As recipients see it.
        file: Its content, where that can be looked at; its position is changed.
    """
    found: list[str] = []
    inner = name.lower().removesuffix(".gz")
    if _suffix(name) in BOUNCED or _suffix(inner) in BOUNCED:
        found.append(f"Gmail and others bounce files like {name}; offer it as a link instead.")
    if file is not None:
        found += _inside(name, file)
    return found


def _inside(name: str, file: BinaryIO) -> list[str]:
    try:
        file.seek(0)
        head = file.read(_GZIP_HEADER + _LONGEST_GZIP_NAME)
        if head.startswith(_GZIP_MARK):
            entries = list(_gzip_name(head))
        elif head.startswith((b"PK\x03\x04", _END_MARK)):
            entries = list(_zip_entries(file))
        else:
            return []
    except (OSError, struct.error):
        return []
    found = []
    if bounced := [entry for entry, _ in entries if _suffix(entry) in BOUNCED]:
        found.append(f"{name} holds {_listed(bounced)}: Gmail and others bounce archives with such files.")
    if nested := [entry for entry, _ in entries if _suffix(entry) in ARCHIVES]:
        found.append(f"{name} holds {_listed(nested)}: archives within archives are often bounced.")
    if any(encrypted for _, encrypted in entries):
        found.append(f"{name} is encrypted: Gmail and others bounce archives that they cannot look into.")
    return found


def _gzip_name(head: bytes) -> Iterator[tuple[str, bool]]:
    # Behind an extra field (flag 4), which nobody writes, the name is not looked for.
    if len(head) > _GZIP_HEADER and head[3] & 0x0C == _HAS_NAME:
        yield head[_GZIP_HEADER:].partition(b"\0")[0].decode("latin-1"), False


def _zip_entries(file: BinaryIO) -> Iterator[tuple[str, bool]]:
    """Yield the names in a ZIP file's table of contents, and whether each is encrypted."""
    size = file.seek(0, 2)
    start = max(size - _LONGEST_END, 0)
    file.seek(start)
    tail = file.read(_LONGEST_END)
    where = tail.rfind(_END_MARK)
    if where < 0:
        return
    *_, table_size, _, _ = _END.unpack_from(tail, where)
    # The table ends where this record begins, also where something was put in front of the archive.
    table_start = start + where - table_size
    if table_start < 0:
        return
    file.seek(table_start)
    table = file.read(min(table_size, _LONGEST_TABLE))
    offset = 0
    while offset + _ENTRY.size <= len(table):
        mark, _, _, flags, *_, name_size, extra_size, comment_size, _, _, _, _ = _ENTRY.unpack_from(table, offset)
        if mark != _ENTRY_MARK:
            return
        offset += _ENTRY.size
        raw = table[offset : offset + name_size]
        offset += name_size + extra_size + comment_size
        yield raw.decode("utf-8" if flags & _UTF8 else "cp437", "replace"), bool(flags & _ENCRYPTED)


def _suffix(name: str) -> str:
    _, dot, suffix = name.rstrip(". ").rpartition(".")
    return suffix.lower() if dot else ""


def _listed(names: list[str]) -> str:
    # Names in archives are data: one that holds a line break or an escape sequence is shown as what it is.
    shown = ", ".join(ascii(name)[1:-1] if not name.isprintable() else name for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
