"""One phase of one run, inside the sandbox: loads the training script and calls its `fit` or `predict`.

    python -m tmelt.harness.inside spec.json

Everything it writes is the candidate's own claim; the harness outside trusts none of it.
"""

import json
import os
import random
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from tmelt.embed.view import View
from tmelt.harness.clock import now_inside
from tmelt.harness.task import Proteins, Task
from tmelt.host.allocator import keep_freed_memory

MODULE = "train"  # the script's name for pickle, the same in both phases


def run_phase(spec: Mapping[str, Any]) -> int:
    """Run one phase in this process; returns its exit status, 1 with a traceback on stderr if the script failed.

    Args:
        spec: `phase` (fit or predict), `script`, `view`, `sequences` (whether the script sees them), `rows` (a .npy
            file, or None for all proteins), `knobs`, `checkpoint` and `output` (folders), `seed`, `seconds`,
            `budget_factor`, `device`, `processes` (how many share it), `precision` and `threads`. fit leaves
            `curve.jsonl` and `model.json` in `output`, predict `predictions.f64` (little-endian float64).
    """
    try:
        prepare(spec["threads"], spec["device"])
        task = _task(spec)
        script = load_script(Path(spec["script"]))
        _seed(spec["seed"])
        if spec["phase"] == "fit":
            script.fit(task, with_declared_knobs(script, spec["knobs"]), Path(spec["checkpoint"]))
        else:
            answer = script.predict(task, Path(spec["checkpoint"]))
            if isinstance(answer, torch.Tensor):
                answer = answer.detach().double().cpu()
            values = np.asarray(answer, dtype="<f8").reshape(-1)
            (Path(spec["output"]) / "predictions.f64").write_bytes(values.tobytes())
    except BaseException:  # whatever a script raises, SystemExit included, it did not finish
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def prepare(threads: int, device: str) -> None:
    """Settings that make a run repeatable and cost nothing, and one that makes it faster."""
    torch.set_num_threads(threads)
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.backends.cudnn.benchmark = False
    else:
        keep_freed_memory()


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the generator that scripts reach for
    torch.manual_seed(seed)


def _task(spec: Mapping[str, Any]) -> Task:
    device, view = torch.device(spec["device"]), Path(spec["view"])
    rows = None if spec["rows"] is None else np.load(spec["rows"])
    proteins = Proteins.open(
        view,
        rows,
        labels=spec["phase"] == "fit",
        device=device,
        processes=spec["processes"],
        sequences=spec["sequences"],
    )
    if spec["phase"] == "fit":
        is_stop = View.open(view, labels=True).is_stop
        is_stop = is_stop if rows is None else is_stop[rows]
        sets = {name: proteins.select(np.flatnonzero(part)) for name, part in (("fit", ~is_stop), ("stop", is_stop))}
    else:
        sets = {"pool": proteins}
    return Task(
        seed=spec["seed"],
        device=device,
        precision=spec["precision"],
        seconds=spec["seconds"],
        clock=now_inside(spec["device"], spec["threads"]),
        budget_factor=spec["budget_factor"],
        output=Path(spec["output"]),
        **sets,
    )


def load_script(path: Path) -> ModuleType:
    """Run a training script as the module `train`, so that what fit pickles predict can unpickle.

    No bytecode file is read or written beside it.
    """
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    sys.modules[MODULE] = module
    exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    return module


def with_declared_knobs(script: ModuleType, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """`knobs` and the defaults of those that the script declares itself and the caller left out."""
    complete = dict(knobs)
    for declared in getattr(script, "KNOBS", ()):
        when = declared.get("when")
        if when is None or complete.get(when[0]) in when[1]:
            complete.setdefault(declared["name"], declared["default"])
    return complete


if __name__ == "__main__":
    sys.exit(run_phase(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
