"""The benchmarks compare what computes the same, and leave their tables; how fast anything is, no test says."""

import sys
from pathlib import Path

import polars as pl
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import benchmark_table
import embedding
import prompts
import tables

from tmelt.harness import inside
from tmelt.harness.task import Batch, Task
from tmelt.search.knobs import Space


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_every_table_is_written_and_joined_into_one_page(tmp_path):
    rows = [{"way": "ours", "cpu_s": 1.234, "cosine": 0.999987}, {"way": "peer", "cpu_s": 123.4, "cosine": None}]
    benchmark_table.publish(rows, tmp_path / "one.parquet", "Something")
    benchmark_table.publish(rows[:1], tmp_path / "two.parquet", "Something else")
    benchmark_table.publish(rows, tmp_path / "one.parquet", "Something again")
    frame = pl.read_parquet(tmp_path / "one.parquet")
    assert frame["cpu_s"].to_list() == [1.234, 123.4]
    assert {"processor", "cores", "torch", "date"} <= set(frame.columns)
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.count("## one") == page.count("## two") == 1
    assert "Something again; " in page
    assert "| ours | 1.23 | 0.999987 |" in page
    assert "| peer | 123 |  |" in page


@pytest.mark.slow
def test_training_padded_and_packed_has_the_same_losses():
    """Three steps from the same weights on the same batches; the second and third follow the first one's gradients."""
    import head  # it imports torch._dynamo, which takes 2 CPU seconds

    script, knobs = inside.load_script(head.SCRIPT), Space().complete({"dropout": 0.0, "head_dropout": 0.0})
    task = Task(seed=0, device=torch.device("cpu"), precision="fp32", seconds=1e6, output=Path())
    lengths = [[30, 7, 55], [12, 80], [41, 41, 9, 1]]
    losses = []
    for padded in (False, True):
        torch.manual_seed(0)
        model = script.Predictor(head.WIDTH, knobs, 55.0, 10.0)
        batches = [
            Batch(torch.randn(sum(some), head.WIDTH), some, torch.arange(len(some)), 55 + 10 * torch.randn(len(some)))
            for some in lengths
        ]
        model = (head.Padded(model, knobs) if padded else model).train()
        optimiser = script.make_optimiser(model, knobs)
        step = head._padded_step if padded else script.train_step
        losses.append([step(task, model, optimiser, batch, knobs).item() for batch in batches])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][0] != pytest.approx(losses[0][1], rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_all_ways_of_embedding_give_the_same_embeddings(tmp_path, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    output = tmp_path / "embedding.parquet"
    embedding.benchmark_embedding(
        proteins=5, backbone="esm2_t6_8M_UR50D", tokens=1024, longest=400, device=device, output=output
    )
    found = pl.read_parquet(output)
    exact = found.filter(pl.col("way").str.ends_with("fp32"))
    assert {"fair-esm, padded, fp32", "packed, fp32"} <= set(exact["way"])
    assert exact["relative_error"].max() < (1e-6 if device == "cpu" else 1e-5)
    assert exact["least_cosine"].min() > 0.999999
    assert found["relative_error"].max() < 2e-2
    assert found["least_cosine"].min() > 0.999


def test_all_ways_of_aggregating_read_every_row(tmp_path):
    searches, trials, seeds, proteins = 2, 3, 2, 10
    folders = tables._write_study(tmp_path, searches, trials, seeds, proteins)
    runs = searches * trials * seeds
    assert len(set(folders)) == runs
    wanted = {"runs": runs, "trials": searches * trials, "predictions": runs * proteins}
    for way, (read, _, rows) in tables._WAYS.items():
        assert read(tmp_path, folders) == wanted[rows], way


@pytest.mark.parametrize(("kind", "least"), [("ra", 0.45), pytest.param("ua", 0.6, marks=pytest.mark.slow)])
def test_prompts_begin_as_the_prompt_before(kind, least, tmp_path):
    """Providers bill the beginning that two prompts have in common at a fraction."""
    history = prompts.simulated(72, tmp_path, scripts=kind != "ra")
    found = prompts.measured(kind, history, 61, tmp_path, following=10)
    assert found["history_tokens"] <= found["memory_tokens"]
    assert found["repeated_share"] > least
