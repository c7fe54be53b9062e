"""Which refusals are about whom: a table, read from the top.

Sources: RFC 3463 and the registry of RFC 5248 for enhanced status codes; the tables that Google (support.google.com/
a/answer/3726730), Microsoft (non-delivery reports in Exchange Online) and Yahoo (senders.yahooinc.com, SMTP error
codes) publish. One code means different things at different servers, so text decides where code and number do not.
"""

from __future__ import annotations

from typing import NamedTuple

from mailblast.model.outcome import Disposition
from mailblast.model.reply import Scope, Stage

TEMPORARY, PERMANENT = Disposition.TEMPORARY, Disposition.PERMANENT
MAIL, RCPT, BODY = frozenset({Stage.MAIL}), frozenset({Stage.RCPT}), frozenset({Stage.BODY})
MAIL_OR_DATA = frozenset({Stage.MAIL, Stage.DATA})
LOGIN = frozenset({Stage.AUTH, Stage.STARTTLS})
GREETING = frozenset({Stage.CONNECT, Stage.EHLO})


class Rule(NamedTuple):
    """Refusals of one kind. What a rule leaves open matches anything; the first rule that matches decides."""

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


SESSION_RULES = (
    # 421 ends the session, but some of them speak of the sender's standing.
    Rule(Scope.DOMAIN, code="421", enhanced=r"4\.7\.(?:2[6-9]|3[0-2])"),
    Rule(Scope.DOMAIN, code="421", text=r"unusual rate|\[TSS?\d\d\]|\bsame message-id\b|user complaints"),
    Rule(Scope.CONNECTION, code="421", disposition=TEMPORARY),
    Rule(Scope.CONNECTION, stages=GREETING),
    Rule(
        Scope.CONNECTION,
        code="4..",
        text=r"too many (?:concurrent |simultaneous )?(?:smtp )?(?:connections|sessions)"
        r"|max(?:imum)? (?:number of )?messages? per (?:connection|session)",
        disposition=TEMPORARY,
    ),
    Rule(Scope.CONNECTION, code="432", enhanced=r"4\.3\.2", disposition=TEMPORARY),
)

#: Nothing else of the list would fare better.
ACCOUNT_RULES = (
    Rule(Scope.ACCOUNT, stages=LOGIN),
    Rule(Scope.ACCOUNT, code="53[0458]"),
    Rule(Scope.ACCOUNT, code="55.", enhanced=r"5\.7\.8"),
    Rule(
        Scope.ACCOUNT,
        code="5..",
        text=r"authentication (?:is )?required|must (?:first )?authenticate|not authenticated|basic auth"
        r"|authentication unsuccessful|username and password not accepted",
    ),
    Rule(Scope.ACCOUNT, code="55.", enhanced=r"5\.4\.5|5\.1\.90|5\.7\.(?:50[1-8]|705|708|750)"),
    Rule(
        Scope.ACCOUNT,
        code="[45]..",
        text=r"(?:daily|hourly|monthly|sending|submission|relay) (?:user |sending |message |send )*(?:limit|quota)s?"
        r"(?: has been| was| is| for \S+)* (?:exceeded|reached|used)"
        r"|exceeded (?:its |your |the )?(?:daily|hourly|sending|maximum).{0,40}(?:limit|quota|recipients|messages)"
        r"|maximum sending rate exceeded|submission quota|daily message quota",
    ),
    Rule(
        Scope.ACCOUNT,
        code="[45]..",
        text=r"account (?:has been |is )?(?:temporarily )?(?:suspended|disabled|blocked|locked|deactivated)"
        r"|sending (?:has been |is )?(?:paused|suspended)|email address is not verified",
        stages=frozenset({Stage.MAIL, Stage.DATA, Stage.BODY}),
    ),
    # The sender is the same for the whole list.
    Rule(Scope.ACCOUNT, code="55.", enhanced=r"5\.1\.[78]|5\.7\.60"),
    Rule(
        Scope.ACCOUNT,
        code="5..",
        text=r"sender (?:address )?rejected|not owned by|sendasdenied|not allowed to send (?:mail )?(?:as|from)"
        r"|send as this sender",
    ),
)

