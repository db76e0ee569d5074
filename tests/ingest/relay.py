"""A wire between a client and a broker that can be cut, or stand still with connections alive."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Hands bytes on between a port of its own and a port of somebody else."""

    def __init__(self, target: int, port: int) -> None:
        self._target = target
        self.port = port
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._sockets: set[socket.socket] = set()
        self._flows = threading.Event()
        self._flows.set()

    def join(self) -> None:
        """Listen, and hand on what comes."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections, and listen no more."""
        with self._lock:
            listener, self._listener = self._listener, None
            sockets, self._sockets = self._sockets, set()
        for each in [*sockets, *([listener] if listener else [])]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def freeze(self) -> None:
        """Hand on no more, and end nothing."""
        self._flows.clear()

    def thaw(self) -> None:
        """Hand on what came meanwhile, and what comes."""
        self._flows.set()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was cut
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._sockets |= {near, far}
                    if self._listener is not listener:
                        near.close()
                        far.close()
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was cut
            while data := source.recv(65_536):
                self._flows.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets -= {source, sink}
        source.close()
