"""Moto's server: keeps raw messages as SES got them, and refuses senders that are no identity."""

from __future__ import annotations

import contextlib
import logging
from email.utils import parseaddr
from typing import TYPE_CHECKING

from servers.aws_http import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator


class Moto:
    """A running server.

    Args:
        endpoint: Where it listens.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def dsn(self, options: str = "") -> str:
        return f"ses://{REGION}?endpoint={self.endpoint}{'&' if options else ''}{options}"

    def raw_messages(self) -> dict[str, list[str]]:
        """Return the messages by recipient."""
        from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - half a second, for few tests
        from moto.ses.models import RawMessage, ses_backends  # noqa: PLC0415 - likewise

        found: dict[str, list[str]] = {}
        for message in ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages:
            assert isinstance(message, RawMessage)
            # Moto adds the addresses of the To header to those of the call.
            for recipient in {parseaddr(destination)[1] for destination in message.destinations}:
                found.setdefault(recipient, []).append(message.raw_data)
        return found


@contextlib.contextmanager
def moto_server(*identities: str) -> Iterator[Moto]:
    """Serve from a thread; these are the identities that may send."""
    from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - half a second, for few tests
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - likewise
    from moto.ses.models import ses_backends  # noqa: PLC0415 - likewise
    from moto.sesv2.models import sesv2_backends  # noqa: PLC0415 - likewise

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for identity in identities:
            sesv2_backends[DEFAULT_ACCOUNT_ID][REGION].create_email_identity(identity, None, None, None)
        yield Moto(f"http://{host}:{port}")
    finally:
        server.stop()
        ses_backends[DEFAULT_ACCOUNT_ID][REGION].reset()
