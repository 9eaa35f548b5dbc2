"""How long a training of the reference script takes on this machine, from a second of it on random embeddings.

    echo '{"lengths": [90, 120], "features": 64, "knobs": {}, "threads": 1, "precision": "auto"}' \
        | python -m tmelt.harness.training_speed

A process of its own, because torch's settings are those of a whole process.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmelt.errors import InfrastructureError

_SAMPLE = 16  # proteins, at quantiles of length: attention costs more on longer ones
_LEAST_S = 0.8
_WAIT_S = 120


@dataclass(frozen=True)
class Speed:
    """What was measured, in residues per second of the budget's clock: CPU seconds per thread.

    Attributes:
        training: residues through a training step.
        prediction: residues through a forward pass.
    """

    training: float
    prediction: float


def measure_speed(
    lengths: Sequence[int], *, features: int, knobs: Mapping[str, Any], threads: int, precision: str
) -> Speed:
    """Train the reference script on random embeddings of some of these lengths for about a second, on the CPU.

    Args:
        lengths: residues of the proteins.
        features: numbers per residue.
        knobs: the script's knobs, complete.
        threads: of torch.
        precision: fp32, bf16 or auto.

    Raises:
        InfrastructureError: the script fails here.
    """
    chosen = sorted(lengths)[:: max(1, len(lengths) // _SAMPLE)][-_SAMPLE:]
    order = {"lengths": chosen, "features": features, "knobs": dict(knobs), "threads": threads, "precision": precision}
    command = [sys.executable, "-m", "tmelt.harness.training_speed"]
    try:
        done = subprocess.run(
            command, input=json.dumps(order), capture_output=True, text=True, timeout=_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise InfrastructureError(f"the training speed could not be measured within {_WAIT_S} seconds") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InfrastructureError(f"the training speed could not be measured: {last}")
    return Speed(**json.loads(done.stdout))


def _measure(order: Mapping[str, Any]) -> Speed:
    import torch

    from tmelt.harness import inside
    from tmelt.harness.task import Task

    device = torch.device("cpu")
    inside.prepare(order["threads"], "cpu")
    script = inside.load_script(Path(inside.__file__).parents[1] / "candidate" / "train.py")
    task = Task(seed=0, device=device, precision=order["precision"], seconds=float("inf"), output=Path())
    proteins, knobs = _random_proteins(order["lengths"], order["features"]), order["knobs"]
    model = script.Predictor(proteins.width, knobs, 55.0, 10.0).to(device).train()
    optimiser, generator = script.make_optimiser(model, knobs), torch.Generator().manual_seed(0)

    def train() -> int:
        batches = proteins.batches(knobs["batch_size"], generator, crop=knobs["crop"])
        return sum(_trained(script, task, model, optimiser, batch, knobs) for batch in batches)

    def predict() -> int:
        script.predict_tm(task, model, proteins)
        return int(proteins.lengths.sum())

    # The first step of an optimizer and the first pass of each shape load code.
    train()
    training = _rate(train, order["threads"])
    predict()
    return Speed(training, _rate(predict, order["threads"]))


def _trained(script: Any, task: Any, model: Any, optimiser: Any, batch: Any, knobs: Mapping[str, Any]) -> int:
    script.train_step(task, model, optimiser, batch, knobs)
    return sum(batch.lengths)


def _rate(work: Callable[[], int], threads: int) -> float:
    """Residues per CPU second and thread of `work`, which returns how many it went through."""
    begun, residues = time.process_time(), 0
    while (passed := (time.process_time() - begun) / threads) < _LEAST_S / 2 or not residues:
        residues += work()
    return residues / passed


def _random_proteins(lengths: Sequence[int], features: int) -> Any:
    import numpy as np
    import torch

    from tmelt.harness.task import Proteins

    generator = torch.Generator().manual_seed(0)
    sizes = np.array(lengths)
    store = torch.randn(int(sizes.sum()), features, generator=generator).half()
    composition = torch.zeros(len(sizes), 20, dtype=torch.long)
    labels = 55 + 10 * torch.randn(len(sizes), generator=generator)
    starts = np.cumsum(sizes) - sizes
    return Proteins(store, starts, torch.from_numpy(sizes), composition, None, torch.device("cpu"), labels)


if __name__ == "__main__":
    measured = _measure(json.load(sys.stdin))
    print(json.dumps({"training": measured.training, "prediction": measured.prediction}))
