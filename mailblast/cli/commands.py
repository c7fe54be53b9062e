"""The names of the commands, where each stands, and what ``--help`` says of it.

A command's module is imported when it is called, or for help on it: reading the options of all of them takes longer
than all the rest of a start.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Callable


class Command(NamedTuple):
    """One subcommand, or a group of them."""

    #: As typed; the second word of two for those of a group.
    name: str
    #: Short enough to stand on one line beside the others.
    help: str
    #: Module of ``mailblast.cli``, and function in it, which returns its exit code; empty for a group.
    module: str = ""
    function: str = ""
    #: The first word of two; empty for most.
    group: str = ""

    def load(self) -> Callable[..., int]:
        """Import the function."""
        function: Callable[..., int] = getattr(import_module(f"mailblast.cli.{self.module}"), self.function)
        return function


COMMANDS = (
    Command("bulk", "Send a template to every recipient of a list.", "bulk", "bulk"),
    Command("send", "Send one message.", "send", "send"),
    Command("verify", "Check list, template, domain and provider; send nothing.", "verify", "verify"),
    Command("status", "Show campaigns, and what is left of them.", "status", "status"),
    Command("failures", "List who did not get it, and why.", "failures", "failures"),
    Command("report", "Write a page about a campaign.", "report", "report"),
    Command("suppress", "The do-not-mail list: who is on it is mailed by nobody."),
    Command("bounces", "Read delivery reports and complaints that came back.", "bounces", "bounces"),
    Command("worker", "Deliver what is queued.", "worker", "worker"),
    Command("pause", "Hold a queued campaign.", "pause", "pause"),
    Command("resume", "Let a campaign that is held go on.", "pause", "resume"),
    Command("cancel", "Take back what is scheduled or queued.", "cancel", "cancel"),
    Command("analyze-cost", "Compare what providers cost.", "analyze_cost", "analyze_cost"),
    Command("recommend", "Say which approach fits a volume.", "recommend", "recommend"),
    Command("init", "Write a starter folder.", "init", "init"),
    Command("add", "Put addresses, domains or hashes on the list.", "suppress", "add", "suppress"),
    Command("remove", "Take them off.", "suppress", "remove", "suppress"),
    Command("check", "Say whether an address may be mailed.", "suppress", "check", "suppress"),
    Command("import", "Put a file, or a provider's own list, on the list.", "suppress", "import_", "suppress"),
    Command("export", "Write the list as CSV.", "suppress", "export", "suppress"),
    Command("token", "Take who left by the link in a mail.", "suppress_token", "token", "suppress"),
)


def register(app: typer.Typer, wanted: str | None) -> None:
    """Give an app its commands: the wanted one, or group, with its options; of the others their names and help alone.

    Args:
        app: Without commands.
        wanted: Name of a command or group; None for all with their options.
    """
    groups: dict[str, typer.Typer] = {}
    for command in COMMANDS:
        if not command.module:
            group = groups[command.name] = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
            app.add_typer(group, name=command.name, help=command.help)
            continue
        place = groups[command.group] if command.group else app
        is_wanted = wanted in {None, command.group or command.name}
        place.command(name=command.name, short_help=command.help)(_whole(command) if is_wanted else _named)


def _whole(command: Command) -> Callable[..., None]:
    function = command.load()

    @functools.wraps(function)
    def exiting(*words: Any, **options: Any) -> None:
        raise typer.Exit(function(*words, **options))

    return exiting


def _named() -> None:
    """Stand for a command that was not called."""
