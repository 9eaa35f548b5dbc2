"""Several finished studies to one page, and what is no comparison."""

from dataclasses import replace

import polars as pl
import pytest
import study_records

from tmelt.cli import main
from tmelt.evidence import tables
from tmelt.evidence.make import TABLES
from tmelt.storage.files import write_json
from tmelt.storage.schema import as_frame

BASELINE = 8.0


def make(folder, *, proteins="a", data="meltome", offsets=(("bo", -0.5), ("ra", -1.5)), skip=(), model="playbook"):
    """A finished study's tables: three searches per strategy around the baseline plus an offset."""
    winners = [
        {"strategy": name, "trajectory": t, "outcome": f"{name}{t}", "test_mae": BASELINE + offset + (t - 1) / 10}
        for name, offset in offsets
        for t in range(3)
    ]
    strategies = [{"strategy": name, "confirmed": 3, "test_mae": BASELINE + offset} for name, offset in offsets]
    contrasts = [
        {"a": a, "b": b, "metric": "test_mae", "difference": x - y, "low": x - y - 0.2, "high": x - y + 0.2}
        for place, (a, x) in enumerate(offsets)
        for b, y in offsets[place + 1 :]
    ]
    rows = {
        "winners": winners,
        "strategies": strategies,
        "comparison": contrasts,
        "baseline": [{"test_mae": BASELINE}],
    }
    for name, known in rows.items():
        if name not in skip:
            blank = dict.fromkeys(TABLES[name].names)
            frame = as_frame([blank | row for row in known], TABLES[name])
            (folder / "tables").mkdir(parents=True, exist_ok=True)
            tables.write(folder / "tables" / f"{name}.parquet", frame, TABLES[name])
    base = study_records.protocol()
    measured = replace(base.measured, proteins=proteins)
    record = replace(base, study=folder.name, data=study_records.data_record(name=data), measured=measured)
    record.write(folder / "protocol.json")
    for name, _ in offsets:
        (folder / name).mkdir(exist_ok=True)
        write_json(folder / name / "strategy.json", {"kind": name, "options": {"model": model}})
    return folder


def test_two_studies_become_a_page_and_tables(tmp_path, capsys):
    one = make(tmp_path / "one", proteins="a")
    two = make(tmp_path / "two", proteins="b", offsets=(("ra", -1.3), ("bo", -0.5)))
    main(["compare", str(one), str(two), "--output", str(tmp_path / "out")])
    assert "Lowest mean rank: ra, 1.00 of 2" in capsys.readouterr().out
    pairs = pl.read_parquet(tmp_path / "out" / "pairs.parquet")
    total = pairs.filter(pl.col("dataset").is_null()).row(0, named=True)
    assert (total["a"], total["b"]) == ("bo", "ra")
    assert total["difference"] == pytest.approx(0.9)  # of 1.0 and 0.8, one study has the pair turned round
    scores = pl.read_parquet(tmp_path / "out" / "scores.parquet").filter(pl.col("dataset").is_null())
    assert scores.filter(pl.col("strategy") == "ra")["rank"][0] == 1
    page = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    assert "Search strategies over 2 data sets" in page and "intervals over data sets are wide" in page
    assert "meltome (one)" in page and "meltome (two)" in page


def test_names_are_no_markup(tmp_path):
    one = make(tmp_path / "one", proteins="a", data="<script>alert(1)</script>")
    main(["compare", str(one), str(make(tmp_path / "two", proteins="b")), "--output", str(tmp_path / "out")])
    assert "<script" not in (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")


def test_a_strategy_with_other_settings_is_named(tmp_path):
    one, two = make(tmp_path / "one", proteins="a"), make(tmp_path / "two", proteins="b", model="openai:other")
    main(["compare", str(one), str(two), "--output", str(tmp_path / "out")])
    page = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    assert "ra: its settings differ between the studies" in page


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"proteins": "a"}, "has the proteins of"),
        ({"proteins": "b", "skip": ("winners",)}, "winners.parquet: missing"),
        ({"proteins": "b", "offsets": (("bo", 0.0), ("ua", 0.0))}, "fewer than two strategies"),
    ],
)
def test_what_cannot_be_compared_is_one_line(tmp_path, capsys, second, said):
    one, two = make(tmp_path / "one", proteins="a"), make(tmp_path / "two", **second)
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(one), str(two), "--output", str(tmp_path / "out")])
    told = capsys.readouterr().err.strip()
    assert ended.value.code == 2 and said in told and "\n" not in told
    assert not (tmp_path / "out").exists()


def test_one_study_is_no_comparison(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["compare", str(make(tmp_path / "one")), "--output", str(tmp_path / "out")])
    assert "takes two studies or more" in capsys.readouterr().err
