"""The reference candidate: every knob counts, runs repeat to the byte, predictions are row by row."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_views import write_view
from torch import nn

from tmelt.harness import inside
from tmelt.search.knobs import CATEGORY_OF, KNOBS, Space

SCRIPT = Path(inside.__file__).parents[1] / "candidate" / "train.py"
LENGTHS = [17, 40, 300, 9, 25, 31, 12, 20, 22, 35, 28, 14, 19, 33, 26, 11, 8, 30, 21, 16, 13, 29, 24, 18]
STOP = 8
SPACE = Space().with_changes({"epochs": {"low": 1}})
SMALL = {
    "width": 64,
    "heads": 4,
    "feed_forward": 256,
    "head_width": 128,
    "batch_size": 8,
    "epochs": 5,
    "learning_rate": 1e-3,
}


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return write_view(tmp_path_factory.mktemp("candidate") / "fit", LENGTHS, stop=STOP)


@pytest.fixture(scope="module")
def script():
    return inside.load_script(SCRIPT)


def make_spec(folder, view, knobs, **changes):
    for name in ("checkpoint", "notes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "phase": "fit",
        "script": str(SCRIPT),
        "view": str(view),
        "rows": None,
        "sequences": False,
        "knobs": SPACE.complete(SMALL | knobs),
        "checkpoint": str(folder / "checkpoint"),
        "output": str(folder / "notes"),
        "seed": 0,
        "seconds": 100.0,
        "device": "cpu",
        "processes": 1,
        "precision": "fp32",
        "threads": 1,
        "budget_factor": 1.0,
    } | changes


def predict(folder, spec, rows):
    """Predictions for some proteins of the view, as raw bytes."""
    np.save(folder / "rows.npy", np.asarray(rows))
    assert inside.run_phase(spec | {"phase": "predict", "rows": str(folder / "rows.npy")}) == 0
    return (folder / "notes" / "predictions.f64").read_bytes()


def run(folder, view, knobs, **changes):
    """Parameter count, curve and predictions of one run."""
    spec = make_spec(folder, view, knobs, **changes)
    assert inside.run_phase(spec) == 0
    curve = [json.loads(line) for line in (folder / "notes" / "curve.jsonl").read_text().splitlines()]
    count = json.loads((folder / "notes" / "model.json").read_text())["parameter_count"]
    return count, curve, predict(folder, spec, np.arange(len(LENGTHS)))


def test_parameters_of_the_defaults(script):
    def count(knobs):
        return sum(parameter.numel() for parameter in script.Predictor(640, knobs).parameters())

    defaults = Space().defaults()
    assert count(defaults) == 1_677_057
    assert count(defaults | {"pooling": "attention"}) == 1_677_057 + 257


# Knobs whose effect shows only under other settings than their own condition, or only for one of their values.
SHOWN_BY = {
    "learning_rate": ({}, 2e-3),
    "weight_decay": ({}, 0.3),
    "gradient_clip": ({}, 0.1),
    "epochs": ({}, 6),
    "patience": ({"learning_rate": 1e-2, "epochs": 12}, 2),
    "crop": ({}, 256),
    "head_depth": ({}, 3),
}


def settings_that_show(knob):
    """The settings under which a knob counts, and another value than its default."""
    if knob.name in SHOWN_BY:
        return SHOWN_BY[knob.name]
    base = {knob.when[0]: knob.when[1][0]} if knob.when else {}
    if knob.kind == "choice":
        return base, next(choice for choice in reversed(knob.choices) if choice not in (knob.default, "none"))
    far = max((knob.low, knob.high), key=lambda end: abs(end - knob.default))
    return base, int(min(far, knob.default + 1)) if knob.kind == "int" else far


_runs = {}


@pytest.mark.slow
@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.name)
def test_every_knob_changes_the_outcome(tmp_path, view, knob):
    base, value = settings_that_show(knob)
    knob = knob.name
    key = tuple(base.items())
    if key not in _runs:
        _runs[key] = run(tmp_path / "base", view, base)
    count, curve, predictions = run(tmp_path / "changed", view, base | {knob: value})
    if knob == "patience":  # the best weights are the same ones
        assert len(curve) < len(_runs[key][1])
    else:
        assert curve != _runs[key][1]
        assert predictions != _runs[key][2]
    sizes = {"width", "depth", "feed_forward", "residual", "head_depth", "head_width"}
    assert count != _runs[key][0] if knob in sizes else CATEGORY_OF[knob] == "architecture" or count == _runs[key][0]


WORDS = [knob for knob in KNOBS if isinstance(knob.default, str) and knob.name != "optimiser"]


@pytest.mark.parametrize("knob", WORDS, ids=lambda knob: knob.name)
def test_no_two_choices_are_the_same(script, knob):
    """The further choices: one forward pass, one learning rate or one loss tells them apart."""
    outcomes = set()
    for choice in knob.choices:
        knobs = Space().complete(SMALL | {knob.name: choice})
        torch.manual_seed(0)
        model = script.Predictor(16, knobs, 55.0, 9.0).eval()
        with torch.no_grad():
            output = model(torch.randn(30, 16), [12, 18])
        tm = torch.tensor([40.0, 50.0, 75.0])
        outcomes.add(
            (
                tuple(output.tolist()),
                script.target_scale(tm, knobs["target_scaling"]),
                script.learning_rate(70, 100, knobs),
                script.loss_sum(torch.tensor([0.1, 4.0]), torch.zeros(2), knobs, torch.tensor(9.0)).item(),
            )
        )
    assert len(outcomes) == len(knob.choices)


def test_the_three_optimisers_differ(script):
    kinds = [
        type(script.make_optimiser(nn.Linear(2, 2), Space().complete({"optimiser": name})))
        for name in ("adamw", "adam", "sgd")
    ]
    assert kinds == [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD]


def test_learning_rate_rises_then_follows_the_schedule(script):
    knobs = Space().complete({"warmup": 0.2, "schedule": "linear", "learning_rate": 1e-3})
    rates = [script.learning_rate(step, 100, knobs) for step in range(100)]
    peak = rates.index(max(rates))
    assert peak == 20
    assert rates[20] == 1e-3
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[0] < 1e-4
    assert 0 < rates[-1] < 2e-5


def test_huber_delta_is_in_degrees(script):
    knobs = Space().complete({"loss": "huber", "huber_delta": 3.0})
    prediction, target, scale = torch.tensor([0.1, 2.0]), torch.zeros(2), torch.tensor(10.0)
    errors = prediction * scale  # 1 and 20 °C
    expected = 0.5 * errors[0] ** 2 + 3.0 * (errors[1] - 1.5)
    torch.testing.assert_close(script.loss_sum(prediction, target, knobs, scale) * scale**2, expected)


def test_the_model_is_a_padded_transformer_with_gradients(script):
    """Same weights in torch's own encoder layer over padded batches: same outputs, same gradients."""
    torch.manual_seed(0)
    knobs = Space().complete(SMALL | {"dropout": 0.0})
    model = script.Predictor(16, knobs).train()
    layer = nn.TransformerEncoderLayer(64, 4, 256, 0.0, "gelu", batch_first=True, norm_first=True)
    attention, feed_forward = model.blocks
    pairs = [
        (layer.self_attn.in_proj_weight, attention.part.project_in.weight),
        (layer.self_attn.in_proj_bias, attention.part.project_in.bias),
        (layer.self_attn.out_proj.weight, attention.part.project_out.weight),
        (layer.self_attn.out_proj.bias, attention.part.project_out.bias),
        (layer.linear1.weight, feed_forward.part.layers[0].weight),
        (layer.linear1.bias, feed_forward.part.layers[0].bias),
        (layer.linear2.weight, feed_forward.part.layers[3].weight),
        (layer.linear2.bias, feed_forward.part.layers[3].bias),
    ]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    lengths = [12, 3, 20]
    x = torch.randn(35, 16)
    mask = torch.arange(20) < torch.tensor(lengths)[:, None]
    padded = torch.zeros(3, 20, 16).masked_scatter(mask[..., None], x)
    h = model.norm(layer(model.project(padded), src_key_padding_mask=~mask))
    expected = model.head(h.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1, keepdim=True)).squeeze(1)
    output = model(x, lengths)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    ours = torch.autograd.grad(output.square().sum(), [ours for _, ours in pairs])
    theirs = torch.autograd.grad(expected.square().sum(), [theirs for theirs, _ in pairs])
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_predictions_are_row_by_row_to_the_bit(tmp_path, precision, pooling):
    """Neither companions, order, repetition nor a protein longer than a pass move a bit."""
    view = write_view(tmp_path / "fit", [*LENGTHS, 4200], stop=STOP)
    spec = make_spec(tmp_path, view, {"pooling": pooling, "epochs": 1, "crop": 256}, precision=precision)
    assert inside.run_phase(spec) == 0
    count = len(LENGTHS) + 1
    expected = np.frombuffer(predict(tmp_path, spec, np.arange(count)))
    assert np.ptp(expected) > 1e-3
    random = np.random.default_rng(0)
    for rows in ([2], [count - 1], [5, 5, 5], random.permutation(count), random.permutation(count)[:5], [3] * 600):
        assert np.frombuffer(predict(tmp_path, spec, rows)).tolist() == expected[rows].tolist()


