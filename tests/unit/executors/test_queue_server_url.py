from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from mailblast.errors import UsageError
from mailblast.executors.queue.server_url import away, client_settings, tls_trouble

VERIFIED = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_min_version": ssl.TLSVersion.TLSv1_2}


def test_client_settings_without_tls_has_none() -> None:
    assert ("redis://u:p@host:1/2", {}) == client_settings("redis://u:p@host:1/2")


def test_client_settings_names_files_and_always_verifies() -> None:
    for name in ("ca.pem", "me.pem", "me.key"):
        Path(name).touch()
    url = "rediss://u:p@host?ca=ca.pem&cert=me.pem&key=me.key"
    files = {"ssl_ca_certs": "ca.pem", "ssl_certfile": "me.pem", "ssl_keyfile": "me.key"}
    assert ("rediss://u:p@host", files | VERIFIED) == client_settings(url)
    assert ("rediss://host", {"ssl_ca_certs": "ca.pem"} | VERIFIED) == client_settings(
        "rediss://host?ssl_ca_certs=ca.pem"
    )
    assert ("rediss://host", VERIFIED) == client_settings("rediss://host")


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("rediss://host?ssl_cert_reqs=none", "'ssl_cert_reqs' .* is not known. Known are: ca, cert, key"),
        ("rediss://host?ssl_check_hostname=false", "is not known"),
        ("rediss://host?ca=there-is-none.pem", "names 'there-is-none.pem', which is no file"),
        ("rediss://host?ca=", "names '', which is no file"),
        ("redis://host?ca=ca.pem", "is about TLS. Write rediss://"),
    ],
)
def test_client_settings_refuses_what_it_cannot_honour(url: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        client_settings(url)


@pytest.mark.parametrize("password", ["swordfish/x", "swordfish?x", "swordfish#x", "/", "1/2"])
def test_client_settings_password_that_is_not_encoded_is_refused_and_not_shown(password: str) -> None:
    with pytest.raises(UsageError, match="%2F") as caught:
        client_settings(f"rediss://user:{password}@host")
    assert "swordfish" not in str(caught.value)


def verification_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "what OpenSSL says"
    return error


def behind(cause: BaseException) -> OSError:
    error = OSError("cannot connect")
    error.__context__ = cause
    return error


def test_tls_trouble_tells_what_is_wrong_with_a_certificate_and_what_to_do() -> None:
    found = tls_trouble("rediss://q", behind(verification_error(20)))
    assert found is not None
    assert "certificate of the queue at rediss://q is signed by an authority that this machine does not" in found.text
    assert "what OpenSSL says" in found.text
    assert "?ca=FILE" in found.fix
    unknown = tls_trouble("rediss://q", verification_error(999))
    assert unknown is not None
    assert "cannot be verified" in unknown.text


@pytest.mark.parametrize(
    ("reason", "text", "fix"),
    [
        ("WRONG_VERSION_NUMBER", "No TLS with the queue at rediss://q: wrong version number.", "tls-port"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "rediss://q wants a certificate of this machine.", "?cert=FILE&key=FILE"),
        (None, "No TLS with the queue at rediss://q: handshake failed.", "tls-port"),
    ],
)
def test_tls_trouble_tells_why_there_is_no_tls(reason: str | None, text: str, fix: str) -> None:
    error = ssl.SSLError(1, "words")
    # None where OpenSSL gives none.
    error.__dict__["reason"] = reason
    found = tls_trouble("rediss://q", behind(error))
    assert found is not None
    assert text in found.text
    assert fix in found.fix


def test_tls_trouble_is_none_where_it_is_about_something_else() -> None:
    assert tls_trouble("rediss://q", behind(ConnectionRefusedError())) is None


def test_away_tells_what_to_check() -> None:
    assert ("The queue at redis://q does not answer: gone.", "Check that Redis runs there.") == away(
        "redis://q", OSError("gone.")
    )
    found = away("rediss://q", TimeoutError())
    assert "does not answer: TimeoutError." in found.text
    assert "its tls-port" in found.fix
