"""Jinja as templates see it: sandboxed, strict about missing variables, escaping in HTML and nowhere else."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, TemplateRuntimeError, UndefinedError
from jinja2.loaders import split_template_path
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from mailblast.errors import TemplateError
from mailblast.render.filters import date, money
from mailblast.render.markdown_html import html_from_markdown
from mailblast.render.plain_text import text_from_html
from mailblast.render.words import own_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jinja2.runtime import Context

HTML_SUFFIXES = frozenset({".html", ".htm"})
TEXT_SUFFIXES = frozenset({".txt"})
MARKDOWN_SUFFIXES = frozenset({".md", ".markdown"})
#: What ``include`` and ``extends`` may read: nothing that could hold a secret, such as ``.env``.
INCLUDED_SUFFIXES = HTML_SUFFIXES | TEXT_SUFFIXES | MARKDOWN_SUFFIXES | {".css", ".jinja", ".jinja2", ".j2"}

#: Largest template file, and largest part that one may make.
LARGEST_PART = 2_000_000
#: Bits of the largest whole number that ``**`` may give.
LARGEST_POWER = 4_096

_KEPT_GLOBALS = ("range", "dict", "namespace")


class MissingVariableError(UndefinedError):
    """A template uses a variable, key or attribute that the row does not have.

    Args:
        message: Jinja's words.
        owner: The value that was asked; Jinja's ``missing`` where a variable itself is.
        name: What it was asked for.
    """

    def __init__(self, message: str | None, *, owner: object, name: object) -> None:
        super().__init__(message)
        self.owner = owner
        self.name = name


class Missing(StrictUndefined):
    """Stands for what is missing; any use of it is an error, save ``default`` and ``is defined``."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, exc)
        if exc is UndefinedError:
            # Called where the error is raised; a partial, since only this object knows who was asked.
            self._undefined_exception = partial(MissingVariableError, owner=obj, name=name)  # type: ignore[assignment]


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with dictionary keys before methods and bounds on what grows fastest."""

    intercepted_binops = frozenset({"*", "**"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return ``obj.attribute``; of JSON data, the key, so that ``order.items`` is the order's items."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Multiply or raise to a power, unless the result would fill the memory."""
        if operator == "*":
            for value, times in ((left, right), (right, left)):
                sized = isinstance(value, (str, list, tuple)) and isinstance(times, int)
                if sized and len(value) * times > LARGEST_PART:
                    raise SecurityError("the repeated text would be too long")
        elif isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > LARGEST_POWER:
            raise SecurityError("the power would be too large")
        return super().call_binop(context, operator, left, right)


class FolderLoader(BaseLoader):
    """Read what ``include`` and ``extends`` name, from one folder and never from outside it.

    Args:
        folder: Empty where nothing may be read.
        convert: From a file's suffix and source to the source to compile.
    """

    def __init__(self, folder: str, convert: Callable[[str, str], str]) -> None:
        self._folder = folder
        self._convert = convert

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002 - Jinja's signature
        template: str,
    ) -> tuple[str, str, Callable[[], bool] | None]:
        """Return source and path.

        Raises:
            jinja2.TemplateNotFound: No such file in the folder, or none that may be read.
            jinja2.TemplateSyntaxError: The file cannot be converted.
            TemplateError: The file is not UTF-8 or is too large.
        """
        if not self._folder:
            raise TemplateNotFound(template, f"{template} (there is no template folder to read from)")
        root = Path(self._folder).resolve()
        path = root.joinpath(*split_template_path(template)).resolve()
        if not path.is_relative_to(root) or path.suffix.lower() not in INCLUDED_SUFFIXES or not path.is_file():
            raise TemplateNotFound(template)
        try:
            return self._convert(path.suffix.lower(), read_source(path)), str(path), None
        except TemplateSyntaxError as error:
            error.filename = str(path)
            raise


def read_source(path: Path) -> str:
    """Return a template file's text, its line ends made uniform (LF).

    Raises:
        TemplateError: It cannot be read, is over 2 MB, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_PART + 1)
    except OSError as error:
        fix = "Check the name and the current folder."
        raise TemplateError(f"The template {path} cannot be read: {error.strerror}.", fix=fix) from error
    if len(data) > LARGEST_PART:
        raise TemplateError(f"The template {path} is over 2 MB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TemplateError(f"{path}:{line}: the template is not UTF-8.", fix="Save it with that encoding.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def html_environment(folder: str) -> TemplateEnvironment:
    """Return the environment of HTML parts: what a variable holds is escaped."""
    return _environment(FolderLoader(folder, _to_html), autoescape=True)


def text_environment(folder: str) -> TemplateEnvironment:
    """Return the environment of text parts, subjects and headers: nothing is escaped, not even on request."""
    environment = _environment(FolderLoader(folder, _to_text), autoescape=False)
    environment.filters.update(dict.fromkeys(("e", "escape", "forceescape", "safe", "urlize"), _as_it_is))
    return environment


def references(tree: nodes.Template) -> Iterator[tuple[str, bool]]:
    """Yield the template names that a template reaches by name, and whether each must exist.

    A name that is computed at render time is yielded as an empty one that need not exist.
    """
    kinds = (nodes.Extends, nodes.Import, nodes.FromImport, nodes.Include)
    for node in tree.find_all(kinds):
        name = node.template  # type: ignore[attr-defined]  # all four have it
        required = not (isinstance(node, nodes.Include) and node.ignore_missing)
        match name:
            case nodes.Const(value=str() as value):
                yield value, required
            case nodes.List() | nodes.Tuple():
                for item in name.items:
                    yield (item.value if isinstance(item, nodes.Const) and isinstance(item.value, str) else ""), False
            case _:
                yield "", False


def _environment(loader: FolderLoader, *, autoescape: bool) -> TemplateEnvironment:
    environment = TemplateEnvironment(
        loader=loader,
        autoescape=autoescape,
        undefined=Missing,
        keep_trailing_newline=True,
        finalize=_shown,
        auto_reload=False,
        cache_size=-1,
    )
    environment.globals = {name: environment.globals[name] for name in _KEPT_GLOBALS}
    environment.filters.update(money=money, date=date)
    return environment


def _shown(value: object) -> object:
    """Let an empty JSON value (null) show as nothing, as an empty cell does."""
    return "" if value is None else value


def _as_it_is(value: object, *_: object, **__: object) -> str:
    return str(value)


def _to_html(suffix: str, source: str) -> str:
    return html_from_markdown(source) if suffix in MARKDOWN_SUFFIXES else source


def _to_text(suffix: str, source: str) -> str:
    return text_from_html(source) if suffix in HTML_SUFFIXES else own_lines(source)
