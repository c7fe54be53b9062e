from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.list_deliveries import ListDeliveries, a_message, messages

from mailblast.model.outcome import Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.memory import MemoryProvider

if TYPE_CHECKING:
    from mailblast.model.message import Message


async def test_deliver_keeps_messages_in_their_order() -> None:
    provider = MemoryProvider()
    sent = messages(120)
    await provider.open()
    await provider.deliver(ListDeliveries(sent))
    await provider.close()
    assert sent == provider.messages


async def test_answer_decides_what_comes_of_each_message() -> None:
    refused = Attempt(Disposition.PERMANENT, Reply(550, "5.1.1", "No", Stage.RCPT), Scope.RECIPIENT)
    lost = Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION)
    answers = {1: refused, 2: lost}
    provider = MemoryProvider(lambda message: answers[message.id])
    deliveries = ListDeliveries(messages(2))
    await provider.deliver(deliveries)
    assert {1: [refused], 2: [lost]} == deliveries.attempts
    assert [1] == [message.id for message in provider.messages]


async def test_answer_raises_the_message_is_not_sent() -> None:
    def fail(_: Message) -> Attempt:
        raise KeyError("scripted")

    provider = MemoryProvider(fail)
    deliveries = ListDeliveries([a_message(1), a_message(2)])
    with pytest.raises(KeyError, match="scripted"):
        await provider.deliver(deliveries)
    assert {1: Disposition.NOT_SENT} == deliveries.dispositions
    assert deliveries.all_finished


def test_limits_are_as_given() -> None:
    assert (3, 1000) == MemoryProvider(concurrency=3, size_bytes=1000).limits[:2]
