"""Reading what a candidate left: raw numbers or a word."""

import json
import os

import numpy as np
import pytest

from tmelt.harness.predictions import (
    REPORTS_MAX,
    Invalid,
    folder_size,
    read_curve,
    read_parameter_count,
    read_predictions,
)


def write(path, values):
    path.write_bytes(np.asarray(values, dtype="<f8").tobytes())
    return path


def test_numbers_come_back(tmp_path):
    assert read_predictions(write(tmp_path / "p", [1.5, -2.0]), 2).tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("make", "reason", "status"),
    [
        (lambda path: None, "no_predictions", "invalid"),
        (lambda path: write(path, [1.0]), "wrong_count", "invalid"),
        (lambda path: write(path, [1.0, 2.0, 3.0]), "wrong_count", "invalid"),
        (lambda path: write(path, [1.0, np.nan]), "not_finite", "invalid"),
        (lambda path: write(path, [1.0, np.inf]), "not_finite", "invalid"),
        (lambda path: write(path, [1.0, -1e200]), "out_of_range", "invalid"),  # its square would be infinite
        (lambda path: path.symlink_to(write(path.parent / "labels", [1.0, 2.0])), "not_a_plain_file", "tamper"),
        (lambda path: os.link(write(path.parent / "labels", [1.0, 2.0]), path), "not_a_plain_file", "tamper"),
        (lambda path: os.mkfifo(path), "not_a_plain_file", "tamper"),
        (lambda path: path.mkdir(), "not_a_plain_file", "tamper"),
        (lambda path: os.truncate(write(path, [1.0]), 65 << 20), "too_large", "tamper"),
    ],
)
def test_anything_else_is_an_outcome(tmp_path, make, reason, status):
    make(tmp_path / "p")
    with pytest.raises(Invalid) as caught:
        read_predictions(tmp_path / "p", 2)
    assert (caught.value.reason, caught.value.status) == (reason, status)


def test_curves_keep_known_finite_numbers_only(tmp_path):
    (tmp_path / "c").write_text(
        '{"epoch": 1, "fit_loss": 2.5, "stop_mae": NaN, "note": "x"}\nnot json\n[1]\n{"epoch": "2"}\n'
        '{"epoch": 1e400}\n{"epoch": 2, "learning_rate": 1e-3, "fit_loss": true}\n' + "[" * 100_000
    )
    rows, reports = read_curve(tmp_path / "c")
    assert rows == [
        {"epoch": 1, "fit_loss": 2.5, "stop_mae": None, "learning_rate": None, "reports": None},
        {"epoch": 2, "fit_loss": None, "stop_mae": None, "learning_rate": 1e-3, "reports": None},
    ]
    assert reports == {}
    assert read_curve(tmp_path / "absent") == ([], {})


def test_reports_are_bounded_finite_and_belong_to_an_epoch(tmp_path):
    lines = [
        {"report": {"before": 1, "bad name": 2, "x" * 41: 3, "text": "4", "flag": True}},
        {"epoch": 1},
        {"report": {"weight": 0.5}},
        {"epoch": 2},
        {"report": {"weight": 0.75, **{f"n{number}": number for number in range(30)}}},
        {"report": [1]},
    ]
    (tmp_path / "c").write_text("\n".join([*map(json.dumps, lines), '{"report": {"before": NaN}}']))
    rows, reports = read_curve(tmp_path / "c")
    assert len(reports) == REPORTS_MAX and reports["before"] == 1 and reports["weight"] == 0.75
    assert "bad name" not in reports and "text" not in reports and "flag" not in reports and "n18" not in reports
    assert [json.loads(row["reports"])["weight"] if "weight" in row["reports"] else None for row in rows] == [
        None,
        0.75,
    ]
    assert json.loads(rows[0]["reports"]) == {"before": 1}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"parameter_count": 257}', 257),
        ('{"parameter_count": -1}', None),
        ('{"parameter_count": 1e99}', None),
        ("1", None),
    ],
)
def test_parameter_counts_are_claims_within_reason(tmp_path, text, count):
    (tmp_path / "m").write_text(text)
    assert read_parameter_count(tmp_path / "m") == count


def test_folder_size_follows_no_link(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"x" * 10)
    (tmp_path / "a" / "l").symlink_to("/")
    assert folder_size(tmp_path) == 10
