"""The list and the template that benchmarks mail: about 5 KB of text and HTML."""

from __future__ import annotations

from pathlib import Path

LINE = "Lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore"


def write_inputs(rows: int) -> None:
    """Write list.csv and a template whose message is about 5 KB."""
    with Path("list.csv").open("w", encoding="utf-8") as file:
        file.write("email,name,plan,city,code\n")
        file.writelines(
            f"user{n}@example{n % 97}.com,Name {n},Plan {n % 7},City {n % 11},{n:08}\n" for n in range(rows)
        )
    paragraphs = "\n".join(f"<p>{LINE} {number}.</p>" for number in range(24))
    end = "<p>{{ plan }}, {{ city }}: {{ code }}</p></body></html>"
    html = f"<html><body><h1>Hello {{{{ name }}}}</h1>\n{paragraphs}\n{end}"
    text = "\n".join(f"{LINE} {number}." for number in range(12))
    Path("body.html").write_text(html, encoding="utf-8")
    Path("body.txt").write_text(f"Hello {{{{ name }}}}\n\n{text}\n{{{{ plan }}}} {{{{ code }}}}\n", encoding="utf-8")
