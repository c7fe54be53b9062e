"""Replies of a server, and what they speak of."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    """The verb that a reply answers."""

    CONNECT = "connect"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    #: The final dot.
    BODY = "body"
    RSET = "rset"
    QUIT = "quit"
    #: A call of an HTTP API.
    REQUEST = "request"


class Scope(StrEnum):
    """Whom a reply is about; decides what else must wait or stop."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    DOMAIN = "domain"
    ACCOUNT = "account"
    CONNECTION = "connection"


class Reply(NamedTuple):
    """An answer, with the verb it answers."""

    #: Three digits (RFC 5321 section 4.2), an HTTP status, or 0 where there was no answer.
    code: int
    #: Enhanced status code such as ``5.1.1`` (RFC 3463); empty where the server gave none.
    enhanced: str
    #: The text after the codes, one line.
    text: str
    stage: Stage
