"""Logins at a real server: Postfix over STARTTLS, with Dovecot judging the password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.list_deliveries import ListDeliveries, messages
from servers.postfix_sasl import postfix_sasl

from mailblast.clock import SystemClock
from mailblast.errors import AccountError
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.smtp import opening
from mailblast.providers.smtp.provider import SmtpProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Certificates
    from servers.postfix_server import Postfix

USER, PASSWORD = "ada@sasl.example", "pass word ü%@"


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[Postfix]:
    with postfix_sasl(certificates, USER, PASSWORD) as running:
        yield running


def provider_of(server: Postfix, certificates: Certificates, password: str) -> SmtpProvider:
    text = f"smtp://{USER}@localhost:{server.port}?tls=starttls&ca={certificates.ca_file}"
    provider = make_provider(parse_dsn(text), {"SMTP_PASSWORD": password}, connections=2, clock=SystemClock())
    assert isinstance(provider, SmtpProvider)
    return provider


@pytest.mark.parametrize("method", ["plain", "login"])
async def test_right_password_sends_and_wrong_one_sends_nothing(
    server: Postfix, certificates: Certificates, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both are offered, and the first that is would be taken.
    monkeypatch.setattr(opening, "LOGIN_METHODS", (method,))
    refused = provider_of(server, certificates, "wrong")
    deliveries = ListDeliveries(messages(3))
    with pytest.raises(AccountError, match=rf"refused the login of '{USER}': 535 5.7.8.*SMTP_PASSWORD"):
        await refused.open()
    with pytest.raises(AccountError):
        await refused.deliver(deliveries)
    await refused.close()
    assert {Disposition.NOT_SENT} == set(deliveries.dispositions.values())
    before = server.log.read_text()
    assert f"SASL {method.upper()} authentication failed" in before
    assert f"sasl_method={method.upper()}" not in before

    accepted = provider_of(server, certificates, PASSWORD)
    deliveries = ListDeliveries(messages(20))
    await accepted.open()
    await accepted.deliver(deliveries)
    await accepted.close()
    assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
    assert f"sasl_method={method.upper()}, sasl_username={USER}" in server.log.read_text()
