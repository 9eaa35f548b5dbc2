"""Sets the scene for attacks.py, runs attacks in one warm sandbox, and judges what became of them.

    python tests/sandbox/shooting_range.py --backend bwrap --attack read_labels daemon

prints one JSON object per attack. As root, `setpriv --reuid nobody --clear-groups` before it gives the view of an
ordinary user. `--backend bare` runs the attacks without any sandbox: what they do then shows that they bite.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parents[1])]

import attacks  # noqa: E402

from tmelt.harness.sandbox import Limits, Outcome, Phase, Sandbox, remove_tree  # noqa: E402

SECRET = attacks.SECRET_ROT13.translate(attacks.ROT13).decode()
LIMITS = Limits(wall_s=12, memory_mb=1000, processes=100, file_mb=500, disk_mb=800)
LIMIT_S = {"sleep_past_limit": 2.0}
ENDED_BY_SANDBOX = {"timeout", "oom", "disk"}


@dataclass(frozen=True)
class Finding:
    """What became of one attack."""

    attack: str
    stopped: bool
    detail: str
    status: str


class Range:
    """A folder with things to protect, a victim, and a sandbox (None: no sandbox at all) to attack from."""

    def __init__(self, place: Path, sandbox: Sandbox | None):
        self.place, self.sandbox = place, sandbox
        self.code = place / "code"
        self.victim: subprocess.Popen[str] | None = None
        self.address: dict[str, Any] = {}
        self.count = 0

    def attack(self, name: str) -> Finding:
        """Run one attack on a fresh scene."""
        scene = self._scene()
        self._keep_victim_alive()
        with self._sibling(name) as sibling, _locked(scene / "input" / "features"):
            facts = self._facts(scene) | sibling
            outcome = self._run(name, facts, scene)
            if name in ("shared_memory_channel",):
                outcome = self._run(name, facts, scene)
        finding = self._judge(name, outcome, scene, facts)
        remove_tree(scene)
        return finding

    def end_victim(self) -> None:
        """Leave no process behind."""
        if self.victim is not None:
            self.victim.kill()
            self.victim.wait()

    def _scene(self) -> Path:
        self.count += 1
        scene = self.place / "job" / f"scene{self.count}"
        for name in ("input", "own"):
            (scene / name).mkdir(parents=True)
        for name in ("labels", "other", "outside"):
            (self.place / name).mkdir(exist_ok=True)
        (self.place / "outside").chmod(0o777)
        for file in (scene / "input" / "features", self.place / "precious", self.place / "labels" / "val"):
            file.write_text("valuable")
            file.chmod(0o666)  # permissions must not be what stops it
        (self.place / "other" / "predictions").write_text("of another trial")
        (self.place / "key").write_text("private key")
        (self.place / "key").chmod(0o600)
        return scene

    def _keep_victim_alive(self) -> None:
        if self.victim is not None and self.victim.poll() is None:
            return
        (self.place / "victim.sock").unlink(missing_ok=True)
        self.victim = subprocess.Popen(
            [sys.executable, HERE / "victim.py", self.place, "victim-marker"],
            stdout=subprocess.PIPE,
            text=True,
            env={"OPENAI_API_KEY": SECRET, "PATH": os.environ["PATH"]},
        )
        self.address = json.loads(self.victim.stdout.readline())

    def _facts(self, scene: Path) -> dict[str, Any]:
        return self.address | {
            "labels": str(self.place / "labels" / "val"),
            "watched": str(self.place / "labels"),
            "key": str(self.place / "key"),
            "other": str(self.place / "other"),
            "outside": str(self.place / "outside"),
            "precious": str(self.place / "precious"),
            "job": str(self.place / "job"),
            "project": str(HERE.parents[1]),
            "input": str(scene / "input" / "features"),
            "own": str(scene / "own"),
            "shm_key": os.getpid(),
            "was_root": os.getuid() == 0,
            "namespaces": self.sandbox is not None and self.sandbox.backend == "bwrap",
        }

    @contextlib.contextmanager
    def _sibling(self, name: str) -> Iterator[dict[str, Any]]:
        """Another phase of the same worker, at work, for the attacks that want one."""
        if "sibling" not in name:
            yield {}
            return
        folder = self._scene() / "own"
        if self.sandbox is None:
            command = [sys.executable, self.code / "attacks.py", "none", json.dumps({"folder": str(folder)})]
            wait = subprocess.Popen(command).wait
        else:
            spec = {"attack": "none", "folder": str(folder)}
            phase = Phase(spec, (), (folder,), Limits(20, 1000, 20, 10, 10))
            thread = threading.Thread(target=self.sandbox.run, args=(phase,))
            thread.start()
            wait = thread.join
        deadline = time.monotonic() + 10
        while not (folder / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield {"sibling": str(folder), "sibling_pid": int((folder / "pid").read_text())}
        finally:
            (folder / "stop").touch()
            wait()

    def _run(self, name: str, facts: dict[str, Any], scene: Path) -> Outcome:
        wall_s = LIMIT_S.get(name, LIMITS.wall_s)
        if self.sandbox is not None:
            limits = Limits(**asdict(LIMITS) | {"wall_s": wall_s})
            phase = Phase({**facts, "attack": name}, (scene / "input",), (scene / "own",), limits)
            return self.sandbox.run(phase)
        started = time.monotonic()
        with tempfile.TemporaryFile("w+") as output:
            subprocess.run(
                [sys.executable, self.code / "attacks.py", name, json.dumps(facts)],
                pass_fds=[output.fileno()],  # something to find for those who look for descriptors
                stdout=output,
                stderr=output,
                timeout=60,
                env={**os.environ, "OPENAI_API_KEY": SECRET, "TMPDIR": str(scene / "own")},
            )
            output.seek(0)
            text = output.read()
        return Outcome("bare", "ok", wall_s=time.monotonic() - started, output=text)

    def _judge(self, name: str, outcome: Outcome, scene: Path, facts: dict[str, Any]) -> Finding:
        """Believe the attacker's boast, except where the truth shows outside."""
        said = [line for line in outcome.output.splitlines() if line.startswith(("PWNED", "stopped"))]
        detail = said[-1] if said else f"{outcome.status}, exit {outcome.exit}, signal {outcome.signal}"
        stopped = not detail.startswith("PWNED")
        if outcome.status == "error":
            return Finding(name, False, f"the sandbox failed: {outcome.error}", outcome.status)
        if outcome.status in ENDED_BY_SANDBOX or "[sandbox]" in outcome.output:
            stopped = True
            detail = outcome.output.rstrip().splitlines()[-1]
        own = scene / "own"
        if name in ("daemon", "fork_chain"):
            beats = [_last_beat(own), time.sleep(0.5), _last_beat(own)]
            stopped = beats[0] is not None and beats[0] == beats[2]
            detail = "its heart stopped with the phase" if stopped else f"its heart goes on: {beats}"
        elif name == "sleep_past_limit":
            stopped = outcome.wall_s < LIMIT_S[name] + 1
            detail = f"ended after {outcome.wall_s:.1f} s of {LIMIT_S[name]:.0f}"
        elif name == "kill_victim":
            time.sleep(0.1)
            stopped = self.victim.poll() is None
        elif name in ("truncate_outside", "truncate_input"):
            stopped = Path(facts["precious" if name == "truncate_outside" else "input"]).stat().st_size > 0
        elif name == "output_flood":
            stopped = len(outcome.output) < 80_000
            detail = f"{len(outcome.output)} characters kept"
        elif name == "replace_own_folder":
            stopped = not own.is_symlink()
        elif name == "system_v_memory":
            left = _segments(facts["shm_key"])
            stopped = not left
            for segment in left:
                subprocess.run(["ipcrm", "-m", segment], check=True)
        return Finding(name, stopped, detail, outcome.status)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the whole-file lock and a record lock on a file that the phase may read, as another phase might."""
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def _last_beat(own: Path) -> str | None:
    with contextlib.suppress(OSError):
        return (own / "heart").read_text()
    return None


def _segments(key: int) -> list[str]:
    """System V shared memory segments with this key."""
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[0] == str(key)]


@contextlib.contextmanager
def shooting_range(backend: str, **options: Any) -> Iterator[Range]:
    """A range in a folder of its own; `options` go to the Sandbox."""
    place = Path(tempfile.mkdtemp(prefix="tmelt-range-")).resolve()
    place.chmod(0o755)
    job, code = place / "job", place / "code"
    job.mkdir()
    code.mkdir()
    shutil.copy(HERE / "attacks.py", code)
    (code / "attacks.py").chmod(0o666)  # it will be attacked, too
    os.environ["OPENAI_API_KEY"] = SECRET  # in the harness, where a careless sandbox would pass it on
    try:
        with contextlib.ExitStack() as stack:
            sandbox = None
            if backend != "bare":
                sandbox = Sandbox(backend, preload=(), entry="attacks:run", folder=job, python_path=(code,), **options)
                stack.enter_context(sandbox)
            scene = Range(place, sandbox)
            stack.callback(scene.end_victim)
            yield scene
    finally:
        remove_tree(place)


def main() -> None:
    """Run the attacks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--attack", nargs="*", default=sorted(attacks.ATTACKS))
    parser.add_argument("--cold", action="store_true", help="one worker per phase")
    parser.add_argument("--landlock-abi", type=int, help="pretend an older kernel; 0: none")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    warm = False if options.cold else None
    with shooting_range(options.backend, warm=warm, landlock_abi=options.landlock_abi) as scene:
        for name in options.attack:
            print(json.dumps(asdict(scene.attack(name))), flush=True)


if __name__ == "__main__":
    main()
