"""What can be done about an error, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.model.outcome import State

if TYPE_CHECKING:
    from mailblast.journal.figures import ErrorKind

#: By enhanced status code (RFC 3463 and the registry of RFC 5248).
_BY_ENHANCED = {
    "5.1.1": "The mailbox does not exist: take it off the list, or run 'mailblast suppress add'.",
    "5.1.2": "The domain does not exist: correct the address.",
    "5.1.3": "The address is not valid: correct it.",
    "5.1.6": "The mailbox has moved: ask for the new address.",
    "5.1.10": "The domain takes no mail: take the address off the list.",
    "5.2.1": "The mailbox is disabled: take it off the list.",
    "5.2.2": "The mailbox is full: try again in some days.",
    "4.2.2": "The mailbox is full: try again in some days.",
    "5.2.3": "The message is too large: send smaller attachments, or links.",
    "5.3.4": "The message is too large: send smaller attachments, or links.",
    "4.4.1": "The server behind the relay does not answer: run the same command again later.",
    "4.4.7": "The message waited too long: run the same command again.",
    "5.4.5": "The day's quota is used up: continue tomorrow, and set --daily-cap.",
    "5.6.7": "The address needs SMTPUTF8, which this server does not offer: use another server.",
    "4.7.0": "The server asks to slow down: set a lower --rate.",
    "4.7.1": "Greylisted: the server wants a second try; run the same command again.",
    "5.7.1": "Refused by policy: check SPF, DKIM and DMARC with 'mailblast verify --domain', and the content.",
    "5.7.26": "The sender is not authenticated: set up SPF and DKIM for the From domain.",
    "5.7.27": "SPF fails for the sender: add this server to the domain's SPF record.",
    "5.7.30": "DKIM is missing or wrong: sign with --dkim, or have the relay sign.",
    "5.7.509": "DMARC fails for the sender: align SPF or DKIM with the From domain.",
    "5.7.515": "Outlook wants SPF, DKIM and DMARC of bulk senders: set up all three.",
}
_BY_CODE = {
    421: "The server closed the connection: fewer --connections, or a lower --rate.",
    450: "Refused for now: run the same command again later.",
    451: "Refused for now: run the same command again later.",
    452: "The server is out of room, or the mailbox is full: run the same command again later.",
    550: "Refused for good: look at what the server says, and correct address or sender.",
    552: "The mailbox is full, or the message too large.",
    553: "The address is not accepted: correct it.",
    554: "Refused as a whole, often as spam: check content and the sender's reputation.",
}
_BY_STATE = {
    State.IN_DOUBT: "The answer was lost: these may have it. To send them again: --resend-in-doubt.",
    State.DEFERRED: "Refused for now: run the same command again.",
    State.FAILED: "Refused for good: see 'mailblast failures'.",
}


def remedy_of(error: ErrorKind) -> str:
    """Return what can be done about an error."""
    if error.state is State.IN_DOUBT:
        return _BY_STATE[State.IN_DOUBT]
    return _BY_ENHANCED.get(error.enhanced) or _BY_CODE.get(error.code) or _BY_STATE[error.state]
