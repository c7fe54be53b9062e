"""The client, and what one call of it comes to. Everything here may run in a thread and may block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.errors import AccountError, MailblastError, UsageError
from mailblast.providers.ses.settings import MAX_CONCURRENCY
from mailblast.providers.ses.verdicts import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailblast.providers.ses.settings import SesSettings

#: Where an endpoint on this machine is used and no Region is known; requests are signed for it.
STAND_IN_REGION = "us-east-1"


class Answer(NamedTuple):
    """A call that succeeded."""

    response: Mapping[str, Any]


class Broken(NamedTuple):
    """A call without an answer."""

    #: Whether the request may have been complete at SES.
    written: bool
    text: str
    #: Set where every other call would fail alike.
    fatal: MailblastError | None = None


Result = Answer | Refusal | Broken


def make_client(settings: SesSettings) -> Any:
    """Return a client of the sesv2 API; it may be shared by threads.

    boto3's own retries are off: one place counts attempts, and a repeat after a lost answer would send twice.

    Raises:
        UsageError: The profile or the Region is missing.
    """
    import boto3  # noqa: PLC0415 - takes a third of a second, and only SES needs it
    from botocore.config import Config  # noqa: PLC0415 - likewise
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - likewise

    secret, token = settings.secret_access_key, settings.session_token
    try:
        session = boto3.Session(
            aws_access_key_id=settings.access_key_id or None,
            aws_secret_access_key=secret.reveal() if secret else None,
            aws_session_token=token.reveal() if token else None,
            region_name=settings.region or None,
            profile_name=(settings.profile or None) if not settings.access_key_id else None,
        )
        region = session.region_name or (STAND_IN_REGION if settings.on_loopback else None)
        if region is None:
            raise UsageError("No AWS Region is known.", fix="Write ses://eu-west-1, or set AWS_REGION.")
        return session.client(
            "sesv2",
            region_name=region,
            endpoint_url=settings.endpoint or None,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 1},
                connect_timeout=settings.connect_timeout_s,
                read_timeout=settings.read_timeout_s,
                max_pool_connections=settings.concurrency or MAX_CONCURRENCY,
                # Requests have one form, which is made here; checking each again costs a tenth of the call.
                parameter_validation=False,
                disable_request_compression=True,
                user_agent_extra="mailblast",
            ),
        )
    except BotoCoreError as error:
        fix = "Check AWS_PROFILE and ~/.aws/config, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        raise UsageError(f"The AWS configuration cannot be used: {error}.", fix=fix) from error


def perform(method: Callable[..., Mapping[str, Any]], request: Mapping[str, Any]) -> Result:
    """Make one call and return what came of it; raises nothing."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - see make_client

    try:
        return Answer(method(**request))
    except ClientError as error:
        return _refusal(error.response)
    except Exception as error:  # noqa: BLE001 - an answer that cannot be read, for all that is known
        return _broken(error)


def _broken(error: Exception) -> Broken:
    from botocore.exceptions import BotoCoreError, HTTPClientError, SSLError  # noqa: PLC0415 - see make_client
    from botocore.exceptions import ConnectionError as NotConnectedError  # noqa: PLC0415 - likewise

    text = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, SSLError):
        # Told in the handshake, before anything is written; anything else may come while the answer is read.
        return Broken("CERTIFICATE_VERIFY_FAILED" not in text, text)
    if isinstance(error, NotConnectedError):
        return Broken(written=False, text=text)
    if isinstance(error, BotoCoreError) and not isinstance(error, HTTPClientError):
        # Credentials that cannot be found or renewed: nothing was written, and nothing will be.
        return Broken(written=False, text=text, fatal=_no_credentials(text))
    return Broken(written=True, text=text)


def _refusal(response: Mapping[str, Any]) -> Refusal:
    error, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    retry_after = str(headers.get("retry-after", ""))
    return Refusal(
        str(error.get("Code", "Unknown")),
        int(metadata.get("HTTPStatusCode", 0)),
        str(error.get("Message", "") or ""),
        float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
    )


def _no_credentials(text: str) -> AccountError:
    return AccountError(
        f"Amazon SES cannot be used: {text.rstrip('.')}.",
        fix="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in with 'aws sso login'.",
    )
