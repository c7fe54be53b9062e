"""XOAUTH2 with a token from a command: refused once, a new one is fetched; refused twice, nothing is sent."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from servers.list_deliveries import ListDeliveries, messages
from servers.scripted_smtp import Script, ScriptedSmtp
from words import a_list, a_template

from mailblast.cli.app import run
from mailblast.clock import SystemClock
from mailblast.errors import AccountError, ProviderUnavailableError
from mailblast.model.outcome import Attempt, Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.smtp.provider import SmtpProvider

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Certificates

    from mailblast.model.message import Message

USER = "ada@example.org"


class Issuer:
    """Prints ``token-1``, ``token-2`` … and counts its runs."""

    def __init__(self, folder: Path) -> None:
        self._count = folder / "runs"
        self._count.touch()
        count = shlex.quote(str(self._count))
        script = f"echo x >> {count}; echo token-$(wc -l < {count} | tr -d ' ')"
        self.command = f"sh -c {shlex.quote(script)}"

    @property
    def runs(self) -> int:
        return len(self._count.read_text().split())


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


def provider_of(
    server: ScriptedSmtp,
    certificates: Certificates,
    issuer: Issuer,
    *,
    connections: int | None = None,
    messages_per_connection: int | None = None,
) -> SmtpProvider:
    text = f"smtp://{USER}@localhost:{server.port}?tls=starttls&ca={certificates.ca_file}"
    settings = {"MAILBLAST_TOKEN_COMMAND": issuer.command}
    provider = make_provider(
        parse_dsn(text),
        settings,
        connections=connections,
        messages_per_connection=messages_per_connection,
        clock=SystemClock(),
    )
    assert isinstance(provider, SmtpProvider)
    return provider


async def test_good_token_logs_in_and_one_run_serves_all_connections(
    certificates: Certificates, issuer: Issuer
) -> None:
    async with ScriptedSmtp(Script(tls=certificates.good, tokens={USER: {"token-1"}})) as server:
        provider = provider_of(server, certificates, issuer, connections=4)
        deliveries = ListDeliveries(messages(40))
        await provider.deliver(deliveries)
        facts = await provider.probe()
        await provider.close()
        assert 40 == len(server.messages)
    assert ("login", f"logged in as {USER}") in facts
    assert 1 == issuer.runs


async def test_refused_token_is_replaced_once(certificates: Certificates, issuer: Issuer) -> None:
    async with ScriptedSmtp(Script(tls=certificates.good, tokens={USER: {"token-2"}})) as server:
        provider = provider_of(server, certificates, issuer, connections=3)
        deliveries = ListDeliveries(messages(10))
        await provider.open()
        await provider.deliver(deliveries)
        await provider.close()
        assert 10 == len(server.messages)
        # Google's page: the error of the challenge is answered by an empty line.
        said = [data for _, side, data in server.wire if side == "C"]
        assert b"\r\n" == said[next(index for index, line in enumerate(said) if line.startswith(b"AUTH")) + 1]
    assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
    assert 2 == issuer.runs


async def test_second_refusal_is_final(certificates: Certificates, issuer: Issuer) -> None:
    async with ScriptedSmtp(Script(tls=certificates.good, tokens={USER: {"another"}})) as server:
        provider = provider_of(server, certificates, issuer)
        with pytest.raises(AccountError, match=f"refused the login of '{USER}': 535.*token is for this user") as caught:
            await provider.open()
        await provider.close()
        assert b"MAIL" not in server.client_bytes
    assert "token-" not in str(caught.value)
    assert 2 == issuer.runs


async def test_token_that_ends_during_the_run_is_replaced(certificates: Certificates, issuer: Issuer) -> None:
    script = Script(tls=certificates.good, tokens={USER: {"token-1"}})
    async with ScriptedSmtp(script) as server:
        provider = provider_of(server, certificates, issuer, connections=2, messages_per_connection=5)
        deliveries = ListDeliveries(messages(30))

        def expire(_message: Message, _attempt: Attempt) -> None:
            script.tokens = {USER: {"token-2"}}

        deliveries.on_finish = expire
        await provider.deliver(deliveries)
        await provider.close()
        assert 30 == len(server.messages)
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())
    assert 2 == issuer.runs


async def test_failing_command_is_told_and_not_run_again(certificates: Certificates, issuer: Issuer) -> None:
    issuer.command += "; echo no consent >&2; exit 1"
    issuer.command = f"sh -c {shlex.quote(issuer.command)}"
    async with ScriptedSmtp(Script(tls=certificates.good, tokens={USER: {"token-1"}})) as server:
        with pytest.raises(AccountError, match="'sh' ended with 1: no consent"):
            await provider_of(server, certificates, issuer).open()
        assert 0 == server.connections
    assert 1 == issuer.runs


async def test_server_without_xoauth2_is_told(certificates: Certificates, issuer: Issuer) -> None:
    async with ScriptedSmtp(Script(tls=certificates.good, users={USER: "p"})) as server:
        with pytest.raises(ProviderUnavailableError, match="offers PLAIN, LOGIN, so .* cannot log in with a token"):
            await provider_of(server, certificates, issuer).open()
        assert b"AUTH" not in server.client_bytes


@pytest.mark.parametrize("command", ["bulk", "bulk by processes", "send", "verify"])
def test_token_command_as_an_option_logs_in(
    command: str, certificates: Certificates, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script(tokens={USER: {f"token-{number}" for number in range(1, 9)}}, tls=certificates.good)
    with ScriptedSmtp(script).run_in_thread() as server:
        via = f"smtp://{USER}@localhost:{server.port}?tls=starttls&ca={certificates.ca_file}"
        words = ["--via", via, "--from", USER, "--token-command", issuer.command]
        if command.startswith("bulk"):
            count = "2" if command.endswith("processes") else "1"
            words = ["bulk", a_list(), "-t", a_template(), "--processes", count, *words]
        elif command == "send":
            words = ["send", "--to", "ann@example.com", "--text", "Hi", "-s", "S", *words]
        else:
            words = ["verify", *words]
        assert run([*words, "-q"]) == 0, capsys.readouterr()
        assert {"bulk": 2, "send": 1, "verify": 0}[command.split(maxsplit=1)[0]] == len(server.messages)
    assert issuer.runs >= 1
