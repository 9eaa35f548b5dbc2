"""What runs inside the sandbox: loading a script, calling it, and writing down what came back."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from small_views import write_view

from tmelt.harness import inside

FIT_NOTHING = "def fit(task, knobs, checkpoint):\n    pass\n"


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return write_view(tmp_path_factory.mktemp("inside") / "fit", [4, 6, 5, 8], width=4, stop=1)


def make_spec(folder, view, source, **changes):
    (folder / "train.py").write_text(source)
    for name in ("checkpoint", "notes"):
        (folder / name).mkdir(exist_ok=True)
    return {
        "phase": "fit",
        "script": str(folder / "train.py"),
        "view": str(view),
        "rows": None,
        "sequences": False,
        "knobs": {},
        "checkpoint": str(folder / "checkpoint"),
        "output": str(folder / "notes"),
        "seed": 3,
        "seconds": 20.0,
        "device": "cpu",
        "processes": 1,
        "precision": "fp32",
        "threads": 1,
        "budget_factor": 1.0,
    } | changes


@pytest.mark.slow
def test_it_imports_torch_but_nothing_of_the_workflow():
    code = "import sys, tmelt.harness.inside; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heads = {name.split(".")[0] for name in modules}
    assert "torch" in heads
    assert not heads & {"polars", "pyarrow", "pandas", "optuna", "langchain", "langchain_core", "pydantic", "snakemake"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("[1, 2.5, -3]", [1, 2.5, -3]),
        ("torch.tensor([[1.0], [2.0]], requires_grad=True, dtype=torch.bfloat16)", [1, 2]),
        ("np.float32([0.5, float('nan')])", [0.5, np.nan]),
        ("[]", []),
        ("7", [7]),
    ],
)
def test_answers_are_written_as_raw_float64(tmp_path, view, answer, expected):
    source = f"import numpy as np, torch\n{FIT_NOTHING}\ndef predict(task, checkpoint):\n    return {answer}\n"
    assert inside.run_phase(make_spec(tmp_path, view, source, phase="predict")) == 0
    raw = (tmp_path / "notes" / "predictions.f64").read_bytes()
    assert raw == np.asarray(expected, "<f8").tobytes()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('no such luck')", "RuntimeError: no such luck"),
        ("raise SystemExit(0)", "SystemExit"),
        ("return 1 +", "SyntaxError"),
        ("return ['warm']", "could not convert string to float"),
        ("return task.fit.tm", "task has no 'fit' here"),
    ],
)
def test_a_failing_script_ends_with_its_traceback(tmp_path, view, capfd, body, message):
    source = f"{FIT_NOTHING}\ndef predict(task, checkpoint):\n    {body}\n"
    assert inside.run_phase(make_spec(tmp_path, view, source, phase="predict")) == 1
    error = capfd.readouterr().err
    assert message in error
    if message != "SyntaxError":
        assert "train.py" in error or "could not convert" in error
    assert not (tmp_path / "notes" / "predictions.f64").exists()


def test_fit_gets_the_sets_the_rows_and_the_seed(tmp_path, view):
    source = """
import json, random
import numpy as np, torch
def fit(task, knobs, checkpoint):
    facts = [task.fit.lengths.tolist(), task.stop.lengths.tolist(), task.seed, task.device.type,
             torch.get_num_threads(), random.random(), np.random.rand(), torch.rand(1).item(), task.seconds_left()]
    (checkpoint / "facts.json").write_text(json.dumps(facts))
    task.log_model(parameter_count=5)
    task.log_epoch(epoch=1, fit_loss=0.25)
