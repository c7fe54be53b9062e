"""aiosmtpd in a thread: another implementation of STARTTLS, AUTH and SIZE than the scripted server's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from servers.smtp_sink import free_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


class Recorder:
    """Keeps envelopes; the code to answer may stand in front of the local part, as in ``550-anything@``."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        code = address[:3]
        if code.isdigit() and code[0] in "45":
            return f"{code} {code[0]}.1.1 <{address}> refused"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        self.envelopes.append(envelope)
        return f"250 2.0.0 Ok: queued as {len(self.envelopes)}"


@contextlib.contextmanager
def aiosmtpd_server(
    *, tls: ssl.SSLContext | None = None, users: dict[str, str] | None = None, size_limit: int = 33_554_432
) -> Iterator[tuple[Recorder, int]]:
    """Serve on a free port; yield what it records, and the port."""
    recorder = Recorder()

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        known = (users or {}).get(data.login.decode()) == data.password.decode()
        # With handled=True it would send no 535, and the client would wait.
        return AuthResult(success=known, handled=known)

    controller = Controller(
        recorder,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=tls,
        require_starttls=tls is not None,
        auth_required=users is not None,
        authenticator=authenticate if users is not None else None,
        auth_require_tls=tls is not None,
        data_size_limit=size_limit,
        enable_SMTPUTF8=True,
    )
    controller.start()
    try:
        yield recorder, controller.port
    finally:
        controller.stop()
