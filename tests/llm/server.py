"""A small real HTTP server on loopback that speaks OpenAI's and Anthropic's chat formats and misbehaves on demand.

with ChatServer() as server:
    server.will(Reply("hello"), Reply(status=429, headers={"Retry-After": "1"}), Reply("again"))
"""

import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    text: str = ""
    status: int = 200
    finish: str | None = None  # None: the format's own word for a complete reply
    usage: Mapping[str, int] | None = field(default_factory=lambda: {"prompt": 100, "completion": 20})
    content: Any = None  # instead of text: content blocks
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None  # sent as it is, instead of a chat reply
    content_type: str = "application/json"
    delay_s: float = 0.0  # before anything is sent
    drop_after: int | None = None  # close the connection after so many bytes of the body
    trickle_s: float = 0.0  # pause between single bytes of the body


class ChatServer:
    """Serves the given replies in order; the last one again and again."""

    def __init__(self, port: int = 0) -> None:
        """Listen at `port`; without one at any that is free."""
        self.requests: list[dict[str, Any]] = []
        self.paid = 0  # replies with status 200 that were begun
        self.received = threading.Event()  # set at every request
        self._replies: list[Reply] = [Reply("ok")]
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Without a path, as Anthropic's client wants it; OpenAI's wants /v1 behind it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def will(self, *replies: Reply) -> None:
        """What to do with the next requests."""
        self._replies = list(replies)

    def _next(self, request: dict[str, Any]) -> Reply:
        with self._lock:
            self.requests.append(request)
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
            self.paid += reply.status == 200
        self.received.set()
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = outer._next({"path": self.path, "headers": dict(self.headers), "body": body})
                if reply.delay_s and outer._stop.wait(reply.delay_s):
                    return
                payload = (reply.body if reply.body is not None else _chat(self.path, body, reply)).encode()
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(payload)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    if reply.drop_after is not None:
                        self.wfile.write(payload[: reply.drop_after])
                        self.wfile.flush()
                        self.connection.shutdown(socket.SHUT_RDWR)
                        self.close_connection = True
                    elif reply.trickle_s:
                        for byte in payload:
                            self.wfile.write(bytes([byte]))
                            self.wfile.flush()
                            if outer._stop.is_set():
                                return
                            time.sleep(reply.trickle_s)
                    else:
                        self.wfile.write(payload)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _chat(path: str, request: Mapping[str, Any], reply: Reply) -> str:
    if path.endswith("/messages"):
        if reply.status != 200:
            return json.dumps({"type": "error", "error": {"type": "api_error", "message": reply.text}})
        answer = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": reply.content or [{"type": "text", "text": reply.text}],
            "stop_reason": reply.finish or "end_turn",
            "stop_sequence": None,
        }
        if reply.usage is not None:
            answer["usage"] = {"input_tokens": reply.usage["prompt"], "output_tokens": reply.usage["completion"]}
        return json.dumps(answer)
    if reply.status != 200:
        return json.dumps({"error": {"message": reply.text, "type": "error", "code": None}})
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.content or reply.text},
                "finish_reason": reply.finish or "stop",
            }
        ],
    }
    if reply.usage is not None:
        prompt, completion = reply.usage["prompt"], reply.usage["completion"]
        answer["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": reply.usage.get("cached", 0)},
        }
    return json.dumps(answer)