"""

    def facts(**changes):
        assert inside.run_phase(make_spec(tmp_path, view, source, **changes)) == 0
        return json.loads((tmp_path / "checkpoint" / "facts.json").read_text())

    first, again, other = facts(), facts(), facts(seed=4)
    assert first[:5] == [[4, 6, 5], [8], 3, "cpu", 1]
    assert first[:8] == again[:8]
    assert all(first[place] != other[place] for place in (5, 6, 7))
    assert 0 < first[8] <= 20
    assert json.loads((tmp_path / "notes" / "model.json").read_text()) == {"parameter_count": 5}
    assert len((tmp_path / "notes" / "curve.jsonl").read_text().splitlines()) == 3
    np.save(tmp_path / "rows.npy", np.array([3, 1]))
    assert facts(rows=str(tmp_path / "rows.npy"))[:2] == [[6], [8]]


def test_predict_gets_the_pool_in_the_order_of_the_rows(tmp_path, view):
    body = "    assert task.pool.tm is None\n    return task.pool.lengths\n"
    source = f"{FIT_NOTHING}\ndef predict(task, checkpoint):\n{body}"
    np.save(tmp_path / "rows.npy", np.array([2, 0, 3, 2]))
    assert inside.run_phase(make_spec(tmp_path, view, source, phase="predict", rows=str(tmp_path / "rows.npy"))) == 0
    assert np.fromfile(tmp_path / "notes" / "predictions.f64").tolist() == [5, 4, 8, 5]


def test_declared_knobs_are_filled_in_where_they_are_active(tmp_path, view):
    source = """
import json
KNOBS = [
    {"name": "ema", "kind": "choice", "choices": [True, False], "default": True, "meaning": "averaging"},
    {"name": "decay", "kind": "float", "low": 0.1, "high": 0.9, "default": 0.5, "meaning": "", "when": ["ema", [True]]},
    {"name": "slope", "kind": "float", "low": 0, "high": 1, "default": 0.1, "meaning": "", "when": ["act", ["leaky"]]},
]
def fit(task, knobs, checkpoint):
    (checkpoint / "knobs.json").write_text(json.dumps(knobs))
"""

    def knobs(**given):
        assert inside.run_phase(make_spec(tmp_path, view, source, knobs=given)) == 0
        return json.loads((tmp_path / "checkpoint" / "knobs.json").read_text())

    assert knobs(act="gelu") == {"act": "gelu", "ema": True, "decay": 0.5}
    assert knobs(act="leaky", ema=False) == {"act": "leaky", "ema": False, "slope": 0.1}
    assert knobs(decay=0.2) == {"decay": 0.2, "ema": True}


@pytest.mark.slow
def test_what_fit_pickles_predict_unpickles_in_another_process(tmp_path, view):
    source = """
import torch
from dataclasses import dataclass
@dataclass
class Model:
    value: float
def fit(task, knobs, checkpoint):
    torch.save(Model(float(task.fit.lengths.sum())), checkpoint / "model.pt")
def predict(task, checkpoint):
    return [torch.load(checkpoint / "model.pt", weights_only=False).value] * len(task.pool)
"""
    for phase in ("fit", "predict"):
        (tmp_path / "spec.json").write_text(json.dumps(make_spec(tmp_path, view, source, phase=phase)))
        subprocess.run([sys.executable, "-m", "tmelt.harness.inside", tmp_path / "spec.json"], check=True)
    assert np.fromfile(tmp_path / "notes" / "predictions.f64").tolist() == [15.0] * 4
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.slow
def test_a_forked_child_of_a_warm_process_trains(tmp_path, view):
    """The sandbox imports torch once and forks a process per phase."""
    source = """
import torch
def fit(task, knobs, checkpoint):
    model = torch.nn.Linear(task.fit.width, 1)
    optimiser = torch.optim.AdamW(model.parameters())
    (model(task.fit.mean()).sum()).backward()
    optimiser.step()
    torch.save(model.state_dict(), checkpoint / "model.pt")
"""
    spec = make_spec(tmp_path, view, source)
    code = """
import json, os, sys
import torch._dynamo
from tmelt.harness import inside
for _ in range(2):
    child = os.fork()
    if child == 0:
        os._exit(inside.run_phase(json.loads(sys.argv[1])))
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code, json.dumps(spec)], check=True, timeout=100, env=dict(os.environ))
    assert (tmp_path / "checkpoint" / "model.pt").exists()
