"""Deal the GPUs of this machine to the jobs that run on it side by side."""

import os
import re
import shutil
import subprocess
from contextlib import suppress
from functools import cache

from tmelt.host.locks import lock_folder, lock_if_free

_MOST_JOBS = 64  # on one GPU
_LISTED = re.compile(r"\bUUID: ((?:GPU|MIG)-[0-9A-Za-z/-]+)")


@cache  # once a process: it has started CUDA on this GPU, and its lock is held until it ends
def hold_a_gpu() -> str | None:
    """Let this process and those it starts see one GPU alone, the one that the fewest other jobs hold.

    CUDA_VISIBLE_DEVICES, set by SLURM or the user, lists the GPUs that may be used. Without it, every GPU that
    nvidia-smi lists may be used. Call this before CUDA starts. Jobs never wait for each other here: Snakemake's
    resource `gpu` limits how many run at once.

    Returns:
        The GPU, as CUDA_VISIBLE_DEVICES now names it; None where there is no choice, and nothing was changed.
    """
    devices = visible_gpus()
    folder = lock_folder("gpus") if len(devices) > 1 else None
    if folder is None:
        return None
    for place in range(_MOST_JOBS):  # every GPU gets its first job before any gets its second
        for device in devices:
            if lock_if_free(folder / f"{device.replace('/', '_')}.{place}") is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = device
                return device
    return None


def visible_gpus() -> list[str]:
    """The GPUs, or the parts of GPUs (MIG), that CUDA may show this process: numbers or UUIDs."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return _listed()


def _listed() -> list[str]:
    """UUIDs by nvidia-smi: CUDA orders GPUs by speed and nvidia-smi by their slots, so their numbers may differ."""
    found = shutil.which("nvidia-smi")
    if not found:
        return []
    with suppress(subprocess.TimeoutExpired, OSError):
        listed = subprocess.run([found, "-L"], capture_output=True, text=True, timeout=30)
        if listed.returncode == 0:
            devices = _LISTED.findall(listed.stdout)
            parts = [device for device in devices if device.startswith("MIG-")]
            return parts or devices
    return []
