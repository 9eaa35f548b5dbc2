"""A small real HTTP server on loopback that speaks OpenAI's and Anthropic's chat formats and misbehaves on demand.

with ChatServer() as server:
    server.will(Reply("hello"), Reply(status=429, headers={"Retry-After": "1"}), Reply("again"))
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    text: str = ""
    status: int = 200
    finish: str | None = None  # None: the format's own word for a complete reply
    usage: Mapping[str, int] | str | None = "counted"  # "counted": plausible numbers for this prompt and reply
    raw_usage: str | None = None  # instead of usage: JSON as it stands
    message: Mapping[str, Any] = field(default_factory=dict)  # further fields of the message
    choice: Mapping[str, Any] = field(default_factory=dict)  # further fields of the choice
    content: Any = None  # instead of text: content blocks
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None  # sent as it is, instead of a chat reply
    content_type: str = "application/json"
    delay_s: float = 0.0  # before anything is sent
    drop_after: int | None = None  # close the connection after so many bytes of the body
    trickle_s: float = 0.0  # pause between single bytes of the body


class ChatServer:
    """Serves the given replies in order; the last one again and again."""

    def __init__(self, port: int = 0, model: "Callable[[dict[str, Any]], Reply | None] | None" = None) -> None:
        """Listen at `port`; without one at any that is free.

        Args:
            port: 0 for any that is free.
            model: answers a request (its path, headers and body) instead of the given replies, unless it returns None.
                Without one, a probe's questions (tmelt.llm.probe) are answered as a sound model answers them.
        """
        self._model = model or answer_to_probe
        self.requests: list[dict[str, Any]] = []
        self.probes: list[dict[str, Any]] = []  # requests that `model` answered
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
            if (reply := self._model(request)) is not None:
                self.probes.append(request)
                return reply
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
                streams = reply.body is None and reply.status == 200 and body.get("stream")
                if reply.delay_s and outer._stop.wait(reply.delay_s):
                    return
                text = reply.body if reply.body is not None else _chat(self.path, body, reply)
                payload = (_events(text, body) if streams else text).encode()
                self.send_response(reply.status)
                self.send_header("Content-Type", "text/event-stream" if streams else reply.content_type)
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


def answer_to_probe(request: Mapping[str, Any]) -> Reply | None:
    """What a sound model answers to a probe's questions; None to any other."""
    messages = request["body"]["messages"]
    system = request["body"].get("system") or messages[0]["content"]
    system, user = (
        text if isinstance(text, str) else text[0].get("text", "") for text in (system, messages[-1]["content"])
    )
    if "You follow instructions to the letter." not in system:
        return None
    if user.startswith("Count"):
        anthropic = request["path"].endswith("/messages")
        return Reply("1\n2\n3", finish="max_tokens" if anthropic else "length", usage={"completion": cap_of(request)})
    if word := re.search(r"The code word is (\w+)", system):
        return Reply(word[1])
    if user.startswith("Call the tool"):
        return Reply("I can call no tools.")
    return Reply(re.search(r"```json.*```", user, re.DOTALL)[0])


def cap_of(request: Mapping[str, Any], *names: str) -> int | None:
    """The cap of a request, under one of the names (default: any)."""
    body = request["body"]
    return next((body[name] for name in names or ("max_completion_tokens", "max_tokens") if name in body), None)


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """A count of a prompt's tokens as a tokenizer might make it: one for four characters."""
    return max(100, len(json.dumps([body["messages"], body.get("system")])) // 4)


def _used(request: Mapping[str, Any], reply: Reply) -> dict[str, int] | None:
    if reply.usage is None:
        return None
    counted = {"prompt": prompt_tokens(request), "completion": 20}
    return counted if reply.usage == "counted" else {**counted, **reply.usage}


def _chat(path: str, request: Mapping[str, Any], reply: Reply) -> str:
    used = _used(request, reply)
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
        if used is not None:
            answer["usage"] = {"input_tokens": used["prompt"], "output_tokens": used["completion"]}
        return _with_usage(answer, reply)
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
                "message": {"role": "assistant", "content": reply.content or reply.text, **reply.message},
                "finish_reason": reply.finish or "stop",
                **reply.choice,
            }
        ],
    }
    if used is not None:
        prompt, completion = used["prompt"], used["completion"]
        answer["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": used.get("cached", 0)},
        }
    return _with_usage(answer, reply)


def _with_usage(answer: Mapping[str, Any], reply: Reply) -> str:
    if reply.raw_usage is None:
        return json.dumps(answer)
    text = json.dumps({**answer, "usage": "HERE"})
    return text.replace('"HERE"', reply.raw_usage)


def _events(text: str, request: Mapping[str, Any]) -> str:
    """An OpenAI reply as a stream of events, in three pieces."""
    answer = json.loads(text)
    choice = answer["choices"][0]
    message = choice.pop("message")
    head = {**{key: answer[key] for key in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    deltas = [{"role": "assistant", "content": ""}]
    for name, value in message.items():
        if name != "role" and isinstance(value, str):
            middle = len(value) // 2
            deltas += [{name: value[:middle]}, {name: value[middle:]}]
    events = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append({**head, "choices": [{**choice, "delta": {}}]})
    if "usage" in answer and (request.get("stream_options") or {}).get("include_usage"):
        events.append({**head, "choices": [], "usage": answer["usage"]})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
