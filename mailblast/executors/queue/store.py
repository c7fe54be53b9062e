"""What Redis holds for campaigns, and the single steps by which it changes.

Keys, all below ``mailblast:``

    campaigns             set of tokens
    workers               hash: worker id -> JSON with the time it was last seen, by the server's clock
    slots                 counter for worker slots
    delayed               sorted set: "token:batch" by the time it is due
    blob:<hash>           list: an attachment in pieces
    <token>:info          hash: name, state, document, complete, rows, priority
    <token>:ledger        string: one byte for each recipient, by its number
    <token>:batches       hash: batch number -> JSON array of rows; a batch is there until it is finished
    <token>:unput         set: batches that may not have reached the engine
    <token>:sequence      counter of batches
    <token>:outcomes      stream: o=outcomes that are final, r=of those that are to be tried again
    <token>:groups        hash: worker id -> number of its last group of outcomes
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.errors import JournalError, UsageError
from mailblast.executors.queue import scripts
from mailblast.executors.queue.server_url import away, client_settings, tls_trouble
from mailblast.executors.queue.states import QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailblast.model.message import StreamedPart

PREFIX = "mailblast:"
#: A server that does not answer for so long is away.
TIMEOUT_S = 5.0
INSTALL = "Install it: pip install 'mailblast[queue]'"
OLDEST = (7, 0)
#: Ids told to one script at once.
IDS_AT_ONCE = 2_000
#: A clock that is further off than this lets leases end early or late.
MAX_SKEW_S = 5.0
#: What is over, and attachments that nobody has queued again, go after so long.
KEPT_S = 7 * 86_400
BLOB_KEPT_S = 30 * 86_400


class QueueError(JournalError):
    """The queue's server cannot be reached or used. Nothing is lost; work goes on when it is back."""


class QueueAwayError(QueueError):
    """The server does not answer for now."""


class Put(NamedTuple):
    """What became of a batch that was put."""

    #: Number of the batch; 0 where nobody of it was left to be put.
    sequence: int
    #: Those who were not put, with the byte that they have.
    refused: dict[int, int]


