"""A client of the queue's server: how it is reached, what its errors mean, and how our scripts run there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from mailblast.errors import JournalError, UsageError
from mailblast.executors.queue import scripts
from mailblast.executors.queue.commands import Script, load, packed
from mailblast.executors.queue.server_url import away, client_settings, tls_trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailblast.executors.queue.commands import Command

#: A server that does not answer for so long is away.
TIMEOUT_S = 5.0
INSTALL = "Install it: pip install 'mailblast[queue]'"
OLDEST = (7, 0)
#: A clock that is further off than this lets leases end early or late.
MAX_SKEW_S = 5.0
#: Scripts that somebody removes again and again are a refusal in the end.
LOADS = 3


class QueueError(JournalError):
    """The queue's server cannot be reached or used. Nothing is lost; work goes on when it is back."""


class QueueAwayError(QueueError):
    """The server does not answer for now."""


class Server:
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
        self.timeout_s = timeout_s
        self._redis = redis
        self._no_script_error = redis.exceptions.NoScriptError
        place, settings = client_settings(url)
        settings |= {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        try:
            self.client: Any = redis.Redis.from_url(place, retry=None, health_check_interval=0, **settings)
        except ValueError:
            # What is wrong with it may be, and would show, a part of the password.
            raise UsageError(
                f"The queue's URL {shown} cannot be used.", fix="Write it like redis://host:6379/0."
            ) from None
        self._place, self._settings = place, settings
        self._scripts = {name: Script(text) for name, text in scripts.SCRIPTS.items()}

    def make_connection(self) -> Any:
        """Return a connection of the client's, for an event loop; it is still to be opened."""
        # RESP 2: nothing comes that was not asked for.
        pool: Any = self._redis.asyncio.ConnectionPool
        return pool.from_url(self._place, retry=None, protocol=2, **self._settings).make_connection()

    def meaning_of(self, answer: str) -> QueueError:
        """Return what an error that the server answers with means."""
        errors = self._redis.exceptions
        try:
            with self.told():
                raise (errors.OutOfMemoryError if answer.startswith("OOM") else errors.ResponseError)(answer)
        except QueueError as error:
            return error

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
        (found,) = self.send([self._scripts[name].call(keys, args)])
        return found

    def run_all(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Run one of our scripts several times, with keys and arguments; the server is waited for once.

        Raises:
            QueueError: The server is away or refuses; some may have run.
        """
        script = self._scripts[name]
        return self.send([script.call(keys, args) for keys, args in calls])

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands one after the other and return their answers, as bytes; the server is waited for once.

        Raises:
            QueueError: The server is away or refuses; some may have run.
        """
        with self.told():
            answers, loaded = self._answers(commands), []
            for _ in range(LOADS):
                lost = [index for index, answer in enumerate(answers) if isinstance(answer, self._no_script_error)]
                if not lost:
                    break
                # What has run is not repeated: whoever was put just now would be refused as queued already.
                loads = [load(script) for script in dict.fromkeys(commands[index].script for index in lost)]
                again = self._answers([*loads, *(commands[index] for index in lost)])
                loaded = again[: len(loads)]
                for index, answer in zip(lost, again[len(loads) :], strict=True):
                    answers[index] = answer
            for answer in (*loaded, *answers):
                if isinstance(answer, Exception):
                    raise answer
        return answers

    def _answers(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers of commands that are sent together; errors of the server are among them."""
        if not commands:
            return []
        pool, refusal = self.client.connection_pool, self._redis.exceptions.ResponseError
        answers: list[Any] = []
        connection = pool.get_connection()
        try:
            connection.send_packed_command([packed(commands)])
            for _ in commands:
                try:
                    answers.append(connection.read_response())
                except refusal as error:
                    answers.append(error)
        except BaseException:
            # Answers that come yet are nobody's.
            connection.disconnect()
            raise
        finally:
            pool.release(connection)
        return answers

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

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
