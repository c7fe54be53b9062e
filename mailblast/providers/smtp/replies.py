"""Replies: what they say, how lasting it is, and whom it is about."""

from __future__ import annotations

import re
from typing import NamedTuple

from mailblast.model.outcome import Disposition
from mailblast.model.reply import Reply, Scope, Stage

#: RFC 3463 section 2.
ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:[\s:;,-]+|$)")
#: Repetition of the code at the start of further lines of one reply.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
#: Longest text that is kept.
MAX_TEXT = 500
#: How servers name the message they took: Postfix; Exim; Exchange; Sendmail; Gmail; SES and others after a plain "Ok".
PROVIDER_ID = re.compile(
    r"queued as ([^\s()<>]+)"
    r"|\bid=([^\s()<>]+)"
    r"|\bInternalId=(\d+)"
    r"|^([A-Za-z0-9]{8,}) Message accepted for delivery"
    r"|^OK +(\S+ \S+) - gsmtp"
    r"|^Ok:? ([0-9A-Za-z._@-]{16,})",
    re.IGNORECASE,
)


def parse_reply(code: int, text: bytes, stage: Stage) -> Reply:
    """Make a reply of what the server sent.

    Args:
        code: The three digits.
        text: All lines, each with its code, separated by LF.
        stage: The verb that it answers.
    """
    enhanced, said = _parse(text)
    return Reply(code, enhanced, said, stage)


def accepted_reply(code: int, text: bytes) -> Reply:
    """Make the reply to a final dot that took the message; the same as ``parse_reply``, leaner for a single line."""
    if b"\n" not in text and text[4:10] == b"2.0.0 " and text.isascii():
        said = text[10:].decode("ascii").strip()
        if said.isprintable() and len(said) <= MAX_TEXT:
            return Reply(code, "2.0.0", said, Stage.BODY)
    return parse_reply(code, text, Stage.BODY)


def said_reply(code: int, said: str, stage: Stage) -> Reply:
    """Make a reply of text without codes, one or more lines."""
    return parse_reply(code, "\n".join(f"{code} {line}" for line in said.split("\n")).encode(errors="replace"), stage)


def _parse(text: bytes) -> tuple[str, str]:
    enhanced = ""
    lines = []
    for raw in text.split(b"\n"):
        line = raw[4:].decode("utf-8", "replace").strip()
        found = ENHANCED.match(line)
        if found:
            enhanced = enhanced or found[1]
            if found[1] == enhanced:
                line = line[found.end() :]
        lines.append(line)
    said = CONTROL.sub(" ", " ".join(filter(None, lines))).strip()
    return enhanced, said if len(said) <= MAX_TEXT else said[: MAX_TEXT - 1] + "…"


def provider_id(said: str) -> str:
    """Return the server's own name for a message it took; empty where it gave none."""
    found = PROVIDER_ID.search(said)
    return (found[found.lastindex or 0]) if found else ""


class Rule(NamedTuple):
    """Replies of one kind. What a rule leaves open matches anything; the first rule that matches decides."""

    scope: Scope
    #: Pattern of the whole reply code.
    code: str = ""
    #: Pattern of the whole enhanced status code.
    enhanced: str = ""
    #: Pattern somewhere in the text, whatever its case.
    text: str = ""
    #: Verbs; none given is any.
    stages: frozenset[Stage] = frozenset()
    #: None follows the first digit.
    disposition: Disposition | None = None


TEMPORARY, PERMANENT = Disposition.TEMPORARY, Disposition.PERMANENT
LOGIN = frozenset({Stage.AUTH, Stage.STARTTLS})
ENVELOPE = frozenset({Stage.MAIL, Stage.RCPT, Stage.DATA})
SESSION = frozenset({Stage.CONNECT, Stage.EHLO})

