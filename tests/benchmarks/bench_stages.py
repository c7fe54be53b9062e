"""Processor time of one message, by stage: each stage alone over the same rows, and the whole command beside them.

What the whole has above the sum is its *rest*: handing messages from stage to stage, counting, and the event loop.
Each figure is the least of several rounds, for what else runs on the machine only ever adds to it. Stages run as they
do in the command: rows in batches, marks in groups, the garbage collector tuned alike, the socket on uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks import results
from benchmarks.cases import QUICK, ROUNDS, ROWS, Case
from benchmarks.contestants import Place, bulk_words
from benchmarks.mailing_of_size import list_of, message_bytes_of, template_of
from servers.smtp_sink import smtp_sink

from mailblast.cli.loop import COLLECT_EVERY
from mailblast.clock import SystemClock
from mailblast.delivery.moulding import moulding
from mailblast.executors.gathering import GROUP
from mailblast.executors.run import READ_ROWS
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.lists.rows import ListSettings, open_list
from mailblast.message.builder import MessageBuilder
from mailblast.model.campaign import Campaign, Mailbox
from mailblast.model.outcome import Disposition, Outcome, State
from mailblast.model.recipient import Claim, Recipient
from mailblast.providers.smtp.provider import SmtpProvider
from mailblast.providers.smtp.settings import SmtpSettings
from mailblast.recipients.recipients import RecipientSettings, read_recipients
from mailblast.render.renderer import Renderer
from mailblast.render.template import load_template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.model.message import Content, Message, QuotedContent
    from mailblast.model.outcome import Attempt

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1_800)]

CASE = Case("stages", ROWS)
#: Messages whose marks are written at once: about as many as answers arrive in one turn of the loop.
MARKED_AT_ONCE = 5
#: Of the messages, how many are sent in the stage of the socket: all in memory at once.
MOST_SENT = 20_000


@contextlib.contextmanager
def collecting_as_the_program_does() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


class Work:
    """What stages hand on, and the processor seconds of each."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        template = load_template(Path(template_of(CASE.size_bytes).html), subject="Welcome, {{ name }}")
        self.renderer = Renderer(template)
        self.moulding = moulding(self.renderer)
        self.builder = MessageBuilder(Campaign("bench", "t0ken", template, Mailbox("", "sender@example.com")))

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start_s = time.process_time()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.process_time() - start_s

    def read(self) -> list[Recipient]:
        """Stage: the list's bytes to recipients."""
        with self.timed("read"), open_list(list_of(CASE.rows), ListSettings()) as reader:
            found = read_recipients(reader, RecipientSettings(), columns=reader.columns, name=reader.name)
            recipients = [each for each in found if isinstance(each, Recipient)]
        assert CASE.rows == len(recipients)
        return recipients

    def compose(self, claims: list[Claim]) -> list[Message]:
        """Stages: fill the template, and write the message. The first encodes the parts too, for it is one step."""
        short_way = self.moulding
        assert short_way is not None
        contents: list[Content | QuotedContent] = []
        with self.timed("render"):
            for claim in claims:
                variables = claim.recipient.variables
                contents.append(short_way.content(variables) or self.renderer.render(variables))
        with self.timed("build"):
            return [self.builder.build(claim, content) for claim, content in zip(claims, contents, strict=True)]

    def journal(self, recipients: list[Recipient]) -> None:
        """Stage: claim, mark, note and fold everybody."""
        shutil.rmtree("journal", ignore_errors=True)
        with Journal.open(Path("journal"), "bench", clock=SystemClock()) as journal:
            journal.begin_run(provider="bench", template_fingerprint="1")
            waiting: list[Outcome] = []
            for start in range(0, len(recipients), READ_ROWS):
                rows = recipients[start : start + READ_ROWS]
                with self.timed("journal"):
                    claims = journal.claim(rows, ClaimPolicy()).claims
                outcomes = [_accepted(claim) for claim in claims]
                with self.timed("journal"):
                    _mark(journal, outcomes)
                waiting += outcomes
                if len(waiting) >= GROUP:
                    with self.timed("journal"):
                        journal.fold(waiting)
                    waiting.clear()
            with self.timed("journal"):
                journal.fold(waiting)

    def send(self, messages: list[Message], port: int) -> None:
        """Stage: the SMTP transactions, with nothing before and after them."""
        from uvloop import new_event_loop  # noqa: PLC0415 - the command's loop, where it installs

        waiting = Waiting(messages)
        settings = SmtpSettings("127.0.0.1", port, tls="none", connections=CASE.connections)

        async def deliver() -> None:
            provider = SmtpProvider(settings, clock=SystemClock())
            await provider.open()
            with self.timed("socket"):
                await provider.deliver(waiting)
            await provider.close()

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(deliver())
        assert waiting.accepted == len(messages)
        # The stage is measured over fewer messages where there are very many.
        self.seconds["socket"] *= CASE.rows / len(messages)


