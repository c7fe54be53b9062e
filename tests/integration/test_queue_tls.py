"""A queue at a Redis that wants TLS and a login: who it is must be proven, and what is secret stays so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis as client
from servers.availability import program
from servers.mailblast_process import a_list, a_template, assert_everybody_once, bulk_words
from servers.queue_workers import here, status_here
from servers.redis_server import RedisServer, free_port

from mailblast.cli.queue_url import shown
from mailblast.executors.queue.store import QueueAwayError, Store
from mailblast.executors.queue.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Certificates
    from servers.fault_server import FaultServer

LOGIN = "mailblast:hunter2"
UNKNOWN = "is signed by an authority of its own"
REMEDY = "Give that authority's file with ?ca=FILE if it is yours."


class TlsRedis:
    """A Redis with a port for TLS, and a plain one to look at it."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.tls_port = free_port()
        self.ca = certificates.ca_file
        self.server = RedisServer(
            program("redis-server", "redis-server"),
            folder,
            ("tls-port", str(self.tls_port)),
            ("tls-cert-file", str(certificates.good_pem)),
            ("tls-key-file", str(certificates.good_pem)),
            ("tls-ca-cert-file", str(certificates.ca_file)),
            ("tls-auth-clients", "optional"),
            ("requirepass", "letmein"),
        )
        self.server.start()
        self.plain = client.Redis(port=self.server.port, password="letmein")
        self.plain.acl_setuser("mailblast", enabled=True, passwords="+hunter2", keys="*", categories=["+@all"])
        # The certificate is made for localhost and for 127.0.0.1.
        self.plain.config_set("bind", "127.0.0.1 127.0.0.2")

    def url(self, host: str = "localhost", *, trusted: bool = True) -> str:
        return f"rediss://{LOGIN}@{host}:{self.tls_port}" + (f"?ca={self.ca}" if trusted else "")


@pytest.fixture(scope="module")
def tls_redis(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[TlsRedis]:
    running = TlsRedis(tmp_path_factory.mktemp("redis"), certificates)
    yield running
    running.plain.close()
    running.server.stop()


@pytest.fixture(autouse=True)
def _template() -> None:
    a_template()


@pytest.mark.parametrize("names_authority", ["in the URL", "in SSL_CERT_FILE"])
def test_worker_delivers_over_tls_and_no_password_is_shown_or_kept(
    server: FaultServer, tls_redis: TlsRedis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names_authority: str
) -> None:
    addresses = a_list(5)
    in_url = names_authority == "in the URL"
    monkeypatch.setenv("MAILBLAST_QUEUE", tls_redis.url(trusted=in_url))
    if not in_url:
        monkeypatch.setenv("SSL_CERT_FILE", str(tls_redis.ca))
    words = bulk_words(server, "--queue")
    words.remove("-q")
    queued = here(*words)
    worked = here("worker", "--once", "--debug")
    assert (0, 0) == (queued.code, worked.code), worked.err
    assert_everybody_once(server, addresses)
    found = status_here()
    assert {"accepted": 5} == found.counts
    assert f"rediss://localhost:{tls_redis.tls_port}" == queued.document["queue"]
    kept = b"".join(path.read_bytes() for path in tmp_path.glob(".mailblast/**/*") if path.is_file())
    assert b"hunter2" not in kept
    assert "hunter2" not in f"{queued}{worked}{found}"


def test_server_whose_certificate_proves_nothing_is_refused_and_nothing_is_sent(
    server: FaultServer, tls_redis: TlsRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_list(5)
    before = tls_redis.plain.dbsize()
    monkeypatch.setenv("MAILBLAST_QUEUE", tls_redis.url(trusted=False))
    place = f"rediss://localhost:{tls_redis.tls_port}"
    for words in (bulk_words(server, "--queue"), ["worker", "--once", "-q"]):
        said = here(*words)
        assert (4, 1) == (said.code, said.err.count("\n")), said
        assert said.err.startswith(f"mailblast: The certificate of the queue at {place} {UNKNOWN}:")
        assert said.err.endswith(f"{REMEDY}\n")
        assert "hunter2" not in f"{said}"
    monkeypatch.setenv("MAILBLAST_QUEUE", tls_redis.url("127.0.0.2"))
    said = here(*bulk_words(server, "--queue"))
    assert (4, 1) == (said.code, said.err.count("\n")), said
    assert "is not for this address" in said.err
    assert "Use the host name that the certificate is made for." in said.err
    assert "hunter2" not in f"{said}"
    assert [] == server.taken
    assert before == tls_redis.plain.dbsize()


async def test_wire_of_a_worker_verifies_too(tls_redis: TlsRedis) -> None:
    for url in (tls_redis.url(trusted=False), tls_redis.url("127.0.0.2")):
        store = Store(url, shown(url))
        with pytest.raises(QueueAwayError, match="The certificate of the queue at"):
            await Wire(store).open()
        store.close()
    url = tls_redis.url()
    store = Store(url, shown(url))
    wire = Wire(store)
    await wire.open()
    assert "TLSv1.3" == wire.insist().transport.get_extra_info("ssl_object").version()
    wire.close()
    store.close()


def test_port_without_tls_and_tls_port_without_it_are_told(tls_redis: TlsRedis) -> None:
    for url, what in (
        (
            f"rediss://localhost:{tls_redis.server.port}?ca={tls_redis.ca}",
            "does not answer: .* that this is its tls-port",
        ),
        (f"redis://localhost:{tls_redis.tls_port}", "does not answer"),
    ):
        store = Store(url, shown(url), timeout_s=0.3)
        with pytest.raises(QueueAwayError, match=what):
            store.check_server(0.0)
        store.close()
