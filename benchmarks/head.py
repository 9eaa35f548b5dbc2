"""Seconds of one training epoch of the reference candidate, against torch's own encoder layer over padded batches.

    python benchmarks/head.py                                 # 48 proteins of width 640, one thread: 2 minutes
    python benchmarks/head.py --full                          # 192 proteins, twice: 10 minutes
    python benchmarks/head.py --device cuda --proteins 10000 --seeds 3 --epochs 3       # a GPU shared by three seeds

Peers: `nn.TransformerEncoderLayer` with a key padding mask in random batches of 32, and the same in batches of similar
lengths. The model, its size, loss, dropout and optimiser are the same for all; all ways take turns, every epoch in a
process of its own, `--seeds` of them side by side; the least time of the rounds counts. The limit is the model's
floating-point operations at the rate of a large matrix product, measured in the same run (on a GPU at half that rate,
which training does not get beyond in practice).
"""

import math
import multiprocessing
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # the first optimiser of every process would import it
from benchmark_table import publish
from embedding import matmul_rate, random_sequences
from torch import Tensor, nn
from torch.nn import functional as F

from tmelt.command import run_command
from tmelt.harness import inside
from tmelt.harness.task import Batch, Proteins, Task
from tmelt.search.knobs import Space

WIDTH = 640
BATCH = 32
SCRIPT = Path(inside.__file__).parents[1] / "candidate" / "train.py"
# name: (padded?, batches of similar lengths?, precision)
WAYS = {
    "nn.TransformerEncoderLayer, padded": (True, False, "fp32"),
    "nn.TransformerEncoderLayer, padded, autocast": (True, False, "bf16"),
    "nn.TransformerEncoderLayer, by length": (True, True, "fp32"),
    "reference candidate": (False, False, "fp32"),
    "reference candidate, autocast": (False, False, "bf16"),
}


def benchmark_head(
    *,
    proteins: int = 48,
    epochs: int = 1,
    rounds: int = 1,
    full: bool = False,
    seeds: int = 1,
    device: str = "cpu",
    output: Path = Path("results/benchmarks/head.parquet"),
) -> None:
    """Time all ways in turn; a peer that computes something else than the candidate is an error."""
    if full:
        proteins, rounds = 192, 2
    torch.set_num_threads(1)
    _check_same_model()
    clock = "wall_s" if device == "cuda" else "cpu_s"  # on a CPU others may share the core
    context = multiprocessing.get_context("spawn" if device == "cuda" else "fork")
    best: dict[str, dict[str, float]] = {}
    with context.Pool(1) as pool:  # alone on the device
        precisions = ("fp32", "bf16")
        rates = dict(zip(precisions, pool.starmap(matmul_rate, [(name, device) for name in precisions]), strict=True))
    for _ in range(rounds):
        for way in WAYS:
            barrier = context.Barrier(seeds)
            with context.Pool(seeds, _wait_at, (barrier,)) as pool:
                jobs = [(way, proteins, epochs, seed, device) for seed in range(seeds)]
                together = pool.starmap(_train, jobs, chunksize=1)
            slowest = max(together, key=lambda result: result["wall_s"])
            if way not in best or slowest[clock] < best[way][clock]:
                best[way] = slowest
            print(f"{way}: {slowest['cpu_s']:.2f} CPU s, {slowest['wall_s']:.2f} s", file=sys.stderr, flush=True)
    peer = best[next(iter(WAYS))][clock]
    lengths = _lengths(proteins)
    rows = []
    for way, (_, _, precision) in WAYS.items():
        result = best[way]
        usable = rates[precision] / (2 * seeds if device == "cuda" else 1)
        limit = epochs * _flops(lengths) / usable
        rows.append(
            {
                "way": way,
                "precision": precision,
                "cpu_s": result["cpu_s"],
                "wall_s": result["wall_s"],
                "times_faster": peer / result[clock],
                "limit_s": limit,
                "of_limit": limit / result[clock],
                "last_loss": result["loss"],
            }
        )
    publish(
        rows,
        output,
        f"{epochs} epoch(s) over {proteins} proteins ({lengths.sum():,} residues, longest {lengths.max()}) of width "
        f"{WIDTH}, {seeds} seed(s) side by side on "
        f"{'one thread each' if device == 'cpu' else torch.cuda.get_device_name()}",
    )


def _lengths(count: int) -> np.ndarray:
    return np.array([len(sequence) for sequence in random_sequences(count, 2200, 0)])


def _random_proteins(count: int, device: torch.device) -> Proteins:
    """Noise whose labels follow from its mean."""
    lengths = _lengths(count)
    random = torch.Generator(device).manual_seed(0)
    signal = torch.randn(count, generator=random, device=device)
    store = torch.randn(int(lengths.sum()), WIDTH, generator=random, device=device, dtype=torch.float16)
    store += torch.repeat_interleave(signal, torch.from_numpy(lengths).to(device)).half().unsqueeze(1)
    starts = np.cumsum(lengths) - lengths
    return Proteins(
        store,
        starts,
        torch.from_numpy(lengths),
        torch.zeros(count, 20, dtype=torch.long),
        None,
        device,
        55 + 10 * signal,
    )


