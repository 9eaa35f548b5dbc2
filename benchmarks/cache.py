"""Seconds to read every protein's embedding once in random batches of 32, from several kinds of files.

    python benchmarks/cache.py                       # 1,000 proteins of width 640: .5 GB under --folder, a minute
    python benchmarks/cache.py --full                # 3,000 proteins: 1.5 GB at a time

Peers: fair-esm's one `.pt` per protein; HDF5 with one data set per protein, plain (bio_embeddings) and gzipped
(biotrainer), and with one contiguous array, if h5py is installed; and a raw memory map, which is the yardstick. The
limit is one copy of the same bytes within memory.
A batch is always one new contiguous array of residues. `cold`: after the files left the page cache.
"""

import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_table import publish
from embedding import random_sequences

from tmelt.command import run_command
from tmelt.embed.cache import SegmentWriter, open_cache
from tmelt.embed.record import Key
from tmelt.embed.view import View
from tmelt.proteins.composition import composition
from tmelt.storage.files import sha256_text

Read = Callable[[np.ndarray], np.ndarray]  # numbers of proteins -> residues, float16 (ΣL, D)
BATCH = 32


def benchmark_cache(
    *,
    proteins: int = 1000,
    full: bool = False,
    width: int = 640,
    repeats: int = 3,
    seed: int = 0,
    folder: Path | None = None,
    output: Path = Path("results/benchmarks/cache.parquet"),
) -> None:
    """Time an epoch of random batches; files go to a temporary folder inside `folder`."""
    torch.set_num_threads(1)
    proteins = 3000 if full else proteins
    random = np.random.default_rng(seed)
    sequences = random_sequences(proteins, 2200, seed)
    lengths = np.array([len(sequence) for sequence in sequences])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    residues = random.standard_normal((offsets[-1], width), dtype=np.float32).astype(np.float16)
    batches = np.split(random.permutation(proteins), range(BATCH, proteins, BATCH))
    rows = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="benchmark_cache_") as name:
        for way, (write, read) in _ways(sequences, offsets, residues).items():
            place = Path(name) / "files"
            place.mkdir()
            write(place)
            os.sync()
            size = sum(file.stat().st_size for file in place.rglob("*"))
            _evict(place)
            start = time.perf_counter()
            get = read(place)
            opened = time.perf_counter() - start
            cold, _ = _epoch(get, batches)
            for batch in batches[:3]:
                expected = np.concatenate([residues[offsets[i] : offsets[i + 1]] for i in batch])
                if not np.array_equal(get(batch), expected):
                    raise RuntimeError(f"{way} reads other values than were written")
            warm = [_epoch(get, batches) for _ in range(repeats)]
            rows.append(
                {
                    "way": way,
                    "warm_s": min(wall for wall, _ in warm),
                    "warm_cpu_s": min(cpu for _, cpu in warm),
                    "cold_s": cold,
                    "open_s": opened,
                    "file_mb": size / 1e6,
                }
            )
            print(f"{way}: {rows[-1]['warm_s']:.2f} s warm, {cold:.2f} s cold", file=sys.stderr, flush=True)
            del get
            shutil.rmtree(place)
    (yardstick,) = (row["warm_s"] for row in rows if row["way"] == "raw memory map")
    limit = _copy_seconds(residues, repeats)
    for row in rows:
        row |= {"against_memory_map": row["warm_s"] / yardstick, "times_limit": row["warm_s"] / limit}
    publish(
        rows,
        output,
        f"One epoch over {proteins} proteins ({residues.nbytes / 1e6:,.0f} MB of float16, width {width}) in random "
        f"batches of {BATCH}; copying the same bytes within memory takes {limit:.2f} s",
    )


