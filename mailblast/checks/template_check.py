"""The template by itself: it compiles, and has what a mail should have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.checks.check import Check, Level
from mailblast.message.builder import UNSUBSCRIBE_URL
from mailblast.model.campaign import Campaign, Mailbox
from mailblast.render.css import with_css_inlined
from mailblast.render.inline_images import with_inline_images
from mailblast.render.renderer import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.model.campaign import Template

#: Gmail cuts messages whose HTML is longer; the footer with its unsubscribe link goes first.
GMAIL_CLIPS_BYTES = 102 * 1024
WARN_AT = 0.8


def check_template(template: Template, columns: tuple[str, ...] | None) -> Iterator[Check]:
    """Yield findings about a template.

    Args:
        template: Loaded.
        columns: The list's columns; None where no list is given or each row brings its own.

    Raises:
        TemplateError: It does not compile.
    """
    renderer = Renderer(template)
    inlined = with_css_inlined(Campaign("check", "check", template, Mailbox("", ""))).template.html
    parts = " and ".join(name for name, part in (("text", template.text), ("HTML", template.html)) if part is not None)
    yield Check("template.compiles", Level.OK, template.name, f"The template compiles, with {parts}.")
    if template.html is None:
        yield Check("template.no_html", Level.INFO, template.name, "The message is plain text only.")
    elif (size := len((inlined or "").encode())) > GMAIL_CLIPS_BYTES * WARN_AT:
        message = f"The HTML has {size // 1024} KB before rendering; Gmail cuts what is over 102 KB."
        yield Check("template.size", Level.WARNING, template.name, message, "Make it shorter.")
    for finding in with_inline_images(template).findings:
        yield Check(finding.id, Level.WARNING, template.name, finding.message, finding.fix)
    if UNSUBSCRIBE_URL in renderer.variables and UNSUBSCRIBE_URL not in (columns or ()):
        message = f"The template shows '{UNSUBSCRIBE_URL}', which --unsubscribe makes."
        yield Check("template.unsubscribe", Level.INFO, template.name, message, "Give bulk --unsubscribe as well.")
    if columns is not None:
        known = {
            "email",
            "name",
            "data",
            UNSUBSCRIBE_URL,
            *columns,
            *(column.lower().replace(" ", "_") for column in columns),
        }
        for variable in sorted(renderer.variables - known):
            message = f"The template uses '{variable}', which is no column of the list."
            yield Check("template.variable", Level.WARNING, template.name, message, "Add the column, or a default.")