def test_bf16_predicts_what_fp32_predicts(tmp_path, view):
    spec = make_spec(tmp_path, view, {})
    assert inside.run_phase(spec) == 0
    exact, rough = (
        np.frombuffer(predict(tmp_path, spec | {"precision": precision}, np.arange(len(LENGTHS))))
        for precision in ("fp32", "bf16")
    )
    assert 0 < np.abs(exact - rough).max() < 0.5


@pytest.mark.slow
def test_a_run_repeats_to_the_byte_in_fresh_processes(tmp_path, view):
    code = """
import json, sys
from tmelt.harness.inside import run_phase
spec = json.loads(sys.argv[1])
status = run_phase(spec) or run_phase(spec | {"phase": "predict"})
sys.exit(status)
"""
    results = []
    for number in range(2):
        spec = make_spec(tmp_path / str(number), view, {"dropout": 0.2, "crop": 256, "epochs": 2}, precision="auto")
        subprocess.run([sys.executable, "-c", code, json.dumps(spec)], check=True)
        notes = Path(spec["output"])
        results.append((notes.joinpath("predictions.f64").read_bytes(), notes.joinpath("curve.jsonl").read_text()))
    assert results[0] == results[1]


def test_another_seed_is_another_run(tmp_path, view):
    assert run(tmp_path / "a", view, {"epochs": 1}) != run(tmp_path / "b", view, {"epochs": 1}, seed=1)


