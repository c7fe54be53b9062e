"""What happens to a message whose mark is on its way to another machine."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from servers.held_marks import HeldMarks

from mailblast.clock import SystemClock
from mailblast.errors import JournalError, MailblastError, ProviderUnavailableError
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mailblast.providers.provider import Provider


class Server:
    """Takes envelopes, and says and ends what it is told to."""

    def __init__(self) -> None:
        self.port = 0
        #: All that came after the last DATA.
        self.body = b""
        self.writers: list[asyncio.StreamWriter] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(b"220 here\r\n")
        with contextlib.suppress(ConnectionError):
            async for line in reader:
                match line[:4].upper():
                    case b"EHLO":
                        writer.write(b"250-here\r\n250 PIPELINING\r\n")
                    case b"DATA":
                        writer.write(b"354 go\r\n")
                        self.body = b""
                        continue
                    case b"MAIL" | b"RCPT":
                        writer.write(b"250 2.0.0 ok\r\n")
                    case b"QUIT":
                        writer.write(b"221 2.0.0 bye\r\n")
                        break
                self.body += line
                if line == b".\r\n":
                    writer.write(b"250 2.0.0 taken\r\n")
        writer.close()

    def say(self, words: bytes) -> None:
        self.writers[-1].write(words)

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    here = Server()
    listening = await asyncio.start_server(here.talk, "127.0.0.1", 0)
    async with listening:
        here.port = listening.sockets[0].getsockname()[1]
        yield here
        here.hang_up()


@pytest.fixture
async def provider(server: Server) -> AsyncIterator[Provider]:
    provider = make_provider(parse_dsn(f"smtp://127.0.0.1:{server.port}"), {}, connections=1, clock=SystemClock())
    yield provider
    await provider.close()


async def test_nothing_of_a_body_leaves_before_its_mark(server: Server, provider: Provider) -> None:
    deliveries = HeldMarks(1)
    delivering = asyncio.create_task(provider.deliver(deliveries))
    await deliveries.until_asked()
    await asyncio.sleep(0.02)
    assert b"" == server.body
    deliveries.written[0].set_result(None)
    await delivering
    assert b"message 1" in server.body
    assert {1: Disposition.ACCEPTED} == deliveries.dispositions


@pytest.mark.parametrize("says", [b"", b"421 4.3.2 shutting down\r\n"], ids=["hangs up", "421"])
async def test_connection_that_breaks_meanwhile_has_not_sent_it(
    server: Server, provider: Provider, says: bytes
) -> None:
    deliveries = HeldMarks(1)
    delivering = asyncio.create_task(provider.deliver(deliveries))
    await deliveries.until_asked()
    server.say(says)
    await asyncio.sleep(0.01)
    server.hang_up()
    await deliveries.until_finished(1)
    deliveries.written[0].set_result(None)
    await asyncio.sleep(0.01)
    (attempt,) = deliveries.attempts[1]
    assert attempt.disposition not in {Disposition.ACCEPTED, Disposition.IN_DOUBT, Disposition.PERMANENT}
    with contextlib.suppress(ProviderUnavailableError):
        await delivering
    assert b"message" not in server.body


async def test_answer_that_comes_after_a_run_was_broken_off_does_not_end_the_next(
    server: Server, provider: Provider
) -> None:
    first, second = HeldMarks(1), HeldMarks(1)
    delivering = asyncio.create_task(provider.deliver(first))
    await first.until_asked()
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert {1: Disposition.NOT_SENT} == first.dispositions
    delivering = asyncio.create_task(provider.deliver(second))
    await second.until_asked()
    first.written[0].set_exception(JournalError("Too late."))
    await asyncio.sleep(0)
    second.written[0].set_result(None)
    await delivering
    assert {1: Disposition.ACCEPTED} == second.dispositions


async def test_run_that_fails_meanwhile_sends_nothing_more(server: Server) -> None:
    provider = make_provider(parse_dsn(f"smtp://127.0.0.1:{server.port}"), {}, connections=2, clock=SystemClock())
    deliveries = HeldMarks(2)
    delivering = asyncio.create_task(provider.deliver(deliveries))
    await deliveries.until_asked()
    # The other one waits for its turn, if it was not in this.
    await asyncio.sleep(0.02)
    assert 1 == len(deliveries.written)
    deliveries.written[0].set_exception(JournalError("It is full."))
    with pytest.raises(MailblastError, match="It is full"):
        await delivering
    await provider.close()
    assert b"message" not in server.body
    assert {1: Disposition.NOT_SENT, 2: Disposition.NOT_SENT} == deliveries.dispositions
