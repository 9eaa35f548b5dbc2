"""Candidates that try to win without predicting: each is caught by name, or has no power.

All run in the real sandbox, against the real measurement; what they try to reach is really there.
"""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_data import RIDGE, small_harness

from tmelt.harness.run import train_runs
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.study.config import Budget
from tmelt.study.protocol import REFERENCE
from tmelt.study.target import TM, Target

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_sandbox")]

# How a candidate finds the folder that its answer goes to: it looks up the stack.
ANSWER = "import sys, os; out = sys._getframe(1).f_locals['spec']['output'] + '/predictions.f64'"


def cheat(predict=None, fit=None):
    """The honest ridge with `predict` instead of its last line, or with `fit` run before its own fit."""
    script = RIDGE
    if predict is not None:
        head, tail = script.rsplit("    return (x - saved", 1)
        script = head + "    honest = (x - saved" + tail + "".join(f"    {line}\n" for line in predict.splitlines())
    if fit is not None:
        lines = "".join(f"    {line}\n" for line in fit.splitlines())
        script = script.replace("    x = task.fit.mean()", lines + "    x = task.fit.mean()", 1)
    return script


def run(script, small, folder, **changes):
    """Row and log of one run; no rehearsal, so that the run itself has to catch the cheat."""
    budget = Budget(fit_s=10, predict_s=4, memory_mb=1500, disk_mb=50, processes=32)
    proposal = Proposal(knobs={}, script=script)
    harness = small_harness(*small, budget=budget, reference_sha256=proposal.script_sha256, **changes)
    (row,) = train_runs(proposal, [0], [folder / "s0"], harness, folder / "journal", 1, Variation())
    return row, (folder / "s0" / "log.txt").read_text()


def predictions(folder):
    return pl.read_parquet(folder / "s0" / "predictions.parquet").sort("protein_id")["prediction"].to_numpy()


@pytest.fixture(scope="session")
def honest(small, tmp_path_factory):
    """Predictions of the honest candidate."""
    folder = tmp_path_factory.mktemp("honest")
    row, _ = run(RIDGE, small, folder)
    assert row["status"] == "ok"
    return predictions(folder)


@pytest.mark.parametrize(
    ("predict", "status", "reason"),
    [
        ("honest[0] = np.nan; return honest", "invalid", "not_finite"),
        ("honest[0] = np.inf; return honest", "invalid", "not_finite"),
        ("honest[:] = 1e308; return honest", "invalid", "out_of_range"),
        ("return honest[:-1]", "invalid", "wrong_count"),
        ("return np.concatenate([honest, honest])", "invalid", "wrong_count"),
        ("return 50.0", "invalid", "wrong_count"),
        ("return 100 * (honest - honest.mean()) + 50", "invalid", "not_row_wise"),
        ("return honest + 0.1 * np.arange(len(honest))", "invalid", "not_row_wise"),
        ("return honest + np.random.default_rng().normal(size=len(honest))", "invalid", "not_row_wise"),
        ("raise SystemExit(0)", "crash", "predict_crash"),
        ("import os; os._exit(0)", "invalid", "no_predictions"),
        ("while True: pass", "timeout", "predict_timeout"),
        (f"{ANSWER}; os.symlink('/etc/passwd', out); os._exit(0)", "tamper", "not_a_plain_file"),
        (f"{ANSWER}; os.mkfifo(out); os._exit(0)", "tamper", "not_a_plain_file"),
        (f"{ANSWER}; os.mkdir(out); os._exit(0)", "tamper", "not_a_plain_file"),
        (f"{ANSWER}; open(out + '2', 'w').close(); os.link(out + '2', out); os._exit(0)", "tamper", "not_a_plain_file"),
        (f"{ANSWER}; open(out, 'wb').truncate(90 << 20); os._exit(0)", "tamper", "too_large"),
    ],
)
def test_what_is_no_prediction_is_told_by_name(small, tmp_path, predict, status, reason):
    row, _ = run(cheat(predict), small, tmp_path)
    assert (row["status"], row["reason"]) == (status, reason)
    assert len(pl.read_parquet(tmp_path / "s0" / "predictions.parquet")) == 0


@pytest.mark.parametrize(
    ("precision", "shift", "target", "status"),
    [
        ("fp32", 0.3, TM, "invalid"),
        ("fp32", 0.001, TM, "ok"),
        ("bf16", 0.3, TM, "invalid"),  # within a rounding step, but of every protein
        ("bf16", 0.04, TM, "ok"),
        ("bf16", 0.04, Target("log kcat", "log kcat", "", None, (-5.0, 6.0)), "invalid"),
    ],
)
def test_companions_may_move_a_prediction_by_less_than_a_gain(small, tmp_path, precision, shift, target, status):
    moved = f"return honest + ({shift} if len(honest) == {len(pl.read_parquet(small[1] / 'pool.parquet'))} else 0.0)"
    row, _ = run(cheat(moved), small, tmp_path, precision=precision, target=target)
    assert row["status"] == status
    assert row["reason"] == (None if status == "ok" else "not_row_wise")


