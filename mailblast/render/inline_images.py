"""Pictures beside the template become parts of the message, shown by ``cid:`` (RFC 2392)."""

from __future__ import annotations

import re
from base64 import encodebytes
from hashlib import blake2b
from html import unescape
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from mailblast.errors import TemplateError
from mailblast.model.message import Attachment
from mailblast.render.local_files import inside

if TYPE_CHECKING:
    from mailblast.model.campaign import Template

#: In bytes. Pictures of mails are smaller; what is larger belongs on a web server.
LARGEST_IMAGE = 2_000_000
#: What mail programs show, by how such files begin; WebP has its name after four bytes of length.
_KINDS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)

_IMAGE = re.compile(r"""<img\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_SOURCE = re.compile(r"""(?<=[\s"'/])src\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_LINK = re.compile(r"""<a\b[^>]*?\shref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_CODE = re.compile(r"\{[{%]")


class PageFinding(NamedTuple):
    """Something in the HTML that recipients will not see as meant."""

    #: Stable name, such as ``template.link``.
    id: str
    message: str
    fix: str


class InlineImages(NamedTuple):
    """A template whose local pictures are parts of the message."""

    template: Template
    attachments: tuple[Attachment, ...] = ()
    findings: tuple[PageFinding, ...] = ()


def with_inline_images(template: Template) -> InlineImages:
    """Return the template with ``cid:`` in place of the files that its pictures name, and these files.

    Files are read from the template's folder. Links to the web, and what code decides, stay as they are.

    Raises:
        TemplateError: A file cannot be read, is no picture that mail programs show, is over 2 MB, or lies outside the
            template's folder.
    """
    html = template.html
    if html is None:
        return InlineImages(template)
    findings = list(_link_findings(html))
    found: dict[str, Attachment] = {}

    def embedded(match: re.Match[str]) -> str:
        tag = match[0]
        source = _SOURCE.search(tag)
        if source is None:
            return tag
        written = unescape(source[1] or source[2] or source[3] or "").strip()
        finding = _finding(written)
        if finding is not None:
            findings.append(finding)
        if finding is not None or not _is_file(written):
            return tag
        if written not in found:
            found[written] = _attachment(template, written)
        return f'{tag[: source.start()]}src="cid:{found[written].content_id}"{tag[source.end() :]}'

    html = _IMAGE.sub(embedded, html) if "<img" in html.lower() else html
    # The same picture under two names is one part.
    attachments = {attachment.content_id: attachment for attachment in reversed(found.values())}
    return InlineImages(
        template._replace(html=html) if found else template,
        tuple(reversed(attachments.values())),
        tuple(dict.fromkeys(findings)),
    )


def _is_file(written: str) -> bool:
    return bool(written) and not _SCHEME.match(written) and not written.startswith(("//", "#"))


def _finding(written: str) -> PageFinding | None:
    """Return what is wrong with a picture's source; None where it is a file or can be fetched."""
    shown = written if len(written) < 60 else f"{written[:57]}…"  # noqa: PLR2004 - of a screen's line
    if written.lower().startswith("data:"):
        fix = "Put the picture into a file beside the template; it is then sent along."
        return PageFinding(
            "template.image_data", "A picture stands in the HTML as data:, which Gmail does not show.", fix
        )
    if not written:
        return PageFinding("template.image_link", "A picture has an empty src.", "Name its file.")
    if _SCHEME.match(written):
        return None
    if written.startswith("/") or (_CODE.search(written) and not written.startswith("{")):
        fix = "Write the whole address, https://…; files beside the template need a name without {{ }} and leading /."
        return PageFinding("template.image_link", f"The picture '{shown}' is nowhere in a mail.", fix)
    if _CODE.search(written):
        # What begins with code may well be a whole address.
        return PageFinding(
            "template.image_variable",
            f"Where the picture '{shown}' comes from is decided by each row; only addresses with https:// show.",
            "Make sure that the list holds whole addresses.",
        )
    return None


def _link_findings(html: str) -> list[PageFinding]:
    found = []
    for match in _LINK.finditer(html):
        target = unescape(match[1] or match[2] or match[3] or "").strip()
        if not target or target.startswith(("#", "{")) or _SCHEME.match(target):
            continue
        fix = "Write the whole address, https://…"
        found.append(PageFinding("template.link", f"The link '{target[:60]}' leads nowhere from a mail.", fix))
    return found


def _attachment(template: Template, written: str) -> Attachment:
    target = unquote(written.partition("?")[0].partition("#")[0])
    path = inside(template.folder, target, template.name, "picture")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_IMAGE + 1)
    except OSError as error:
        raise TemplateError(f"{template.name}: the picture '{written}' cannot be read: {error.strerror}.") from error
    if len(data) > LARGEST_IMAGE:
        fix = "Make it smaller, or put it on a web server."
        raise TemplateError(f"{template.name}: the picture '{written}' is over 2 MB.", fix=fix)
    kind = next((kind for begins, kind in _KINDS if begins.match(data)), None)
    if kind is None:
        fix = "Mail programs show PNG, JPEG, GIF and WebP."
        raise TemplateError(f"{template.name}: '{written}' is no picture that mail programs show.", fix=fix)
    # The same file always has the same name, in every message and every run.
    content_id = f"{blake2b(data, digest_size=12, person=b'picture').hexdigest()}@mailblast"
    return Attachment(path.name, kind, encodebytes(data).replace(b"\n", b"\r\n"), content_id)
