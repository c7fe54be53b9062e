from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore import exceptions as botocore_errors
from botocore.parsers import ResponseParserError

from mailblast.errors import AccountError, UsageError
from mailblast.model.secret import Secret
from mailblast.providers.ses.calls import Answer, Broken, make_client, perform
from mailblast.providers.ses.settings import SesSettings
from mailblast.providers.ses.verdicts import Refusal

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = SesSettings("eu-west-1", access_key_id="AKID", secret_access_key=Secret("secret"))


def raising(error: Exception) -> Any:
    def method(**_: object) -> dict[str, object]:
        raise error

    return method


def client_error(response: dict[str, Any]) -> Exception:
    error: Exception = botocore_errors.ClientError(response, "SendEmail")
    return error


@pytest.fixture
def without_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No AWS configuration but the one in this folder, and no metadata service."""
    config = tmp_path / "config"
    config.write_text("")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return config


def test_answer_is_handed_on_with_its_request() -> None:
    assert Answer({"got": {"a": 1}}) == perform(lambda **request: {"got": request}, {"a": 1})


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (
            {"Error": {"Code": "MessageRejected", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}},
            Refusal("MessageRejected", 400, "no"),
        ),
        (
            {"Error": {"Code": "TooManyRequestsException", "Message": None},
             "ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "3"}}},
            Refusal("TooManyRequestsException", 429, "", 3.0),
        ),
        (
            {"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPHeaders": {"retry-after": "soon"}}},
            Refusal("X", 0, ""),
        ),
        ({}, Refusal("Unknown", 0, "")),
    ],
)  # fmt: skip
def test_error_of_the_service_is_a_refusal(response: dict[str, Any], expected: Refusal) -> None:
    assert expected == perform(raising(client_error(response)), {})


@pytest.mark.parametrize(
    ("error", "written"),
    [
        (botocore_errors.EndpointConnectionError(endpoint_url="http://x", error="refused"), False),
        (botocore_errors.ConnectTimeoutError(endpoint_url="http://x"), False),
        (botocore_errors.ProxyConnectionError(proxy_url="http://x"), False),
        (botocore_errors.SSLError(endpoint_url="http://x", error="[SSL: CERTIFICATE_VERIFY_FAILED] expired"), False),
        (botocore_errors.SSLError(endpoint_url="http://x", error="EOF occurred in violation of protocol"), True),
        (botocore_errors.ReadTimeoutError(endpoint_url="http://x"), True),
        (botocore_errors.ConnectionClosedError(endpoint_url="http://x"), True),
        (botocore_errors.HTTPClientError(error="what"), True),
        (botocore_errors.ResponseStreamingError(error="cut"), True),
        (ResponseParserError("no JSON"), True),
        (ValueError(), True),
    ],
)
def test_call_without_an_answer_says_whether_it_was_written(error: Exception, *, written: bool) -> None:
    result = perform(raising(error), {})
    assert isinstance(result, Broken)
    assert (written, None) == (result.written, result.fatal)
    assert result.text


@pytest.mark.parametrize(
    "error",
    [
        botocore_errors.NoCredentialsError(),
        botocore_errors.PartialCredentialsError(provider="env", cred_var="key"),
        botocore_errors.CredentialRetrievalError(provider="sso", error_msg="gone"),
        botocore_errors.UnauthorizedSSOTokenError(),
        botocore_errors.TokenRetrievalError(provider="sso", error_msg="expired"),
    ],
)
def test_credentials_that_are_missing_or_ended_are_fatal_and_nothing_was_written(error: Exception) -> None:
    result = perform(raising(error), {})
    assert isinstance(result, Broken)
    assert not result.written
    assert isinstance(result.fatal, AccountError)
    assert result.fatal.fix


def test_text_of_an_error_is_one_line_of_bounded_length() -> None:
    result = perform(raising(ValueError("a\nb " + "x" * 1000)), {})
    assert isinstance(result, Broken)
    assert result.text.startswith("a b x")
    assert 300 == len(result.text)


def test_fatal_errors_are_picklable() -> None:
    result = perform(raising(botocore_errors.NoCredentialsError()), {})
    assert isinstance(result, Broken)
    assert str(result.fatal) == str(pickle.loads(pickle.dumps(result.fatal)))


def test_client_has_no_retries_of_its_own_and_short_time_outs() -> None:
    config = make_client(SETTINGS).meta.config
    assert {"mode": "standard", "total_max_attempts": 1} == config.retries
    assert (5.0, 30.0, 256) == (config.connect_timeout, config.read_timeout, config.max_pool_connections)


def test_client_is_of_the_region_or_the_endpoint() -> None:
    assert "https://email.eu-west-1.amazonaws.com" == make_client(SETTINGS).meta.endpoint_url
    local = replace(SETTINGS, endpoint="http://127.0.0.1:1", concurrency=3)
    client = make_client(local)
    assert ("http://127.0.0.1:1", 3) == (client.meta.endpoint_url, client.meta.config.max_pool_connections)


@pytest.mark.usefixtures("without_aws")
def test_region_may_lack_only_for_an_endpoint_on_this_machine() -> None:
    with pytest.raises(UsageError, match="No AWS Region"):
        make_client(SesSettings())
    assert "us-east-1" == make_client(SesSettings(endpoint="http://127.0.0.1:1")).meta.region_name


def test_profile_that_is_missing_is_told(without_aws: Path) -> None:
    without_aws.write_text("[profile work]\nregion = eu-north-1\n")
    assert "eu-north-1" == make_client(SesSettings(profile="work")).meta.region_name
    with pytest.raises(UsageError, match="play"):
        make_client(SesSettings("eu-west-1", profile="play"))


@pytest.mark.usefixtures("without_aws")
def test_call_without_credentials_is_fatal() -> None:
    client = make_client(SesSettings("eu-west-1", endpoint="http://127.0.0.1:1"))
    result = perform(client.get_account, {})
    assert isinstance(result, Broken)
    assert isinstance(result.fatal, AccountError)
