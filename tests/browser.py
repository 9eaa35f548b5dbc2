"""A real headless Chromium, driven over its DevTools pipe: no port, no driver, nothing downloaded."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip


def find_chromium() -> str | None:
    """The browser's program, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Browser:
    """One page in one browser with a profile of its own."""

    def __init__(self, profile: Path):
        read_theirs, self._write = os.pipe()
        self._read, write_theirs = os.pipe()

        def fixed_descriptors() -> None:
            # Chromium reads commands on 3 and writes answers on 4; copies keep the two from overwriting each other.
            commands, answers = os.dup(read_theirs), os.dup(write_theirs)
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        for descriptor in (read_theirs, write_theirs):
            os.set_inheritable(descriptor, True)
        self._process = subprocess.Popen(
            [str(find_chromium()), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=fixed_descriptors, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_theirs)
        os.close(write_theirs)
        self._buffer = b""
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = next(
            part for part in self.ask("Target.getTargets")["targetInfos"] if part["type"] == "page"
        )  # the blank page that the browser starts with
        attached = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, return its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(60)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("the browser ended")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def open(
        self, page: Path | str, *, width: int = 1280, height: int = 900, scheme: str = "light", fragment: str = ""
    ) -> None:
        """Load a local file, or an address, and wait until it has loaded."""
        address = page if isinstance(page, str) else page.as_uri()
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for url in ("about:blank", address + fragment):  # blank first: a new fragment alone loads nothing
            self.events.clear()
            self.ask("Page.navigate", url=url)
            while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
                self.events.append(self._receive(60))
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression (awaited)."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def screenshot(self, path: Path, clip: dict[str, float] | None = None) -> None:
        """A PNG of the window, or of a rectangle of the page."""
        where = {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True} if clip else {}
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png", **where)["data"]))

    @property
    def complaints(self) -> list[str]:
        """Console messages of warning or error, exceptions, and log entries since the page was opened."""
        found = []
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(json.dumps(parameters["exceptionDetails"])[:400])
            if method == "Runtime.consoleAPICalled":
                found.append(json.dumps(parameters["args"])[:400])
            if method == "Log.entryAdded":
                found.append(parameters["entry"]["text"])
        return found

    @property
    def requests(self) -> list[str]:
        """Addresses asked for since the page was opened, the page itself and inline data left out."""
        asked = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("data:")][1:]

    def close(self) -> None:
        """End the browser."""
        try:
            self._session = None
            os.write(self._write, json.dumps({"id": next(self._numbers), "method": "Browser.close"}).encode() + b"\0")
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
