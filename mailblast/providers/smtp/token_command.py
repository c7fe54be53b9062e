"""OAuth 2.0 access tokens from a command of the user's own (XOAUTH2)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
from typing import TYPE_CHECKING

from mailblast.errors import AccountError, UsageError
from mailblast.model.secret import Secret
from mailblast.providers.smtp.replies import CONTROL

if TYPE_CHECKING:
    from collections.abc import Callable

#: Longest run of the command.
TIMEOUT_S = 30.0
#: A token is not used in the last seconds of its life: the login takes a while.
MARGIN_S = 60.0
#: RFC 6750 section 2.1.
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
#: Longest part of what the command said that is shown.
MAX_SAID = 300


class TokenCommand:
    """Runs the command when a token is needed and there is none that still lives.

    What it prints is the token itself, or JSON with ``access_token`` and, if it is known, ``expires_in`` in seconds
    (RFC 6749 section 5.1). A token without ``expires_in`` is used until the server refuses it.

    Args:
        command: Split as a shell would, but run without one.
        monotonic: Seconds that never go back.
        timeout_s: The command is killed after so long.

    Raises:
        UsageError: It cannot be split, or there is no such program.
    """

    def __init__(self, command: str, monotonic: Callable[[], float], *, timeout_s: float = TIMEOUT_S) -> None:
        try:
            self._argv = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"The token command cannot be read: {error}.", fix="Close its quotes.") from None
        if not self._argv:
            raise UsageError("The token command is empty.", fix="Give a program that prints an access token.")
        if shutil.which(self._argv[0]) is None:
            raise UsageError(
                f"The token command names '{self._argv[0]}', which is no program that can be run.",
                fix="Give its path; pipes and variables need a script of their own, for no shell is used.",
            )
        self._monotonic = monotonic
        self._timeout_s = timeout_s
        self._token: Secret | None = None
        self._until_s = float("inf")
        self._running = asyncio.Lock()

    async def token(self) -> Secret:
        """Return a token that is not known to be refused or to end within a minute.

        Raises:
            AccountError: The command failed or printed no token; tells what it said to stderr.
        """
        async with self._running:
            if self._token is None or self._monotonic() >= self._until_s:
                begun_s = self._monotonic()
                self._token, life_s = self._read(await self._run())
                self._until_s = begun_s + life_s
            return self._token

    def forget(self, token: Secret) -> None:
        """Note that the server refused this token; the next one comes from the command."""
        if self._token == token:
            self._token = None

    async def _run(self) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise self._failed(f"cannot be started: {error.strerror or error}") from None
        try:
            async with asyncio.timeout(self._timeout_s):
                output, errors = await process.communicate()
        except TimeoutError:
            raise self._failed(f"was not done within {self._timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                # Its children too: one of them may be what hangs.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        printed = output.decode("utf-8", "replace").strip()
        if process.returncode != 0:
            said = errors.decode("utf-8", "replace")
            for secret in filter(None, (printed, *printed.split())):
                said = said.replace(secret, "***")
            shown = CONTROL.sub(" ", said).strip()[-MAX_SAID:]
            ended = f"ended with {process.returncode}"
            raise self._failed(f"{ended}: {shown}" if shown else f"{ended} and said nothing to stderr")
        return printed

    def _read(self, printed: str) -> tuple[Secret, float]:
        """Return the token, and its life in seconds."""
        life_s = float("inf")
        if printed.startswith("{"):
            try:
                answer = json.loads(printed)
                printed = answer["access_token"]
                life_s = max(float(answer.get("expires_in", "inf")) - MARGIN_S, 0.0)
            except (ValueError, KeyError, TypeError, RecursionError):
                raise self._failed("printed JSON without a usable 'access_token' and 'expires_in'") from None
        if not isinstance(printed, str) or not TOKEN.fullmatch(printed):
            raise self._failed("printed no access token")
        return Secret(printed), life_s

    def _failed(self, what: str) -> AccountError:
        # Arguments may be secrets too: only the program's name is shown.
        return AccountError(
            f"The token command '{self._argv[0]}' {what}.",
            fix="Run it by hand: it must print an access token, or JSON with access_token, and nothing else.",
        )
