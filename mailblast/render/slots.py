"""A template as providers take it that fill it in themselves: static text once, one value for each slot."""

from __future__ import annotations

import re
import secrets
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Template as JinjaTemplate
from jinja2 import nodes
from jinja2.runtime import Context
from markupsafe import escape

from mailblast.model.message import Layout
from mailblast.render.environment import html_environment, text_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailblast.model.campaign import Template
    from mailblast.model.message import Content
    from mailblast.render.environment import TemplateEnvironment

_CODE = re.compile(r"\{[{%#]")
_ESCAPED = re.compile("[&<>'\"]")
# What would read as one with the braces of a slot beside it. A backslash in front of a slot makes it plain text
# (https://handlebarsjs.com/guide/expressions.html).
_BEFORE_SLOT = re.compile(r"[{\\]+\Z")
_AFTER_SLOT = re.compile(r"\A\}+")
#: Top-level nodes that print nothing where they stand.
_SILENT = (nodes.Assign, nodes.AssignBlock, nodes.Macro, nodes.Import, nodes.FromImport, nodes.ExprStmt)


class _Part(NamedTuple):
    """One piece of the template: its static texts, with a slot between each two."""

    #: One more than there are slots.
    statics: tuple[str, ...]
    environment: TemplateEnvironment
    #: Writes nothing but the slots' values, the marker between them; None where there is no slot.
    template: JinjaTemplate | None = None
    #: Where each slot is one plain variable: their names. Then text needs no Jinja, which costs 8 µs a part.
    variables: tuple[str, ...] = ()


class SlotRenderer:
    """Split one template; compiled once, used for each recipient of a campaign.

    Each run of top-level code with no text between is one slot, a whole loop or condition too. A subject with code in
    it is one slot, since white space collapses in it. Code runs here and in its usual order, so that values are escaped
    as the part demands and assignments hold for what follows.

    Args:
        template: As read; one that ``Renderer`` compiles.
    """

    #: None where the template cannot be split: it extends another, or its text would be taken for a slot.
    layout: Layout | None

    def __init__(self, template: Template) -> None:
        text_parts, html_parts = text_environment(template.folder), html_environment(template.folder)
        self._globals = dict(text_parts.globals)
        token = secrets.token_hex(8)
        #: Between values; drawn anew for each run, so that no list can hold it.
        self._marker = f"\x00{token}\x00"
        self._has_subject_slot = _CODE.search(template.subject) is not None
        self._text = self._html = None
        self.layout = None
        if template.text is not None:
            self._text = _split(template.text, text_parts, self._marker)
        if template.html is not None:
            self._html = _split(template.html, html_parts, self._marker)
        if (template.text is not None and self._text is None) or (template.html is not None and self._html is None):
            return
        names: list[str] = []
        subject = template.subject
        if self._has_subject_slot:
            subject = _next_slot(names, token)
        text = None if self._text is None else _written(self._text, names, token)
        html = None if self._html is None else _written(self._html, names, token)
        self.layout = Layout(tuple(names), subject, text, html)

    def values(self, variables: Mapping[str, object], content: Content) -> tuple[str, ...] | None:
        """Return one value for each of the layout's names.

        Args:
            variables: Of one recipient, as given to ``Renderer.render``.
            content: What that made of them.

        Returns:
            None where the layout filled with the values would not be ``content`` to the letter, or where a value could
            be taken for a slot.
        """
        layout = self.layout
        if layout is None:
            return None
        found = [content.subject] if self._has_subject_slot else []
        if not self._has_subject_slot and content.subject != layout.subject:
            return None
        values = {**self._globals, **variables}
        for part, whole in ((self._text, content.text), (self._html, content.html)):
            if part is None:
                if whole is not None:
                    return None
                continue
            filled = self._fill(part, values)
            if filled is None or _filled_in(part.statics, filled) != whole:
                return None
            found += filled
        together = "\n".join(found)
        return None if "{{" in together or "}}" in together else tuple(found)

    def _fill(self, part: _Part, values: dict[str, object]) -> list[str] | None:
        template = part.template
        if template is None:
            return []
        if part.variables and (plain := _plain(part, values)) is not None:
            return plain
        try:
            pieces = template.root_render_func(Context(part.environment, values, template.name, template.blocks))
            filled = "".join(pieces).split(self._marker)
        except Exception:  # noqa: BLE001 - the same code has just worked on this row: whatever it is, it is not the same
            return None
        return filled if len(filled) == len(part.statics) - 1 else None


