"""Honest and clumsy entries for test_sandbox.py; each is called inside a sandbox as `run(spec)`."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any


def run(spec: dict[str, Any]) -> int:
    """Call the function that the spec names."""
    return globals()[spec["do"]](spec) or 0


def succeed(spec):
    print("fine", spec.get("word", ""))


def answer(spec):
    """Write where this phase alone may."""
    Path(spec["own"], "answer").write_text(spec["word"] * 2)


def fail(spec):
    raise ValueError("a mistake of its own")


def exit_with(spec):
    sys.exit(spec["code"])


def abort(spec):
    os.abort()


def end_itself(spec):
    """By the signal that the sandbox uses, too."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(spec):
    print("about to sleep")
    time.sleep(60)


def eat_memory(spec):
    held = []
    while True:
        held.append(b"x" * (20 << 20))
        time.sleep(0.01)


def share_memory(spec):
    """300 MB that four children share with their parent."""
    held = bytearray(300 << 20)
    held[::4096] = b"x" * (len(held) // 4096)
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            time.sleep(0.5)
            os._exit(0)
        children.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    return max(codes)


def fill_disk(spec):
    for number in range(100):
        Path(spec["own"], f"f{number}").write_bytes(b"x" * (5 << 20))
        time.sleep(0.02)


def print_much(spec):
    print("first words")
    for _ in range(5000):
        print("x" * 99)
    print("last words")


def beat(spec):
    """With a daemon of its own."""
    if os.fork() == 0:
        os.setsid()
    while True:
        Path(spec["own"], f"heart{os.getpid()}").write_text(str(time.monotonic()))
        time.sleep(0.02)


def look(spec):
    """Which of these files can be read?"""
    for path in spec["paths"]:
        try:
            Path(path).read_bytes()
            print("read", Path(path).name)
        except OSError:
            print("closed", Path(path).name)


def live_honestly(spec):
    """What a training script does in passing."""
    own = Path(spec["own"])
    (own / "made").touch()
    assert (own / "made").exists()
    (own / "made").rename(own / "renamed")
    (own / "folder" / "below").mkdir(parents=True)
    shutil.copy(own / "renamed", own / "folder" / "copied")
    (own / "folder" / "copied").chmod(0o644)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_text("x")
        assert folder.startswith(os.environ["TMPDIR"])
    results = []
    thread = threading.Thread(target=results.append, args=(1,))
    thread.start()
    thread.join()
    assert subprocess.run(["/bin/echo", "child"], capture_output=True, text=True).stdout == "child\n"
    Path("in_the_working_directory").write_text("x")
    assert os.cpu_count()
    print("order of a set:", *{"residue", "embedding", "mask", "tm"})


def train(spec):
    """One optimiser step, and how long it took to have torch."""
    started = time.process_time()
    import torch

    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 64)
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(torch.randn(8, 64)).square().mean().backward()
    optimiser.step()
    started_cold = time.process_time() - started
    print(f"{float(layer.weight.sum()):.6f} {torch.get_num_threads()}")
    print(f"import and first step {started_cold:.3f} s", file=sys.stderr)


def count_cpu_s(spec):
    """CPU seconds of some training."""
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(256, 1024), torch.nn.GELU(), torch.nn.Linear(1024, 1))
    optimiser = torch.optim.AdamW(model.parameters())
    x, y = torch.randn(512, 256), torch.randn(512, 1)
    started = time.process_time()
    for _ in range(150):
        optimiser.zero_grad()
        (model(x) - y).square().mean().backward()
        optimiser.step()
    print(f"CPU_S {time.process_time() - started:.4f}")


def nothing(spec):
    pass


def tell_capabilities(spec):
    from tmelt.harness.sandbox import kernel

    header, halves = kernel._CapabilityHeader(0x20080522, 0), (kernel._CapabilitySet * 2)()
    assert kernel.LIBC.capget(ctypes.byref(header), halves) == 0
    print([half.effective for half in halves], [half.permitted for half in halves])
