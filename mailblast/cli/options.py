"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
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


class Compress(StrEnum):
    """Which attachments are compressed."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Priority(StrEnum):
    """Which queued campaigns go first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


Via = Annotated[
    list[str] | None,
    typer.Option(
        "--via",
        metavar="DSN",
        help="Where mail goes: outbox:DIR, smtp://user@host:587, smtps://user@host:465, smtp. Repeatable: the next "
        "one takes over when one fails [env: MAILBLAST_VIA].",
    ),
]
OneVia = Annotated[
    str | None,
    typer.Option("--via", metavar="DSN", help="Where mail goes, instead of what was asked for [env: MAILBLAST_VIA]."),
]
ViaColumn = Annotated[
    str | None,
    typer.Option(
        "--via-column",
        metavar="COLUMN",
        help="Column that names each row's transport, one of [transports] in mailblast.toml; --via where it is empty.",
    ),
]
FromColumn = Annotated[
    str | None,
    typer.Option("--from-column", metavar="COLUMN", help="Column of each row's sender; --from where it is empty."),
]
TokenCommand = Annotated[
    str | None,
    typer.Option(
        "--token-command",
        metavar="COMMAND",
        help="Prints an access token to log in with, instead of a password [env: MAILBLAST_TOKEN_COMMAND].",
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="WHEN",
        help="When it is to go: 2026-12-24T09:00, or minutes from now. SendGrid keeps it until then, for others the "
        "command waits.",
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
Attach = Annotated[
    list[str] | None,
    typer.Option(
        "--attach",
        metavar="FILE",
        help="File that goes with every message, - is stdin; with {{ }} in it a template, so that each recipient gets "
        "their own file. Repeatable.",
    ),
]
AttachFolder = Annotated[
    Path | None,
    typer.Option(
        "--attach-dir",
        metavar="DIR",
        help="Folder that the files of single recipients must lie in. [default: the current one]",
    ),
]
CompressOption = Annotated[
    Compress,
    typer.Option("--compress", help="Which attachments are sent as .gz; auto is those over 50 MB, and pipes."),
]
DkimOption = Annotated[
    str | None,
    typer.Option(
        "--dkim",
        metavar="SELECTOR@DOMAIN",
        help="Sign messages (DKIM), where the server does not [env: MAILBLAST_DKIM_SELECTOR, MAILBLAST_DKIM_DOMAIN].",
    ),
]
DkimKey = Annotated[
    Path | None,
    typer.Option("--dkim-key", metavar="FILE", help="RSA private key in PEM to sign with [env: MAILBLAST_DKIM_KEY]."),
]
Unsubscribe = Annotated[
    list[str] | None,
    typer.Option(
        "--unsubscribe",
        metavar="LINK",
        help="https://… with {{ token }} in it, for the one-click unsubscribe button; and/or mailto:ADDR "
        "[env: MAILBLAST_UNSUBSCRIBE].",
    ),
]
ListId = Annotated[
    str | None,
    typer.Option("--list-id", metavar="ID", help="Name of the list, as news.example.com [env: MAILBLAST_LIST_ID]."),
]
FeedbackId = Annotated[
    str | None,
    typer.Option(
        "--feedback-id", metavar="A:B:C:SENDER", help="Gmail's Feedback-ID, four fields [env: MAILBLAST_FEEDBACK_ID]."
    ),
]
AutoSubmitted = Annotated[
    bool, typer.Option("--auto-submitted", help="Say that a program sent it, so that no absence notice answers.")
]
NoInlineCss = Annotated[
    bool, typer.Option("--no-inline-css", help="Leave style sheets as they are, not moved into the tags.")
]
ListFormatOption = Annotated[
    ListFormat | None,
    typer.Option("--list-format", help="How the list is written, where its name does not tell."),
]
Encoding = Annotated[str, typer.Option("--encoding", metavar="NAME", help="The list's encoding, such as cp1252.")]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="COLUMN", help="Column that makes a row unique. [default: the address]"),
]
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
DomainRates = Annotated[
    list[str] | None,
    typer.Option(
        "--domain-rate",
        metavar="DOMAIN=RATE",
        help="Limit for one recipient domain, such as gmail.com=20/s; repeatable [env: MAILBLAST_DOMAIN_RATE].",
    ),
]
DailyCap = Annotated[
    int | None,
    typer.Option(
        "--daily-cap",
        min=1,
        metavar="N",
        help="Recipients a day (UTC) by this account, over all campaigns; the rest goes on when the command runs "
        "again the next day [env: MAILBLAST_DAILY_CAP].",
    ),
]
WarmUp = Annotated[
    bool,
    typer.Option(
        "--warm-up",
        help="For a new address or domain: at most 50 recipients on the first day, 100 on the second, 200, 400 … "
        "[env: MAILBLAST_WARM_UP].",
    ),
]
WarmUpTable = Annotated[
    Path | None,
    typer.Option("--warm-up-table", metavar="FILE", help="Warm up by the numbers in FILE, one for each day."),
]
Queue = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="[URL]",
        help="Queue for 'mailblast worker': on this machine, or at redis://HOST for workers anywhere "
        "[env: MAILBLAST_QUEUE].",
    ),
]
AlertCommand = Annotated[
    str | None,
    typer.Option(
        "--alert-command",
        metavar="COMMAND",
        help="Run it when the grade is D or F for a minute, errors burst, a quota nears or the run stops; the facts "
        "are on its stdin and in its environment [env: MAILBLAST_ALERT_COMMAND].",
    ),
]
AlertWebhook = Annotated[
    str | None,
    typer.Option("--alert-webhook", metavar="URL", help="Post alerts there as JSON [env: MAILBLAST_ALERT_WEBHOOK]."),
]
MetricsFile = Annotated[
    Path | None,
    typer.Option("--metrics-file", metavar="FILE", help="Keep Prometheus metrics in FILE, such as mailblast.prom."),
]
MetricsPort = Annotated[
    int | None,
    typer.Option("--metrics-port", min=1, max=65535, metavar="PORT", help="Prometheus metrics on 127.0.0.1:PORT."),
]
JsonOutput = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; warnings and errors only.")]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option("--log-format", help="Progress lines as text or JSON, where stderr is no terminal."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
