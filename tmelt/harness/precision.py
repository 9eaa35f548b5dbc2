"""The precision that `auto` stands for on this machine, found without loading torch into the harness's process."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path


def precision_in_use(precision: str, device: str) -> str:
    """Return `fp32` or `bf16`: the precision of a candidate's matrix products (`Task.autocast`).

    Args:
        precision: fp32, bf16 or auto, as in the config.
        device: cpu or cuda.
    """
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if _gpu_has_fast_bf16() else "fp32"
    return "bf16" if _cpu_has_amx() else "fp32"


def ask_gpu(field: str) -> str | None:
    """Return what nvidia-smi says of the GPU that CUDA takes, e.g. its `name`; None where it says nothing."""
    found = shutil.which("nvidia-smi")
    if not found:
        return None
    command = [found, f"--query-gpu={field}", "--format=csv,noheader"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    for which in ([f"--id={visible}"] if visible else [], []):
        with contextlib.suppress(subprocess.TimeoutExpired):
            listed = subprocess.run([*command, *which], capture_output=True, text=True, timeout=30)
            if listed.returncode == 0 and (said := listed.stdout.split("\n")[0].strip()):
                return said
    return None


def _gpu_has_fast_bf16() -> bool:
    """Whether the GPU has tensor cores for bf16; a GPU that does not say is taken to have them."""
    try:
        return float(ask_gpu("compute_cap") or "") >= 8.0
    except ValueError:
        return True


def _cpu_has_amx() -> bool:
    """Whether the processor has the tiles that make bf16 faster on a CPU."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return "amx_tile" in line.split()
    return False
