"""Addresses and mailboxes as people write them, checked by syntax alone.

Plain ASCII addresses take one regular expression. All others are checked part by part: the local part by
email-validator (RFC 5322, RFC 6531), the domain by idna (IDNA 2008 after the mapping of UTS 46).
"""

from __future__ import annotations

import re
import unicodedata

from mailblast.errors import RowFaultError
from mailblast.model.campaign import Mailbox

#: RFC 5321 section 4.5.3.1.1 and, by the path's 256 with its brackets, section 4.5.3.1.3; both in octets.
MAX_LOCAL_BYTES = 64
MAX_ADDRESS_BYTES = 254
MAX_NAME_CHARACTERS = 320

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
#: The last label begins with a letter: all-digit ones would be IP addresses.
_DOMAIN = rf"(?:{_LABEL}\.)+(?=[A-Za-z]){_LABEL}"
_plain_address = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@({_DOMAIN})").fullmatch
_domain = re.compile(_DOMAIN).fullmatch
_mailbox = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|([^<>]*?))\s*<([^<>]*)>', re.DOTALL).fullmatch
_between_addresses = re.compile(r"[\s,;|/<>]+")
#: Control, format (invisible), surrogate, line and paragraph separator.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def parse_address(text: str) -> str:
    """Return the addr-spec as it goes on the wire: local part as written, domain lower case and as A-labels.

    White space around it is dropped. A local part that is not ASCII is normalised to NFC.

    Raises:
        RowFaultError: It is no address that mail can be sent to; quoted local parts and address literals are none.
    """
    text = text.strip()
    if len(text) <= MAX_ADDRESS_BYTES and (match := _plain_address(text)):
        domain: str = match[1]
        lower = domain.lower()
        if "xn--" not in lower:
            return text if lower == domain else text[: -len(domain)] + lower
    return _parse_unusual(text)


def dedupe_key(address: str) -> str:
    """Return what makes an address unique: its local part as it is, its domain in lower case (RFC 5321 section 2.4)."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def needs_smtputf8(address: str) -> bool:
    """Return whether an addr-spec can only be sent to with SMTPUTF8 (RFC 6531)."""
    return not address.isascii()


def parse_mailbox(text: str) -> Mailbox:
    """Return the display name and address of ``a@b.c``, ``Name <a@b.c>`` or ``"Na, me" <a@b.c>``.

    Raises:
        RowFaultError: The address is none, or the name holds control characters.
    """
    text = text.strip()
    match = _mailbox(text) if len(text) <= MAX_ADDRESS_BYTES + 2 * MAX_NAME_CHARACTERS else None
    if match is None:
        return Mailbox("", parse_address(text))
    quoted, bare, address = match.groups()
    if quoted is None and "@" in bare and re.search("[,;]", bare):
        raise RowFaultError("holds two addresses; one row, one recipient")
    name = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else bare
    name = unicodedata.normalize("NFC", name.strip())
    # A joiner inside a name is how some scripts and emoji are written, so only characters that end lines are refused.
    if any(unicodedata.category(character) in _INVISIBLE - {"Cf"} for character in name):
        raise RowFaultError("holds a control character in the name; type it again")
    if len(name) > MAX_NAME_CHARACTERS:
        raise RowFaultError(f"has a name of more than {MAX_NAME_CHARACTERS} characters")
    return Mailbox(name, parse_address(address))


def _parse_unusual(text: str) -> str:
    """Parse what the regular expression does not take, or say why it is no address."""
    if fault := _fault(text):
        raise RowFaultError(fault)
    local, _, domain = text.rpartition("@")
    address = f"{_local_part(local)}@{_a_labels(domain)}"
    if len(address.encode()) > MAX_ADDRESS_BYTES:
        raise RowFaultError(f"is longer than {MAX_ADDRESS_BYTES} bytes")
    return address


def _fault(text: str) -> str:
    """Return what is plainly wrong, in the order in which it is most useful to know; empty where nothing is."""
    if not text:
        return "is empty"
    # What is far too long is not searched to its end for what else is wrong.
    whole, text = text, text[: 4 * MAX_ADDRESS_BYTES]
    invisible = next((character for character in text if unicodedata.category(character) in _INVISIBLE), None)
    if invisible is not None:
        return f"holds an invisible or control character (U+{ord(invisible):04X}); type it again"
    if sum("@" in piece for piece in _between_addresses.split(text)) > 1:
        return "holds two addresses; one row, one recipient"
    checks = (
        ("@" not in whole, "has no '@'"),
        (len(text) < len(whole), f"is longer than {MAX_ADDRESS_BYTES} bytes"),
        ("<" in text or ">" in text, "holds an angle bracket that belongs to no 'Name <address>'"),
        (text.startswith('"'), "has a quoted local part, which is not accepted"),
        (text.count("@") > 1, "has more than one '@'"),
        (any(map(str.isspace, text)), "holds white space"),
        (text.startswith("@"), "has nothing before the '@'"),
        (text.endswith("@"), "has nothing after the '@'"),
        ("[" in text.rpartition("@")[2], "has an address literal, which is not accepted; write a domain name"),
        ("," in text or ";" in text, "holds a comma or semicolon"),
    )
    return next((fault for is_wrong, fault in checks if is_wrong), "")


def _local_part(local: str) -> str:
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - 23 ms that most lists never need

    try:
        # The domain is ours to check, so that reserved names are treated alike whatever the local part is.
        valid = validate_email(f"{local}@example.com", check_deliverability=False)
    except EmailNotValidError as error:
        reason = _plain_reason(local) or f"has a local part that is not valid: {error}".rstrip(".")
        raise RowFaultError(reason) from error
    if len(valid.local_part.encode()) > MAX_LOCAL_BYTES:
        raise RowFaultError(f"has more than {MAX_LOCAL_BYTES} bytes before the '@'")
    return valid.local_part


def _plain_reason(local: str) -> str:
    if ".." in local or local.startswith(".") or local.endswith("."):
        return "has a dot where none may be: two in a row, or at an end of the local part"
    if len(local.encode()) > MAX_LOCAL_BYTES:
        return f"has more than {MAX_LOCAL_BYTES} bytes before the '@'"
    return ""


def _a_labels(domain: str) -> str:
    import idna  # noqa: PLC0415 - only for domains that are not plain ASCII, or wrong

    labels = domain.lower()
    if not labels.isascii() or "xn--" in labels:
        try:
            labels = idna.encode(labels, uts46=True).decode("ascii").lower()
        except UnicodeError as error:
            raise RowFaultError("has a domain that is no valid international name (IDNA 2008)") from error
    if _domain(labels):
        return labels
    if "." not in labels:
        raise RowFaultError("has a domain without a dot; write the full name, such as example.com")
    if re.fullmatch(r"[0-9.]+", labels):
        raise RowFaultError("has an IP address for a domain; write a domain name")
    raise RowFaultError("has a domain that is not valid: labels of letters, digits and inner hyphens, at most 63 each")
