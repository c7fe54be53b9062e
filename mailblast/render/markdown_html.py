"""HTML made from a Markdown template: once, with its Jinja code left in place."""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from mailblast.render.words import Code, Words

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_FENCE = re.compile(r"[ ]{0,3}(```+|~~~+)")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")

# Inline tokens that a heading's plain text is made of; breaks count as blanks.
_SHOWN = frozenset({"text", "code_inline", "softbreak", "hardbreak"})

# Widths, fonts and colours that Gmail, Outlook and Apple Mail all show; no image, no remote font.
_PAGE = """\
<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{title}</title>
<style>
h1 {{ font-size: 26px; line-height: 1.25; margin: 0 0 18px; }}
h2 {{ font-size: 20px; line-height: 1.3; margin: 30px 0 10px; }}
h3 {{ font-size: 17px; line-height: 1.35; margin: 24px 0 8px; }}
p, ul, ol, blockquote, pre {{ margin: 0 0 16px; }}
li {{ margin: 0 0 6px; }}
a {{ color: #1a5fb4; }}
img {{ max-width: 100%; height: auto; }}
hr {{ border: 0; border-top: 1px solid #d9dce1; margin: 28px 0; }}
blockquote {{ border-left: 3px solid #d9dce1; padding: 0 0 0 16px; color: #5c6370; }}
code {{ font-family: Menlo, Consolas, monospace; font-size: 90%; background: #eef0f3; padding: 1px 4px; }}
pre {{ background: #eef0f3; padding: 12px 16px; overflow-x: auto; }}
.content table {{ border-collapse: collapse; width: 100%; margin: 0 0 16px; }}
.content th, .content td {{ border-bottom: 1px solid #d9dce1; padding: 8px 10px; text-align: left; }}
@media (max-width: 620px) {{ .content {{ padding: 24px 20px !important; }} .outer {{ padding: 0 !important; }} }}
@media (prefers-color-scheme: dark) {{
.outer {{ background: #15171b !important; }}
.content {{ background: #1f2228 !important; color: #e8eaee !important; }}
a {{ color: #8ab4f8 !important; }}
code, pre {{ background: #2b2f37 !important; }}
}}
</style>
</head>
<body style="margin:0;padding:0;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr>
<td class="outer" align="center" bgcolor="#f3f4f6" style="padding:24px 12px;background:#f3f4f6;">
<table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0" style="width:100%;max-width:600px;">
<tr>
<td class="content" dir="auto" align="left" bgcolor="#ffffff" style="padding:36px 40px;background:#ffffff;\
color:#24292f;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px;line-height:1.6;">
{content}</td>
</tr></table>
</td>
</tr></table>
</body>
</html>
"""


def html_from_markdown(source: str) -> str:
    """Return an HTML fragment (a template) made from Markdown: CommonMark and tables; HTML in it is shown as text.

    A block tag alone on its line stands between blocks, or between the rows of a table.

    Raises:
        jinja2.TemplateSyntaxError: The source cannot be split into text and code.
    """
    words = Words(source)
    html = _converter().render(_blocks_apart(words))
    word = words.pattern.pattern.replace("(", "(?:", 1)
    # A row that holds nothing but block tags; then a paragraph of that kind; then a loop around a whole list.
    html = re.sub(rf"<tr>\s*<td[^>]*>((?:{word}\s*)+)</td>\s*(?:<td[^>]*></td>\s*)*</tr>", r"\1", html)
    html = re.sub(rf"<p>((?:{word}\s*)+)</p>", lambda match: _unwrapped(match, words), html)
    html = re.sub(
        rf"({word})\s*(<(ul|ol)[^>]*>)((?:(?!</?[uo]l\b).)*)(</\3>)\s*({word})",
        lambda match: _loop_inside_list(match, words),
        html,
        flags=re.DOTALL,
    )
    return words.restore(html)


def page_from_markdown(source: str, subject: str) -> str:
    """Return a whole HTML mail (a template) made from Markdown.

    Args:
        source: Markdown with Jinja code.
        subject: Template of the subject, for the title.
    """
    title = Words(subject)
    return _PAGE.format(title=title.restore(escape(title.text)), content=html_from_markdown(source))


def first_heading(source: str) -> str:
    """Return the first heading of level 1 as a template without marks; empty where there is none."""
    words = Words(source)
    tokens = _converter().parse(_blocks_apart(words))
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag == "h1":
            shown = (child.content or " " for child in inline.children or () if child.type in _SHOWN)
            return words.restore("".join(shown))
    return ""


def _converter() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 20 ms that only Markdown templates need

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _blocks_apart(words: Words) -> str:
    """Put empty lines around block tags that stand alone on their line, except in tables and fenced code."""
    lines: list[str] = []
    fence = ""
    in_table = False
    for line in words.text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and line.strip().startswith(fence) and not line.strip().strip(fence[0]) else fence
        elif mark:
            fence = mark[1]
        in_table = bool(line.strip()) and (in_table or ("|" in line and _TABLE_RULE.fullmatch(line) is not None))
        if not fence and not in_table and _is_block_tags(line, words):
            lines += ["", line.strip(), ""]
        else:
            lines.append(line)
    return "\n".join(lines)


def _is_block_tags(text: str, words: Words) -> bool:
    pieces = list(words.split(text.strip()))
    return bool(pieces) and all(piece.keyword if isinstance(piece, Code) else piece.isspace() for piece in pieces)


def _unwrapped(match: re.Match[str], words: Words) -> str:
    return match[1] if _is_block_tags(match[1], words) else match[0]


def _loop_inside_list(match: re.Match[str], words: Words) -> str:
    begin, opening, _, items, closing, end = match.groups()
    (first,), (last,) = words.split(begin), words.split(end)
    if isinstance(first, Code) and isinstance(last, Code) and (first.keyword, last.keyword) == ("for", "endfor"):
        return f"{opening}{begin}{items}{end}{closing}"
    return match[0]
