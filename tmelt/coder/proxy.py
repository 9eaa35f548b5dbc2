"""A proxy that connects to the hosts on a list and to no others; the only network of a confined coding agent.

It takes `CONNECT host:port` and plain requests for `http://host:port/…`. An open network would show an agent the labels
of public data, and whatever listens on this machine.
"""

import re
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

HOST = re.compile(r"^(\*\.)?[A-Za-z0-9_.-]+(:\d{1,5})?$")
HTTPS = 443
_HEAD_BYTES = 64 << 10
_PIECE = 64 << 10
_CONNECT_S = 30.0
_LOOPBACK = ("127.0.0.1", "localhost")


def target_of(entry: str) -> tuple[str, int]:
    """Host and port of an entry of the list; without a port that of HTTPS."""
    host, colon, port = entry.partition(":")
    return host.lower(), int(port) if colon else HTTPS


def loopback_ports(network: Sequence[str]) -> list[int]:
    """Ports of this machine that are on the list."""
    return sorted({port for host, port in map(target_of, network) if host in _LOOPBACK})


class Proxy:
    """Serves a local socket in threads of its own."""

    def __init__(self, path: Path, network: Sequence[str]):
        """Listen.

        Args:
            path: of the socket to make.
            network: `host:port`, `host` for its HTTPS port, `*.domain` for every host below it.
        """
        self._allowed = [target_of(entry) for entry in network]
        self.refused: Counter[str] = Counter()  # host:port of connections that were refused
        self._open: set[socket.socket] = set()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        path.chmod(0o666)
        self._server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End every connection."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def allows(self, host: str, port: int) -> bool:
        """Whether a host is on the list."""
        host = host.lower().rstrip(".")
        return any(
            port == number and (host == name or (name.startswith("*.") and host.endswith(name[1:])))
            for name, number in self._allowed
        )

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        try:
            with client, suppress(OSError, ValueError):
                head, rest = _read_head(client)
                first, _, fields = head.partition(b"\r\n")
                method, target, version = first.decode("latin-1").split(" ", 2)
                if method == "CONNECT":
                    host, _, port = target.rpartition(":")
                    self._connect(client, host, int(port), b"HTTP/1.1 200 connected\r\n\r\n", rest)
                    return
                url = urlsplit(target)
                if url.scheme != "http" or not url.hostname:
                    _answer(client, "400 Bad Request", "write http://host:port/path, or CONNECT host:port")
                    return
                path = (url.path or "/") + (f"?{url.query}" if url.query else "")
                kept = b"\r\n".join(line for line in fields.split(b"\r\n") if not _is_of_proxy(line))
                request = f"{method} {path} {version}\r\nConnection: close\r\n".encode("latin-1") + kept + b"\r\n\r\n"
                self._connect(client, url.hostname, url.port or 80, b"", request + rest)
        finally:
            self._open.discard(client)

    def _connect(self, client: socket.socket, host: str, port: int, answer: bytes, first: bytes) -> None:
        host = host.strip("[]")
        if not self.allows(host, port):
            self.refused[f"{host}:{port}"] += 1
            _answer(client, "403 Forbidden", f"{host}:{port} is not in `network` of this strategy")
            return
        try:
            upstream = socket.create_connection((host, port), _CONNECT_S)
        except OSError as error:
            _answer(client, "502 Bad Gateway", f"{host}:{port}: {error}")
            return
        upstream.settimeout(None)
        self._open.add(upstream)
        with upstream:
            client.sendall(answer)
            upstream.sendall(first)
            other = threading.Thread(target=_pump, args=(client, upstream), daemon=True)
            other.start()
            _pump(upstream, client)
            other.join()
        self._open.discard(upstream)


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what came after it already."""
    client.settimeout(_CONNECT_S)
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(_PIECE)
        if not piece or len(data) > _HEAD_BYTES:
            raise ValueError("no request")
        data += piece
    client.settimeout(None)
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _is_of_proxy(line: bytes) -> bool:
    return line.lower().startswith((b"proxy-", b"connection:"))


def _answer(client: socket.socket, status: str, words: str) -> None:
    body = f"{words}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    client.sendall(head.encode() + body)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until either side closes."""
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