def _plain(part: _Part, values: dict[str, object]) -> list[str] | None:
    """Return the values of plain variables; None where one is missing or no text."""
    found = []
    escapes = part.environment.autoescape is True
    for name in part.variables:
        value = values.get(name)
        if type(value) is not str:
            return None
        found.append(str(escape(value)) if escapes and _ESCAPED.search(value) else value)
    return found


def _filled_in(statics: tuple[str, ...], values: list[str]) -> str:
    return "".join(chain.from_iterable(zip_longest(statics, values, fillvalue="")))


def _next_slot(names: list[str], token: str) -> str:
    names.append(f"s{token[:6]}n{len(names)}")
    return f"{{{{{names[-1]}}}}}"


def _written(part: _Part, names: list[str], token: str) -> str:
    return part.statics[0] + "".join(_next_slot(names, token) + static for static in part.statics[1:])


def _split(source: str, environment: TemplateEnvironment, marker: str) -> _Part | None:
    """Return the part that a source is; None where it cannot be split."""
    if not _CODE.search(source):
        return _Part((source,), environment)
    tree = environment.parse(source)
    if tree.find(nodes.Extends) is not None:
        return None
    statics, slots = _static_and_dynamic(tree)
    if any("{{" in static for static in statics):
        return None
    if not slots:
        return _Part(("".join(statics),), environment)
    _keep_braces_apart(statics, slots)
    variables = _variables(slots)
    body: list[nodes.Node] = []
    for index, slot in enumerate(slots):
        if index:
            body.append(_output(nodes.TemplateData(marker, lineno=1)))
        body += slot
    tree.body = body
    tree.set_environment(environment)
    template = JinjaTemplate.from_code(environment, environment.compile(tree), environment.make_globals(None))
    return _Part(tuple(statics), environment, template, variables)


def _variables(slots: list[list[nodes.Node]]) -> tuple[str, ...]:
    """Return the name in each slot, where each is one variable and nothing else."""
    names = []
    for slot in slots:
        match slot:
            # Jinja knows a ``self`` of its own.
            case [nodes.Output(nodes=[nodes.Name(name=name)])] if name != "self":
                names.append(name)
            case _:
                return ()
    return tuple(names)


def _static_and_dynamic(tree: nodes.Template) -> tuple[list[str], list[list[nodes.Node]]]:
    """Return the static texts, and the code of the slot after each but the last.

    Code that prints nothing runs with the next slot.
    """
    statics = [""]
    slots: list[list[nodes.Node]] = []
    silent: list[nodes.Node] = []
    after_slot = False
    for node in _flat(tree):
        if isinstance(node, nodes.TemplateData):
            statics[-1] += node.data
            after_slot = False
        elif isinstance(node, _SILENT):
            silent.append(node)
        else:
            code = [*silent, _output(node) if isinstance(node, nodes.Expr) else node]
            silent = []
            if after_slot:
                slots[-1] += code
            else:
                slots.append(code)
                statics.append("")
                after_slot = True
    return statics, slots


def _flat(tree: nodes.Template) -> Iterator[nodes.Node]:
    for node in tree.body:
        if isinstance(node, nodes.Output):
            yield from node.nodes
        else:
            yield node


def _keep_braces_apart(statics: list[str], slots: list[list[nodes.Node]]) -> None:
    """Let the values carry what, written right beside a slot, would change its meaning."""
    for index, slot in enumerate(slots):
        if match := _BEFORE_SLOT.search(statics[index]):
            statics[index] = statics[index][: match.start()]
            slot.insert(0, _output(nodes.TemplateData(match[0], lineno=1)))
        if match := _AFTER_SLOT.search(statics[index + 1]):
            statics[index + 1] = statics[index + 1][match.end() :]
            slot.append(_output(nodes.TemplateData(match[0], lineno=1)))


def _output(node: nodes.Expr) -> nodes.Output:
    return nodes.Output([node], lineno=node.lineno)
