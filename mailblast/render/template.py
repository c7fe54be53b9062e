"""A campaign's template: its files, read once, with subject and both parts settled."""

from __future__ import annotations

import hashlib
import re
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import TemplateNotFound, TemplateSyntaxError

from mailblast.errors import TemplateError
from mailblast.model.campaign import Template
from mailblast.render.css import with_style_sheets
from mailblast.render.environment import (
    HTML_SUFFIXES,
    INCLUDED_SUFFIXES,
    MARKDOWN_SUFFIXES,
    TEXT_SUFFIXES,
    html_environment,
    read_source,
    references,
)
from mailblast.render.header_block import HeaderBlock, split_header_block
from mailblast.render.markdown_html import first_heading, page_from_markdown
from mailblast.render.plain_text import text_from_html
from mailblast.render.words import Words, own_lines

if TYPE_CHECKING:
    from collections.abc import Callable

_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title\s*>", re.IGNORECASE | re.DOTALL)
_BODY = re.compile(r"<body\b", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)

_NO_BLOCK = HeaderBlock("", "", "", (), "", 0)


def load_template(path: Path, *, subject: str | None = None) -> Template:
    """Read a template and settle its subject and parts.

    ``.html`` gives the HTML part, with ``NAME.txt`` beside it, or text made from it, as text part; ``.txt`` the text
    part alone; ``.md`` both.

    Args:
        path: The template file. ``include`` and ``extends`` in it read from its folder.
        subject: A template; wins over the header block and the title.

    Raises:
        TemplateError: A file cannot be read, is of another kind or not UTF-8, its header block is wrong, or there is no
            subject.
    """
    suffix = path.suffix.lower()
    name = str(path)
    if suffix not in HTML_SUFFIXES | TEXT_SUFFIXES | MARKDOWN_SUFFIXES:
        fix = "Use .html, .txt or .md."
        raise TemplateError(f"The template {name} is of no known kind ('{suffix or 'no ending'}').", fix=fix)
    block = _read(path)
    extra = _NO_BLOCK
    text: str | None = None
    html: str | None = None
    found = ""
    if suffix in TEXT_SUFFIXES | MARKDOWN_SUFFIXES:
        text = _parsed(_aligned(block, own_lines(block.body)), name)
    if suffix in MARKDOWN_SUFFIXES:
        found = _converted(first_heading, block.body, name)
    if suffix in HTML_SUFFIXES:
        html = with_style_sheets(_parsed(_aligned(block, block.body), name), str(path.parent), name)
        found = _converted(_title, block.body, name)
        companion = path.with_suffix(".txt")
        if companion.is_file():
            extra = _read(companion)
            text = _parsed(_aligned(extra, own_lines(extra.body)), str(companion))
        else:
            text = _made_from_html(block.body, name)
    chosen = _subject(subject, block.subject, extra.subject, found, name=name)
    if suffix in MARKDOWN_SUFFIXES:
        html = _converted(lambda source: page_from_markdown(source, chosen), block.body, name)
    return Template(
        name=name,
        folder=str(path.parent.resolve()),
        subject=chosen,
        text=text,
        html=html,
        headers=_merged(block.headers, extra.headers),
        sender=block.sender or extra.sender,
        reply_to=block.reply_to or extra.reply_to,
    )


def inline_template(*, text: str | None, html: str | None, subject: str | None) -> Template:
    """Return a template made from the command line's own texts: no header block, and no file to include.

    Args:
        text: The text part; made from the HTML where only that is given.
        html: The HTML part.
        subject: A template; else the HTML's title.

    Raises:
        TemplateError: Neither part is given, or there is no subject.
    """
    if text is None and html is None:
        raise TemplateError("The message has neither text nor HTML.", fix="Give --text, --html or --template.")
    name = "the message" if html is None else "the HTML"
    found = ""
    if html is not None:
        found = _converted(_title, html, name)
        text = text if text is not None else _made_from_html(_parsed(html, name), name)
    return Template(name=name, folder="", subject=_subject(subject, found, name=name), text=text, html=html)


