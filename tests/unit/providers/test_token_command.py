from __future__ import annotations

import asyncio
import json
import shlex
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.errors import AccountError, UsageError
from mailblast.providers.smtp.token_command import TokenCommand

if TYPE_CHECKING:
    from pathlib import Path


def command(script: str, clock: FakeClock | None = None, timeout_s: float = 20.0) -> TokenCommand:
    return TokenCommand(f"sh -c {shlex.quote(script)}", (clock or FakeClock()).monotonic, timeout_s=timeout_s)


def counted(tmp_path: Path, output: str) -> str:
    """A script that prints something and a number that grows with each run."""
    count = tmp_path / "count"
    return f"echo x >> {count}; echo {shlex.quote(output)} | sed s/N/$(wc -l < {count} | tr -d ' ')/"


@pytest.mark.parametrize(
    ("printed", "token"),
    [
        ("ya29.a0AfH6SM-x_y~z/+==", "ya29.a0AfH6SM-x_y~z/+=="),
        ("  ya29  ", "ya29"),
        ('{"access_token": "ya29", "token_type": "Bearer"}', "ya29"),
        ('{"access_token": "ya29", "expires_in": 3599}', "ya29"),
        ('{"access_token": "ya29", "expires_in": "3599"}', "ya29"),
    ],
)
async def test_token_is_what_the_command_prints(printed: str, token: str) -> None:
    secret = await command(f"echo {shlex.quote(printed)}").token()
    assert token == secret.reveal()
    assert "***" == str(secret)


async def test_token_is_kept_for_its_life(tmp_path: Path) -> None:
    clock = FakeClock()
    tokens = command(counted(tmp_path, json.dumps({"access_token": "tN", "expires_in": 3600})), clock)
    assert "t1" == (await tokens.token()).reveal()
    clock.advance(3539)
    assert "t1" == (await tokens.token()).reveal()
    clock.advance(1)
    assert "t2" == (await tokens.token()).reveal()


async def test_token_without_life_is_kept_until_it_is_refused(tmp_path: Path) -> None:
    clock = FakeClock()
    tokens = command(counted(tmp_path, "tN"), clock)
    first = await tokens.token()
    clock.advance(1e6)
    assert first == await tokens.token()
    tokens.forget(first)
    second = await tokens.token()
    assert "t2" == second.reveal()
    # A refusal that arrives late is about the old one.
    tokens.forget(first)
    assert second == await tokens.token()


async def test_many_logins_at_once_run_the_command_once(tmp_path: Path) -> None:
    tokens = command(counted(tmp_path, "tN"))
    assert {"t1"} == {token.reveal() for token in await asyncio.gather(*(tokens.token() for _ in range(5)))}


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("echo no consent >&2; exit 3", "'sh' ended with 3: no consent. Run it by hand"),
        ("exit 1", "ended with 1 and said nothing to stderr"),
        ("printf 'a\\033[31mb\\nc' >&2; exit 1", r"ended with 1: a \[31mb c"),
        ("true", "printed no access token"),
        ("echo two words", "printed no access token"),
        ("echo a; echo b", "printed no access token"),
        ("echo '{\"token\": 1}'", "JSON without a usable 'access_token'"),
        ("echo '{\"access_token\": 1}'", "printed no access token"),
        ('echo \'{"access_token": "a", "expires_in": "soon"}\'', "JSON without a usable"),
        ("echo '{'", "JSON without a usable"),
    ],
)
async def test_command_that_fails_is_told_with_what_it_said(script: str, what: str) -> None:
    with pytest.raises(AccountError, match=what):
        await command(script).token()


async def test_failure_shows_no_token_and_no_argument() -> None:
    tokens = command("echo s3cr3t-token; echo got s3cr3t-token, but >&2; exit 1")
    with pytest.raises(AccountError, match=r"got \*\*\*, but") as caught:
        await tokens.token()
    assert "s3cr3t" not in str(caught.value)


async def test_long_complaint_is_cut() -> None:
    with pytest.raises(AccountError) as caught:
        await command("printf '%01000d' 7 >&2; exit 1").token()
    assert len(str(caught.value)) < 600


async def test_command_that_hangs_is_killed_with_its_children() -> None:
    with pytest.raises(AccountError, match="was not done within 0.1 s"):
        await command("sleep 100 | cat", timeout_s=0.1).token()


async def test_command_is_killed_when_the_login_is_cancelled() -> None:
    asking = asyncio.create_task(command("sleep 100 | cat").token())
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_command_that_vanished_is_told(tmp_path: Path) -> None:
    script = tmp_path / "token"
    script.write_text("#!/bin/sh\necho t\n")
    script.chmod(0o700)
    tokens = TokenCommand(str(script), FakeClock().monotonic)
    script.unlink()
    with pytest.raises(AccountError, match="cannot be started: No such file"):
        await tokens.token()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("'unclosed", "cannot be read: No closing quotation. Close its quotes"),
        ("no-such-program --x", "names 'no-such-program', which is no program"),
    ],
)
def test_command_that_cannot_be_is_refused_at_once(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        TokenCommand(text, FakeClock().monotonic)
