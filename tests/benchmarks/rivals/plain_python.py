"""What a Python user writes first: aiosmtplib, EmailMessage and jinja2, ten connections. The yardstick, not our code.

Usage: plain_python.py HOST PORT LIST.csv TEMPLATE.html TEMPLATE.txt CONNECTIONS [MORE]

MORE is JSON, all of it optional: ``{"ca": FILE, "attachment": FILE, "dkim": {"domain", "selector", "key": FILE}}``;
with ``ca``, TLS from the first byte. Signatures are dkimpy's.
"""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import time
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiosmtplib
import jinja2

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = [b"from", b"to", b"subject", b"mime-version", b"content-type"]


def signer(domain: str, selector: str, key: str) -> Callable[[EmailMessage], bytes]:
    """Return what signs a message and writes it out."""
    import dkim  # noqa: PLC0415 - only where it is asked for

    pem = Path(key).read_bytes()

    def sign(message: EmailMessage) -> bytes:
        content = message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
        names = {"selector": selector.encode(), "domain": domain.encode()}
        signature: bytes = dkim.sign(
            content, **names, privkey=pem, canonicalize=(b"relaxed", b"relaxed"), include_headers=HEADERS
        )
        return signature + content

    return sign


async def main(
    host: str,
    port: int,
    list_path: str,
    html_path: str,
    text_path: str,
    connections: int,
    *,
    ca: str | None = None,
    attachment: str | None = None,
    dkim: dict[str, str] | None = None,
) -> None:
    html = jinja2.Template(Path(html_path).read_text(encoding="utf-8"), autoescape=True)
    text = jinja2.Template(Path(text_path).read_text(encoding="utf-8"))
    attached = Path(attachment).read_bytes() if attachment else None
    sign = signer(**dkim) if dkim else None
    tls: dict[str, Any] = {"use_tls": True, "cert_bundle": ca} if ca else {"start_tls": False}
    with Path(list_path).open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        sent = 0

        async def work() -> None:
            nonlocal sent
            async with aiosmtplib.SMTP(hostname=host, port=port, **tls) as client:
                for row in rows:
                    message = EmailMessage()
                    message["From"] = "sender@example.com"
                    message["To"] = row["email"]
                    message["Subject"] = f"Welcome, {row['name']}"
                    message.set_content(text.render(row))
                    message.add_alternative(html.render(row), subtype="html")
                    if attached is not None:
                        message.add_attachment(
                            attached, maintype="application", subtype="octet-stream", filename="attached.bin"
                        )
                    if sign is None:
                        await client.send_message(message)
                    else:
                        await client.sendmail("sender@example.com", row["email"], sign(message))
                    sent += 1

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(connections)))
        print(f"{sent} {time.perf_counter() - started:.6f}")


if __name__ == "__main__":
    _host, _port, _list, _html, _text, _connections, *_more = sys.argv[1:]
    asyncio.run(
        main(_host, int(_port), _list, _html, _text, int(_connections), **json.loads(_more[0] if _more else "{}"))
    )
