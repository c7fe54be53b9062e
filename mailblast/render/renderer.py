"""A template filled in for one recipient after the other."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import TemplateNotFound, TemplateSyntaxError, meta
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.utils import missing

from mailblast.errors import RowFaultError, TemplateError
from mailblast.model.message import Content
from mailblast.render.blanks import Blanks, blanks_of
from mailblast.render.css import inlined
from mailblast.render.environment import (
    LARGEST_PART,
    MARKDOWN_SUFFIXES,
    MissingVariableError,
    TemplateEnvironment,
    html_environment,
    references,
    text_environment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from jinja2 import Template as JinjaTemplate
    from jinja2 import nodes

    from mailblast.model.campaign import Template

#: Levels of nested data searched for the name of a missing value.
_DEEPEST_PATH = 20
#: Pieces of a part joined at once; the size is checked in between.
_PIECES_AT_ONCE = 65_536

# Not tab and blank: they collapse. Line breaks do not, since in a header they are how values inject other headers.
_FORBIDDEN_IN_LINE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BLANKS = re.compile(r"[ \t]{2,}|\t")
_CODE = re.compile(r"\{[{%#]")


class _Part(NamedTuple):
    """One compiled piece of the template."""

    #: What it is called in messages.
    name: str
    #: Whether its lines are those of the file that the user sees.
    has_lines: bool
    #: None where the source holds no code: then it is ``constant``.
    root: Callable[[Context], Iterator[str]] | None
    constant: str
    environment: TemplateEnvironment
    template: JinjaTemplate | None
    #: Set where there is no code, or nothing but plain variables.
    blanks: Blanks | None = None


class Filling(NamedTuple):
    """What differs from one recipient to the next."""

    subject: str
    #: One value for each place of the part's ``Blanks``, escaped where that is HTML; None where there is no such part.
    text: list[str] | None
    html: list[str] | None
    headers: tuple[tuple[str, str], ...]


class Renderer:
    """Fill in one template; compiled once, used for each recipient of a campaign.

    Args:
        template: As read.
        inline_css: Whether style sheets are moved into tags, on each message (``with_css_inlined()`` tells).

    Raises:
        TemplateError: A part cannot be compiled; says which file, which line, and what is wrong.
    """

    #: Names of the top-level variables that the template may ask a row for.
    variables: frozenset[str]

    def __init__(self, template: Template, *, inline_css: bool = False) -> None:
        self._inlined = inlined if inline_css else None
        text_parts, html_parts = text_environment(template.folder), html_environment(template.folder)
        name = template.name
        is_markdown = name.lower().endswith(tuple(MARKDOWN_SUFFIXES))
        variables: set[str] = set()
        self._globals = dict(text_parts.globals)

        def compiled(source: str, label: str, environment: TemplateEnvironment, *, has_lines: bool = False) -> _Part:
            return _compile(source, label, environment, variables, has_lines=has_lines)

        self._subject = compiled(template.subject, f"the subject of {name}", text_parts)
        self._headers = tuple(
            (header, compiled(value, f"the header {header} of {name}", text_parts))
            for header, value in template.headers
        )
        # What was written by hand comes first, so that errors name its lines.
        self._text_first = is_markdown or template.html is None
        self._text = self._html = None
        if template.text is not None:
            label = name if self._text_first else f"the text part of {name}"
            self._text = compiled(template.text, label, text_parts, has_lines=self._text_first)
        if template.html is not None:
            label = f"the HTML part of {name}" if is_markdown else name
            self._html = compiled(template.html, label, html_parts, has_lines=not is_markdown)
        self.variables = frozenset(variables)

    def render(self, variables: Mapping[str, object]) -> Content:
        """Return the content for one recipient.

        Args:
            variables: By name; text, numbers, and lists and dictionaries of these.

        Raises:
            RowFaultError: A variable is missing or of the wrong kind, the subject is empty or holds a control
                character, or a part is over 2 MB.
        """
        values = {**self._globals, **variables}
        subject, headers = self._head(values)
        text = html = None
        if self._text is not None and self._text_first:
            text = _render(self._text, values)
        if self._html is not None:
            html = _render(self._html, values)
            if self._inlined is not None:
                html = self._inlined(html)
        if self._text is not None and not self._text_first:
            text = _render(self._text, values)
        return Content(subject, text, html, headers)

    @property
    def blanks(self) -> tuple[Blanks | None, Blanks | None] | None:
        """Text and HTML as static text with places, where that is all there is to them; else None."""
        if self._inlined is not None or any(part and part.blanks is None for part in (self._text, self._html)):
            return None
        return self._text and self._text.blanks, self._html and self._html.blanks

    def fill(self, variables: Mapping[str, object]) -> Filling | None:
        """Return what ``render()`` fills in, for whoever has the static text of ``blanks`` already.

        None where only ``render()`` can tell what comes of these values.

        Raises:
            RowFaultError: As ``render()``, for the subject or a header.
        """
        values = {**self._globals, **variables}
        filled: list[list[str] | None] = []
        for part in (self._text, self._html):
            if part is None or part.blanks is None:
                filled.append(None)
            elif (some := part.blanks.values(values)) is None:
                return None
            else:
                filled.append(some)
        subject, headers = self._head(values)
        return Filling(subject, filled[0], filled[1], headers)

    def _head(self, values: dict[str, object]) -> tuple[str, tuple[tuple[str, str], ...]]:
        subject = _in_one_line(_render(self._subject, values), "The subject")
        if not subject:
            raise RowFaultError("The subject is empty for this row.")
        if not self._headers:
            return subject, ()
        return subject, tuple(
            (name, _in_one_line(_render(part, values), f"The header {name}")) for name, part in self._headers
        )


def _compile(
    source: str, name: str, environment: TemplateEnvironment, variables: set[str], *, has_lines: bool
) -> _Part:
    try:
        source.encode()
    except UnicodeEncodeError:
        raise TemplateError(f"{name} holds half a character (a lone surrogate).") from None
    if not _CODE.search(source):
        return _Part(name, has_lines, None, source, environment, None, Blanks((source,), (), (), escapes=False))
    try:
        template = environment.from_string(source)
        tree = environment.parse(source)
        variables |= meta.find_undeclared_variables(tree)
        _compile_references(tree, environment, variables, set())
    except TemplateSyntaxError as error:
        where = name if error.filename is None or error.filename.startswith("<") else error.filename
        raise TemplateError(f"{where}:{error.lineno}: {str(error.message).rstrip('.')}.") from error
    except TemplateNotFound as error:
        raise TemplateError(f"{name}: there is no template '{error.message or error.name}' beside it.") from error
    except RecursionError as error:
        raise TemplateError(f"{name}: the template is nested too deeply.") from error
    blanks = blanks_of(tree, escapes=environment.autoescape is True)
    return _Part(name, has_lines, template.root_render_func, "", environment, template, blanks)


def _compile_references(
    tree: nodes.Template, environment: TemplateEnvironment, variables: set[str], seen: set[str]
) -> None:
    for name, required in references(tree):
        if not name or name in seen:
            continue
        seen.add(name)
        try:
            environment.get_template(name)
        except TemplateNotFound:
            if required:
                raise
            continue
        assert environment.loader is not None
        inner = environment.parse(environment.loader.get_source(environment, name)[0])
        variables |= meta.find_undeclared_variables(inner)
        _compile_references(inner, environment, variables, seen)


def _render(part: _Part, values: dict[str, object]) -> str:
    root = part.root
    if root is None:
        return part.constant
    template = part.template
    assert template is not None
    try:
        result = part.blanks.filled(values) if part.blanks is not None else ""
        if not result:
            # What Template.render() does, without copying the values again for each part.
            pieces = root(Context(part.environment, values, template.name, template.blocks))
            first = list(islice(pieces, _PIECES_AT_ONCE))
            result = "".join(first)
            if len(first) == _PIECES_AT_ONCE or len(result) > LARGEST_PART:
                result = _joined_with_rest(result, pieces)
        if not result.isascii():
            result.encode()
    except RowFaultError:
        raise
    except UnicodeEncodeError:
        raise RowFaultError(f"A value holds half a character (a lone surrogate), in {part.name}.") from None
    except Exception as error:
        raise _fault(error, part, values) from error
    return result


def _joined_with_rest(result: str, pieces: Iterator[str]) -> str:
    parts = [result]
    size = len(result)
    while size <= LARGEST_PART:
        more = list(islice(pieces, _PIECES_AT_ONCE))
        if not more:
            return "".join(parts)
        parts.append("".join(more))
        size += len(parts[-1])
    raise RowFaultError("The message would be over 2 MB.")


def _in_one_line(value: str, what: str) -> str:
    if value.isascii() and value.isprintable() and "  " not in value:
        # Most are such.
        return value.strip(" ")
    if _FORBIDDEN_IN_LINE.search(value):
        raise RowFaultError(f"{what} would hold a line break or another control character; remove it from the list.")
    return _BLANKS.sub(" ", value).strip(" \t")


def _fault(error: Exception, part: _Part, values: dict[str, object]) -> RowFaultError:
    line = _line(error.__traceback__) if part.has_lines else 0
    where = f"{part.name}, line {line}" if line else part.name
    if isinstance(error, MissingVariableError):
        variable = _path(error, values)
        if variable:
            return RowFaultError(f"The template needs '{variable}', which this row lacks ({where}).", column=variable)
    if isinstance(error, SecurityError):
        return RowFaultError(f"The template may not do this: {error} ({where}).")
    if isinstance(error, TemplateNotFound):
        return RowFaultError(f"There is no template '{error.name}' beside it ({where}).")
    words = str(error) or type(error).__name__
    return RowFaultError(f"The template cannot be filled from this row: {words[:200]} ({where}).")


def _line(traceback: TracebackType | None) -> int:
    """Return the line of the template that an error came from; 0 where it is not known."""
    line = 0
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _path(error: MissingVariableError, values: dict[str, object]) -> str:
    """Return what was asked for as templates write it, such as ``order.total``; empty where it is not known."""
    if error.owner is missing:
        return str(error.name)
    if not isinstance(error.owner, (dict, list)):
        return ""
    owner = _find(error.owner, values, "", depth=0)
    name = f"[{error.name}]" if isinstance(error.name, int) else f".{error.name}"
    return f"{owner}{name}".lstrip(".")


def _find(wanted: object, value: object, path: str, *, depth: int) -> str:
    if value is wanted or depth > _DEEPEST_PATH:
        return path if value is wanted else ""
    items: list[tuple[str, object]] = []
    if isinstance(value, dict):
        items = [(f"{path}.{key}".lstrip("."), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    for inner, item in items:
        if found := _find(wanted, item, inner, depth=depth + 1):
            return found
    return ""
