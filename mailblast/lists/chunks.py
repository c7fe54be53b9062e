"""Rows a chunk at a time, without losing those before the one that breaks the list."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
#: What one read gave, and what ended it early.
Chunk: TypeAlias = tuple[list[T], Exception | None]


def read_chunk(items: Iterator[T], size: int) -> Chunk[T]:
    """Read at most ``size`` items; an error comes with what was read before it."""
    chunk: list[T] = []
    try:
        chunk.extend(islice(items, size))
    except Exception as error:  # noqa: BLE001 - handed on unchanged, after what was read before it
        return chunk, error
    return chunk, None


def chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most ``size`` items; an error is raised after what was read before it was yielded."""
    error: Exception | None = None
    while error is None:
        chunk, error = read_chunk(items, size)
        if chunk:
            yield chunk
        elif error is None:
            return
    raise error
