"""A process worth attacking: same user, a secret in its environment, listening on TCP, UDP and Unix sockets."""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path


def main(folder: str) -> None:
    """Print where it can be reached, as JSON; then wait to be ended."""
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    named = socket.socket(socket.AF_UNIX)
    named.bind(f"{folder}/victim.sock")
    named.listen()
    Path(folder, "victim.sock").chmod(0o777)
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(b"\0sandbox-victim-%d" % os.getpid())
    abstract.listen()
    threading.Thread(target=_acknowledge, args=(udp,), daemon=True).start()
    address = {
        "victim": os.getpid(),
        "tcp_port": tcp.getsockname()[1],
        "udp_port": udp.getsockname()[1],
        "unix_socket": f"{folder}/victim.sock",
        "abstract_socket": f"sandbox-victim-{os.getpid()}",
    }
    print(json.dumps(address), flush=True)
    time.sleep(3600)


def _acknowledge(udp: socket.socket) -> None:
    while True:
        _, sender = udp.recvfrom(10)
        udp.sendto(b"yes", sender)


if __name__ == "__main__":
    main(sys.argv[1])
