"""What tests of commands share: a template, a list, what was sent, the JSON object."""

from __future__ import annotations

import email
import json
from email import policy
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import EmailMessage

    import pytest

HTML = "<title>Hello {{ name }}</title><body><p>Dear {{ name }}, your plan is {{ plan }}.</p></body>"
ROWS = ("ann@example.com,Ann,Team", "bob@example.org,Bob,Solo")


def a_template(html: str = HTML, name: str = "welcome.html") -> str:
    Path(name).write_text(html, encoding="utf-8")
    return name


def a_list(rows: Sequence[str] = ROWS, name: str = "list.csv") -> str:
    Path(name).write_text("\n".join(["email,name,plan", *rows]) + "\n", encoding="utf-8")
    return name


def sent(folder: str = "outbox") -> list[EmailMessage]:
    """Return the messages of an outbox, ordered by the To header."""
    parse = email.message_from_bytes
    messages = [parse(path.read_bytes(), policy=policy.default) for path in Path(folder, "new").iterdir()]
    return sorted(messages, key=lambda message: str(message["To"]))


def body_of(message: EmailMessage) -> str:
    """Return the text part."""
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def json_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the one object that stdout must hold."""
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    document: dict[str, Any] = json.loads(out)
    return document
