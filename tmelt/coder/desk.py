"""The harness's side of `./check` and `./try`: takes a script and knobs through a local socket, and answers in text.

The client sends what the files hold, so that nothing here opens a path that the agent has made.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tmelt.coder.confined import connectable
from tmelt.llm.tools import ToolResult

SOCKET = "desk"
REQUEST_BYTES = 1 << 20
Answer = Callable[[str, Mapping[str, Any]], ToolResult]  # of a command's name and its arguments


class Desk:
    """Answers one request after the other, in a thread of its own."""

    def __init__(self, folder: Path, answer: Answer):
        """Listen at `folder`/desk; `answer` must not raise for anything that a client can send."""
        self._answer = answer
        self._fault: BaseException | None = None
        self._closing = False
        self._server = connectable(folder / SOCKET)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for the answer in progress, and raise what went wrong on the harness's side."""
        self._closing = True
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()
        if self._fault is not None:
            raise self._fault

    def _serve(self) -> None:
        while not self._closing and self._fault is None:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client, suppress(OSError, ValueError, KeyError, TypeError):
                client.settimeout(30)
                asked = json.loads(_read_line(client))
                name, arguments = str(asked["command"]), dict(asked["arguments"])
                client.sendall(json.dumps(self._reply(name, arguments)).encode() + b"\n")

    def _reply(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            result = self._answer(name, arguments)
        except BaseException as fault:  # the harness's own; it ends the proposal, and says nothing about the script
            self._fault = fault
            return {"ok": False, "text": "the harness failed; this session ends"}
        return {"ok": result.ok, "text": result.text}


def _read_line(client: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = client.recv(1 << 16)
        data += piece
        if not piece or len(data) > REQUEST_BYTES:
            raise ValueError("no request")
    return data
