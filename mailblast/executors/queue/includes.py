"""Files that a template includes, for workers that do not have its folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mailblast.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.model.campaign import Template

#: More is no template any more.
MAX_FILES = 200


def with_included_files(template: Template) -> dict[str, str]:
    """Return the text of all files that a template's code names, by their path below its folder.

    What code computes cannot be known beforehand, and is not among them.
    """
    from jinja2 import Environment, TemplateError, meta  # noqa: PLC0415 - for templates with includes alone

    environment = Environment(autoescape=True)
    waiting = [text for text in (template.subject, template.text, template.html) if text and "{%" in text]
    found: dict[str, str] = {}
    while waiting and template.folder and len(found) < MAX_FILES:
        try:
            names = meta.find_referenced_templates(environment.parse(waiting.pop()))
        except TemplateError:
            continue
        for name in names:
            path = Path(template.folder) / str(name)
            if name is None or name in found or not path.is_file():
                continue
            found[name] = path.read_text(encoding="utf-8")
            waiting.append(found[name])
    return found


def unpack_files(files: Mapping[str, str], folder: Path) -> str:
    """Write these files into a folder; return its path, empty where there are none.

    Raises:
        JournalError: They cannot be written, or their names lead out of the folder.
    """
    if not files:
        return ""
    try:
        for name, text in files.items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise JournalError(f"A queued template names a file outside its folder: {name}.")
            path = folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise JournalError(f"Files of a template cannot be written to {folder}: {error.strerror}.") from error
    return str(folder)
