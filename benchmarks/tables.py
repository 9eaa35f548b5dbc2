"""CPU seconds, time and memory of aggregating thousands of small result files.

    python benchmarks/tables.py                  # 7,500 runs of 25 searches: a minute, 100 MB under --folder
    python benchmarks/tables.py --full           # 125,000 runs: 25 searches of 1,000 trials and 5 seeds, 2 GB of blocks

Files are as the harness and score_trial write them, with invented numbers. The table of trials is made from one file
per search, which every trial extends: its time does not depend on how many runs there were. Every run's own files are
read once, when the labels are opened after the searches. Peers: polars over the same files in one scan, pyarrow's
dataset. Limits: reading the files' bytes, and one Parquet file that has everything. Every way runs in a fresh process.
"""

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from benchmark_table import publish

from tmelt.command import run_command

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "scripts")]
SEARCHES, TRIALS, SEEDS = 25, 100, 3
DATASET_RUNS = 20_000
DIFFERENT = 64  # run files with numbers of their own; the others repeat these


def benchmark_tables(
    *,
    searches: int = SEARCHES,
    trials: int = TRIALS,
    seeds: int = SEEDS,
    proteins: int = 200,
    repeats: int = 2,
    full: bool = False,
    folder: Path | None = None,
    output: Path = Path("results/benchmarks/tables.parquet"),
) -> None:
    """Time all ways; `proteins` is the number of predictions in each run's file."""
    if full:
        searches, trials, seeds = 25, 1000, 5
    runs = searches * trials * seeds
    context = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="benchmark_tables_") as name:
        study = Path(name)
        folders = _write_study(study, searches, trials, seeds, proteins)
        print(f"{runs} runs written", file=sys.stderr, flush=True)
        for way, (read, files, expected) in _WAYS.items():
            if read is _dataset and runs > DATASET_RUNS:
                print(f"{way} is left out: it would take gigabytes", file=sys.stderr)
                continue
            results = []
            for _ in range(repeats):
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    results.append(pool.submit(_measure, read, study, folders).result())
            best = min(results, key=lambda result: result["cpu_s"])
            count = {"runs": runs, "searches": searches}[files]
            wanted = {"runs": runs, "trials": searches * trials, "predictions": runs * proteins}[expected]
            if best.pop("rows") != wanted:
                raise RuntimeError(f"{way}: not {wanted} rows")
            rows.append({"way": way, "files": count, **best, "ms_per_file": 1000 * best["cpu_s"] / count})
            print(f"{way}: {best}", file=sys.stderr, flush=True)
    publish(rows, output, f"{runs:,} runs of {searches} searches, {proteins} predictions each")


def _measure(read: Callable[[Path, list[str]], int], study: Path, folders: list[str]) -> dict[str, float]:
    """CPU and wall-clock seconds and the peak of memory of one way, imports left out."""
    import tmelt.evidence.make
    import tmelt.evidence.reading  # noqa: F401 - what the ways import

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    rows = read(study, folders)
    used = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {**used, "more_memory_mb": grown / 1024, "rows": rows}


def _tabulate_trials(study: Path, folders: list[str]) -> int:
    """The rule of that name."""
    from tmelt.evidence.make import make_tables

    tables = study / "tables"
    made = {name: tables / f"{name}.parquet" for name in ("trials", "not_tried")}
    make_tables("trials", {"histories": sorted(study.glob("*/t*/trials.parquet")), **made})
    return pl.read_parquet(made["trials"]).height


def _read_runs(study: Path, folders: list[str]) -> int:
    """What open_test_labels reads first."""
    from tmelt.evidence.reading import read_runs

    return read_runs(folders).height


def _read_predictions(study: Path, folders: list[str]) -> int:
    """What open_test_labels reads next, in its pieces."""
    from tmelt.evidence.reading import read_predictions
    from tmelt.evidence.vault import SCORE_CHUNK

    proteins = pl.read_parquet(f"{folders[0]}/predictions.parquet", hive_partitioning=False)
    pieces = (folders[start : start + SCORE_CHUNK] for start in range(0, len(folders), SCORE_CHUNK))
    return sum(read_predictions(piece, proteins.select("protein_id", "split")).size for piece in pieces)


def _scan_at_once(study: Path, folders: list[str]) -> int:
    paths = [f"{folder}/run.parquet" for folder in folders]
    return pl.scan_parquet(paths, include_file_paths="path", hive_partitioning=False).collect().height


def _glob(study: Path, folders: list[str]) -> int:
    return pl.read_parquet(f"{study}/*/t*/i*/s*/run.parquet", hive_partitioning=False).height


