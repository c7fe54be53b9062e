"""Lists and templates whose messages have a given size, written into the current folder when first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mailing import LINE

from mailblast.message.builder import MessageBuilder
from mailblast.model.campaign import Campaign, Mailbox
from mailblast.model.recipient import Claim, Recipient
from mailblast.render.renderer import Renderer
from mailblast.render.template import load_template

#: What headers, part headers and boundaries take of a message.
FRAME_BYTES = 700
#: Least text of a template, whatever the size.
LEAST_BYTES = 150
HTML_LINE = f"<p>{LINE}.</p>\n"
TEXT_LINE = f"{LINE}.\n"


class Sources(NamedTuple):
    """The files of one template."""

    html: str
    text: str


def list_of(rows: int) -> str:
    """Return the name of a list of that many rows."""
    path = Path(f"list-{rows}.csv")
    if not path.exists():
        with path.open("w", encoding="utf-8") as file:
            file.write("email,name,plan,city,code\n")
            file.writelines(
                f"user{n}@example{n % 97}.com,Name {n},Plan {n % 7},City {n % 11},{n:08}\n" for n in range(rows)
            )
    return path.name


def template_of(size_bytes: int) -> Sources:
    """Return the names of a template's files: two thirds HTML, one third text, five places to fill."""
    html, text = Path(f"body-{size_bytes}.html"), Path(f"body-{size_bytes}.txt")
    if not html.exists():
        room = max(size_bytes - FRAME_BYTES, LEAST_BYTES)
        head, end = "<html><body><h1>Hello {{ name }}</h1>\n", "<p>{{ plan }}, {{ city }}: {{ code }}</p></body></html>"
        html.write_text(head + _fill(HTML_LINE, room * 2 // 3 - len(head) - len(end)) + end, encoding="utf-8")
        greeting, last = "Hello {{ name }}\n\n", "{{ plan }} {{ code }}\n"
        text.write_text(greeting + _fill(TEXT_LINE, room // 3 - len(greeting) - len(last)) + last, encoding="utf-8")
    return Sources(html.name, text.name)


def message_bytes_of(size_bytes: int) -> int:
    """Return what a message of this template has, all of it."""
    template = load_template(Path(template_of(size_bytes).html), subject="Welcome, {{ name }}")
    campaign = Campaign("bench", "0123456789abcdef", template, Mailbox("", "sender@example.com"))
    cells = {"email": "user12345@example7.com", "name": "Name 12345", "plan": "Plan 3", "city": "City 4", "code": "0"}
    claim = Claim(1, Recipient(2, cells["email"], cells["email"], cells, cells), 1_750_000_000)
    return MessageBuilder(campaign).build(claim, Renderer(template).render(cells)).size


def _fill(line: str, size_bytes: int) -> str:
    """Return whole lines of about this size."""
    return line * max(round(size_bytes / len(line)), 0)
