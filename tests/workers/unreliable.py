"""A Unix-socket proxy in front of the test's PostgreSQL that breaks connections at the worst moments."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

COMMIT = b"COMMIT\x00"


class UnreliableProxy:
    """Listens where libpq looks for a server. `lose_answers` COMMITs are carried out, but nobody hears of it."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.lose_answers = 0
        self.lost = 0
        self._server = str(server / ".s.PGSQL.5432")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            link = _Link(self, client, server)
            threading.Thread(target=link.ask, daemon=True).start()
            threading.Thread(target=link.answer, daemon=True).start()


class _Link:
    def __init__(self, proxy: UnreliableProxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.is_cut = False

    def ask(self) -> None:
        while question := _receive(self.client):
            if COMMIT in question and self.proxy.lose_answers > 0:
                self.proxy.lose_answers -= 1
                self.is_cut = True
            self.server.sendall(question)
        self._close()

    def answer(self) -> None:
        while answer := _receive(self.server):
            if self.is_cut:
                self.proxy.lost += 1
                break
            self.client.sendall(answer)
        self._close()

    def _close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it
            end.close()


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""
