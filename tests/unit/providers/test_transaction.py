"""The session without sockets: every state, every kind of reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from servers.list_deliveries import a_message

from mailblast.model.outcome import Disposition
from mailblast.model.reply import Scope, Stage
from mailblast.providers.smtp.phases import STEPS, Phase
from mailblast.providers.smtp.transaction import Extensions, Session

if TYPE_CHECKING:
    from collections.abc import Callable

ACCEPTED, TEMPORARY, PERMANENT = Disposition.ACCEPTED, Disposition.TEMPORARY, Disposition.PERMANENT
NOT_SENT, IN_DOUBT = Disposition.NOT_SENT, Disposition.IN_DOUBT
PIPELINING = Extensions(pipelining=True)
GO_AHEAD = b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go\r\n"


def ends(session: Session) -> list[tuple[int, Disposition]]:
    return [(message.id, attempt.disposition) for message, attempt in session.finished]


def due(session: Session) -> int:
    """The number of the message whose body is due, else 0; a call, for mypy takes properties to stay as they were."""
    return session.body_due.id if session.body_due is not None else 0


def may_start(session: Session) -> bool:
    return session.may_start


def at_body(extensions: Extensions = PIPELINING) -> Session:
    session = Session(extensions)
    session.start(a_message(1), 0.0)
    session.receive(GO_AHEAD, 0.0)
    return session


def started() -> Session:
    session = Session(PIPELINING)
    session.start(a_message(1), 0.0)
    return session


def after_dot_alone() -> Session:
    """One message waits for its final reply, and nothing follows."""
    session = at_body()
    session.terminate()
    return session


def after_dot() -> Session:
    """One message waits for its final reply, the envelope of the next is behind it."""
    session = at_body()
    session.start(a_message(2), 1.0)
    session.terminate()
    return session


def test_start_pipelining_writes_the_whole_envelope() -> None:
    session = Session(Extensions(pipelining=True, size=True))
    message = a_message(1)
    expected = b"MAIL FROM:<sender@example.org> SIZE=%d\r\nRCPT TO:<recipient1@example.com>\r\nDATA\r\n" % message.size
    assert expected == session.start(message, 0.0)
    assert Phase.MAIL is session.phase


def test_start_without_pipelining_writes_one_command_at_a_time() -> None:
    session = Session(Extensions())
    assert b"MAIL FROM:<sender@example.org>\r\n" == session.start(a_message(1), 0.0)
    session.receive(b"250 Ok\r\n", 0.0)
    assert b"RCPT TO:<recipient1@example.com>\r\n" == session.take_outgoing()
    session.receive(b"250 Ok\r\n", 0.0)
    assert b"DATA\r\n" == session.take_outgoing()
    assert 0 == due(session)
    session.receive(b"354 Go\r\n", 0.0)
    assert 1 == due(session)
    assert not may_start(session)
    session.terminate()
    assert Phase.TERMINATOR_SENT is session.phase
    session.receive(b"250 2.0.0 Ok: queued as ABC\r\n", 3.0)
    ((message, attempt),) = session.finished
    assert (1, ACCEPTED, 3.0, "ABC") == (message.id, attempt.disposition, attempt.duration_s, attempt.provider_id)
    assert may_start(session)
    assert session.is_empty


def test_start_null_sender_is_written_as_empty_path() -> None:
    session = Session(PIPELINING)
    assert session.start(a_message(1, sender=""), 0.0).startswith(b"MAIL FROM:<>\r\n")
    session = Session(PIPELINING)
    session.start(a_message(1), 0.0)
    assert session.start(a_message(2, sender=""), 0.0).startswith(b"MAIL FROM:<>\r\n")


@pytest.mark.parametrize(
    ("extensions", "changes", "enhanced", "scope"),
    [
        (Extensions(size=True, size_limit=10), {}, "5.3.4", Scope.MESSAGE),
        (Extensions(), {"needs_smtputf8": True}, "5.6.7", Scope.MESSAGE),
        (Extensions(), {"sender": "a b@c"}, "5.1.7", Scope.MESSAGE),
        (Extensions(), {"sender": "ü@c"}, "5.1.7", Scope.MESSAGE),
        (Extensions(), {"recipient": "a@b\r\nQUIT"}, "5.1.3", Scope.RECIPIENT),
        (Extensions(smtputf8=True), {"recipient": "ü@b\u2028", "needs_smtputf8": True}, "5.1.3", Scope.RECIPIENT),
        (Extensions(smtputf8=True), {"recipient": "ü@b\ud800", "needs_smtputf8": True}, "5.1.3", Scope.RECIPIENT),
        (Extensions(), {"recipient": "x" * 255}, "5.1.3", Scope.RECIPIENT),
        (Extensions(smtputf8=True), {"recipient": "ü" * 128, "needs_smtputf8": True}, "5.1.3", Scope.RECIPIENT),
    ],
)
def test_start_what_cannot_be_sent_is_refused_without_the_wire(
    extensions: Extensions, changes: dict[str, Any], enhanced: str, scope: Scope
) -> None:
    session = Session(extensions)
    assert b"" == session.start(a_message(1, **changes), 0.0)
    ((_, attempt),) = session.finished
    assert attempt.reply is not None
    assert (PERMANENT, scope, enhanced) == (attempt.disposition, attempt.scope, attempt.reply.enhanced)
    assert session.is_empty


def test_start_smtputf8_is_asked_for_only_where_needed() -> None:
    session = Session(Extensions(pipelining=True, smtputf8=True))
    utf8 = session.start(a_message(1, "ü@example.com", needs_smtputf8=True), 0.0)
    assert utf8.startswith(b"MAIL FROM:<sender@example.org> SMTPUTF8\r\nRCPT TO:<\xc3\xbc@example.com>")
    assert b"SMTPUTF8" not in session.start(a_message(2), 0.0)


@pytest.mark.parametrize(
    ("replies", "stage", "outgoing"),
    [
        (b"451 4.3.0 No\r\n503 5.5.1 No\r\n503 5.5.1 No\r\n", Stage.MAIL, b"RSET\r\n"),
        (b"250 Ok\r\n550 5.1.1 No\r\n554 5.5.1 No\r\n", Stage.RCPT, b"RSET\r\n"),
        (b"250 Ok\r\n250 Ok\r\n451 4.3.0 No\r\n", Stage.DATA, b"RSET\r\n"),
        (b"250 Ok\r\n550 5.1.1 No\r\n354 Go\r\n", Stage.RCPT, b".\r\nRSET\r\n"),
        (b"451 4.3.0 No\r\n503 No\r\n354 Go\r\n", Stage.MAIL, b".\r\nRSET\r\n"),
    ],
)
def test_refused_envelope_is_reset_and_the_next_follows_at_once(replies: bytes, stage: Stage, outgoing: bytes) -> None:
    session = Session(PIPELINING)
    session.start(a_message(1), 0.0)
    session.receive(replies, 0.0)
    ((_, attempt),) = session.finished
    assert attempt.reply is not None
    assert stage is attempt.reply.stage
    assert outgoing == session.take_outgoing()
    assert b"" == session.take_outgoing()
    assert may_start(session)
    session.finished.clear()
    session.start(a_message(2), 0.0)
    session.receive((b"554 5.5.1 No valid recipients\r\n" if b"." in outgoing else b"") + b"250 Ok\r\n" + GO_AHEAD, 0.0)
    assert "" == session.fault
    assert [] == session.finished
    assert 2 == due(session)


def test_refused_envelope_with_a_recipient_gets_no_dot() -> None:
    session = Session(PIPELINING)
    session.start(a_message(1), 0.0)
    # The dot would hand an empty message to the recipient.
    session.receive(b"451 4.3.0 No\r\n250 Ok\r\n354 Go\r\n", 0.0)
    assert session.fault
    assert b"" == session.take_outgoing()
    assert [(1, TEMPORARY)] == ends(session)


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA])
def test_refused_without_pipelining_is_reset_before_the_next(stage: Stage) -> None:
    session = Session(Extensions())
    session.start(a_message(1), 0.0)
    for _ in range([Stage.MAIL, Stage.RCPT, Stage.DATA].index(stage)):
        session.receive(b"250 Ok\r\n", 0.0)
        session.take_outgoing()
    session.receive(b"550 5.0.0 No\r\n", 0.0)
    assert [(1, PERMANENT)] == ends(session)
    assert b"RSET\r\n" == session.take_outgoing()
    assert not may_start(session)
    session.receive(b"250 Ok\r\n", 0.0)
    assert may_start(session)
    assert 1 == session.refusals


@pytest.mark.parametrize("reply", [b"451 4.3.0 Later\r\n", b"550 5.7.1 No\r\n", b"554 No\r\n"])
def test_refused_after_the_dot_the_next_envelope_goes_on(reply: bytes) -> None:
    session = after_dot()
    session.receive(reply + GO_AHEAD, 2.0)
    assert [1] == [number for number, _ in ends(session)]
    assert 2 == due(session)


@pytest.mark.parametrize(
    ("replies", "ended"),
    [
        (b"421 4.3.2 Bye\r\n", [(1, TEMPORARY), (2, NOT_SENT)]),
        (b"250 Ok\r\n421 4.7.0 Bye\r\n", [(1, ACCEPTED), (2, TEMPORARY)]),
        (b"250 Ok\r\n250 Ok\r\n421 Bye\r\n", [(1, ACCEPTED), (2, TEMPORARY)]),
        (b"250 Ok\r\n250 Ok\r\n250 Ok\r\n421 Bye\r\n", [(1, ACCEPTED), (2, TEMPORARY)]),
        (b"250 Ok\r\n250 Ok\r\n550 5.1.1 No\r\n421 Bye\r\n", [(1, ACCEPTED), (2, PERMANENT)]),
    ],
)
def test_421_is_an_answer_and_ends_the_session(replies: bytes, ended: list[tuple[int, Disposition]]) -> None:
    session = after_dot()
    session.receive(replies, 2.0)
    assert "the server closed the session" == session.fault
    session.lost(2.0)
    assert ended == ends(session)


def test_421_while_idle_ends_the_session_quietly() -> None:
    session = Session(PIPELINING)
    session.receive(b"421 4.4.2 Timeout\r\n", 0.0)
    assert "the server closed the session" == session.fault
    session.lost(0.0)
    assert [] == session.finished


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"hello\r\n",
        b"25 0 Ok\r\n",
        b"2500 Ok\r\n",
        b"250_Ok\r\n",
        b"150 Ok\r\n",
        b"650 Ok\r\n",
        b"\xff\xfe\x00\r\n",
        b"250-one\r\n251 two\r\n",
        b"250-one\r\nnothing\r\n",
        b"250 " + b"x" * 9_000 + b"\r\n",
        b"x" * 9_000,
        b"250-" + b"x" * 9_000,
        (b"250-" + b"x" * 996 + b"\r\n") * 40,
        b"354 Go\r\n",
    ],
    ids=lambda data: repr(data)[:30],
)
def test_what_is_no_reply_ends_the_session_doubt_only_after_the_dot(data: bytes) -> None:
    session = after_dot()
    session.receive(data, 2.0)
    assert session.fault
    assert [] == session.finished
    session.lost(2.0)
    assert [(1, IN_DOUBT), (2, NOT_SENT)] == ends(session)
    assert all(attempt.reply is None and attempt.scope is Scope.CONNECTION for _, attempt in session.finished)


@pytest.mark.parametrize("replies", [b"354 Go\r\n", b"250 Ok\r\n354 Go\r\n", b"250 Ok\r\n250 Ok\r\n250 Ok\r\n"])
def test_wrong_kind_of_success_is_out_of_step(replies: bytes) -> None:
    session = Session(PIPELINING)
    session.start(a_message(1), 0.0)
    session.receive(replies, 0.0)
    assert session.fault
    session.lost(0.0)
    assert [(1, NOT_SENT)] == ends(session)


def test_nothing_is_read_after_a_fault() -> None:
    session = after_dot()
    session.receive(b"garbage\r\n250 Ok\r\n", 2.0)
    assert [] == session.finished


def test_reply_that_nothing_asked_for_ends_the_session() -> None:
    session = Session(PIPELINING)
    session.receive(b"250 Ok\r\n", 0.0)
    assert "a reply that nothing asked for" == session.fault


@pytest.mark.parametrize(
    ("reply", "disposition"),
    [(b"552 5.3.4 Too big\r\n", PERMANENT), (b"451 Later\r\n", TEMPORARY), (b"421 Bye\r\n", TEMPORARY)],
)
def test_reply_before_the_dot_is_an_answer_and_ends_the_session(reply: bytes, disposition: Disposition) -> None:
    session = at_body()
    session.receive(reply, 1.0)
    session.lost(1.0)
    assert [(1, disposition)] == ends(session)
    assert session.fault


def test_success_before_the_dot_is_out_of_step() -> None:
    session = at_body()
    session.receive(b"250 Ok\r\n", 1.0)
    session.lost(1.0)
    assert [(1, NOT_SENT)] == ends(session)


def test_reset_that_is_refused_ends_the_session() -> None:
    session = Session(Extensions())
    session.start(a_message(1), 0.0)
    session.receive(b"550 No\r\n", 0.0)
    session.receive(b"500 What?\r\n", 0.0)
    assert "500 to RSET" in session.fault


def test_lone_dot_that_is_accepted_changes_nothing() -> None:
    session = Session(PIPELINING)
    session.start(a_message(1), 0.0)
    session.receive(b"250 Ok\r\n550 5.1.1 No\r\n354 Go\r\n", 0.0)
    session.receive(b"250 Ok\r\n250 Ok\r\n", 0.0)
    assert [(1, PERMANENT)] == ends(session)
    assert session.is_empty
    assert "" == session.fault


def test_lone_dot_without_pipelining_is_followed_by_a_reset() -> None:
    session = Session(Extensions())
    session.start(a_message(1), 0.0)
    session.receive(b"550 No\r\n", 0.0)
    assert b"RSET\r\n" == session.take_outgoing()


def test_lost_in_each_phase_tells_what_is_certain() -> None:
    for replies in (b"", b"250 Ok\r\n", b"250 Ok\r\n250 Ok\r\n", GO_AHEAD):
        session = Session(PIPELINING)
        session.start(a_message(1), 0.0)
        session.receive(replies, 0.0)
        session.lost(4.0)
        assert [(1, NOT_SENT)] == ends(session)
        assert 4.0 == session.finished[0][1].duration_s
    session = after_dot()
    session.lost(4.0)
    assert [(1, IN_DOUBT), (2, NOT_SENT)] == ends(session)
    assert session.is_empty


def test_probe_is_answered_and_the_session_goes_on() -> None:
    session = Session(PIPELINING)
    assert b"RSET\r\n" == session.probe(0.0)
    session.receive(b"250 Ok\r\n", 0.0)
    assert session.is_empty
    assert [] == session.finished
    session.probe(0.0)
    session.lost(0.0)
    assert [] == session.finished


SCRIPT = (
    b"250-2.1.0 Ok\r\n250 2.1.0 all\r\n250 2.1.5 Ok\r\n354 Go\r\n"
    b"250-2.0.0 Ok\r\n250 2.0.0 queued as A1\r\n250 2.1.0 Ok\r\n550-5.1.1 No\r\n550 5.1.1 user\r\n554 5.5.1 No\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_replies_in_pieces_of_any_size_mean_the_same(size: int, line_end: bytes) -> None:
    session = Session(PIPELINING)
    session.start(a_message(1), 0.0)
    data = SCRIPT.replace(b"\r\n", line_end)
    before, after = data[: data.index(b"250-2.0.0")], data[data.index(b"250-2.0.0") :]
    for start in range(0, len(before), size):
        session.receive(before[start : start + size], 0.0)
    session.start(a_message(2), 0.0)
    session.terminate()
    for start in range(0, len(after), size):
        session.receive(after[start : start + size], 0.0)
    assert [(1, ACCEPTED), (2, PERMANENT)] == ends(session)
    assert "A1" == session.finished[0][1].provider_id
    reply = session.finished[1][1].reply
    assert reply is not None
    assert "No user" == reply.text
    assert b"RSET\r\n" == session.take_outgoing()


def test_steps_lead_from_mail_to_replied() -> None:
    phase, stages = Phase.MAIL, []
    while phase in STEPS:
        stages.append(STEPS[phase].stage)
        phase = Phase.TERMINATOR_SENT if STEPS[phase].then is Phase.BODY else STEPS[phase].then
    assert [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY] == stages
    assert Phase.REPLIED is phase


@pytest.mark.parametrize(
    "data",
    [
        b"250 2.0.0 Ok: queued as 4XyZ\r\n" + GO_AHEAD,
        b"250 Ok\r\n" + GO_AHEAD,
        b"250 2.0.0 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n",
        b"250 2.0.0 Ok\r\n354 Ok\r\n250 Ok\r\n354 Ok\r\n",
        b"250 2.0.0 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n250 more\r\n",
        b"250-2.0.0 Ok\r\n250 Ok\r\n" + GO_AHEAD,
        b"250 2.0.0 Ok\r\n250\r\n250 Ok\r\n354 Go\r\n",
        b"250 2.0.0 " + b"x" * 600 + b"\r\n" + GO_AHEAD,
        b"354 Go\r\n" + GO_AHEAD,
        b"552 5.3.4 Too large\r\n" + GO_AHEAD,
        b"250 2.0.0 Ok\r\n250 Ok\r\n550 5.1.1 Unknown\r\n554 No\r\n",
        GO_AHEAD,
        b"299 2.0.0 Ok\r\n299 Ok\r\n200 Ok\r\n399 Go\r\n",
        b"250 2.0.0 \xff\r\n" + GO_AHEAD,
        b"199 2.0.0 Ok\r\n" + GO_AHEAD,
    ],
)
@pytest.mark.parametrize("begin", [lambda: Session(PIPELINING), started, at_body, after_dot, after_dot_alone])
def test_round_trip_comes_to_the_same_at_once_and_byte_by_byte(begin: Callable[[], Session], data: bytes) -> None:
    told = []
    for pieces in ([data], [bytes([byte]) for byte in data]):
        session = begin()
        for piece in pieces:
            session.receive(piece, 2.0)
        told.append(
            (session.finished, session.fault, session.phase, due(session), session.outgoing, may_start(session))
        )
    assert told[0] == told[1]
