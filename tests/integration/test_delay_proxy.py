"""The path with a round trip that benchmarks go over: it delays, and does no more."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from servers.delay_proxy import delay_proxy
from servers.smtp_sink import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE_WAY_MS = 20
ROUND_TRIP_S = 2 * ONE_WAY_MS / 1000
#: What a busy machine may add.
LATE_S = 0.04


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection in a thread of its own; yield the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connected, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connected,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@contextmanager
def through_a_proxy(target: int) -> Iterator[socket.socket]:
    """Connect to a port over a path with a round trip."""
    with (
        delay_proxy(target, ONE_WAY_MS) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        yield client


def greet_and_echo(connected: socket.socket) -> None:
    with connected:
        connected.sendall(b"hello")
        while data := connected.recv(65536):
            connected.sendall(data)


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = client.recv(size - len(data))
        assert chunk, f"the connection ended after {len(data)} bytes"
        data += chunk
    return data


def digest_until_end(client: socket.socket) -> str:
    digest = hashlib.sha256()
    while data := client.recv(1 << 20):
        digest.update(data)
    return digest.hexdigest()


def test_answer_comes_after_one_round_trip_and_a_greeting_after_two() -> None:
    with listening(greet_and_echo) as target, delay_proxy(target, ONE_WAY_MS) as port:
        began_s = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            assert b"hello" == receive(client, 5)
            greeted_s = time.perf_counter() - began_s
            times_s = []
            for _ in range(10):
                began_s = time.perf_counter()
                client.sendall(b"ping")
                assert b"ping" == receive(client, 4)
                times_s.append(time.perf_counter() - began_s)
    assert 2 * ROUND_TRIP_S <= greeted_s < 2 * ROUND_TRIP_S + LATE_S
    # Never early; the best of ten is late by less than a twentieth.
    assert ROUND_TRIP_S <= min(times_s) < 1.05 * ROUND_TRIP_S


def test_bytes_do_not_wait_for_those_before_them() -> None:
    """Sent a millisecond apart, twenty answers come within one round trip and the time it took to send."""
    with listening(greet_and_echo) as target, through_a_proxy(target) as client:
        receive(client, 5)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began_s = time.perf_counter()
        for _ in range(20):
            client.sendall(b"ping")
            time.sleep(0.001)
        sent_s = time.perf_counter() - began_s
        assert b"ping" * 20 == receive(client, 80)
        elapsed_s = time.perf_counter() - began_s
    assert ROUND_TRIP_S <= elapsed_s < sent_s + ROUND_TRIP_S + LATE_S


@pytest.mark.parametrize("one_way_ms", [0, 5])
def test_much_passes_whole_both_ways_and_both_ends_close(one_way_ms: float) -> None:
    """More than the window, over connections at once: nothing is lost, mixed up or throttled, and ends are told."""
    data = bytes(range(256)) * (24 * 4096)
    wanted = hashlib.sha256(b"hello" + data).hexdigest()
    found: list[str] = []

    def send(client: socket.socket) -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    def send_and_digest(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            sending = threading.Thread(target=send, args=(client,))
            sending.start()
            found.append(digest_until_end(client))
            sending.join()

    with listening(greet_and_echo) as target, delay_proxy(target, one_way_ms) as port:
        clients = [threading.Thread(target=send_and_digest, args=(port,)) for _ in range(3)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert [wanted] * 3 == found


def test_end_comes_after_what_was_sent_before_it() -> None:
    def tell_and_leave(connected: socket.socket) -> None:
        connected.sendall(b"last words")
        connected.close()

    with listening(tell_and_leave) as target, through_a_proxy(target) as client:
        assert b"last words" == receive(client, 10)
        assert b"" == client.recv(1)


def test_nobody_behind_it_cuts_the_connection() -> None:
    # The kernel tells an abort as an end or as a reset, by what is unread.
    with through_a_proxy(free_port()) as client, suppress(ConnectionResetError):
        assert b"" == client.recv(1)
