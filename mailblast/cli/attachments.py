"""``--attach``, ``--attach-dir`` and ``--compress``: from the options to what a campaign carries."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailblast.delivery.row_attachments import RowAttachments
from mailblast.errors import RunInterruptedError, UsageError
from mailblast.message.attachments.loading import AttachmentLoader, Compression
from mailblast.message.attachments.temporary import TemporaryFolder, sweep

if TYPE_CHECKING:
    from contextlib import ExitStack
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress, TaskID

    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.model.campaign import Campaign
    from mailblast.model.message import Attachment

STDIN = "-"
#: What makes a path a template.
CODE = "{{"
MB = 1024**2


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """What was asked for."""

    #: In the order of the command line.
    paths: tuple[str, ...] = ()
    #: Folder of the files of single recipients; None is the current one.
    folder: Path | None = None
    compression: str = Compression.AUTO
    #: What else reads stdin, such as ``LIST``; empty where nothing does.
    stdin_reader: str = ""

    @property
    def shared(self) -> tuple[str, ...]:
        """Files that go with every message."""
        return tuple(path for path in self.paths if CODE not in path)

    @property
    def own(self) -> tuple[str, ...]:
        """Templates of the paths of single recipients' files."""
        return tuple(path for path in self.paths if CODE in path)


class Attached(NamedTuple):
    """What a campaign carries besides its template."""

    attachments: tuple[Attachment, ...] = ()
    paths: tuple[str, ...] = ()
    folder: str = ""

    def on(self, campaign: Campaign) -> Campaign:
        """Return a campaign with it."""
        return campaign._replace(
            attachments=(*campaign.attachments, *self.attachments),
            attachment_paths=self.paths,
            attachment_folder=self.folder,
        )


def load_attachments(options: AttachOptions, settings: Settings, terminal: Terminal, stack: ExitStack) -> Attached:
    """Load what goes with every message, and tell what receivers may take offence at.

    Args:
        options: As given.
        settings: ``MAILBLAST_TMP``.
        terminal: Gets warnings, and a bar while a large file is read.
        stack: Removes temporary files when the last message is out.

    Raises:
        UsageError: A file cannot be read, there is no room for it, or stdin is wanted twice; or the folder of the
            files of single recipients is none.
        TemplateError: The path of such a file cannot be compiled.
        RunInterruptedError: Ctrl-C.
    """
    base = settings.text("MAILBLAST_TMP")
    sweep(base)
    if not options.paths:
        if options.folder is not None:
            raise UsageError(
                "--attach-dir is given without --attach.", fix="Add --attach 'invoices/{{ number }}.pdf', or leave it."
            )
        return Attached()
    readers = [options.stdin_reader] if options.stdin_reader else []
    readers += [f"--attach {STDIN}"] * options.shared.count(STDIN)
    if STDIN in options.shared and len(readers) > 1:
        raise UsageError(f"{readers[0]} and {readers[1]} cannot both be read from stdin.", fix="Give one as a file.")
    folder = str((options.folder or Path()).absolute())
    if options.own:
        # Looked at before anything is recorded, so that a mistake leaves no campaign behind.
        RowAttachments(options.own, folder)
    temporary = stack.enter_context(TemporaryFolder(base))
    try:
        with _Bar(terminal) as bar:
            loader = AttachmentLoader(temporary, Compression(options.compression), bar.show)
            attachments = tuple(
                loader.from_stream(sys.stdin.buffer, "stdin") if path == STDIN else loader.from_path(path)
                for path in options.shared
            )
    except KeyboardInterrupt:
        raise RunInterruptedError("Interrupted while attachments were read; nothing was sent.") from None
    for warning in loader.warnings:
        terminal.warn(f"mailblast: {warning}")
    return Attached(attachments, options.own, folder)


class _Bar:
    """Shows how far a large file has been read: as a bar on a terminal, else in one line."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._progress: Progress | None = None
        self._name = ""
        self._task: TaskID

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, name: str, done: int, total: int | None) -> None:
        """Take note of the bytes read so far."""
        if name != self._name:
            self._name = name
            self._begin(name, total)
        if self._progress is not None:
            self._progress.update(self._task, completed=done)

    def _begin(self, name: str, total: int | None) -> None:
        if self._terminal.quiet or not self._terminal.live:
            size = f" ({total / MB:,.0f} MB)" if total else ""
            self._terminal.note(f"mailblast: reading the attachment {name}{size}")
            return
        if self._progress is None:
            self._progress = _progress()
            self._progress.start()
        self._task = self._progress.add_task(name, total=total)


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
