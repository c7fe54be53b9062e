"""Files that a template names, found beside it and never outside its folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from mailblast.errors import TemplateError


def inside(folder: str, target: str, name: str, what: str) -> Path:
    """Return the path of a file that a template refers to.

    Args:
        folder: The template's; empty where nothing may be read.
        target: As the template writes it, with ``/`` between folders.
        name: The template as the user named it.
        what: What the file is, for messages.

    Raises:
        TemplateError: It does not exist, is no regular file, or lies outside the folder.
    """
    if not folder:
        fix = "Put the HTML into a template file in the folder where it lies."
        raise TemplateError(f"{name}: the {what} '{target}' has no folder to be read from.", fix=fix)
    root = Path(folder).resolve()
    plain = PurePosixPath(target)
    try:
        path = root.joinpath(plain).resolve()
        is_inside = not plain.is_absolute() and path.is_relative_to(root)
        is_file = is_inside and path.is_file()
    except (OSError, ValueError):  # too long a name, or a NUL in it
        is_inside, is_file = True, False
    if not is_inside:
        fix = "Copy it into the template's folder."
        raise TemplateError(f"{name}: the {what} '{target}' lies outside the template's folder.", fix=fix)
    if not is_file:
        fix = f"It is looked for in {folder}."
        raise TemplateError(f"{name}: there is no {what} '{target}'.", fix=fix)
    return path
