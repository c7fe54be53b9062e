"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class ListFormat(StrEnum):
    """How a list is written."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    TXT = "txt"


class LogFormat(StrEnum):
    """How progress is written where there is no terminal."""

    TEXT = "text"
    JSON = "json"


Via = Annotated[
    str | None,
    typer.Option(
        "--via",
        metavar="DSN",
        help="Where mail goes: outbox:DIR, smtp://user@host:587, smtps://user@host:465, smtp [env: MAILBLAST_VIA].",
    ),
]
Sender = Annotated[
    str | None,
    typer.Option("--from", metavar="ADDR", help="Sender, as 'Name <a@b.c>' or a@b.c [env: MAILBLAST_FROM]."),
]
ReplyTo = Annotated[
    str | None,
    typer.Option("--reply-to", metavar="ADDR", help="Where answers go [env: MAILBLAST_REPLY_TO]."),
]
Subject = Annotated[
    str | None,
    typer.Option(
        "--subject", "-s", metavar="TEXT", help="Subject, a template too; else the template's Subject line or title."
    ),
]
ListFormatOption = Annotated[
    ListFormat | None,
    typer.Option("--list-format", help="How the list is written, where its name does not tell."),
]
Encoding = Annotated[str, typer.Option("--encoding", metavar="NAME", help="The list's encoding, such as cp1252.")]
EmailColumn = Annotated[
    str | None,
    typer.Option(
        "--email-column",
        metavar="NAME",
        help="Column that holds the address. [default: email, e-mail, address, to, mail]",
    ),
]
Connections = Annotated[
    int | None,
    typer.Option("--connections", min=1, max=1000, metavar="N", help="SMTP connections at once. [default: 5]"),
]
MessagesPerConnection = Annotated[
    int | None,
    typer.Option(
        "--messages-per-connection",
        min=1,
        metavar="N",
        help="Messages on one connection before a new one is made. [default: 100]",
    ),
]
Rates = Annotated[
    list[str] | None,
    typer.Option(
        "--rate",
        metavar="N/UNIT",
        help="Limit such as 14/s, 600/min, 5000/h, 20000/day, none; repeatable. [default: 5/s, none to this machine]",
    ),
]
JsonOutput = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; warnings and errors only.")]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option("--log-format", help="Progress lines as text or JSON, where stderr is no terminal."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
