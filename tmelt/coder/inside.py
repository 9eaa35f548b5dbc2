"""The first process inside: leaves root, opens the ways out that are granted, and starts the command.

Needs the standard library alone, because the interpreter starts without its packages. It runs as

    python -I -S inside.py '{"command": […], "folder": …, "uid": …, "ways": {"3128": ""}, "socket": …, "tasks": …,
                            "file_mb": …, "fault": descriptor}'

`ways` are ports on loopback in here: an empty value leads to the proxy, `host:port` through it to there.
"""

import json
import os
import resource
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

_PIECE = 64 << 10
NOT_STARTED = 97


def main(about: dict[str, Any]) -> int:
    """Start the command, wait for it, and return its exit status; 97 if it could not be started."""
    listeners = [(_listen(int(port)), target) for port, target in about["ways"].items()]
    child = os.fork()
    if child == 0:
        for listener, _ in listeners:
            listener.close()
        _become(about)
    os.close(about["fault"])
    _leave_root(about["uid"])
    for listener, target in listeners:
        threading.Thread(target=_accept, args=(listener, target, about["socket"]), daemon=True).start()
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _become(about: dict[str, Any]) -> None:
    """Turn into the command; say through the descriptor `fault` why that is not possible."""
    try:
        _leave_root(about["uid"])
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for kind, value in ((resource.RLIMIT_NPROC, about["tasks"]), (resource.RLIMIT_FSIZE, about["file_mb"] << 20)):
            _, hard = resource.getrlimit(kind)
            least = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (least, least))
        os.chdir(about["folder"])
        os.set_inheritable(about["fault"], False)
        os.execvp(about["command"][0], about["command"])
    except OSError as error:
        os.write(about["fault"], f"{about['command'][0]}: {error.strerror}".encode())
    os._exit(NOT_STARTED)


def _leave_root(uid: int | None) -> None:
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener


def _accept(listener: socket.socket, target: str, path: str) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, target, path), daemon=True).start()


def _serve(client: socket.socket, target: str, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as out, suppress(OSError):
        out.connect(path)
        if target:
            out.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                piece = out.recv(1)  # nothing of what follows the head may be swallowed
                if not piece:
                    return
                answer += piece
            if b" 200 " not in answer.split(b"\r\n")[0] + b" ":
                return
        other = threading.Thread(target=_pump, args=(client, out), daemon=True)
        other.start()
        _pump(out, client)
        other.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main(json.loads(sys.argv[1])))
