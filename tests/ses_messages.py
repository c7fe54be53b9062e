"""Builders of what SES is handed, and a client that answers without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from servers.list_deliveries import a_message

from mailblast.model.campaign import Mailbox
from mailblast.model.message import Composition, Content, Layout, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LAYOUT = Layout(("s1", "s2"), "Hi {{s1}}", "Dear {{s1}}: {{s2}}", "<p>{{s1}}: {{s2}}</p>")
SENDER = Mailbox("News", "sender@example.org")


def composed(
    number: int = 1,
    recipient: str = "",
    values: tuple[str, ...] = ("Ann", "x"),
    layout: Layout | None = LAYOUT,
    **changes: Any,
) -> Message:
    """Build a message with what it is made of."""
    message = a_message(number, recipient)
    composition = Composition(
        SENDER,
        None,
        Mailbox("", message.recipient),
        Content("Hi", "Dear", "<p>"),
        layout=layout,
        values=values,
    )
    return message._replace(composition=composition._replace(**changes))


class StubClient:
    """Stands where boto3's client does; each method is a function of the request, and every request is kept."""

    class meta:  # noqa: N801 - boto3's name
        """What clients say of themselves."""

        endpoint_url = "https://email.example"

    def __init__(self, **methods: Callable[[Mapping[str, Any]], Any]) -> None:
        self.requests: list[tuple[str, Mapping[str, Any]]] = []
        self.methods = methods
        self.closed = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = self.methods[name]

        def call(**request: Any) -> Any:
            self.requests.append((name, request))
            return method(request)

        return call

    def close(self) -> None:
        self.closed += 1

    def names(self) -> list[str]:
        """Return the operations called, in order."""
        return [name for name, _ in self.requests]


def sent(_request: Mapping[str, Any]) -> dict[str, str]:
    """Answer SendEmail."""
    return {"MessageId": "single"}


def bulk_sent(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer SendBulkEmail: all taken."""
    entries = request["BulkEmailEntries"]
    return {"BulkEmailEntryResults": [{"Status": "SUCCESS", "MessageId": f"b{n}"} for n in range(len(entries))]}


def refused(code: str, status: int = 400, message: str = "no", **headers: str) -> Callable[[Mapping[str, Any]], Any]:
    """Answer with an error of the service."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - only where it is needed

    def method(_request: Mapping[str, Any]) -> Any:
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
        raise ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "SendEmail")

    return method


def broken(error: Exception) -> Callable[[Mapping[str, Any]], Any]:
    """Give no answer."""

    def method(_request: Mapping[str, Any]) -> Any:
        raise error

    return method
