"""Jinja code replaced by plain words, so that a template can be converted as if it were a document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, TemplateSyntaxError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Only its lexer is used.
_ENVIRONMENT = Environment(keep_trailing_newline=True)  # noqa: S701 - nothing is rendered with it

# Begin and end of what is code; a comment disappears, a raw block is text.
_CODE_ENDS = {"variable_begin": "variable_end", "block_begin": "block_end"}
_DROPPED = frozenset({"comment_begin", "comment", "comment_end", "raw_begin", "raw_end"})

# A brace that would open Jinja code together with what follows it.
_OPENING_BRACE = re.compile(r"\{(?=[{%#]|\Z)")

# One block tag or comment alone on its line, without whitespace control of its own.
_OWN_LINE_TAG = re.compile(r"(?m)^[ \t]*(\{%(?![-+])(?:[^%\n]|%(?!\}))*?)[ \t]*(?<![-+])%\}[ \t]*\n")
_OWN_LINE_COMMENT = re.compile(r"(?m)^[ \t]*(\{#(?![-+])(?:[^#\n]|#(?!\}))*?)(?<![-+])#\}[ \t]*\n")
_RAW = re.compile(r"\{%[-+]?\s*raw\b")


class Code(NamedTuple):
    """One expression or block tag."""

    #: Its source, without whitespace control: what that removes is already gone.
    source: str
    #: First word of a block tag, such as ``for``; empty for an expression.
    keyword: str
    #: What stands for it.
    word: str


class Words:
    """The source of a template, with each piece of code replaced by a word of letters and digits.

    Args:
        source: A template.

    Raises:
        jinja2.TemplateSyntaxError: The source cannot be split into text and code.
    """

    def __init__(self, source: str) -> None:
        self._codes: list[Code] = []
        stem, lowered = "jinja0q", source.lower()
        while stem in lowered:
            stem = f"jinja{int(stem[5:-1]) + 1}q"
        #: Matches one word; group 1 is its number.
        self.pattern = re.compile(rf"{stem}(\d+)z")
        pieces = []
        for text, is_code in _pieces(source):
            if is_code:
                self._codes.append(_code(text, f"{stem}{len(self._codes)}z"))
                pieces.append(self._codes[-1].word)
            else:
                pieces.append(text)
        #: The source with its words.
        self.text = "".join(pieces)

    def split(self, text: str) -> Iterator[str | Code]:
        """Yield the text between words, and the code, in order."""
        position = 0
        for match in self.pattern.finditer(text):
            if match.start() > position:
                yield text[position : match.start()]
            yield self._codes[int(match[1])]
            position = match.end()
        if position < len(text):
            yield text[position:]

    def restore(self, text: str) -> str:
        """Return a template again: code in place of words, and text that merely looks like code made harmless."""
        return "".join(
            piece.source if isinstance(piece, Code) else _OPENING_BRACE.sub("{{ '{' }}", piece)
            for piece in self.split(text)
        )


def own_lines(source: str) -> str:
    """Let a block tag that stands alone on its line leave no empty line behind.

    For text parts, where every line break shows. The break moves inside the tag, so that line numbers stay.
    """
    if _RAW.search(source):
        return source
    return _OWN_LINE_COMMENT.sub(r"\1\n#}", _OWN_LINE_TAG.sub(r"\1\n%}", source))


def _pieces(source: str) -> Iterator[tuple[str, bool]]:
    """Yield text and code in order; the second value says which."""
    end = ""
    inside: list[str] = []
    begins = 0
    for line, kind, value in _ENVIRONMENT.lexer.tokeniter(source, None):
        if end:
            if kind == end:
                inner = "".join(inside).strip()
                yield (f"{{% {inner} %}}" if kind == "block_end" else f"{{{{ {inner} }}}}"), True
                end = ""
            else:
                inside.append(value)
        elif kind in _CODE_ENDS:
            end = _CODE_ENDS[kind]
            begins = line
            inside = []
        elif kind not in _DROPPED:
            yield value, False
    if end:
        raise TemplateSyntaxError("the code that begins here does not end", begins)


def _code(source: str, word: str) -> Code:
    words = source[2:-2].split(None, 1)
    return Code(source, words[0] if source.startswith("{%") and words else "", word)
