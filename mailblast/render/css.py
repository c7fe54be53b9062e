"""Style sheets moved into the tags they style: many mail programs look nowhere else.

Once, on the template, where that is proved to give what it would give on each message; else on each, which costs
0.2 ms. Nothing is done, and nothing imported, where a template has no style sheet. Nothing is ever fetched.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mailblast.errors import RowFaultError, TemplateError
from mailblast.render.local_files import inside

if TYPE_CHECKING:
    from css_inline import CSSInliner

    from mailblast.model.campaign import Campaign

#: In bytes; what is larger is no style sheet of a mail.
LARGEST_SHEET = 500_000

_STYLE = re.compile(r"<style\b", re.IGNORECASE)
_STYLE_TAG = re.compile(r"<style\b([^>]*)>", re.IGNORECASE)
# Media of a style sheet that hold wherever a mail is read.
_READING = frozenset({"", "all", "screen"})
_LINK = re.compile(r"<link\b[^>]*>", re.IGNORECASE)
_SHEET = re.compile(r"""\brel\s*=\s*(["']?)\s*stylesheet\s*\1""", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(media)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|/|#", re.IGNORECASE)
_REACHES_OTHERS = re.compile(r"\{%[-+]?\s*(?:include|extends|import|from)\b")


def with_css_inlined(campaign: Campaign) -> Campaign:
    """Return a campaign whose template has its style sheets in its tags, as far as that can be done beforehand.

    Its ``inline_css`` tells what is left to be done on each message. Done again, nothing changes.
    """
    html = campaign.template.html
    if not campaign.inline_css or html is None:
        return campaign
    if _STYLE.search(html):
        from mailblast.render.css_once import inlined_template  # noqa: PLC0415 - for templates with style sheets alone

        html = _media_left_alone(html)
        inlined = inlined_template(html)
        template = campaign.template._replace(html=html if inlined is None else inlined)
        return campaign._replace(template=template, inline_css=inlined is None)
    return campaign._replace(inline_css=_REACHES_OTHERS.search(html) is not None)


def inlined(html: str) -> str:
    """Return a message's HTML with its style sheets in its tags.

    Raises:
        RowFaultError: The page cannot be read.
    """
    if not _STYLE.search(html):
        return html
    try:
        return inliner().inline(html)
    except ValueError as error:
        raise RowFaultError(f"The style sheets cannot be moved into the tags: {error}.") from error


@cache
def inliner() -> CSSInliner:
    """Return what inlines; made once."""
    from css_inline import CSSInliner  # noqa: PLC0415 - 14 ms

    # What cannot stand in a tag (:hover, @media) stays in its style sheet.
    return CSSInliner(
        load_remote_stylesheets=False, keep_style_tags=True, keep_link_tags=True, remove_inlined_selectors=True
    )


def with_style_sheets(html: str, folder: str, name: str) -> str:
    """Return a template with the style sheets beside it written into it, on one line each so that lines stay.

    Args:
        html: The template. Links to the web stay as they are.
        folder: Where style sheets may be read from.
        name: The template as the user named it.

    Raises:
        TemplateError: A style sheet cannot be read, or lies outside the folder.
    """
    if "stylesheet" not in html:
        return html

    def embedded(match: re.Match[str]) -> str:
        tag = match[0]
        href = _HREF.search(tag)
        if href is None or not _SHEET.search(tag) or "{{" in tag or "{%" in tag:
            return tag
        target = (href[1] or href[2] or href[3] or "").strip()
        if not target or _ELSEWHERE.match(target):
            return tag
        media = _ATTRIBUTE.search(tag)
        opening = f"<style {media[0]}>" if media else "<style>"
        return f"{opening}{_sheet(folder, target, name)}</style>" + "\n" * tag.count("\n")

    return _LINK.sub(embedded, html)


def _sheet(folder: str, target: str, name: str) -> str:
    path = inside(folder, unquote(target.partition("?")[0].partition("#")[0]), name, "style sheet")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_SHEET + 1)
        if len(data) > LARGEST_SHEET:
            raise TemplateError(f"{name}: the style sheet '{target}' is over {LARGEST_SHEET // 1000} KB.")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise TemplateError(f"{name}: the style sheet '{target}' cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TemplateError(f"{name}: the style sheet '{target}' is not UTF-8.") from error
    if "</style" in text.lower():
        raise TemplateError(f"{name}: the style sheet '{target}' holds '</style', which would end it early.")
    # What would open Jinja code gets a blank between its braces, which no rule minds.
    return re.sub(r"\{(?=[{%#])", "{ ", " ".join(text.split()))


def _media_left_alone(html: str) -> str:
    """Return a template whose style sheets for print and the like stay where they are."""

    def marked(match: re.Match[str]) -> str:
        media = _ATTRIBUTE.search(match[0])
        if media is None or media[2].strip("\"' ").lower() in _READING or "data-css-inline" in match[0]:
            return match[0]
        return f'<style{match[1]} data-css-inline="ignore">'

    return _STYLE_TAG.sub(marked, html)


def style_attribute(value: str) -> str:
    """Return a style attribute, with the blank before it."""
    return f' style="{escape(value)}"'
