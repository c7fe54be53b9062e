"""The states of a transaction, and what leads from one to the next: one table."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from mailblast.model.reply import Stage


class Phase(IntEnum):
    """What a transaction waits for."""

    #: Nothing is written yet.
    READY = 0
    MAIL = 1
    RCPT = 2
    DATA = 3
    #: Our own turn: the body is being written, its final dot is not.
    BODY = 4
    #: The reply to the final dot. From here on the message may be the server's.
    TERMINATOR_SENT = 5
    REPLIED = 6
    #: The reply to a dot alone, after DATA was accepted although the envelope was not (RFC 2920 section 3.1).
    LONE_DOT = 7
    RESET = 8


class Step(NamedTuple):
    """What a reply does to a transaction that waits for it."""

    stage: Stage
    #: First digit of the reply that leads on; 0 takes any.
    digit: int
    then: Phase


STEPS: dict[Phase, Step] = {
    Phase.MAIL: Step(Stage.MAIL, 2, Phase.RCPT),
    Phase.RCPT: Step(Stage.RCPT, 2, Phase.DATA),
    Phase.DATA: Step(Stage.DATA, 3, Phase.BODY),
    Phase.TERMINATOR_SENT: Step(Stage.BODY, 2, Phase.REPLIED),
    Phase.LONE_DOT: Step(Stage.BODY, 0, Phase.RESET),
    Phase.RESET: Step(Stage.RSET, 2, Phase.REPLIED),
}
