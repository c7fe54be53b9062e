"""The text part made from an HTML template: once, with its Jinja code left in place and in order."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

from mailblast.render.words import Code, Words

# Line breaks around an element: 2 leaves an empty line, 1 does not.
_BREAKS = dict.fromkeys(
    ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre", "hr", "header",
     "footer"), 2
) | dict.fromkeys(
    ("div", "tr", "li", "dt", "dd", "section", "article", "main", "nav", "aside", "address", "figure", "figcaption",
     "center", "caption", "thead", "tbody", "tfoot", "fieldset", "form"), 1
)  # fmt: skip
_DROPPED = frozenset({"head", "title", "script", "style", "template", "svg", "object", "select", "textarea"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_HIDING_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|max-height\s*:\s*0(?![.\d])")
_BLANKS = re.compile(r"[ \t\n\r\f\xa0]+")
_RULE = "-" * 40

# Block tags that have an end tag; ``set`` only without an equals sign.
_OPENING = frozenset({"if", "for", "block", "call", "filter", "with", "autoescape", "macro", "set"})
# Of these, the ones whose content does not appear where it stands.
_ELSEWHERE = frozenset({"macro", "set"})
_BRANCHES = frozenset({"elif", "else"})
# Of no use, or harmful, inside what is dropped: they would print into the text.
_PRINTING = frozenset({"block", "endblock", "include"})

Attributes = list[tuple[str, str | None]]


def text_from_html(source: str) -> str:
    """Return a text template made from an HTML template; empty where it has no text.

    Links become ``words <address>``, cells of a row stand side by side, images give their alternative text. Styles,
    comments and hidden elements (such as a preheader) are left out.

    Raises:
        jinja2.TemplateSyntaxError: The source cannot be split into text and code.
    """
    words = Words(source)
    page = _Page(words)
    page.feed(words.text)
    page.close()
    text = words.restore(page.text().strip())
    return f"{text}\n" if text else ""


class _Scope(NamedTuple):
    """What was known where a block tag opened."""

    keyword: str
    #: Line breaks that stand before its content.
    breaks: int
    #: The fewest line breaks that any of its branches ended with.
    fewest: int
    pending: int
    space: bool


class _Page(HTMLParser):
    """Collects text. Breaks and blanks are held back until something follows them, so that they never pile up."""

    def __init__(self, words: Words) -> None:
        super().__init__(convert_charrefs=True)
        self._words = words
        self._out: list[str] = []
        #: Line breaks that the output ends with; 0 inside a line, and where it depends on a branch.
        self._breaks = 2
        self._pending = 0
        self._space = False
        self._new_cell = False
        self._scopes: list[_Scope] = []
        self._dropped_tag = ""
        self._dropped_depth = 0
        self._preformatted = 0
        self._pre_opened = False
        self._links: list[tuple[str, int]] = []
        #: Next number of each open list; 0 for bullets.
        self._lists: list[int] = []

    def text(self) -> str:
        return "".join(self._out)

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        tag = self._words.pattern.sub("", tag)
        values = {name: value or "" for name, value in attrs}
        if self._dropped_tag and tag != "body":
            self._dropped_depth += tag == self._dropped_tag and tag not in _VOID
            return
        self._dropped_tag = ""
        if tag not in _VOID and (tag in _DROPPED or _is_hidden(values)):
            self._dropped_tag, self._dropped_depth = tag, 1
            return
        self._break(_BREAKS.get(tag, 0))
        self._begin(tag, values)

    def _begin(self, tag: str, values: dict[str, str]) -> None:
        match tag:
            case "br":
                self._break(min(self._pending, 1) + 1)
            case "hr":
                self._print(_RULE)
                self._break(2)
            case "img" if not _is_hidden(values):
                self.handle_data(values.get("alt", ""))
            case "a":
                self._links.append((values.get("href", "").strip(), len(self._out)))
            case "td" | "th":
                self._new_cell = True
            case "pre":
                self._preformatted += 1
                self._pre_opened = True
            case "ul" | "ol":
                self._lists.append(int(tag == "ol"))
            case "li":
                self._print(self._bullet())
                self._breaks = 2  # what follows belongs on this line, also a paragraph

    def handle_endtag(self, tag: str) -> None:
        tag = self._words.pattern.sub("", tag)
        if self._dropped_tag:
            self._dropped_depth -= tag == self._dropped_tag
            if self._dropped_depth == 0:
                self._dropped_tag = ""
            return
        match tag:
            case "a" if self._links:
                self._end_link(*self._links.pop())
            case "pre" if self._preformatted:
                self._preformatted -= 1
            case "ul" | "ol" if self._lists:
                self._lists.pop()
        self._break(_BREAKS.get(tag, 0))

    def handle_comment(self, data: str) -> None:
        # Conditional comments for Outlook: no text, but a loop that opens in one may end outside.
        for piece in self._words.split(data):
            if isinstance(piece, Code):
                self._code_in_dropped(piece)

    def handle_data(self, data: str) -> None:
        for piece in self._words.split(data):
            if isinstance(piece, Code):
                if self._dropped_tag:
                    self._code_in_dropped(piece)
                else:
                    self._code(piece)
            elif not self._dropped_tag:
                self._data(piece)

    def _data(self, data: str) -> None:
        if self._preformatted:
            # HTML drops the line break right after the tag.
            self._print(data.removeprefix("\n") if self._pre_opened else data)
            self._pre_opened = False
            self._breaks = min(len(data) - len(data.rstrip("\n")), 2)
            return
        data = _BLANKS.sub(" ", data.replace("\xad", ""))
        self._space = self._space or data.startswith(" ")
        if words := data.strip(" "):
            self._print(words)
            self._space = data.endswith(" ")

    def _code(self, code: Code) -> None:
        keyword = code.keyword
        if keyword == "for":
            self._lists = [0] * len(self._lists)
        if not keyword or keyword == "include":
            self._print(code.word)
        elif keyword in _OPENING and not (keyword == "set" and "=" in code.source):
            if keyword not in _ELSEWHERE:
                self._flush()
            self._scopes.append(_Scope(keyword, self._breaks, 2, self._pending, self._space))
            if keyword in _ELSEWHERE:
                self._breaks, self._pending, self._space = 2, 0, False
            self._out.append(code.word)
        elif keyword in _BRANCHES and self._scopes:
            self._flush()
            scope = self._scopes[-1]
            self._scopes[-1] = scope._replace(fewest=min(scope.fewest, self._breaks))
            self._breaks = scope.breaks
            self._out.append(code.word)
        elif keyword.startswith("end") and self._scopes:
            self._end_scope(code)
        else:
            self._out.append(code.word)

    def _end_scope(self, code: Code) -> None:
        scope = self._scopes.pop()
        if scope.keyword in _ELSEWHERE:
            self._breaks, self._pending, self._space = scope.breaks, scope.pending, scope.space
        else:
            self._flush()
            self._breaks = min(self._breaks, scope.fewest, scope.breaks)
        self._out.append(code.word)

    def _code_in_dropped(self, code: Code) -> None:
        # Block tags stay, since what they open may end elsewhere or set a variable.
        if code.keyword and code.keyword not in _PRINTING:
            self._out.append(code.word)

    def _print(self, text: str) -> None:
        self._flush()
        self._out.append(text)
        self._breaks = 0

    def _flush(self) -> None:
        if self._pending > self._breaks:
            self._out.append("\n" * (self._pending - self._breaks))
            self._breaks = self._pending
        elif self._breaks == 0 and not self._pending:
            if self._new_cell:
                self._out.append(" | ")
            elif self._space:
                self._out.append(" ")
        self._pending = 0
        self._space = self._new_cell = False

    def _break(self, breaks: int) -> None:
        self._pending = max(self._pending, breaks)

    def _bullet(self) -> str:
        if not self._lists or not self._lists[-1]:
            return "- "
        self._lists[-1] += 1
        return f"{self._lists[-1] - 1}. "

    def _end_link(self, href: str, start: int) -> None:
        target = href.removeprefix("mailto:")
        shown = "".join(self._out[start:]).strip()
        is_same = self._words.restore(shown) == self._words.restore(target)
        if not target or target.startswith(("#", "javascript:")) or is_same:
            return
        if shown:
            self._out.append(f" <{target}>")
        else:
            self._print(f"<{target}>")


def _is_hidden(attributes: dict[str, str]) -> bool:
    return "hidden" in attributes or bool(_HIDING_STYLE.search(attributes.get("style", "").lower()))
