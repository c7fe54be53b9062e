"""The file that keeps limits across restarts and shares them among the processes of this machine.

Fixed slots, each found by the hash of its name. A permit is one lock, one read and one write of a few bytes, a few
microseconds; whatever kills the process, what it wrote stays, and the system lets go of its lock. A map of the file
would be read faster, but a disk that is full or a file that is cut then kills the process (SIGBUS) where a write fails.
"""

from __future__ import annotations

import os
import struct
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # pragma: no cover - Windows has none
    HAS_LOCKS = False

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"mailblast pace 1"
#: Magic, and the Unix seconds at which a damaged file was replaced; 0 where it never was.
HEADER = struct.Struct("<16sd8x")
#: What a slot holds: hash of its name, a time in Unix seconds, and four counters.
SLOT = struct.Struct("<QdIIII")
SLOTS = 1024
#: Quarters of an hour that a day's ring holds: the 24 h before the running one, and that one.
QUARTERS = 97
#: A ring: hash of its name, number of its newest quarter, the sum, and the count of each quarter.
RING = struct.Struct(f"<QII{QUARTERS}I")
RINGS = 16
RINGS_AT = HEADER.size + SLOTS * SLOT.size
SIZE = RINGS_AT + RINGS * RING.size
#: How long the start waits for the lock; it is held for microseconds.
LOCK_WAIT_S = 2.0


class Place(NamedTuple):
    """Where a name's values are."""

    offset: int
    key: int
    #: Whether it is new, and nothing is known of what went before.
    is_new: bool


class LimitsFile:
    """Slots in a file, or in the memory of this process alone where no file can be used.

    Between ``lock()`` and ``unlock()`` nothing else reads or writes them.

    Args:
        path: Made with mode 0600 where it is missing, its folder with 0700; None keeps all in memory.
        now_s: Unix seconds.
    """

    def __init__(self, path: Path | None, now_s: float) -> None:
        #: Why the limits are this process's alone; empty where they are shared.
        self.trouble = "" if path else "they are kept in memory"
        #: Unix seconds since which the file is whole, where it was damaged; else 0.
        self.whole_since_s = 0.0
        self._memory = bytearray(0)
        self._descriptor = -1
        if path is not None and not HAS_LOCKS:
            self.trouble = "this system has no file locks"
        elif path is not None:
            try:
                self._open(path, now_s)
            except OSError as error:
                self._go_on_alone(error.strerror or str(error))
        if self._descriptor < 0 and not self._memory:
            self._memory = bytearray(SIZE)

    @property
    def is_shared(self) -> bool:
        """Whether other processes keep to these limits too, and later ones."""
        return self._descriptor >= 0

    def lock(self) -> bool:
        """Take the lock; False where another process has it just now."""
        if self._descriptor >= 0:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError as error:
                self._go_on_alone(error.strerror)
        return True

    def unlock(self) -> None:
        """Let the lock go."""
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes; zeros where the file has been cut."""
        if self._descriptor >= 0:
            try:
                found = os.pread(self._descriptor, size, offset)
            except OSError as error:
                self._go_on_alone(error.strerror)
            else:
                return found if len(found) == size else found.ljust(size, b"\0")
        return bytes(self._memory[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes; where that fails, these limits are this process's alone from now on."""
        if self._descriptor >= 0:
            try:
                if os.pwrite(self._descriptor, data, offset) == len(data):
                    return
                self._go_on_alone("no room on the disk")
            except OSError as error:
                self._go_on_alone(error.strerror)
        self._memory[offset : offset + len(data)] = data

    def slot(self, name: str) -> Place:
        """Find a name's slot, or give it one. Under the lock."""
        return self._place(name, HEADER.size, SLOT, SLOTS)

    def ring(self, name: str) -> Place:
        """Find a name's ring, or give it one. Under the lock."""
        return self._place(name, RINGS_AT, RING, RINGS)

    def wait_for_lock(self) -> None:
        """Take the lock, waiting for it; where it does not come, go on alone."""
        ends_s = time.monotonic() + LOCK_WAIT_S
        while not self.lock():
            if time.monotonic() > ends_s:
                self._go_on_alone("another process holds its lock")
                return
            time.sleep(0.0005)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _place(self, name: str, start: int, layout: struct.Struct, count: int) -> Place:
        key = int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) or 1
        table = self.read(start, layout.size * count)
        keys = [int.from_bytes(table[at : at + 8], "little") for at in range(0, len(table), layout.size)]
        first = key % count
        oldest = first
        for step in range(count):
            index = (first + step) % count
            if keys[index] == key:
                return Place(start + index * layout.size, key, is_new=False)
            if keys[index] == 0:
                oldest = index
                break
        # A table that is full loses the name at the first place tried: whoever had it takes another, and begins anew.
        offset = start + oldest * layout.size
        self.write(offset, key.to_bytes(8, "little").ljust(layout.size, b"\0"))
        return Place(offset, key, is_new=True)

    def _open(self, path: Path, now_s: float) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.wait_for_lock()
        try:
            if not self.is_shared:
                return
            size = os.fstat(self._descriptor).st_size
            head = os.pread(self._descriptor, HEADER.size, 0).ljust(HEADER.size, b"\0")
            magic, self.whole_since_s = HEADER.unpack(head)
            if size != SIZE or magic != MAGIC or not 0 <= self.whole_since_s <= now_s:
                self.whole_since_s = now_s if size else 0.0
                self._fill()
        finally:
            self.unlock()

    def _fill(self) -> None:
        # Written out, not only made long: each later write then needs no more room on the disk.
        data = HEADER.pack(MAGIC, self.whole_since_s).ljust(SIZE, b"\0")
        os.ftruncate(self._descriptor, SIZE)
        if os.pwrite(self._descriptor, data, 0) < SIZE:
            os.ftruncate(self._descriptor, 0)
            self._go_on_alone("no room on the disk")

    def _go_on_alone(self, reason: str | None) -> None:
        self.trouble = reason or "it cannot be used"
        self.close()
        if not self._memory:
            self._memory = bytearray(SIZE)
