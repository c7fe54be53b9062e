"""Which encoding a list is in: byte order marks, and guesses for error messages."""

from __future__ import annotations

import codecs
import contextlib

from mailblast.errors import UsageError

#: Longer marks first: that of UTF-32-LE begins with that of UTF-16-LE.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: C0 without tab and line ends, and DEL.
CONTROL_BYTES = bytes(code for code in (*range(0x20), 0x7F) if code not in (0x09, 0x0A, 0x0D))
#: Half of the sampled characters must look like it before UTF-16 is suggested.
SAMPLE_BYTES = 400


def check_encoding(encoding: str) -> str:
    """Return the encoding's canonical name.

    Raises:
        UsageError: There is no such text encoding.
    """
    try:
        with contextlib.suppress(UnicodeDecodeError):
            # Not empty: Python never asks the codec about that.
            b" ".decode(encoding)
        return codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        fix = "Use --encoding utf-8, cp1252, latin-1 or utf-16."
        raise UsageError(f"Encoding {encoding!a} is not known.", fix=fix) from error


def after_mark(head: bytes, encoding: str) -> tuple[str, int]:
    """Return the encoding and the length of the byte order mark; a mark counts for more than what was asked for."""
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return name, len(mark)
    if encoding in ("utf-16", "utf-32"):
        return wide_encoding_of(head) or f"{encoding}-le", 0
    return encoding, 0


def wide_encoding_of(sample: bytes) -> str | None:
    """Return UTF-16 in one of its orders, where the zero bytes of plain text show it.

    Args:
        sample: Of the same length however the bytes came, or the answer would depend on it.
    """
    sample = sample[:SAMPLE_BYTES]
    half = max(len(sample) // 2, 1)
    # One zero byte for each ASCII character, all on the same side.
    if len(sample) < 4 or sample.count(0) * 4 < len(sample):  # noqa: PLR2004 - two characters, and half of them
        return None
    odd, even = sample[1::2].count(0), sample[0::2].count(0)
    if odd * 2 >= half and not even:
        return "utf-16-le"
    return "utf-16-be" if even * 2 >= half and not odd else None


def guess(sample: bytes, refused: str) -> str:
    """Return the encoding that these bytes are likely in.

    Args:
        sample: From the first byte that did not fit.
        refused: The encoding that it did not fit.
    """
    fitting = (candidate for candidate in ("utf-8", "cp1252") if candidate != refused and _fits(sample, candidate))
    return next(fitting, "latin-1")


def _fits(sample: bytes, encoding: str) -> bool:
    try:
        # A sample may end in the middle of a character.
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeError:
        return False
    return True


def keeps_control_bytes(encoding: str) -> bool:
    """Return whether control characters are the same single bytes as in ASCII, and come from no others."""
    return encoding == "utf-8" or all(_plain(bytes([code]), encoding) for code in range(256))


def _plain(byte: bytes, encoding: str) -> bool:
    try:
        text = byte.decode(encoding)
    except UnicodeError:
        return byte > b"\x7f"
    return text == byte.decode("ascii") if byte <= b"\x7f" else text > "\x7f"