def _epoch(get: Read, batches: list[np.ndarray]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of reading all batches once."""
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        get(batch)
    return time.perf_counter() - wall, time.process_time() - cpu


def _copy_seconds(array: np.ndarray, repeats: int) -> float:
    target = np.zeros_like(array)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        np.copyto(target, array)
        best = min(best, time.perf_counter() - start)
    return best


def _evict(folder: Path) -> None:
    """Ask the kernel to drop the files from its page cache."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _ways(
    sequences: list[str], offsets: np.ndarray, residues: np.ndarray
) -> dict[str, tuple[Callable[[Path], None], Callable[[Path], Read]]]:
    """Writer and reader of each kind of files, by name."""
    count, width = len(sequences), residues.shape[1]

    def protein(number: int) -> np.ndarray:
        return residues[offsets[number] : offsets[number + 1]]

    def write_pt(folder: Path) -> None:
        for number in range(count):
            content = {"label": str(number), "representations": {30: torch.from_numpy(protein(number)).float()}}
            torch.save(content, folder / f"{number}.pt")

    def read_pt(folder: Path) -> Read:
        def get(batch: np.ndarray) -> np.ndarray:
            parts = [torch.load(folder / f"{number}.pt")["representations"][30] for number in batch]
            return torch.cat(parts).half().numpy()

        return get

    def write_raw(folder: Path) -> None:
        residues.tofile(folder / "residues.f16")

    def read_raw(folder: Path) -> Read:
        mapped = np.memmap(folder / "residues.f16", "<f2", "r").reshape(-1, width)
        return lambda batch: np.concatenate([mapped[offsets[i] : offsets[i + 1]] for i in batch])

    keys = [sha256_text(sequence) for sequence in sequences]

    def write_cache(folder: Path) -> None:
        writer = SegmentWriter(folder, Key("benchmark", "0" * 64, True, False, 30, width, "fp32", "cpu", 4096))
        for number, key in enumerate(keys):
            writer.add(key, protein(number))
        writer.close()

    def read_cache(folder: Path) -> Read:
        cache = open_cache(folder)
        return lambda batch: np.concatenate([cache.residues(keys[i]) for i in batch])

    def write_view(folder: Path) -> None:
        View.write(folder, map(protein, range(count)), composition(sequences))

    def read_mapped_view(folder: Path) -> Read:
        view = View.open(folder)
        return lambda batch: np.concatenate([view.protein(i) for i in batch])

    def read_resident_view(folder: Path) -> Read:
        view = View.open(folder)
        resident = np.fromfile(folder / "residues.f16", "<f2").reshape(view.residues.shape)
        return lambda batch: np.concatenate([resident[view.offsets[i] : view.offsets[i + 1]] for i in batch])

    ways = {"fair-esm, one .pt per protein (fp32)": (write_pt, read_pt)}
    if importlib.util.find_spec("h5py"):
        import h5py

        def write_hdf5_each(folder: Path, **options: Any) -> None:
            with h5py.File(folder / "all.h5", "w") as file:
                for number in range(count):
                    file.create_dataset(str(number), data=protein(number), **options)

        def write_hdf5_gzipped(folder: Path) -> None:
            write_hdf5_each(folder, compression="gzip", chunks=True)

        def read_hdf5_each(folder: Path) -> Read:
            file = h5py.File(folder / "all.h5")
            return lambda batch: np.concatenate([file[str(i)][:] for i in batch])

        def write_hdf5_one(folder: Path) -> None:
            with h5py.File(folder / "all.h5", "w") as file:
                file.create_dataset("residues", data=residues)

        def read_hdf5_one(folder: Path) -> Read:
            rows = h5py.File(folder / "all.h5")["residues"]
            return lambda batch: np.concatenate([rows[offsets[i] : offsets[i + 1]] for i in batch])

        ways["HDF5, one data set per protein"] = (write_hdf5_each, read_hdf5_each)
        ways["HDF5, one gzipped data set per protein"] = (write_hdf5_gzipped, read_hdf5_each)
        ways["HDF5, one contiguous data set"] = (write_hdf5_one, read_hdf5_one)
    else:
        print("h5py is not installed: HDF5 is left out", file=sys.stderr)
    return ways | {
        "raw memory map": (write_raw, read_raw),
        "cache segments, mapped": (write_cache, read_cache),
        "view, mapped": (write_view, read_mapped_view),
        "view, read whole into memory": (write_view, read_resident_view),
    }


if __name__ == "__main__":
    run_command(benchmark_cache)
