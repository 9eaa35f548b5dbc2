"""Serve the page on this machine's loopback address, behind a token in its path."""

import hmac
import json
import secrets
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tmelt.errors import InputError
from tmelt.text.safe import one_line
from tmelt.watch.control import Conflict

HOST = "127.0.0.1"
# By another name a page of the internet could reach this server through its visitor's browser (DNS rebinding).
_NAMES = {HOST, "localhost"}
_WAIT_S = 30  # for a slow client
_BODY_BYTES = 64 << 10  # of an order


class WatchServer(ThreadingHTTPServer):
    """Answers GET and HEAD of one path, which only the token's holder knows; everything else is refused.

    With `order` it takes a POST of that path as well, as JSON from this page alone: a page of another origin neither
    knows the token nor can it send this page's Origin.

    Args:
        port: of the loopback address; 0 for any that is free.
        render: makes the page; called once at a time.
        policy: the page's Content-Security-Policy.
        order: takes the body of a POST and returns what to answer; None for a page that only reads.

    Raises:
        InputError: the port is taken.
    """

    daemon_threads = True

    def __init__(
        self, port: int, render: Callable[[], str], policy: str, order: Callable[[bytes], dict[str, str]] | None = None
    ):
        self.token = secrets.token_urlsafe(24)
        self.policy, self.order = policy, order
        self._render, self._one = render, threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"--port: {port}: cannot be used ({reason}); choose another, or 0 for any") from None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """The page's address, with the token."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def page(self) -> bytes:
        """Render the page."""
        with self._one:
            return self._render().encode("utf-8", "backslashreplace")


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    timeout = _WAIT_S
    server_version, sys_version = "tmelt", ""

    def do_GET(self) -> None:
        """Send the page."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Send its headers."""
        self._answer(body=False)

    def do_POST(self) -> None:
        """Take an order of the page."""
        if (status := self._refusal() or self._refusal_of_order()) is not None:
            self._refuse(status)
            return
        assert self.server.order is not None
        try:
            said = self.server.order(self.rfile.read(int(self.headers["Content-Length"])))
        except InputError as error:
            status = HTTPStatus.CONFLICT if isinstance(error, Conflict) else HTTPStatus.BAD_REQUEST
            self._send(status, f"{one_line(str(error))}\n".encode(), "text/plain", body=True)
            return
        except OSError as error:  # no room, or no right to write
            told = f"{error.filename or 'guidance.yaml'}: cannot be written ({error.strerror})\n"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, told.encode("utf-8", "replace"), "text/plain", body=True)
            return
        self._send(HTTPStatus.OK, json.dumps(said).encode(), "application/json", body=True)

    def _refusal_of_order(self) -> HTTPStatus | None:
        if self.server.order is None:
            return HTTPStatus.NOT_IMPLEMENTED
        if self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            return HTTPStatus.FORBIDDEN
        if self.headers.get_content_type() != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return HTTPStatus.LENGTH_REQUIRED
        if len(length.lstrip("0")) > len(str(_BODY_BYTES)) or int(length) > _BODY_BYTES:  # int() takes 4,300 digits
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return None

    def _refuse(self, status: HTTPStatus, body: bool = True) -> None:
        self._send(status, f"{status.value} {status.phrase}\n".encode(), "text/plain", body)

    def _answer(self, body: bool) -> None:
        if (status := self._refusal()) is not None:
            self._refuse(status, body)
            return
        try:
            page = self.server.page()
        except Exception as error:  # a file that is being written, or damaged: the next look may do
            print(one_line(f"{type(error).__name__}: {error}"), file=sys.stderr, flush=True)
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, b"The study cannot be read just now.\n", "text/plain", body)
            return
        self._send(HTTPStatus.OK, page, "text/html", body)

    def _refusal(self) -> HTTPStatus | None:
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if name not in _NAMES:
            return HTTPStatus.FORBIDDEN
        given = urlsplit(self.path).path.encode("utf-8", "replace")
        known = hmac.compare_digest(given, f"/{self.server.token}/".encode())
        return None if known else HTTPStatus.NOT_FOUND

    def _send(self, status: HTTPStatus, content: bytes, kind: str, body: bool) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(content)),
            "Content-Security-Policy": self.server.policy,
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: requests would show the token."""
