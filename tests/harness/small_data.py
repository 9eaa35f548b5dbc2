"""A small prepared data set with its embedding, made by the real scripts' functions; and a cheap honest candidate."""

import json
from pathlib import Path

from tmelt.embed.shard import embed_share
from tmelt.embed.views import write_views
from tmelt.harness.run import Harness
from tmelt.proteins.prepare import prepare
from tmelt.storage.files import sha256_text
from tmelt.study.config import Backbone, Budget, Data, Synthetic

RIDGE = """
import numpy as np

def fit(task, knobs, checkpoint):
    x = task.fit.mean().numpy().astype(float)
    y = task.fit.tm.numpy().astype(float)
    centre = x.mean(0)
    w = np.linalg.solve((x - centre).T @ (x - centre) + 1e-2 * np.eye(x.shape[1]), (x - centre).T @ (y - y.mean()))
    np.savez(checkpoint / "ridge.npz", w=w, centre=centre, mean=y.mean())
    task.log_model(parameter_count=len(w) + 1)
    print("ridge is fitted")

def predict(task, checkpoint):
    saved = np.load(checkpoint / "ridge.npz")
    x = task.pool.mean().numpy().astype(float)
    return (x - saved["centre"]) @ saved["w"] + saved["mean"]
"""


def make_small_data(folder: Path, proteins: int = 90) -> tuple[Path, Path]:
    """Prepare and embed synthetic proteins under `folder`; returns the data's and the embedding's folders."""
    data = Data(
        name="small", synthetic=Synthetic(proteins=proteins, organisms=3, length_median=50, length_max=80, seed=3)
    )
    backbone = Backbone(name="tiny", weights="random")
    prepare(data, folder / "data")
    embed_share(folder / "data" / "proteins.parquet", backbone, folder / "cache", 0, 1, 4096, 1, "cpu")
    write_views(folder / "data" / "proteins.parquet", backbone, folder / "cache", folder / "embedding", 0)
    return folder / "data", folder / "embedding"


def small_harness(data: Path, embedding: Path, **changes) -> Harness:
    """A harness with a short budget over the small data."""
    settings = {
        "embedding": embedding.resolve(),
        "proteins": data / "proteins.parquet",
        "protocol_sha256": sha256_text(json.dumps(str(data))),
        "budget": Budget(fit_s=20, predict_s=10, memory_mb=1500, disk_mb=50, processes=32),
        "precision": "fp32",
        "device": "cpu",
        "sandbox": "auto",
        "sandbox_image": None,
        "sequences": "none",
        "threads": 1,
        "reference_sha256": sha256_text(RIDGE),
    }
    return Harness(**(settings | changes))
