"""``mailblast suppress token``: who left by the link in a mail."""

from __future__ import annotations

from typing import Annotated

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal


def token(
    tokens: Annotated[list[str], typer.Argument(metavar="TOKEN...", help="As they stood in place of {{ token }}.")],
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Put those on the do-not-mail list who left by the link of --unsubscribe; exit code 1 for a token of nobody.

    Call it from the page behind the link, on POST alone. It needs the same MAILBLAST_UNSUBSCRIBE_SECRET as bulk.

    Examples:

      mailblast suppress token AnbklLXFtxJa4Cx6fYs7RwD2
    """
    from mailblast.clock import SystemClock
    from mailblast.message.unsubscribe import TokenMaker
    from mailblast.model.secret import Secret
    from mailblast.recipients.suppression import SuppressionList
    from mailblast.recipients.suppression_entry import Reason, SuppressionEntry, parse_subject

    settings, terminal = Settings.load(), Terminal(json_output=json_output)
    secret = settings.text("MAILBLAST_UNSUBSCRIBE_SECRET")
    maker = TokenMaker(Secret(secret) if secret else None)
    now_s = SystemClock().now()
    entries: list[SuppressionEntry] = []
    rows: list[dict[str, str | bool]] = []
    for text in tokens:
        named = maker.verify(text)
        if named is None:
            terminal.warn(f"mailblast: '{text[:60]}' is no token that this secret made.")
            rows.append({"token": text, "valid": False})
            continue
        source = f"link of {named.list_name}"
        entries.append(SuppressionEntry(parse_subject(named.address), Reason.UNSUBSCRIBE, source, now_s))
        rows.append({"token": text, "valid": True, "address": named.address, "list": named.list_name})
        terminal.result(f"{named.address} left {named.list_name}")
    with SuppressionList(settings.home) as suppressions:
        added = suppressions.add(entries)
    terminal.json({"added": added, "tokens": rows})
    return ExitCode.OK if len(entries) == len(tokens) else ExitCode.INCOMPLETE