class Store:
    """A client of the queue's server. Safe to use from several threads.

    Args:
        url: ``redis://`` or ``rediss://``, with its password.
        shown: The same without anything secret, for messages.
        timeout_s: For connecting and for each answer.

    Raises:
        UsageError: The packages are missing, or the URL is none.
    """

    def __init__(self, url: str, shown: str, timeout_s: float = TIMEOUT_S) -> None:
        try:
            import redis  # noqa: PLC0415 - in the extra "queue"
        except ImportError as error:
            raise UsageError("--queue redis://… needs the package redis.", fix=INSTALL) from error
        self.shown = shown
        self._redis = redis
        place, settings = client_settings(url)
        settings |= {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        try:
            self.client: Any = redis.Redis.from_url(place, retry=None, health_check_interval=0, **settings)
        except ValueError:
            # What is wrong with it may be, and would show, a part of the password.
            raise UsageError(
                f"The queue's URL {shown} cannot be used.", fix="Write it like redis://host:6379/0."
            ) from None
        self._scripts = {name: self.client.register_script(text) for name, text in scripts.SCRIPTS.items()}

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Turn the client's errors into ours, in the user's words."""
        errors = self._redis.exceptions
        try:
            yield
        except (errors.AuthenticationError, errors.NoPermissionError) as error:
            raise QueueError(
                f"The queue at {self.shown} refuses the login: {error}.",
                fix="Set MAILBLAST_QUEUE to the URL with user and password: rediss://user:password@host.",
            ) from error
        except (errors.ConnectionError, errors.TimeoutError, OSError) as error:
            trouble = tls_trouble(self.shown, error) or away(self.shown, error)
            raise QueueAwayError(trouble.text, fix=trouble.fix) from error
        except errors.OutOfMemoryError as error:
            raise QueueAwayError(
                f"The queue at {self.shown} is out of memory.", fix="Give Redis more (maxmemory), or end a campaign."
            ) from error
        except errors.ResponseError as error:
            if "OOM" in str(error) or "MISCONF" in str(error) or "LOADING" in str(error) or "READONLY" in str(error):
                raise QueueAwayError(f"The queue at {self.shown} takes nothing: {error}.") from error
            if "NOAUTH" in str(error) or "WRONGPASS" in str(error):
                raise QueueError(
                    f"The queue at {self.shown} refuses the login: {error}.",
                    fix="Set MAILBLAST_QUEUE to the URL with user and password: rediss://user:password@host.",
                ) from error
            raise QueueError(f"The queue at {self.shown} cannot be used: {error}.") from error

    def run(self, name: str, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        """Run one of our scripts.

        Raises:
            QueueError: The server is away or refuses.
        """
        with self.told():
            return self._scripts[name](keys=keys, args=args)

    def check_server(self, now_s: float) -> list[str]:
        """Look at the server; return what its operator should know.

        Args:
            now_s: This machine's time of day.

        Raises:
            UsageError: It is too old, evicts data, or is a cluster.
            QueueError: It cannot be reached.
        """
        with self.told():
            server = self.client.info()
            seconds, micros = self.client.time()
        version = tuple(int(part) for part in str(server["redis_version"]).split(".")[:2])
        where = f"The Redis at {self.shown}"
        if version < OLDEST:
            raise UsageError(f"{where} is version {server['redis_version']}.", fix="Use version 7 or newer.")
        if server.get("redis_mode") == "cluster":
            raise UsageError(f"{where} is a cluster.", fix="Use a single server, with a replica if need be.")
        policy = server.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise UsageError(
                f"{where} throws data away when its memory is full (maxmemory-policy {policy}), and so would mail "
                "people twice.",
                fix="Set maxmemory-policy noeviction.",
            )
        notices = []
        if not server.get("aof_enabled"):
            notices.append(
                f"{where} keeps no append-only file: if it is restarted, queued mail is lost and what was just sent "
                "may be sent twice. Set appendonly yes, and appendfsync always."
            )
        skew = abs(seconds + micros / 1e6 - now_s)
        if skew > MAX_SKEW_S:
            notices.append(
                f"The clock here and that of {self.shown} differ by {skew:,.0f} s. Limits keep to the server's."
            )
        return notices

    # Campaigns.

    def begin_campaign(self, token: str, info: dict[str, str]) -> None:
        """Say that a campaign is being queued, or queued further; it is active from now on."""
        with self.told(), self.client.pipeline() as pipe:
            pipe.hset(_key(token, "info"), mapping={**info, "state": "active", "complete": "0"})
            for name in ("ledger", "outcomes", "groups", "sequence"):
                pipe.persist(_key(token, name))
            pipe.sadd(f"{PREFIX}campaigns", token)
            pipe.execute()

    def complete_campaign(self, token: str) -> None:
        """Say that everything of the list has been put."""
        with self.told():
            self.client.hset(_key(token, "info"), "complete", "1")

    def info(self, token: str) -> dict[str, str]:
        """Return what is known of a campaign; empty where it is not there."""
        with self.told():
            found = self.client.hgetall(_key(token, "info"))
        return {name.decode(): value.decode() for name, value in found.items()}

    def states(self, tokens: Iterable[str]) -> dict[str, str]:
        """Return the states of campaigns: ``active``, ``paused``, ``cancelled``, empty where one is gone."""
        tokens = list(tokens)
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            for token in tokens:
                pipe.hget(_key(token, "info"), "state")
            found = pipe.execute()
        return {token: (state or b"").decode() for token, state in zip(tokens, found, strict=True)}

    def set_state(self, token: str, state: str) -> None:
        """Pause a campaign, or let it go on."""
        with self.told():
            self.client.hset(_key(token, "info"), "state", state)

    def campaigns(self) -> list[str]:
        """Return the tokens of all campaigns."""
        with self.told():
            return sorted(token.decode() for token in self.client.smembers(f"{PREFIX}campaigns"))

    def forget(self, token: str) -> None:
        """Let go of a campaign that is over. Its ledger stays for a while, for workers that were only frozen."""
        with self.told(), self.client.pipeline() as pipe:
            for name in ("info", "batches", "unput"):
                pipe.delete(_key(token, name))
            for name in ("ledger", "outcomes", "groups", "sequence"):
                pipe.expire(_key(token, name), KEPT_S)
            pipe.srem(f"{PREFIX}campaigns", token)
            pipe.execute()

    # Batches.

    def put(self, token: str, rows: Sequence[tuple[int, str]]) -> Put:
        """Store a batch of those who are not queued, being sent or served already.

        Args:
            token: The campaign's.
            rows: Recipients' numbers, and their rows as JSON.
        """
        sequence, *refused = self.run(
            "put",
            _keys(token, "ledger", "batches", "unput", "sequence"),
            # Two long arguments: the client takes some 5 µs for each one.
            [",".join(str(claim_id) for claim_id, _ in rows), "\n".join(row for _, row in rows)],
        )
        return Put(int(sequence), dict(zip(map(int, refused[::2]), map(int, refused[1::2]), strict=True)))

    def put_was_heard(self, token: str, sequence: int) -> None:
        """Say that a batch has reached the engine."""
        with self.told():
            self.client.srem(_key(token, "unput"), sequence)

    def put_later(self, token: str, rows: Sequence[tuple[int, str]], delay_s: float, priority: int) -> None:
        """Store a batch of those who are to be tried again."""
        self.run(
            "put_later",
            [*_keys(token, "ledger", "batches", "sequence"), f"{PREFIX}delayed"],
            [token, priority, round(delay_s * 1000), *_flat(rows)],
        )

    def delay(self, token: str, sequence: int, priority: int, delay_s: float) -> None:
        """Put a batch off that is stored already."""
        with self.told():
            seconds, micros = self.client.time()
            due = seconds * 1000 + micros // 1000 + round(delay_s * 1000)
            self.client.zadd(f"{PREFIX}delayed", {f"{token}:{sequence}:{priority}": due})

    def take_due(self, limit: int = 100) -> list[tuple[str, int, int]]:
        """Take batches whose time has come: token, number, priority. The caller hands them to the engine."""
        found = self.run("take_due", [f"{PREFIX}delayed"], [limit, PREFIX])
        return [(token, int(sequence), int(priority)) for token, sequence, priority in map(_member, found)]

    def unput(self, token: str) -> set[int]:
        """Return the batches that may not have reached the engine."""
        with self.told():
            return {int(each) for each in self.client.smembers(_key(token, "unput"))}

    def open_batches(self, token: str) -> int:
        """Return how many batches are not finished."""
        with self.told():
            return int(self.client.hlen(_key(token, "batches")))

    def open_in_all(self, tokens: Sequence[str]) -> int:
        """Return how many batches of these campaigns are not finished."""
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            for token in tokens:
                pipe.hlen(_key(token, "batches"))
            return sum(pipe.execute())

    def read_batch(self, token: str, sequence: int) -> tuple[list[list[Any]], bytes] | None:
        """Return the rows of a batch and the byte of each; None where it is finished."""
        found = self.run("read", _keys(token, "ledger", "batches"), [sequence])
        if found is None:
            return None
        payload, states = found
        return json.loads(payload), states

    def finish_batch(self, token: str, sequence: int) -> None:
        """Forget a batch whose recipients all have an outcome, or are somebody else's."""
        with self.told():
            self.client.hdel(_key(token, "batches"), sequence)

    def drop_batch(self, token: str, sequence: int) -> None:
        """Forget a batch of a cancelled campaign; who of it is still queued is no longer."""
        self.run("drop", _keys(token, "ledger", "batches"), [sequence])

    def drop_batches(self, token: str) -> None:
        """Forget all batches of a campaign that the server knows nothing else of."""
        with self.told():
            sequences = self.client.hkeys(_key(token, "batches"))
        for sequence in sequences:
            self.drop_batch(token, int(sequence))

    # The ledger.

    def restore(self, token: str, states: Iterable[tuple[int, int]]) -> int:
        """Tell the ledger final states that the journal has, after a loss of the server's memory; return how many."""
        told = 0
        group: list[int] = []
        for pair in states:
            group += pair
            if len(group) >= 2 * IDS_AT_ONCE:
                told += int(self.run("restore", _keys(token, "ledger"), group))
                group = []
        if group:
            told += int(self.run("restore", _keys(token, "ledger"), group))
        return told

    def settle(self, token: str, dead_slots: Iterable[int], make_payload: Any) -> int:
        """Declare in doubt who was being sent to by workers that are gone; return how many.

        Args:
            token: The campaign's.
            dead_slots: Bytes of these workers.
            make_payload: Returns the outcomes of some recipients, by number, as they stand in the stream.
        """
        dead = frozenset(dead_slots)
        ids = [claim_id for claim_id, state in self.sending(token) if state in dead]
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            self.run("settle", _keys(token, "ledger", "outcomes"), [make_payload(some), *some])
        return len(ids)

    def sending(self, token: str) -> Iterator[tuple[int, int]]:
        """Yield number and byte of those who are being sent to."""
        with self.told():
            size = int(self.client.strlen(_key(token, "ledger")))
        for start in range(0, size, 1 << 20):
            with self.told():
                part = self.client.getrange(_key(token, "ledger"), start, start + (1 << 20) - 1)
            if max(part, default=0) >= scripts.FIRST_SLOT:
                yield from ((start + index, byte) for index, byte in enumerate(part) if byte >= scripts.FIRST_SLOT)

    def queued(self, token: str) -> int:
        """Return how many recipients are queued and not being sent to."""
        count = 0
        with self.told():
            size = int(self.client.strlen(_key(token, "ledger")))
            for start in range(0, size, 1 << 20):
                part = self.client.getrange(_key(token, "ledger"), start, start + (1 << 20) - 1)
                count += part.count(bytes([QUEUED]))
        return count

    # Outcomes.

    def read_outcomes(self, token: str, limit: int = 100) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Return the oldest entries of the stream; they stay there."""
        with self.told():
            entries: list[tuple[bytes, dict[bytes, bytes]]] = self.client.xrange(_key(token, "outcomes"), count=limit)
        return entries

    def drop_outcomes(self, token: str, entries: Sequence[bytes]) -> None:
        """Remove entries that are in the journal."""
        if entries:
            with self.told():
                self.client.xdel(_key(token, "outcomes"), *entries)

    # Workers.

    def new_slot(self) -> int:
        """Return the byte that a worker marks with what it is sending. 240 workers at once are told apart."""
        with self.told():
            count = int(self.client.incr(f"{PREFIX}slots"))
        return scripts.FIRST_SLOT + (count - 1) % (256 - scripts.FIRST_SLOT)

    def seen(self, worker: str, told: dict[str, Any]) -> None:
        """Say that a worker is alive."""
        self.run("seen", [f"{PREFIX}workers"], [worker, json.dumps(told)])

    def gone(self, worker: str) -> None:
        """Say that a worker has ended in good order."""
        with self.told():
            self.client.hdel(f"{PREFIX}workers", worker)

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return what workers have told, with ``age_s``: how long ago by the server's clock."""
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(f"{PREFIX}workers")
            (seconds, micros), found = pipe.execute()
        workers = {}
        for name, value in found.items():
            at_s, _, told = value.decode().partition(" ")
            workers[name.decode()] = {**json.loads(told), "age_s": seconds + micros / 1e6 - float(at_s)}
        return workers

    # Attachments.

    def put_blob(self, name: str, pieces: Iterator[bytes]) -> None:
        """Keep an attachment, unless it is there."""
        key, draft = f"{PREFIX}blob:{name}", f"{PREFIX}draft:{name}"
        with self.told():
            if self.client.expire(key, BLOB_KEPT_S):
                return
            self.client.delete(draft)
            for piece in pieces:
                self.client.rpush(draft, piece)
            self.client.rename(draft, key)
            self.client.expire(key, BLOB_KEPT_S)

    def blob(self, name: str) -> Iterator[bytes]:
        """Yield an attachment in pieces.

        Raises:
            QueueError: It is not there.
        """
        with self.told():
            count = int(self.client.llen(f"{PREFIX}blob:{name}"))
        if not count:
            raise QueueError(
                "An attachment of a queued campaign is not at the server.", fix="Queue the campaign again."
            )
        for index in range(count):
            with self.told():
                piece = self.client.lindex(f"{PREFIX}blob:{name}", index)
            yield piece

    def close(self) -> None:
        """Close all connections."""
        self.client.close()


def encoded_pieces(encoded: bytes | StreamedPart) -> Iterator[bytes]:
    """Yield an attachment in pieces of about 64 KB."""
    if isinstance(encoded, bytes):
        yield from (encoded[start : start + 65_536] for start in range(0, len(encoded), 65_536))
    else:
        yield from encoded.chunks()


def _key(token: str, name: str) -> str:
    return f"{PREFIX}{token}:{name}"


def _keys(token: str, *names: str) -> list[str]:
    return [_key(token, name) for name in names]


def _flat(rows: Sequence[tuple[int, str]]) -> list[Any]:
    return [value for row in rows for value in row]


def _member(member: bytes) -> tuple[str, str, str]:
    token, sequence, priority = member.decode().split(":")
    return token, sequence, priority
