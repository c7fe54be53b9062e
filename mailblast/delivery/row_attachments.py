"""Attachments of single recipients: paths that are templates, filled from the row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.message.attachments.row_files import RowFiles
from mailblast.model.campaign import Template
from mailblast.render.renderer import Renderer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.message.attachments.part import AttachedPart
    from mailblast.model.recipient import Recipient


class _PathTemplate:
    """One path, compiled once."""

    def __init__(self, source: str) -> None:
        # The whole text as it is: a path may hold any number of blanks, which a subject may not.
        renderer = Renderer(Template(f"--attach {source}", "", "-", source, None))
        self._render = renderer.render
        names = sorted(renderer.variables)
        #: The column that a wrong path comes from; empty where it is made of several, or of none.
        self.column = names[0] if len(names) == 1 else ""

    def path_for(self, recipient: Recipient) -> str:
        """Return the path for one recipient. Raises ``RowFaultError`` where the row lacks a variable."""
        return self._render(recipient.variables).text or ""


class RowAttachments:
    """Load what single recipients get besides what all get.

    Args:
        paths: Templates; compiled here.
        folder: What they must stay inside; looked at here.

    Raises:
        TemplateError: A path cannot be compiled.
        UsageError: The folder cannot be used.
    """

    def __init__(self, paths: Sequence[str], folder: str) -> None:
        self._paths = [_PathTemplate(source) for source in paths]
        self._files = RowFiles(folder)

    def load(self, recipient: Recipient) -> tuple[AttachedPart, ...]:
        """Return a recipient's own attachments.

        Raises:
            RowFaultError: A path cannot be filled, or no file that may be sent is there.
        """
        load = self._files.load
        return tuple([load(path.path_for(recipient), column=path.column) for path in self._paths])
