"""Gzip a piece at a time, the same bytes whenever it is done (RFC 1952)."""

from __future__ import annotations

import zlib

#: As ``gzip`` has it: most of what can be gained, at a bearable price.
LEVEL = 6
#: zlib's flag for a gzip header: without name, and with 0 for its time.
_WINDOW = 31


class GzipStream:
    """One compressed stream. A message in doubt is repeated byte for byte, so nothing in it may depend on the time."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW)

    def add(self, data: bytes) -> bytes:
        """Take a piece; return what is ready, often nothing."""
        return self._compressor.compress(data)

    def end(self) -> bytes:
        """Return the rest."""
        return self._compressor.flush()
