"""A template's style sheets moved into its tags once, where a proof holds that each message would get the same.

The code in the template is blanked out, the page is inlined with all its branches in it, and what each tag got is
written into the template's own text, which is not changed otherwise: loops, conditions and line numbers stay. This
equals inlining each message where a tag's styles depend on nothing that code decides:

- every selector looks at tags, classes, identifiers and ancestors only, never at neighbours or counts;
- no code stands in a tag, save values in attributes that no selector looks at, nor in a style sheet;
- each branch and loop holds whole elements, so that ancestors are the same whatever is shown;
- the page parses to the ancestors that its text shows: no parser moves an element elsewhere;
- no code brings elements of its own: no ``safe``, no includes, no macros.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

from mailblast.render.css import inliner, style_attribute
from mailblast.render.words import Code, Words

_CODE = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_KEYWORD = re.compile(r"\{%[-+]?\s*(\w+)")
_NOT_NEWLINE = re.compile(r"[^\n]")
_OPENS, _BRANCHES, _CLOSES = frozenset({"if", "for"}), frozenset({"elif", "else"}), frozenset({"endif", "endfor"})
# What brings elements of its own, or may.
_BRINGS_ELEMENTS = re.compile(r"\bloop\s*\(|\b(?:safe|urlize|xmlattr|recursive|caller|self|super)\b", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([^\s=>/"']+)(\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?""")
_MARK = "data-mailblast-tag"

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r""""[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*'""", re.DOTALL)
_IN_BRACKETS = re.compile(r"\[\s*([\w-]+)[^\]]*\]")
# Neighbours, and pseudo-classes other than those of links, pointer and page.
_LOOKS_AROUND = re.compile(
    r"[+~&]|:(?!:|(?:hover|active|focus|focus-within|visited|link|target|root|before|after|first-line|first-letter)\b)"
)


class _Tag(NamedTuple):
    """A start tag."""

    name: str
    #: Where it begins and ends in the source.
    start: int
    end: int
    #: Its style; None where it has none.
    style: str | None
    #: Number of the tag written into it; -1 where there is none.
    mark: int
    #: Position of the tag around it among all; -1 where there is none.
    parent: int