def test_a_constant_is_measured_as_one(small, tmp_path, honest):
    row, _ = run(cheat("return np.full(len(honest), 55.0)"), small, tmp_path)
    assert row["status"] == "ok"
    assert set(predictions(tmp_path)) == {55.0}


@pytest.mark.parametrize(
    "fit",
    [
        "import builtins\nnp.isfinite = lambda a: np.ones(1)\nbuiltins.round = lambda *a: 0",
        "import torch\ntorch.load = None",
        "import tmelt.harness.inside as inside\ninside.run_phase = lambda spec: 0",
        "import sys\nsys.modules['tmelt.harness.task'].Task.seconds_left = lambda self: 1e9",
    ],
)
def test_patches_die_with_their_process(small, tmp_path, honest, fit):
    row, _ = run(cheat(fit=fit), small, tmp_path)
    assert row["status"] == "ok"
    np.testing.assert_allclose(predictions(tmp_path), honest, rtol=1e-9)  # the order of rows moves the last bit


def reaching(targets):
    """Code that tries to read and to change each target, and says which it could."""
    return (
        "import os\n"
        f"for path in {[str(path) for path in targets]!r}:\n"
        "    for mode in ('rb', 'r+b', 'ab'):\n"
        "        try:\n"
        "            with open(path, mode) as file:\n"
        "                print('OPENED', mode, path, file.read(4) if mode == 'rb' else file.write(b'x'))\n"
        "        except OSError: pass\n"
        "    try: os.chmod(path, 0o777); print('CHMOD', path) if os.stat(path).st_mode & 0o777 == 0o777 else None\n"
        "    except OSError: pass\n"
        "    try: os.unlink(path); print('UNLINKED', path)\n"
        "    except OSError: pass"
    )


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("phase", ["fit", "predict"])
def test_labels_harness_and_other_trials_are_out_of_reach(small, tmp_path, honest, phase):
    data, embedding = small
    earlier = tmp_path / "earlier" / "trial.parquet"
    earlier.parent.mkdir()
    earlier.write_bytes(b"an earlier trial")
    code = Path(REFERENCE).parents[1]
    hidden = [
        data / "vault" / "val.parquet", data / "vault" / "test.parquet", data / "proteins.parquet",
        embedding / "pool.parquet", embedding / "index.parquet", embedding / "embedding.json", earlier,
        embedding / ("pool" if phase == "fit" else "fit") / "residues.f16",
        *([embedding / "fit" / "tm.npy"] if phase == "predict" else []),
        tmp_path / "journal",
    ]  # fmt: skip
    readable = [
        code / "harness" / "run.py",
        code / "search" / "scoring.py",
        embedding / phase.replace("predict", "pool") / "residues.f16",
    ]
    before = {path: digest(path) for path in [*hidden, *readable] if path.is_file()}
    attack = reaching([*hidden, *readable])
    script = cheat(fit=attack) if phase == "fit" else cheat(predict=f"{attack}\nreturn honest")
    row, log = run(script, small, tmp_path)
    assert row["status"] == "ok", log
    np.testing.assert_allclose(predictions(tmp_path), honest, rtol=1e-9)  # the order of rows moves the last bit
    assert {path: digest(path) for path in before} == before
    for path in hidden:
        assert str(path) not in log, log
    assert "OPENED r+b" not in log
    assert "OPENED ab" not in log
    assert "UNLINKED" not in log


@pytest.mark.parametrize("grant", ["none", "fit", "all"])
def test_sequences_are_seen_where_the_study_grants_them(small, tmp_path, grant):
    _, embedding = small
    look = (
        "def found(name):\n"
        "    try: return len(getattr(task, name).sequences) == len(getattr(task, name))\n"
        "    except AttributeError: pass\n"
        "    for view in ('fit', 'pool'):\n"
        f"        try: return bool(open(f'{embedding}/{{view}}/sequences.txt').read())\n"
        "        except OSError: pass\n"
        "    return False\n"
    )
    fit = look + "print('IN FIT', found('fit'), int(task.fit.composition.sum()), int(task.fit.lengths.sum()))"
    # What predict sees shows in its answer: 10 °C, or 20 °C with sequences.
    predict = look + "return np.full(len(honest), 20.0 if found('pool') else 10.0)"
    row, log = run(cheat(predict, fit), small, tmp_path, sequences=grant)
    assert row["status"] == "ok", log
    words = log.split("IN FIT")[1].split()
    assert words[0] == str(grant != "none")
    assert words[1] == words[2]
    assert set(predictions(tmp_path)) == {20.0 if grant == "all" else 10.0}


