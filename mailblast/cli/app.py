"""The program: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer

from mailblast import __version__
from mailblast.cli.commands import register
from mailblast.cli.exit_codes import ExitCode, exit_code_of
from mailblast.cli.queue_url import HERE
from mailblast.errors import MailblastError

#: Set by a shell that asks for completions: it may need the options of any command.
_COMPLETING = "_MAILBLAST_COMPLETE"


def program(wanted: str | None = None) -> typer.Typer:
    """Return the program.

    Args:
        wanted: Name of the command that is called; None for all of them with their options.
    """
    app = typer.Typer(
        name="mailblast",
        help="Bulk mail from the command line that knows what became of every recipient.",
        epilog="First steps: mailblast init, then mailblast bulk list.csv --template welcome.html",
        no_args_is_help=True,
        # Plain help: rich's takes 60 ms to import, more than all the rest.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    register(app, wanted)
    return app


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"mailblast {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; the only place that catches what stops it.

    Args:
        arguments: As typed, without the program's name; None takes ``sys.argv``.
    """
    words = with_queue_values(sys.argv[1:] if arguments is None else arguments)
    try:
        called = next((word for word in words if not word.startswith("-")), "")
        program(None if _COMPLETING in os.environ else called)(words, prog_name="mailblast")
    except MailblastError as error:
        if "--debug" in words:
            raise
        _tell(error, as_json="--json" in words)
        return exit_code_of(error)
    except OSError as error:
        # stdout is full or gone; what was done is in the journal.
        if "--debug" in words:
            raise
        print(f"mailblast: The output cannot be written: {error.strerror}.", file=sys.stderr)  # noqa: T201 - likewise
        return ExitCode.STOPPED
    except SystemExit as end:
        # What is wrong with the words themselves has been told on stderr by the parser.
        told = getattr(end.__context__, "format_message", None)
        if told is not None and "--json" in words:
            _tell_json(told(), "See --help of the command.", ExitCode.USAGE)
        return end.code if isinstance(end.code, int) else ExitCode.OK
    return ExitCode.OK


def main() -> None:
    """Run the program and end the process with its exit code."""
    sys.exit(run())


def with_queue_values(words: list[str]) -> list[str]:
    """Return the words with a value behind each ``--queue`` that has none: what follows it is one only as an URL."""
    end = words.index("--") if "--" in words else len(words)
    bare = {
        index
        for index, word in enumerate(words[:end])
        if word == "--queue" and "://" not in "".join(words[index + 1 : index + 2])
    }
    return [f"{word}={HERE}" if index in bare else word for index, word in enumerate(words)]


def _tell(error: MailblastError, *, as_json: bool) -> None:
    print(f"mailblast: {error}", file=sys.stderr)  # noqa: T201 - the last word of a failed command
    if as_json:
        _tell_json(error.message, error.fix, exit_code_of(error))


def _tell_json(error: str, fix: str, code: int) -> None:
    told: dict[str, Any] = {"error": error, "fix": fix, "exit_code": code}
    try:
        print(json.dumps(told, ensure_ascii=False), flush=True)  # noqa: T201 - the one object on stdout
    except OSError:
        # Nobody reads it any more. The last flush of all, at exit, must not fail as well.
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
