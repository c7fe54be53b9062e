"""A network between a client and a server that can be cut and mended."""

from __future__ import annotations

import contextlib
import select
import socket
import threading


class TcpProxy:
    """Passes bytes on between a port of its own and another one, on a thread.

    Args:
        port: Of the server on this machine.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._is_cut = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break all connections and refuse new ones."""
        self._is_cut = True

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._ended:
            readable, _, _ = select.select([self._listener, *self._pairs], [], [], 0.02)
            for each in readable:
                if each is self._listener:
                    self._accept()
                elif each in self._pairs:
                    self._pass_on(each)
            if self._is_cut or self._ended:
                for each in list(self._pairs):
                    self._drop(each)
        self._listener.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._is_cut:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=2)
        except OSError:
            client.close()
            return
        self._pairs |= {client: server, server: client}

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(1 << 16)
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass
        self._drop(source)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        if other is not None:
            self._pairs.pop(other, None)
            for each in (one, other):
                with contextlib.suppress(OSError):
                    each.close()