class Waiting:
    """The least that a provider can be fed from."""

    commit_is_remote = False

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages[::-1]
        self.accepted = 0
        self._in_flight = 0
        self._done = asyncio.Event()

    def take(self) -> Message | None:
        if not self._messages:
            return None
        self._in_flight += 1
        return self._messages.pop()

    async def wait(self) -> bool:
        while self._in_flight and not self._messages:
            self._done.clear()
            await self._done.wait()
        return bool(self._messages)

    def begin(self, message: Message) -> None: ...

    def commit(self) -> None: ...

    def finish(self, message: Message, attempt: Attempt) -> None:
        self.accepted += attempt.disposition is Disposition.ACCEPTED
        self._in_flight -= 1
        if not self._in_flight:
            self._done.set()


def _accepted(claim: Claim) -> Outcome:
    recipient, reply = claim.recipient, "2.0.0 Ok: queued as 4XyZabc123"
    return Outcome(
        claim.id,
        recipient.key,
        recipient.address,
        recipient.row,
        State.ACCEPTED,
        time.time(),
        "smtp:127.0.0.1",
        250,
        "2.0.0",
        reply,
        1,
        0.0012,
        "",
        "4XyZabc123",
        123_456_789,
    )


def _mark(journal: Journal, outcomes: list[Outcome]) -> None:
    segment = journal.segment()
    for start in range(0, len(outcomes), MARKED_AT_ONCE):
        group = outcomes[start : start + MARKED_AT_ONCE]
        for outcome in group:
            segment.begin(outcome.id, 123_456_789, outcome.time_s)
        segment.commit()
        for outcome in group:
            segment.finish(outcome)


def stages(port: int) -> dict[str, float]:
    """Return the processor seconds of each stage, over all rows."""
    work = Work()
    with collecting_as_the_program_does():
        recipients = work.read()
        kept: list[Message] = []
        for start in range(0, len(recipients), 100):
            rows = recipients[start : start + 100]
            messages = work.compose([Claim(start + n, each, 1_750_000_000) for n, each in enumerate(rows, 1)])
            if len(kept) < MOST_SENT:
                kept += messages
        work.journal(recipients)
        work.send(kept, port)
    return work.seconds


def whole(port: int, rows: int) -> float:
    """Return the processor seconds of the command, its start included."""
    shutil.rmtree(".mailblast", ignore_errors=True)
    place = Place(port, 0, None, None, None)
    words = [sys.executable, "-m", "mailblast", "bulk", list_of(rows), *bulk_words(CASE, place)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True, timeout=1_200)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_stages() -> None:
    pytest.importorskip("uvloop")
    with smtp_sink() as port:
        rounds = [{**stages(port), "start": whole(port, 1), "whole": whole(port, CASE.rows)} for _ in range(ROUNDS)]
    micros = {name: min(each[name] for each in rounds) / CASE.rows * 1e6 for name in rounds[0]}
    told = micros.pop("whole")
    rest = told - sum(micros.values())
    rows = [(name, f"{micro:.1f}", f"{micro / told:.0%}") for name, micro in {**micros, "rest": rest}.items()]
    size_bytes = message_bytes_of(CASE.size_bytes)
    results.print_table(
        f"Processor time a message, {CASE.rows:,} of {size_bytes:,} bytes, one process, least of {ROUNDS}",
        ("stage", "µs", "share"),
        [*rows, ("whole", f"{told:.1f}", "100%")],
    )
    figures = {"rows": CASE.rows, "message_bytes": size_bytes, "micros": {**micros, "rest": rest, "whole": told}}
    results.record("stages", figures)
    assert min(micros.values()) > 0
    # Less would mean that a stage alone does what the command does not.
    assert QUICK or rest > -0.1 * told