#: The sender's domain or address as a destination sees it: fails alike for every recipient there.
DOMAIN_RULES = (
    Rule(Scope.DOMAIN, code="[45]..", enhanced=r"[45]\.7\.(?:9|2\d|3[0-2]|509|51[0125]|606|6[45]\d)"),
    Rule(Scope.DOMAIN, code="4..", enhanced=r"4\.7\.[56]\d\d"),
    Rule(Scope.DOMAIN, code="4..", enhanced=r"4\.2\.1", text=r"rate|too (?:fast|quickly|many)|quickly"),
    Rule(
        Scope.DOMAIN,
        code="[45]..",
        text=r"\[TSS?\d\d\]|\bspamhaus\b|\bblock ?list(?:ed)?\b|\bblack ?list(?:ed)?\b|\bdnsbl\b|\brbl\b"
        r"|(?:poor|low|bad) (?:\w+ )?reputation|\bDMARC\b|\bDKIM\b.{0,40}(?:fail|pass|missing|invalid)"
        r"|\bSPF\b.{0,40}(?:fail|pass|check)|reverse dns|\bptr\b|\bHELO\b|rate limit|throttl"
        r"|too many (?:messages|emails|mails)",
    ),
    Rule(
        Scope.DOMAIN,
        code="5..",
        text=r"relay(?:ing)? (?:access )?(?:denied|not (?:permitted|allowed))|unable to relay|not permitted to relay",
    ),
)

MESSAGE_RULES = (
    Rule(Scope.MESSAGE, code="[45]..", enhanced=r"[45]\.(?:3\.4|2\.3|6\.\d+)"),
    Rule(
        Scope.MESSAGE,
        code="[45]..",
        text=r"smtputf8|message (?:size )?(?:is )?(?:exceeds|too (?:big|large))|size limit|maximum message size"
        r"|bare (?:lf|newline|carriage)|virus|malware|\bspam\b|phishing|illegal attachment|attachment type",
    ),
    Rule(Scope.MESSAGE, code="5..", stages=BODY, enhanced=r"5\.7\.\d+"),
)

#: What is said to MAIL is about the sender, and 4.3.x about the state of the server: no fault of a recipient.
SERVER_RULES = (
    Rule(Scope.DOMAIN, stages=MAIL, code="55[0134]"),
    Rule(Scope.CONNECTION, stages=MAIL_OR_DATA | BODY, code="4..", enhanced=r"4\.3\.[0-5]"),
    Rule(Scope.CONNECTION, stages=MAIL, code="452"),
)

#: A full mailbox is not gone, although some servers say 552.
MAILBOX_RULES = (
    Rule(Scope.RECIPIENT, code="55[24]", enhanced=r"5\.2\.2", disposition=TEMPORARY),
    Rule(Scope.RECIPIENT, code="55.", enhanced=r"5\.2\.2", text=r"full|quota|storage|space", disposition=TEMPORARY),
    Rule(
        Scope.RECIPIENT,
        code="55[0-4]",
        text=r"(?:mailbox|inbox) (?:is )?(?:over)?full|over ?quota|quota exceeded|exceeded (?:storage|its quota)",
        disposition=TEMPORARY,
    ),
    Rule(Scope.RECIPIENT, code="552", stages=RCPT, disposition=TEMPORARY),
    Rule(Scope.MESSAGE, code="552"),
    # We give one recipient a transaction: too many can only mean those before it.
    Rule(Scope.CONNECTION, code="45[12]|55.", enhanced=r"[45]\.5\.3", disposition=TEMPORARY),
    Rule(Scope.CONNECTION, code="452", text=r"too many recipients", disposition=TEMPORARY),
)

#: Commands that the server does not know or finds out of order, and the rest: whom the verb is about.
DIALOGUE_RULES = (
    Rule(Scope.RECIPIENT, code="50[01]", enhanced=r"5\.1\.\d+"),
    Rule(Scope.RECIPIENT, code="501", stages=RCPT),
    Rule(Scope.ACCOUNT, code="50[0-4]", stages=MAIL_OR_DATA | RCPT),
    Rule(Scope.MESSAGE, stages=MAIL_OR_DATA),
    Rule(Scope.RECIPIENT, stages=RCPT),
    Rule(Scope.RECIPIENT, enhanced=r"[45]\.[12]\.\d+"),
    Rule(Scope.MESSAGE),
)

RULES: tuple[Rule, ...] = (
    *SESSION_RULES,
    *ACCOUNT_RULES,
    *DOMAIN_RULES,
    *MESSAGE_RULES,
    *SERVER_RULES,
    *MAILBOX_RULES,
    *DIALOGUE_RULES,
)