def fingerprint(template: Template) -> str:
    """Return 16 hexadecimal digits that change with any source of the template.

    Files that ``include`` and ``extends`` reach count too; where such a name is computed while rendering, all files of
    the folder that could be meant do.
    """
    digest = hashlib.blake2b(digest_size=8)
    sources = [template.subject, template.text or "", template.html or "", template.sender, template.reply_to]
    for source in (*sources, *(part for header in template.headers for part in header)):
        _add(digest, source)
    digest.update(bytes([template.text is not None, template.html is not None]))
    environment = html_environment(template.folder)
    waiting = [source for source in (template.text, template.html) if source]
    seen: set[str] = set()
    while waiting:
        try:
            names = [reference for reference, _ in references(environment.parse(waiting.pop()))]
        except TemplateSyntaxError:
            continue  # told where it is compiled
        for name in sorted(set(_folder_names(template.folder) if "" in names else names) - seen):
            seen.add(name)
            try:
                source = environment.loader.get_source(environment, name)[0]  # type: ignore[union-attr]  # it has one
                state = "read"
            except (TemplateNotFound, TemplateError) as error:
                source, state = "", type(error).__name__
            for part in (name, state, source):
                _add(digest, part)
            waiting.append(source)
    return digest.hexdigest()


def _read(path: Path) -> HeaderBlock:
    return split_header_block(read_source(path), str(path))


def _aligned(block: HeaderBlock, body: str) -> str:
    """Put a comment where the header block stood, so that Jinja counts lines as the file does."""
    return "{#" + "\n" * block.lines + "#}" + body if block.lines else body


def _subject(*candidates: str | None, name: str) -> str:
    for candidate in candidates:
        if candidate and candidate.strip():
            return _in_one_line(candidate, name)
    fix = (
        "Give --subject, a first line 'Subject: …' followed by an empty line, or a <title> (in Markdown: a # heading)."
    )
    raise TemplateError(f"{name} has no subject.", fix=fix)


def _in_one_line(subject: str, name: str) -> str:
    """Collapse the white space that the author wrote, not what values will bring."""

    def collapse(source: str) -> str:
        words = Words(source)
        return words.restore(" ".join(words.text.split()))

    return _converted(collapse, subject, f"the subject of {name}")


def _parsed(source: str, name: str) -> str:
    """Return the source, once Jinja has found it well-formed."""
    try:
        html_environment("").parse(source)
    except TemplateSyntaxError as error:
        raise TemplateError(f"{name}:{error.lineno}: {str(error.message).rstrip('.')}.") from error
    return source


def _made_from_html(html: str, name: str) -> str | None:
    text = _converted(text_from_html, html, name)
    try:
        return _parsed(text, name) or None
    except TemplateError as error:
        fix = "Put a text part beside it, in a file of the same name with the ending .txt."
        raise TemplateError(f"No text part can be made from {name}: its tags and blocks overlap.", fix=fix) from error


def _converted(convert: Callable[[str], str], source: str, name: str) -> str:
    try:
        return convert(source)
    except TemplateSyntaxError as error:
        raise TemplateError(f"{name}:{error.lineno}: {str(error.message).rstrip('.')}.") from error


def _title(html: str) -> str:
    words = Words(html)
    page = _COMMENT.sub("", words.text)
    head = page[: body.start()] if (body := _BODY.search(page)) else page
    match = _TITLE.search(head)
    return words.restore(unescape(match[1])) if match else ""


def _merged(first: tuple[tuple[str, str], ...], second: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    names = {name.lower() for name, _ in first}
    return first + tuple(header for header in second if header[0].lower() not in names)


def _folder_names(folder: str) -> list[str]:
    if not folder:
        return []
    root = Path(folder)
    return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in INCLUDED_SUFFIXES]


def _add(digest: hashlib.blake2b, source: str) -> None:
    data = source.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "big"))
    digest.update(data)
