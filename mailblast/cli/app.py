"""The program: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import functools
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailblast import __version__
from mailblast.cli import (
    analyze_cost,
    bounces,
    bulk,
    cancel,
    failures,
    init,
    pause,
    recommend,
    report,
    send,
    status,
    suppress,
    suppress_token,
    verify,
    worker,
)
from mailblast.cli.exit_codes import ExitCode, exit_code_of
from mailblast.cli.queue_url import HERE
from mailblast.errors import MailblastError

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="mailblast",
    help="Bulk mail from the command line that knows what became of every recipient.",
    epilog="First steps: mailblast init, then mailblast bulk list.csv --template welcome.html",
    no_args_is_help=True,
    # Plain help: rich's takes 60 ms to import, more than all the rest.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


suppress_app = typer.Typer(
    help="The do-not-mail list: who is on it is mailed by no campaign.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(suppress_app, name="suppress")


def _add(name: str, command: Callable[..., int], group: typer.Typer = app) -> None:
    """Register a command that returns its exit code."""

    @functools.wraps(command)
    def exiting(*words: Any, **options: Any) -> None:
        raise typer.Exit(command(*words, **options))

    group.command(name=name)(exiting)


_add("bulk", bulk.bulk)
_add("send", send.send)
_add("verify", verify.verify)
_add("status", status.status)
_add("worker", worker.worker)
_add("pause", pause.pause)
_add("resume", pause.resume)
_add("failures", failures.failures)
_add("analyze-cost", analyze_cost.analyze_cost)
_add("recommend", recommend.recommend)
_add("init", init.init)
_add("report", report.report)
_add("cancel", cancel.cancel)
_add("bounces", bounces.bounces)
_add("add", suppress.add, suppress_app)
_add("remove", suppress.remove, suppress_app)
_add("check", suppress.check, suppress_app)
_add("import", suppress.import_, suppress_app)
_add("export", suppress.export, suppress_app)
_add("token", suppress_token.token, suppress_app)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"mailblast {__version__}")
        raise typer.Exit


@app.callback()
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
        app(words, prog_name="mailblast")
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
        return end.code if isinstance(end.code, int) else ExitCode.OK
    return ExitCode.OK


def main() -> None:
    """Run the program and end the process with its exit code."""
    sys.exit(run())


def with_queue_values(words: list[str]) -> list[str]:
    """Return the words with a value behind each ``--queue`` that has none: what follows it is one only as an URL."""
    end = words.index("--") if "--" in words else len(words)
    return [
        f"{word}={HERE}" if word == "--queue" and index < end and "://" not in "".join(words[index + 1 : index + 2]) else word
        for index, word in enumerate(words)
    ]


def _tell(error: MailblastError, *, as_json: bool) -> None:
    print(f"mailblast: {error}", file=sys.stderr)  # noqa: T201 - the last word of a failed command
    if as_json:
        told: dict[str, Any] = {"error": error.message, "fix": error.fix, "exit_code": exit_code_of(error)}
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201 - likewise