def test_what_predict_prints_goes_nowhere(small, tmp_path):
    _, log = run(cheat(predict="print('FEATURES', x[:3]); return honest"), small, tmp_path)
    assert "ridge is fitted" in log
    assert "FEATURES" not in log


def test_keys_are_not_in_the_candidates_world(small, tmp_path, monkeypatch, own_sandbox):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret")
    look = (
        "import os, glob\nprint(dict(os.environ))\n"
        "for path in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: print(open(path, 'rb').read())\n"
        "    except OSError: pass"
    )
    row, log = run(cheat(fit=look), small, tmp_path)
    assert row["status"] == "ok"
    assert "planted" not in log


def test_a_checkpoint_is_never_unpickled_by_the_harness(small, tmp_path, honest):
    marker = tmp_path / "pwned"
    bomb = (
        "import pickle, os\n"
        "class Bomb:\n"
        f"    def __reduce__(self): return (os.system, ('touch {marker}',))\n"
        "for name in ('model.pt', 'predictions.f64', 'ridge.pkl'):\n"
        "    pickle.dump(Bomb(), open(checkpoint / name, 'wb'))\n"
        "os.symlink('/etc', checkpoint / 'link'); os.mkfifo(checkpoint / 'fifo')\n"
        "deep = str(checkpoint)\n"
        "for _ in range(500):\n"
        "    deep += '/d'\n"
        "    try: os.mkdir(deep)\n"
        "    except OSError: break"
    )
    row, log = run(cheat(fit=bomb), small, tmp_path)
    assert row["status"] == "ok", log
    assert not marker.exists()
    np.testing.assert_allclose(predictions(tmp_path), honest, rtol=1e-9)  # the order of rows moves the last bit


def test_a_link_in_the_checkpoint_reaches_no_label(small, tmp_path):
    data, _ = small
    row, _ = run(
        cheat(
            fit=f"import os\nos.symlink({str(data)!r}, checkpoint / 'x')",
            predict="import os\nprint(os.listdir(checkpoint / 'x'))\nreturn honest",
        ),
        small,
        tmp_path,
    )
    assert (row["status"], row["reason"]) == ("crash", "predict_crash")


def test_rows_known_from_fit_help_only_themselves(small, tmp_path, honest):
    memorise = "np.savez(checkpoint / 'known.npz', x=task.fit.mean().numpy(), y=task.fit.tm.numpy())"
    recognise = (
        "known = np.load(checkpoint / 'known.npz')\n"
        "near = np.abs(task.pool.mean().numpy()[:, None] - known['x'][None]).max(2)\n"
        "return np.where(near.min(1) < 1e-6, known['y'][near.argmin(1)], honest)"
    )
    row, log = run(cheat(recognise, memorise), small, tmp_path)
    assert row["status"] == "ok", log
    assert row["fit_mae"] < 0.01  # the decoys were recognised …
    np.testing.assert_allclose(predictions(tmp_path), honest, rtol=1e-9)  # … and nothing that counts was


CLASSES = """
import torch

class Model(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.{name} = torch.nn.Linear(features, 1)

    def forward(self, x):
        return self.{name}(x).squeeze(1)

def fit(task, knobs, checkpoint):
    torch.manual_seed(task.seed)
    model = Model(task.fit.width)
    x, y = task.fit.mean(), task.fit.tm
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(50):
        loss = (model(x) - y).abs().mean()
        optimiser.zero_grad(); loss.backward(); optimiser.step()
    torch.save(model, checkpoint / "model.pt")  # the whole object, class and all

def predict(task, checkpoint):
    with torch.no_grad():
        return torch.load(checkpoint / "model.pt", weights_only=False)(task.pool.mean())
"""


def test_a_redefined_class_breaks_no_evaluation(small, tmp_path):
    """The published failure: an agent redefined a class, and the test scores of later trials were lost."""
    for name in ("head", "readout", "head"):
        row, log = run(CLASSES.format(name=name), small, tmp_path / name)
        assert row["status"] == "ok", log
        assert len(predictions(tmp_path / name)) > 0


def test_daemons_do_not_outlive_their_run(small, tmp_path, own_sandbox):
    leave = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(30)\n"
        "    os._exit(0)"
    )
    before = processes()
    row, log = run(cheat(fit=leave), small, tmp_path)
    assert row["status"] == "ok", log
    leftover = [
        pid for pid in processes() - before if b"tmelt.harness.sandbox" in _cmdline(pid) and _parent(pid) == 1
    ]  # fmt: skip
    assert leftover == []


def processes():
    return {path.name for path in Path("/proc").iterdir() if path.name.isdigit()}


def _cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0