#: Sources: RFC 3463, RFC 5248 and the code tables that Google, Microsoft and Yahoo publish for senders.
RULES: tuple[Rule, ...] = (
    # The session: servers that end it, and what is said while it is opened.
    Rule(Scope.DOMAIN, code="421", enhanced=r"4\.7\.(?:0|26|27|28|29|30|32)", text=r"unusual rate|unsolicited|spf|dkim|dmarc|tls|same message-id"),
    Rule(Scope.DOMAIN, code="421", text=r"\[TSS?0\d\]|\[TS0\d\]"),
    Rule(Scope.CONNECTION, code="421", disposition=TEMPORARY),
    Rule(Scope.CONNECTION, stages=SESSION),
    Rule(Scope.CONNECTION, code="4..", text=r"too many (?:concurrent |simultaneous )?(?:smtp )?(?:connections|sessions)|max(?:imum)? (?:number of )?messages? per (?:connection|session)", disposition=TEMPORARY),
    # The account: login, quota, suspension. Nothing else of the list would fare better.
    Rule(Scope.ACCOUNT, stages=LOGIN),
    Rule(Scope.ACCOUNT, code="53[0458]"),
    Rule(Scope.ACCOUNT, code="5..", text=r"authentication (?:is )?required|must (?:first )?authenticate|not authenticated|basic auth|authentication unsuccessful|username and password not accepted"),
    Rule(Scope.ACCOUNT, code="55.", enhanced=r"5\.7\.8"),
    Rule(Scope.ACCOUNT, code="432", enhanced=r"4\.3\.2", text=r"concurrent|connections", disposition=TEMPORARY),
    Rule(Scope.ACCOUNT, code="55.", enhanced=r"5\.4\.5"),
    Rule(Scope.ACCOUNT, code="55.", enhanced=r"5\.1\.90|5\.7\.(?:50[1-8]|705|708|750)"),
    Rule(Scope.ACCOUNT, code="[45]..", text=r"(?:daily|hourly|monthly|sending|message|submission|relay|send) (?:user )?(?:sending |message |send )?(?:limit|quota)s? (?:has been |was |is |for \S+ )*(?:exceeded|reached|used)|exceeded (?:its |your |the )?(?:daily|hourly|sending|maximum).{0,40}(?:limit|quota|recipients|messages)|maximum sending rate exceeded|submission quota"),
    Rule(Scope.ACCOUNT, code="[45]..", text=r"account (?:has been |is )?(?:suspended|disabled|blocked|locked|deactivated)|sending (?:has been |is )?(?:paused|suspended)|email address is not verified"),
    # The sending domain or address: fails alike for every recipient of one destination.
    Rule(Scope.DOMAIN, code="[45]..", enhanced=r"[45]\.7\.(?:9|20|21|22|23|24|25|26|27|28|29|30|31|32|509|510|511|512|515|606|64\d|65\d)"),
    Rule(Scope.DOMAIN, code="4..", enhanced=r"4\.7\.(?:5\d\d|6\d\d)"),
    Rule(Scope.DOMAIN, code="[45]..", text=r"\[TSS?\d\d\]|\bspamhaus\b|\bblock ?list(?:ed)?\b|\bblacklist(?:ed)?\b|\bdnsbl\b|\brbl\b|poor reputation|low reputation|\bDMARC\b|\bDKIM\b.{0,40}(?:fail|pass|missing)|\bSPF\b.{0,40}(?:fail|pass|check)|reverse dns|\bptr\b|HELO|rate limit|too many (?:messages|emails|mails)|throttl"),
    Rule(Scope.DOMAIN, code="4..", enhanced=r"4\.2\.1", text=r"rate|too (?:fast|quickly|many)"),
    Rule(Scope.MESSAGE, code="55.", enhanced=r"5\.1\.[78]"),
    Rule(Scope.MESSAGE, stages=frozenset({Stage.MAIL}), code="55[013]", enhanced=r"5\.1\.0|5\.7\.1", text=r"sender|from|not owned|domain"),
    # The message: too large, wrongly formed, taken for spam.
    Rule(Scope.MESSAGE, code="55.", enhanced=r"5\.(?:3\.4|2\.3|6\.\d+)"),
    Rule(Scope.MESSAGE, code="[45]..", text=r"smtputf8|message (?:size )?(?:is )?(?:exceeds|too (?:big|large))|size limit|exceeds (?:fixed )?maximum message size|bare (?:lf|newline|carriage)|(?:virus|malware|unsolicited|spam|phishing|prohibited|illegal attachment|attachment type)"),
    Rule(Scope.MESSAGE, code="5..", enhanced=r"5\.7\.1", stages=frozenset({Stage.BODY})),
    Rule(Scope.MESSAGE, code="452", enhanced=r"4\.3\.[14]", disposition=TEMPORARY),
    # The recipient: full is not gone, although some servers say 552.
    Rule(Scope.RECIPIENT, code="552|554", enhanced=r"5\.2\.2", disposition=TEMPORARY),
    Rule(Scope.RECIPIENT, code="55[0-4]", enhanced=r"5\.2\.2", text=r"full|quota|storage|space", disposition=TEMPORARY),
    Rule(Scope.RECIPIENT, code="552", text=r"mailbox (?:is )?full|over ?quota|quota exceeded|exceeded (?:storage|its quota)", disposition=TEMPORARY),
    Rule(Scope.RECIPIENT, code="552", stages=frozenset({Stage.RCPT}), enhanced=r"", text=r"^(?!.*(?:size|large)).*$", disposition=TEMPORARY),
    Rule(Scope.MESSAGE, code="552"),
    Rule(Scope.CONNECTION, code="45[12]|55.", enhanced=r"[45]\.5\.3", disposition=TEMPORARY),
    Rule(Scope.CONNECTION, code="452", text=r"too many recipients", disposition=TEMPORARY),
    # The dialogue: commands that the server does not know or finds out of order.
    Rule(Scope.CONNECTION, code="50[0-4]", stages=frozenset({Stage.RSET, Stage.QUIT})),
    Rule(Scope.RECIPIENT, code="50[01]", enhanced=r"5\.1\.\d+"),
    Rule(Scope.RECIPIENT, code="501", stages=frozenset({Stage.RCPT})),
    Rule(Scope.ACCOUNT, code="50[0-4]", stages=frozenset({Stage.MAIL, Stage.DATA})),
    Rule(Scope.ACCOUNT, code="50[0234]", stages=frozenset({Stage.RCPT})),
    # The rest: whom the verb is about.
    Rule(Scope.MESSAGE, stages=frozenset({Stage.MAIL, Stage.DATA})),
    Rule(Scope.RECIPIENT, stages=frozenset({Stage.RCPT})),
    Rule(Scope.RECIPIENT, enhanced=r"[45]\.[12]\.\d+"),
    Rule(Scope.MESSAGE),
)  # fmt: skip


class _Compiled(NamedTuple):
    code: re.Pattern[str] | None
    enhanced: re.Pattern[str] | None
    text: re.Pattern[str] | None
    rule: Rule


def _compiled(pattern: str) -> re.Pattern[str] | None:
    return re.compile(pattern, re.IGNORECASE) if pattern else None


_COMPILED = tuple(
    _Compiled(_compiled(rule.code), _compiled(rule.enhanced), _compiled(rule.text), rule) for rule in RULES
)


def classify(reply: Reply) -> tuple[Disposition, Scope]:
    """Return how lasting a refusal is and whom it is about.

    Args:
        reply: One that refuses, 4yz or 5yz.
    """
    code = str(reply.code)
    for compiled in _COMPILED:
        rule = compiled.rule
        if (
            (not rule.stages or reply.stage in rule.stages)
            and (compiled.code is None or compiled.code.fullmatch(code))
            and (compiled.enhanced is None or compiled.enhanced.fullmatch(reply.enhanced))
            and (compiled.text is None or compiled.text.search(reply.text))
        ):
            return rule.disposition or (TEMPORARY if code[0] == "4" else PERMANENT), rule.scope
    raise AssertionError("the last rule matches every reply")
