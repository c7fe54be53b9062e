"""How many recipients a list has, read the way ``bulk`` reads it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailblast.cli.cost_inputs import ListOptions
    from mailblast.cli.terminal import Terminal
    from mailblast.lists.rows import RowReader

#: Rows looked up at once.
CHUNK = 1_000


class ListCount(NamedTuple):
    """The rows of a list; ``rows`` is the sum of the three that follow."""

    name: str
    rows: int
    recipients: int
    duplicates: int
    invalid: int

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return self._asdict()

    def words(self) -> str:
        """Return it as a sentence."""
        out = [
            f"{count:,} {what}" for count, what in ((self.duplicates, "duplicates"), (self.invalid, "invalid")) if count
        ]
        left = f"; left out are {' and '.join(out)}" if out else ""
        return f"{self.name}: {self.recipients:,} recipients in {self.rows:,} rows{left}."


def count_list(options: ListOptions, terminal: Terminal) -> ListCount:
    """Count a list's recipients in flat memory.

    Raises:
        ListError: The list cannot be read to its end.
    """
    from mailblast.cli import campaigns
    from mailblast.lists.chunks import chunks
    from mailblast.model.recipient import Recipient
    from mailblast.recipients.recipients import RecipientSettings, read_recipients
    from mailblast.recipients.seen_keys import SeenKeys

    assert options.source is not None
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(campaigns.open_rows(options.source, options.list_format, options.encoding))
        columns = RecipientSettings(email_column=options.email_column, key_column=options.key)
        rows = read_recipients(reader, columns, columns=reader.columns, name=reader.name)
        seen = stack.enter_context(SeenKeys())
        on_progress = stack.enter_context(_progress(reader, terminal))
        count, recipients, duplicates = 0, 0, 0
        for chunk in chunks(rows, CHUNK):
            good = [(row.key, row.row) for row in chunk if isinstance(row, Recipient)]
            again = len(seen.add(good))
            count += len(chunk)
            recipients += len(good) - again
            duplicates += again
            on_progress(count)
        return ListCount(reader.name, count, recipients, duplicates, count - recipients - duplicates)


@contextlib.contextmanager
def _progress(reader: RowReader, terminal: Terminal) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal while rows are counted."""
    if not terminal.live or terminal.quiet:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Counting", total=reader.size_bytes)
        yield lambda rows: progress.update(
            task, completed=reader.position_bytes(), description=f"Counting, {rows:,} rows"
        )
