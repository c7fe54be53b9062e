"""Campaigns as the server holds them, and the single steps by which that changes; see ``keys`` for what is there."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.executors.queue.commands import Command
from mailblast.executors.queue.keys import CAMPAIGNS, DELAYED, PREFIX, key_of, keys_of
from mailblast.executors.queue.rows import decode_rows, encode_rows
from mailblast.executors.queue.runs import runs_by_state, runs_of
from mailblast.executors.queue.server import INSTALL, QueueAwayError, QueueError, Server
from mailblast.executors.queue.states import FIRST_SLOT, QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailblast.model.recipient import Claim

__all__ = ["INSTALL", "PREFIX", "Arrived", "Found", "Put", "QueueAwayError", "QueueError", "Store"]

#: Ids told to one script at once.
IDS_AT_ONCE = 2_000
#: Turns of workers whose outcomes are taken home at once.
ENTRIES_AT_ONCE = 1_000
#: What is left of a campaign that is over goes after so long.
KEPT_S = 7 * 86_400


class Put(NamedTuple):
    """What became of a batch that was put."""

    #: Number of the batch; 0 where nobody of it was left to be put.
    sequence: int
    #: Those who were not put, with the byte that they have.
    refused: dict[int, int]


class Found(NamedTuple):
    """What is known of a batch."""

    #: Of its campaign; empty where that is gone.
    state: str
    claims: list[Claim]
    #: The byte of each claim.
    states: bytes

    @property
    def queued(self) -> list[Claim]:
        """Return those who are to be sent to."""
        return [claim for claim, state in zip(self.claims, self.states, strict=True) if state == QUEUED]


class Arrived(NamedTuple):
    """Outcomes that are at the server, as text; the oldest ones."""

    #: Names the last entry of the stream that is in it.
    last: str
    final: bytes
    again: bytes


class Store(Server):
    """What the server holds for campaigns. Safe to use from several threads; see ``Server`` for how it is made."""

    # Campaigns.

    def begin_campaign(self, token: str, info: dict[str, str]) -> None:
        """Say that a campaign is being queued, or queued further; it is active from now on."""
        with self.told(), self.client.pipeline() as pipe:
            pipe.hset(key_of(token, "info"), mapping={**info, "state": "active", "complete": "0"})
            for name in ("ledger", "outcomes", "groups", "sequence"):
                pipe.persist(key_of(token, name))
            pipe.sadd(CAMPAIGNS, token)
            pipe.execute()

    def complete_campaign(self, token: str) -> None:
        """Say that everything of the list has been put."""
        with self.told():
            self.client.hset(key_of(token, "info"), "complete", "1")

    def info(self, token: str) -> dict[str, str]:
        """Return what is known of a campaign; empty where it is not there."""
        with self.told():
            found = self.client.hgetall(key_of(token, "info"))
        return {name.decode(): value.decode() for name, value in found.items()}

    def states(self, tokens: Iterable[str]) -> dict[str, str]:
        """Return the states of campaigns: ``active``, ``paused``, ``cancelled``, empty where one is gone."""
        tokens = list(tokens)
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            for token in tokens:
                pipe.hget(key_of(token, "info"), "state")
            found = pipe.execute()
        return {token: (state or b"").decode() for token, state in zip(tokens, found, strict=True)}

    def set_state(self, token: str, state: str) -> bool:
        """Pause a campaign, let it go on, or end it; return False where it is gone or ended already."""
        return bool(self.run("set_state", [key_of(token, "info")], [state]))

    def campaigns(self) -> list[str]:
        """Return the tokens of all campaigns."""
        with self.told():
            return sorted(token.decode() for token in self.client.smembers(CAMPAIGNS))

    def forget(self, token: str) -> None:
        """Let go of a campaign that is over. Its ledger stays for a while, for workers that were only frozen."""
        with self.told(), self.client.pipeline() as pipe:
            for name in ("info", "batches", "unput"):
                pipe.delete(key_of(token, name))
            for name in ("ledger", "outcomes", "groups", "sequence"):
                pipe.expire(key_of(token, name), KEPT_S)
            pipe.srem(CAMPAIGNS, token)
            pipe.execute()

    # Batches.

    def put(self, token: str, batches: Sequence[Sequence[Claim]]) -> list[Put]:
        """Store batches of those who are not queued, being sent to or served already."""
        keys = keys_of(token, "ledger", "batches", "unput", "sequence")
        answers = self.run_all(
            "put", [(keys, [runs_of([claim.id for claim in claims]), encode_rows(claims)]) for claims in batches]
        )
        puts = []
        for claims, (sequence, *pairs) in zip(batches, answers, strict=True):
            refused = dict(zip(pairs[::2], pairs[1::2], strict=True))
            rest = [claim for claim in claims if claim.id not in refused] if refused else []
            if rest:
                (put,) = self.put(token, [rest])
                puts.append(Put(put.sequence, refused | put.refused))
            else:
                puts.append(Put(sequence, refused))
        return puts

    def put_was_heard(self, token: str, *sequences: int) -> None:
        """Say that batches have reached the engine."""
        if sequences:
            with self.told():
                self.client.srem(key_of(token, "unput"), *sequences)

    def put_later(self, token: str, claims: Sequence[Claim], delay_s: float, priority: int) -> None:
        """Store a batch of those who are to be tried again."""
        runs = runs_of([claim.id for claim in claims])
        self.run(
            "put_later",
            [*keys_of(token, "batches", "sequence"), DELAYED],
            [token, priority, round(delay_s * 1000), runs, encode_rows(claims)],
        )

    def delay(self, token: str, sequence: int, priority: int, delay_s: float) -> None:
        """Put a batch off that is stored already."""
        with self.told():
            seconds, micros = self.client.time()
            due = seconds * 1000 + micros // 1000 + round(delay_s * 1000)
            self.client.zadd(DELAYED, {f"{token}:{sequence}:{priority}": due})

    def take_due(self, limit: int = 100) -> list[tuple[str, int, int]]:
        """Take batches whose time has come: token, number, priority. The caller hands them to the engine."""
        found = self.run("take_due", [DELAYED], [limit, PREFIX])
        return [(token, int(sequence), int(priority)) for token, sequence, priority in map(_member, found)]

    def unput(self, token: str) -> set[int]:
        """Return the batches that may not have reached the engine."""
        with self.told():
            return {int(each) for each in self.client.smembers(key_of(token, "unput"))}

    def open_batches(self, token: str) -> int:
        """Return how many batches are not finished."""
        with self.told():
            return int(self.client.hlen(key_of(token, "batches")))

    def open_in_all(self, tokens: Sequence[str]) -> int:
        """Return how many batches of these campaigns are not finished."""
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            for token in tokens:
                pipe.hlen(key_of(token, "batches"))
            return sum(pipe.execute())

    def read_batches(self, batches: Sequence[tuple[str, int]]) -> list[Found]:
        """Return what is known of batches by token and number; one that is finished has no claims."""
        answers = self.run_all(
            "read", [(keys_of(token, "ledger", "batches", "info"), [sequence]) for token, sequence in batches]
        )
        return [
            Found(state.decode(), decode_rows(rows[0]) if rows else [], rows[1] if rows else b"")
            for state, *rows in answers
        ]

    def finishing(self, batches: Iterable[tuple[str, int]]) -> list[Command]:
        """Return the commands that forget batches whose recipients all have an outcome, or are somebody else's."""
        by_token: dict[str, list[int]] = {}
        for token, sequence in batches:
            by_token.setdefault(token, []).append(sequence)
        return [Command(("HDEL", key_of(token, "batches"), *each)) for token, each in by_token.items()]

    def drop_batch(self, token: str, sequence: int) -> None:
        """Forget a batch of a cancelled campaign; who of it is still queued is no longer."""
        self.run("drop", keys_of(token, "ledger", "batches"), [sequence])

    def drop_batches(self, token: str) -> None:
        """Forget all batches of a campaign that the server knows nothing else of."""
        with self.told():
            sequences = self.client.hkeys(key_of(token, "batches"))
        for sequence in sequences:
            self.drop_batch(token, int(sequence))

    # The ledger.

    def restore(self, token: str, states: Iterable[tuple[int, int]]) -> int:
        """Tell the ledger final states that the journal has, after a loss of the server's memory; return how many."""
        keys, told = keys_of(token, "ledger"), 0
        pairs = iter(states)
        while some := list(itertools.islice(pairs, IDS_AT_ONCE)):
            ids: dict[int, list[int]] = {}
            for claim_id, state in some:
                ids.setdefault(state, []).append(claim_id)
            told += int(self.run("restore", keys, [runs_by_state(ids)]))
        return told

    def settle(self, token: str, dead_slots: Iterable[int], make_payload: Any) -> int:
        """Declare in doubt who was being sent to by workers that are gone; return how many.

        Args:
            token: The campaign's.
            dead_slots: Bytes of these workers.
            make_payload: Returns the outcomes of some recipients, by number, as they stand in the stream.
        """
        dead, keys = frozenset(dead_slots), keys_of(token, "ledger", "outcomes")
        settled = 0
        ids = iter([claim_id for claim_id, state in self.sending(token) if state in dead])
        while some := list(itertools.islice(ids, IDS_AT_ONCE)):
            # Nothing is done where one of them is settled by now, by a worker that was only slow: the next look tells.
            settled += len(some) if self.run("settle", keys, [make_payload(some), runs_of(some)]) else 0
        return settled

    def sending(self, token: str) -> Iterator[tuple[int, int]]:
        """Yield number and byte of those who are being sent to."""
        with self.told():
            size = int(self.client.strlen(key_of(token, "ledger")))
        for start in range(0, size, 1 << 20):
            with self.told():
                part = self.client.getrange(key_of(token, "ledger"), start, start + (1 << 20) - 1)
            if max(part, default=0) >= FIRST_SLOT:
                yield from ((start + index, byte) for index, byte in enumerate(part) if byte >= FIRST_SLOT)

    def queued(self, token: str) -> int:
        """Return how many recipients are queued and not being sent to."""
        count = 0
        with self.told():
            size = int(self.client.strlen(key_of(token, "ledger")))
            for start in range(0, size, 1 << 20):
                part = self.client.getrange(key_of(token, "ledger"), start, start + (1 << 20) - 1)
                count += part.count(bytes([QUEUED]))
        return count

    # Outcomes.

    def take_outcomes(self, token: str, done: str = "", limit: int = ENTRIES_AT_ONCE) -> Arrived | None:
        """Return the oldest outcomes; they stay there until they are done with. None where there are none.

        Args:
            token: The campaign's.
            done: ``last`` of what was taken before and is in the journal by now: all up to there is removed.
            limit: Entries of the stream, of a turn of a worker each; 0 for none.
        """
        found = self.run("take_home", keys_of(token, "outcomes"), [done, limit])
        return Arrived(found[0].decode(), found[1], found[2]) if found else None

    def has_outcomes(self, token: str) -> bool:
        """Return whether there are outcomes."""
        with self.told():
            return bool(self.client.xlen(key_of(token, "outcomes")))


def _member(member: bytes) -> tuple[str, str, str]:
    token, sequence, priority = member.decode().split(":")
    return token, sequence, priority
