"""File names as recipients see them: nothing that harms a header, a folder, or the reader's eye."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

#: Longest name that all systems can save, in bytes of UTF-8.
LONGEST_NAME = 200
#: Longest ending that is kept where a name is cut.
LONGEST_SUFFIX = 16
#: Longest line of a header, without CRLF (RFC 5322 section 2.1.1).
PREFERRED_LINE = 78

# Separators of paths, and what Windows refuses in names.
_REFUSED = re.compile(r'[/\\:*?"<>|]')
_BLANKS = re.compile(r"\s+")
# Invisible characters that some scripts need: zero-width non-joiner and joiner.
_JOINERS = "\u200c\u200d"
#: Names of devices on Windows, whatever their ending.
_DEVICES = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)")
_PLAIN = re.compile(r"[ -~]+")
# What RFC 2231 section 7 lets stand for itself, beyond letters and digits.
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`{|}~"
_ESCAPE = re.compile(r"%[0-9A-F]{2}|.")
#: The blank, ``filename*NN*=`` and ``;``.
_AROUND_PIECE = 16


def safe_name(name: str) -> str:
    """Return a name that any system can save and that looks like what it is.

    Control characters, changes of the direction of writing (which make ``exe.fdp`` look like a PDF) and halves of
    characters go; separators of paths become ``_``.
    """
    name = unicodedata.normalize("NFC", name)
    name = "".join(map(_seen, name))
    name = _REFUSED.sub("_", _BLANKS.sub(" ", name)).strip(" ")
    # Windows drops them, and "evil.exe." would be started.
    name = name.rstrip(". ")
    if not name.strip("._ "):
        return "attachment"
    if _DEVICES.match(name):
        name = f"_{name}"
    return _cut(name)


def disposition(name: str, *, inline: bool) -> bytes:
    """Return the Content-Disposition header (RFC 2183), with its CRLF.

    A plain name is a quoted string, any other is encoded by RFC 2231, in several pieces where it is long.

    Args:
        name: From ``safe_name()``; empty for none.
        inline: Whether the part is shown within the HTML.
    """
    header = f"Content-Disposition: {'inline' if inline else 'attachment'}"
    if not name:
        return f"{header}\r\n".encode()
    # What looks like an encoded word would be decoded by some readers.
    if _PLAIN.fullmatch(name) and "=?" not in name and '"' not in name and "\\" not in name:
        parameter = f'filename="{name}"'
        blank = " " if len(header) + 2 + len(parameter) <= PREFERRED_LINE else "\r\n "
        return f"{header};{blank}{parameter}\r\n".encode()
    return f"{header};\r\n {_encoded(name)}\r\n".encode()


def _encoded(name: str) -> str:
    encoded = "utf-8''" + quote(name, safe=_ATTRIBUTE_CHARACTERS, errors="replace")
    if len(encoded) + _AROUND_PIECE <= PREFERRED_LINE:
        return f"filename*={encoded}"
    pieces = [""]
    for character in _ESCAPE.findall(encoded):
        if len(pieces[-1]) + len(character) + _AROUND_PIECE > PREFERRED_LINE:
            pieces.append("")
        pieces[-1] += character
    return ";\r\n ".join(f"filename*{number}*={piece}" for number, piece in enumerate(pieces))


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "Z" or character in "\t\n\r":
        return " "
    if category == "Cs":
        return "_"
    return "" if category[0] == "C" and character not in _JOINERS else character


def _cut(name: str) -> str:
    """Shorten the middle of a name, never its ending."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > LONGEST_SUFFIX:
        stem, dot, suffix = name, "", ""
    room = LONGEST_NAME - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + suffix
