"""A bundle.json as a study writes it, small."""

from tmelt.bundle.facts import SYNTHETIC, UNTRAINED

_ERRORS = {
    "seeds": 1, "val_mae": 6.0, "val_low": None, "val_high": None, "test_mae": 6.5, "test_low": 5.0, "test_high": 8,
}  # fmt: skip
ABOUT = {
    "study": "mine",
    "title": "A study",
    "protocol_sha256": "0" * 64,
    "revisions": 0,
    "labels": [SYNTHETIC, UNTRAINED],
    "passed_over": [{"candidate": "c0", "select_mae": 5.0, "fault": "'pipe' is not a plain file"}],
    "winner": {
        "candidate": "c1",
        "baseline": False,
        "script_sha256": "1" * 64,
        "reference_script": True,
        "searches": [
            {
                "strategy": "bo", "kind": "bo", "model": None, "trajectory": 0, "iteration": 2, "origin": "sampler",
                "proposal": "{}", "parameter_count": 13857,
            }
        ],
    },
    "knobs": {"activation": "silu", "dropout": 0.1, "epochs": 3, "swa": False, "crop": None},
    "seeds": [7, 8],
    "backbone": {
        "name": "tiny", "weights": "random", "file": None, "seed": 0, "torch": "2.13.0+cpu",
        "weights_sha256": "2" * 64, "untrained": True, "released": False, "per_protein": False, "layer": 4, "width": 64,
        "precision": "fp32", "tokens": 4096,
    },
    "harness": {
        "device": "cpu", "precision": "fp32", "threads": 1, "sequences": "none", "pool_residues": 2899,
        "budget": {
            "fit_s": 30.0, "predict_s": 20.0, "wall_factor": 4.0, "memory_mb": 3000, "disk_mb": 100, "processes": 64,
        },
    },
    "training": {
        "data": "synthetic", "description": "120 proteins", "dataset": "synthetic-03b18367",
        "proteins": {"fit": 76, "stop": 8, "val": 9, "select": 9, "test": 18}, "length": [40, 100],
        "tm": [34.8, 93.9], "tm_median": 66.5, "organisms": {"Thermus thermophilus": 84}, "nonstandard": "mask",
    },
    "measured": {
        "winner": _ERRORS | {"test_ensemble_mae": 6.4},
        "baseline": _ERRORS,
        "floors": [{"label": "median", "kind": "predictor", "val_mae": 9.0, "test_mae": 9.1, "low": 8.0, "high": 10}],
        "test_proteins": 18,
        "coverage": [{"level": 0.5, "half_width": 5.0, "test_coverage": 0.4}],
        "endpoints": [{"metric": "auroc", "value": 0.8, "low": 0.6, "high": 0.9, "proteins": 18, "positives": 6,
                       "threshold": 60.0, "top": 0.1}],
    },
    "software": {"python": "3.11.7", "packages": {"torch": "2.13.0+cpu"}, "cores": 2, "system": "Linux"},
}  # fmt: skip