def test_it_learns_and_keeps_the_weights_of_the_best_epoch(tmp_path, view):
    spec = make_spec(tmp_path, view, {"learning_rate": 5e-3, "epochs": 30, "patience": 4})
    assert inside.run_phase(spec) == 0
    curve = [json.loads(line)["stop_mae"] for line in (tmp_path / "notes" / "curve.jsonl").read_text().splitlines()]
    assert len(curve) == 30 or len(curve) == np.argmin(curve) + 1 + 4
    rows = np.arange(len(LENGTHS))[-STOP:]
    tm = np.load(view / "tm.npy")[rows]
    error = np.abs(np.frombuffer(predict(tmp_path, spec, rows)) - tm).mean()
    assert error == pytest.approx(min(curve), abs=1e-4)
    assert error != pytest.approx(curve[-1], abs=1e-4)
    assert error < 0.5 * np.abs(tm - np.load(view / "tm.npy")[:-STOP].mean()).mean()


def test_a_large_batch_in_micro_batches_is_the_same_step(tmp_path, view, monkeypatch):
    outcomes = []
    for tokens in (4096, 64):
        monkeypatch.setattr("tmelt.harness.task.tokens_per_pass", lambda device, tokens=tokens: tokens)
        _, curve, _ = run(tmp_path / str(tokens), view, {"dropout": 0.0, "epochs": 2})
        outcomes.append([row["fit_loss"] for row in curve])
    assert outcomes[0] == pytest.approx(outcomes[1], rel=1e-3)


def test_no_time_left_ends_training_with_a_usable_checkpoint(tmp_path, view):
    _, curve, predictions = run(tmp_path, view, {"epochs": 100}, seconds=0.0)
    assert len(curve) == 1
    assert np.isfinite(np.frombuffer(predictions)).all()


def test_a_diverging_loss_is_an_error_that_says_so(tmp_path, view, capfd):
    spec = make_spec(tmp_path, view, {})
    spec["knobs"] |= {"optimiser": "sgd", "momentum": 0.9, "learning_rate": 1e30}
    assert inside.run_phase(spec) == 1
    assert "FloatingPointError: epoch 1: loss" in capfd.readouterr().err
    assert not list((tmp_path / "checkpoint").iterdir())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run it where there is a GPU")
def test_a_gpu_trains_and_predicts_row_by_row(tmp_path, view):
    spec = make_spec(tmp_path, view, {"pooling": "attention", "heads": 16}, device="cuda", precision="auto")
    assert inside.run_phase(spec) == 0
    expected = np.frombuffer(predict(tmp_path, spec, np.arange(len(LENGTHS))))
    for rows in ([3], np.arange(len(LENGTHS))[::-1].copy()):
        again = np.frombuffer(predict(tmp_path, spec, rows))
        assert np.abs(again - expected[rows]).max() < 1e-2
    other = make_spec(tmp_path / "again", view, {"pooling": "attention", "heads": 16}, device="cuda", precision="auto")
    assert inside.run_phase(other) == 0
    assert np.frombuffer(predict(tmp_path / "again", other, np.arange(len(LENGTHS)))).tolist() == expected.tolist()
