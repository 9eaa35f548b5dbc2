"""%(about)s

The harness runs it outside, in its own sandbox; this only sends train.py and knobs.json as they are now.
"""

import argparse
import json
import os
import socket
import sys
from pathlib import Path

COMMAND = "%(command)s"
SOCKET = Path(os.environ.get("TMELT_RUN", "%(run)s"), "%(socket)s")


def main() -> int:
    """Ask, print the answer, and return 0 if all went well."""
    parser = argparse.ArgumentParser(prog=f"./{COMMAND}", description=__doc__.split("\n")[0])
    if COMMAND == "try":
        parser.add_argument("--share", type=float, help="of the proteins of fit, above 0 to 1; all by default")
        parser.add_argument("--seconds", type=float, help="of fit; by default what is left")
    arguments = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    here = Path(__file__).resolve().parent
    for key, name in (("script", "train.py"), ("knobs", "knobs.json")):
        arguments[key] = (here / name).read_text(encoding="utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as desk:
        desk.connect(str(SOCKET))
        desk.sendall(json.dumps({"command": COMMAND, "arguments": arguments}).encode() + b"\n")
        answer = b""
        while piece := desk.recv(1 << 16):
            answer += piece
    if not answer:
        print("no answer from the harness")
        return 2
    told = json.loads(answer)
    print(told["text"])
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
