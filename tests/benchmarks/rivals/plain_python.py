"""What a Python user writes first: aiosmtplib, EmailMessage and jinja2, ten connections. The yardstick, not our code.

Usage: plain_python.py HOST PORT LIST.csv TEMPLATE.html TEMPLATE.txt CONNECTIONS
"""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import jinja2


async def main(host: str, port: int, list_path: str, html_path: str, text_path: str, connections: int) -> None:
    html = jinja2.Template(Path(html_path).read_text(encoding="utf-8"), autoescape=True)
    text = jinja2.Template(Path(text_path).read_text(encoding="utf-8"))
    with Path(list_path).open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        sent = 0

        async def work() -> None:
            nonlocal sent
            async with aiosmtplib.SMTP(hostname=host, port=port, start_tls=False) as client:
                for row in rows:
                    message = EmailMessage()
                    message["From"] = "sender@example.com"
                    message["To"] = row["email"]
                    message["Subject"] = f"Welcome, {row['name']}"
                    message.set_content(text.render(row))
                    message.add_alternative(html.render(row), subtype="html")
                    await client.send_message(message)
                    sent += 1

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(connections)))
        print(f"{sent} {time.perf_counter() - started:.6f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5], int(sys.argv[6])))
