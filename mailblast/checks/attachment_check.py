"""Files that are to go with every message: there, readable, small enough, and of a kind that is not bounced."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mailblast.checks.check import Check, Level
from mailblast.message.attachments.bounced_types import warnings_about

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: Base64 in lines of 76 with CRLF.
GROWTH = 78 / 57
#: Most mailbox providers take no larger message (Gmail, Yahoo and Outlook.com say 20 to 25 MB).
USUAL_LIMIT_BYTES = 25_000_000
_MB = 1_000_000


def check_attachments(paths: Sequence[Path]) -> Iterator[Check]:
    """Yield findings about files, and one about them all together."""
    total = 0.0
    for path in paths:
        try:
            # Without waiting for a writer, where it is a pipe.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            yield Check("attachment.readable", Level.ERROR, str(path), f"It cannot be read: {error.strerror}.")
            continue
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                message = "It is no ordinary file; what comes from a pipe cannot be looked at beforehand."
                yield Check("attachment.readable", Level.WARNING, str(path), message)
                continue
            total += found.st_size * GROWTH
            for warning in warnings_about(path.name, file):
                yield Check("attachment.type", Level.WARNING, str(path), warning, "Send a link in its place.")
    if total > USUAL_LIMIT_BYTES:
        message = f"Together they make each message {total / _MB:,.0f} MB; most mailboxes take 25 MB at most."
        yield Check("attachment.size", Level.WARNING, "attachments", message, "Send smaller files, or links.")
    elif total:
        message = f"{len(paths)} files make each message {total / _MB:,.1f} MB larger."
        yield Check("attachment.size", Level.OK, "attachments", message)
