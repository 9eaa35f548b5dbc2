"""Messages between the sandbox's own processes: JSON lines over a socket, descriptors passed beside them."""

import json
import socket
from typing import Any


class Channel:
    """One end of a socket that carries JSON messages, one per line."""

    def __init__(self, end: socket.socket):
        self.socket = end
        self._pending = b""

    def fileno(self) -> int:
        """For select."""
        return self.socket.fileno()

    def send(self, message: Any) -> None:
        """Send one message.

        Raises:
            OSError: the other end is gone.
        """
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout_s: float | None = None) -> Any:
        """The next message; None when the other end is gone.

        Raises:
            TimeoutError: nothing came.
        """
        self.socket.settimeout(timeout_s)
        while b"\n" not in self._pending:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)

    def close(self) -> None:
        """Close this end."""
        self.socket.close()


def pair() -> tuple[Channel, socket.socket]:
    """A channel, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    return Channel(ours), theirs