def _flops(lengths: np.ndarray) -> float:
    """Floating-point operations of an epoch at the defaults: 6 per weight and residue, but no gradient of the input."""
    knobs = Space().defaults()
    width, hidden = knobs["width"], knobs["feed_forward"]
    weights = WIDTH * width + knobs["depth"] * (4 * width**2 + 2 * width * hidden)
    tokens = lengths.astype(float)
    attention = knobs["depth"] * 12 * width * tokens**2
    return float((6 * weights * tokens - 2 * WIDTH * width * tokens + attention).sum())


_barrier = None


def _wait_at(barrier: Any) -> None:
    """Pool initialiser: the barrier at which the processes start together."""
    global _barrier
    _barrier = barrier


def _train(way: str, count: int, epochs: int, seed: int, device_name: str) -> dict[str, float]:
    """Seconds and the last epoch's loss, in a process of its own."""
    padded, by_length, precision = WAYS[way]
    torch.set_num_threads(1)
    inside.prepare(1, device_name)  # what the harness sets for every candidate, a padded one as well
    device = torch.device(device_name)
    script = inside.load_script(SCRIPT)
    task = Task(seed=seed, device=device, precision=precision, seconds=math.inf, output=Path())
    proteins, knobs = _random_proteins(count, device), Space().defaults()
    torch.manual_seed(seed)
    model = script.Predictor(WIDTH, knobs, 55.0, 10.0)
    model = (Padded(model, knobs) if padded else model).to(device).train()
    optimiser = script.make_optimiser(model, knobs)
    step = _padded_step if padded else script.train_step
    generator = torch.Generator().manual_seed(seed)
    warm_up = proteins.select(np.argsort(proteins.lengths.numpy())[:2])
    for batch in warm_up.batches(2):
        step(task, model, optimiser, batch, knobs)
    _barrier.wait(600)  # where another one failed, it never comes
    _finish(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(epochs):
        total = torch.zeros((), device=device)
        for batch in _batches_by_length(proteins, generator) if by_length else proteins.batches(BATCH, generator):
            total += step(task, model, optimiser, batch, knobs)
    _finish(device)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return seconds | {"loss": total.item() / count}


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _batches_by_length(proteins: Proteins, generator: torch.Generator) -> Iterator[Batch]:
    """Batches of similar lengths: sorted within large random groups, then shuffled."""
    order = torch.randperm(len(proteins), generator=generator).split(50 * BATCH)
    groups = [group[proteins.lengths[group].argsort()].split(BATCH) for group in order]
    batches = [batch for group in groups for batch in group]
    for place in torch.randperm(len(batches), generator=generator).tolist():
        yield from proteins.select(batches[place].numpy()).batches(BATCH)


class Padded(nn.Module):
    """The reference candidate's model as one writes it first."""

    def __init__(self, model: nn.Module, knobs: dict[str, Any]):
        super().__init__()
        self.project, self.norm, self.head = model.project, model.norm, model.head
        self.register_buffer("centre", model.centre)
        self.register_buffer("scale", model.scale)
        self.layer = nn.TransformerEncoderLayer(
            knobs["width"],
            knobs["heads"],
            knobs["feed_forward"],
            knobs["dropout"],
            knobs["activation"],
            batch_first=True,
            norm_first=True,
        )
        attention, feed_forward = (block.part for block in model.blocks)
        own = self.layer.self_attn
        with torch.no_grad():
            for theirs, ours in (
                (own.in_proj_weight, attention.project_in.weight),
                (own.in_proj_bias, attention.project_in.bias),
                (own.out_proj.weight, attention.project_out.weight),
                (own.out_proj.bias, attention.project_out.bias),
                (self.layer.linear1.weight, feed_forward.layers[0].weight),
                (self.layer.linear1.bias, feed_forward.layers[0].bias),
                (self.layer.linear2.weight, feed_forward.layers[3].weight),
                (self.layer.linear2.bias, feed_forward.layers[3].bias),
            ):
                theirs.copy_(ours)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(n, L, D) and its mask (n, L) to (n,)."""
        h = self.norm(self.layer(self.project(x), src_key_padding_mask=~mask))
        h = h.float().masked_fill(~mask.unsqueeze(-1), 0.0)
        return self.head(h.sum(1) / mask.sum(1, keepdim=True)).squeeze(1).float()


def _padded_step(task: Task, model: Padded, optimiser: Any, batch: Batch, knobs: dict[str, Any]) -> Tensor:
    """The candidate's train_step over one padded batch."""
    x, mask = batch.padded()
    with task.autocast():
        prediction = model(x, mask)
    loss = F.mse_loss(prediction, (batch.tm - model.centre) / model.scale)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), knobs["gradient_clip"])
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss.detach() * len(batch)


def _check_same_model() -> None:
    """The same weights predict the same numbers, padded or packed.

    Raises:
        RuntimeError: they do not.
    """
    script, knobs = inside.load_script(SCRIPT), Space().defaults()
    model = script.Predictor(WIDTH, knobs).eval()
    padded = Padded(model, knobs).eval()
    lengths = [40, 7, 25]
    batch = Batch(torch.randn(sum(lengths), WIDTH), lengths, torch.arange(3))
    with torch.no_grad():
        error = (model(batch.x, lengths) - padded(*batch.padded())).abs().max().item()
    if error > 1e-5:
        raise RuntimeError(f"the padded peer predicts something else: {error}")


if __name__ == "__main__":
    run_command(benchmark_head)