class _Page(HTMLParser):
    """Read the tags of a page, with what is around each."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[_Tag] = []
        #: Positions of start and end tags in the text, and the tags that are open from there on.
        self.open_from: list[tuple[int, tuple[int, ...]]] = [(0, ())]
        #: Begin and end of the contents of style sheets.
        self.sheets: list[tuple[int, int]] = []
        self.is_nested = True
        self._open: list[int] = []
        self._lines = [0]
        for line in source.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self.feed(source)
        self.close()
        self.is_nested = self.is_nested and not self._open

    def _position(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(reversed(attrs))
        start = self._position()
        end = start + len(self.get_starttag_text() or "")
        parent = self._open[-1] if self._open else -1
        self.tags.append(_Tag(tag, start, end, values.get("style"), int(values.get(_MARK) or -1), parent))
        if tag not in _VOID:
            self._open.append(len(self.tags) - 1)
            self.open_from.append((end, tuple(self._open)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # In HTML the slash means nothing.
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self.tags[self._open[-1]].name != tag:
            self.is_nested = False
            return
        opened = self.tags[self._open.pop()]
        self.open_from.append((self._position(), tuple(self._open)))
        if tag == "style":
            self.sheets.append((opened.end, self._position()))


class _Code(NamedTuple):
    """A piece of code in the template."""

    start: int
    end: int
    #: First word of a block tag; empty for a value, ``#`` for a comment.
    keyword: str


def inlined_template(html: str) -> str | None:
    """Return the template with its style sheets in its tags; None where no proof holds that this is the same."""
    codes = [_code(match) for match in _CODE.finditer(html)]
    if not all(map(_is_plain, codes, (html[code.start : code.end] for code in codes))):
        return None
    page = _Page(_blanked(html, codes))
    looked_at = _attributes_looked_at([html[start:end] for start, end in page.sheets])
    if looked_at is None or not page.is_nested or not _code_is_apart(html, codes, page, looked_at):
        return None
    return _spliced(html, codes, page)


def _code(match: re.Match[str]) -> _Code:
    text = match[0]
    keyword = _KEYWORD.match(text)
    return _Code(match.start(), match.end(), keyword[1] if keyword else "#" if text.startswith("{#") else "")


def _is_plain(code: _Code, text: str) -> bool:
    if code.keyword == "#":
        return True
    known = code.keyword in _OPENS | _BRANCHES | _CLOSES or not code.keyword or (code.keyword == "set" and "=" in text)
    return known and not _BRINGS_ELEMENTS.search(text)


def _blanked(html: str, codes: list[_Code]) -> str:
    """Return the template with letters for values and blanks for all other code; all stays where it is."""
    pieces: list[str] = []
    position = 0
    for code in codes:
        filler = " " if code.keyword else "j"
        pieces += (html[position : code.start], _NOT_NEWLINE.sub(filler, html[code.start : code.end]))
        position = code.end
    return "".join([*pieces, html[position:]])


def _attributes_looked_at(sheets: list[str]) -> frozenset[str] | None:
    """Return the attributes that selectors look at; None where one looks at neighbours or counts."""
    attributes = {"class", "id", "style"}
    for sheet in sheets:
        for selector in _selectors(_STRING.sub("''", _COMMENT.sub(" ", sheet))):
            attributes.update(name.lower() for name in _IN_BRACKETS.findall(selector))
            if _LOOKS_AROUND.search(_IN_BRACKETS.sub("", selector)):
                return None
    return frozenset(attributes)


def _selectors(sheet: str) -> list[str]:
    """Return what stands before the braces of rules; of rules inside at-rules nothing, for they stay where they are."""
    found: list[str] = []
    depth, in_at_rule = 0, False
    for text, brace in re.findall(r"([^{}]*)([{}])", sheet):
        if brace == "}":
            depth = max(depth - 1, 0)
            continue
        prelude = text.rpartition(";")[2].strip()
        if depth == 0:
            in_at_rule = prelude.startswith("@")
            if not in_at_rule:
                found.append(prelude)
        elif not in_at_rule:
            found.append("&")  # a rule inside a rule
        depth += 1
    return found


def _code_is_apart(html: str, codes: list[_Code], page: _Page, looked_at: frozenset[str]) -> bool:
    """Return whether no code has a say in which styles a tag gets."""
    tags, opened = iter(page.tags), iter(page.open_from)
    tag = next(tags, None)
    ahead = next(opened, None)
    now: tuple[int, ...] = ()
    around: list[tuple[int, ...]] = []
    for code in codes:
        while tag is not None and tag.end <= code.start:
            tag = next(tags, None)
        if tag is not None and tag.start < code.end and not _is_unseen_value(html, code, tag, looked_at):
            return False
        if any(start <= code.start < end for start, end in page.sheets):
            return False
        while ahead is not None and ahead[0] <= code.start:
            now = ahead[1]
            ahead = next(opened, None)
        if code.keyword in _OPENS:
            around.append(now)
        elif code.keyword in _BRANCHES | _CLOSES and (not around or around[-1] != now):
            return False
        if code.keyword in _CLOSES:
            around.pop()
    return True


def _is_unseen_value(html: str, code: _Code, tag: _Tag, looked_at: frozenset[str]) -> bool:
    """Return whether code is a value in a quoted attribute that no selector looks at."""
    if code.keyword or code.start < tag.start or code.end > tag.end:
        return False
    for match in _attributes(html, tag):
        start, end = match.span(3)
        if start < code.start and code.end < end and html[start] in "\"'":
            return match[1].lower() not in looked_at
    return False


def _attributes(html: str, tag: _Tag) -> list[re.Match[str]]:
    return list(_ATTRIBUTE.finditer(html, tag.start + 1 + len(tag.name), tag.end - 1))


def _spliced(html: str, codes: list[_Code], page: _Page) -> str | None:
    """Inline the page, and write what its tags got into the template."""
    blanked = _blanked(html, codes)
    marked: list[str] = []
    position = 0
    for number, tag in enumerate(page.tags):
        after_name = tag.start + 1 + len(tag.name)
        marked += (blanked[position:after_name], f' {_MARK}="{number}"')
        position = after_name
    source = "".join([*marked, blanked[position:]])
    try:
        written = inliner().inline(source)
    except ValueError:
        return None
    result = _Page(written)
    got = {tag.mark: tag for tag in result.tags if tag.mark >= 0}
    if len(got) != len(page.tags) or len(result.sheets) != len(page.sheets):
        return None
    for number, tag in enumerate(page.tags):
        if tag.parent != _marked_ancestor(result, got[number]):
            return None
    edits = [edit for number, tag in enumerate(page.tags) if (edit := _edit(html, tag, got[number].style)) is not None]
    edits += [
        (start, end, written[first:last].strip())
        for (start, end), (first, last) in zip(page.sheets, result.sheets, strict=True)
    ]
    text = html
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + _with_lines(html[start:end], new) + text[end:]
    return text if _has_same_code(html, text) else None


def _marked_ancestor(page: _Page, tag: _Tag) -> int:
    """Return the mark of the nearest tag around; the parser adds some of its own, which have none."""
    while tag.parent >= 0:
        tag = page.tags[tag.parent]
        if tag.mark >= 0:
            return tag.mark
    return -1


def _edit(html: str, tag: _Tag, style: str | None) -> tuple[int, int, str] | None:
    if style is None or style == tag.style:
        return None
    for match in _attributes(html, tag):
        if match[1].lower() == "style":
            return match.start(), match.end(), style_attribute(style).strip()
    after_name = tag.start + 1 + len(tag.name)
    return after_name, after_name, style_attribute(style)


def _with_lines(old: str, new: str) -> str:
    """Return new text with as many lines as the old had."""
    missing = old.count("\n") - new.count("\n")
    if missing < 0:
        new = " ".join(new.split())
        missing = old.count("\n")
    return new + "\n" * missing


def _has_same_code(old: str, new: str) -> bool:
    """Return whether what was written brought no code and took none away."""
    return _sources(old) == _sources(new)


def _sources(text: str) -> list[str]:
    words = Words(text)
    return [piece.source for piece in words.split(words.text) if isinstance(piece, Code)]
