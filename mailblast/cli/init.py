"""``mailblast init``: a folder to start from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError

#: Files in the package and their names in the folder; a leading dot would hide the one from packaging tools.
FILES = {
    "welcome.html": "welcome.html",
    "welcome.txt": "welcome.txt",
    "list.csv": "list.csv",
    "env.example": ".env.example",
    "mailblast.toml": "mailblast.toml",
}


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write into; made where it does not exist.")
    ] = Path(),
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Write a starter folder; overwrite nothing.

    It holds a template, its text part, a list and the settings.

    Example:

      mailblast init welcome-mail
    """
    terminal = Terminal(json_output=json_output)
    starter = resources.files("mailblast.cli") / "starter"
    done: dict[str, list[str]] = {"written": [], "kept": []}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, name in FILES.items():
            target = folder / name
            try:
                with target.open("xb") as file:
                    file.write((starter / source).read_bytes())
            except FileExistsError:
                done["kept"].append(str(target))
                terminal.result(f"kept     {target} (it was there)")
            else:
                done["written"].append(str(target))
                terminal.result(f"written  {target}")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}.", fix="Name a folder that can.") from error
    change = "" if folder == Path() else f"cd {folder} && "
    command = f"{change}mailblast bulk list.csv --template welcome.html"
    terminal.result("")
    terminal.result(f"Next: {command}")
    terminal.json({**done, "command": command})
    return ExitCode.OK