def _dataset(study: Path, folders: list[str]) -> int:
    from pyarrow import dataset

    return dataset.dataset([f"{folder}/run.parquet" for folder in folders], format="parquet").to_table().num_rows


def _bytes(study: Path, folders: list[str]) -> int:
    for folder in folders:
        with open(f"{folder}/run.parquet", "rb") as file:  # noqa: PTH123 - nothing is faster
            file.read()
    return len(folders)


def _one_file(study: Path, folders: list[str]) -> int:
    return pl.read_parquet(study / "all_runs.parquet").height


# What is read, how many files these are, and what one row of the answer is.
_WAYS = {
    "trials, gathered as the searches went (tabulate_trials)": (_tabulate_trials, "searches", "trials"),
    "runs, in pieces (open_test_labels)": (_read_runs, "runs", "runs"),
    "runs' predictions, in pieces (open_test_labels)": (_read_predictions, "runs", "predictions"),
    "runs, polars.scan_parquet of all files": (_scan_at_once, "runs", "runs"),
    "runs, polars.read_parquet of a pattern": (_glob, "runs", "runs"),
    "runs, pyarrow.dataset": (_dataset, "runs", "runs"),
    "limit: the bytes of all runs' files": (_bytes, "runs", "runs"),
    "limit: all runs in one file": (_one_file, "searches", "runs"),
}


def _write_study(study: Path, searches: int, trials: int, seeds: int, proteins: int) -> list[str]:
    """The files of finished searches; returns the runs' folders in order."""
    from simulation import simulate, write_history

    templates = _templates(study / "templates", proteins)
    history = simulate("random", min(trials, 100) - 1)
    folders = []
    for search in range(searches):
        trajectory = study / f"random{search // 5}" / f"t{search % 5}"
        for trial in range(trials):
            for seed in range(seeds):
                folder = trajectory / f"i{trial}" / f"s{seed}"
                folder.mkdir(parents=True)
                for name, content in templates[len(folders) % DIFFERENT].items():
                    (folder / name).write_bytes(content)
                folders.append(str(folder))
        write_history(trajectory / "one.parquet", history)
        times = -(-trials // len(history))
        rows = pl.concat([pl.read_parquet(trajectory / "one.parquet", hive_partitioning=False)] * times).head(trials)
        _write_gathered(trajectory / "trials.parquet", rows, search)
    runs = pl.concat([pl.read_parquet(content["run.parquet"]) for content in templates])
    runs[np.arange(len(folders)) % DIFFERENT].write_parquet(study / "all_runs.parquet")
    os.sync()
    return folders


def _write_gathered(path: Path, rows: pl.DataFrame, search: int) -> None:
    from tmelt.storage.schema import TRIAL, write_table

    rows = rows.with_columns(
        strategy=pl.lit(f"random{search // 5}"),
        trajectory=pl.lit(search % 5, pl.Int64),
        iteration=pl.int_range(pl.len(), dtype=pl.Int64),
    )
    write_table(path, rows.to_dicts(), TRIAL)


def _templates(folder: Path, proteins: int) -> list[dict[str, bytes]]:
    """The contents of run.parquet and predictions.parquet of several runs that ended well."""
    from tmelt.storage.schema import PREDICTIONS, RUN, write_table

    random = np.random.default_rng(0)
    made = []
    for number in range(DIFFERENT):
        row = dict.fromkeys(RUN.names) | {
            "seed": number % 3, "status": "ok", "fit_mae": random.uniform(3, 8), "stop_mae": random.uniform(4, 9),
            "parameter_count": 1_677_057, "checkpoint_mb": random.uniform(6, 7), "epochs": int(random.integers(5, 60)),
            "fit_s": random.uniform(10, 600), "predict_s": random.uniform(1, 60), "cpu_s": random.uniform(10, 600),
            "wall_s": random.uniform(10, 600), "cut_by_clock": False,
            "device_s": 0.0, "memory_mb": random.uniform(500, 3000), "sandbox": "bwrap", "device": "cpu",
            "host_cpu": "a processor",
        }  # fmt: skip
        predictions = [
            {"protein_id": f"protein_{i}", "split": ("val", "test")[i % 2], "prediction": random.uniform(30, 80)}
            for i in range(proteins)
        ]
        write_table(folder / "run.parquet", [row], RUN)
        write_table(folder / "predictions.parquet", predictions, PREDICTIONS)
        made.append({name: (folder / name).read_bytes() for name in ("run.parquet", "predictions.parquet")})
    return made


if __name__ == "__main__":
    run_command(benchmark_tables)
