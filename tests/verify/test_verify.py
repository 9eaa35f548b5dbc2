"""`tmelt verify` on real small studies: equal as they are, and each alteration is found where it was made."""

import json
import re
import shutil
import subprocess
import sys

import polars as pl
import pyarrow.parquet as pq
import pytest
from workflow import REPOSITORY

from tmelt.evidence.make import MAKERS, TABLES
from tmelt.llm.transcript import write_record
from tmelt.search.history import chain_of
from tmelt.storage.files import read_json, sha256_file, sha256_json, write_json
from tmelt.storage.schema import TRIAL, write_table
from tmelt.verify.again import allowed_rules, compare_made
from tmelt.verify.bundle import check_bundle
from tmelt.verify.group import Group
from tmelt.verify.hashes import check_data, check_protocol, check_runs, check_transcripts
from tmelt.verify.place import Place
from tmelt.verify.replay import check_proposals
from tmelt.verify.run import DIFFERENT, EQUAL, UNVERIFIED
from tmelt.verify.trials import check_trials

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def found(space, *checks):
    """The differences that these checks find, as (file, column), and the lines."""
    place = Place.of(space.study)
    group = Group("test", place.results)
    for check in checks:
        check(group, place)
    assert group.checked > 0
    return {(one.file, one.column) for one in group.differences}, [str(one) for one in group.differences]


def compared(space, again, **options):
    """The differences between what a study has and what its raw files give, as lines."""
    place = Place.of(space.study)
    group = Group("test", place.results, **options)
    compare_made(group, place, again, "tables", "evidence", "confirm", "report", "export")
    assert group.checked > 10_000
    return [str(one) for one in group.differences]


def rewrite(path, change):
    """Alter a Parquet file, keeping its schema."""
    schema = pq.read_schema(path)
    frame = change(pl.read_parquet(path, hive_partitioning=False))
    pq.write_table(frame.to_arrow().cast(schema), path)


def everything(space):
    """Content and time of every file of results/."""
    return {
        str(path): (path.stat().st_mtime_ns, sha256_file(path) if path.is_file() else None)
        for path in sorted((space.folder / "results").rglob("*"))
    }


def test_a_finished_study_that_has_grown_is_equal_and_is_only_read(grown, tmp_path):
    assert len(read_json(grown.study / "vault_log.json")) == 2
    before = everything(grown)
    command = [sys.executable, "-m", "tmelt", "verify", grown.study, "--json", tmp_path / "out.json"]
    done = subprocess.run(command, cwd=tmp_path, env=grown.environment(), capture_output=True, text=True)
    assert done.returncode == EQUAL, done.stdout + done.stderr
    assert "every value is as recomputed" in done.stdout
    assert everything(grown) == before
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["status"] == "equal"
    assert [group["name"] for group in told["groups"] if not group["checked"]] == []
    assert [note for group in told["groups"] for note in group["notes"]] == []


def test_every_kind_of_strategy_is_recomputed_and_replayed(ci):
    checks = (check_protocol, check_data, check_runs, check_bundle, check_transcripts, check_proposals, check_trials)
    assert found(ci, *checks) == (set(), [])


def test_every_table_figure_and_export_is_made_again(ci, again):
    parts = ("tables", "evidence", "report", "export")
    made = {name for name, _ in again.made(*parts)}
    stored = {
        str(path.relative_to(ci.study)) for part in parts for path in (ci.study / part).rglob("*") if path.is_file()
    }
    assert stored - made == {"export/optuna.db"}
    assert {f"tables/{name}.parquet" for name in TABLES} <= made
    assert compared(ci, again) == []


def test_no_rule_that_trains_or_asks_may_run_again():
    text = "\n".join(path.read_text() for path in sorted((REPOSITORY / "rules").glob("*.smk")))
    body = r"((?:    .*\n|\n)+)"
    bodies = dict(re.findall(rf"^(?:rule|checkpoint) (\w+):\n{body}", text, re.MULTILINE))
    for base, name, own in re.findall(rf"^use rule (\w+) as (\w+) with:\n{body}", text, re.MULTILINE):
        bodies[name] = own + bodies[base]
    (tables,) = re.findall(rf"^for maker, made in MAKERS.items\(\):\n{body}", text, re.MULTILINE)
    bodies |= {f"tabulate_{maker}": tables for maker in MAKERS}
    assert set(allowed_rules()) <= bodies.keys()
    assert "write_report" in allowed_rules()
    for name in allowed_rules():
        assert "threads: training_threads" not in bodies[name], name
        assert "JOURNAL" not in bodies[name], name
        assert "llm=" not in bodies[name], name


def test_an_altered_prediction_is_found(copy):
    run = copy.study / "random/t0/i1/s0"
    rewrite(run / "predictions.parquet", lambda frame: frame.with_columns(pl.col("prediction") + 5.0))
    differences, lines = found(copy, check_runs)
    assert differences == {("ci/random/t0/i1/s0/predictions.parquet", "sha256")}
    differences, lines = found(copy, check_trials)
    assert ("ci/random/t0/i1/trial.parquet", "val_mae") in differences
    assert any(re.search(r"val_mae: stored \d+\.\d+, recomputed \d+\.\d+", line) for line in lines)
    assert {file for file, _ in differences} <= {f"ci/random/t0/i{number}/trial.parquet" for number in (1, 2, 3)}


def test_an_altered_prediction_reaches_tables_and_page(minimal_copy, verify):
    """A hundredth of a degree on one test protein, in a run of the confirmation.

    Embedding, bundle, exports and a table are absent: that is said, and is no difference.
    """
    study = minimal_copy.study
    (run, *_) = sorted(study.glob("confirm/c*/s*/predictions.parquet"))
    first = pl.col("split").eq("test") & pl.col("split").eq("test").cum_sum().eq(1)
    rewrite(run, lambda frame: frame.with_columns(pl.col("prediction") + first.cast(pl.Float64) * 0.01))
    for folder in (study.parent / "embeddings", study / "bundle", study / "export"):
        shutil.rmtree(folder)
    (study / "tables" / "spread.parquet").unlink()
    status, lines = verify(minimal_copy, shown=1000)
    assert status == DIFFERENT
    text = "\n".join(lines)
    assert f"{run.relative_to(study.parent)} sha256" in text
    assert "evidence/confirmed_predictions.parquet" in text
    assert re.search(r"tables/confirmed_runs\.parquet \[candidate=\w+ seed=\d+.*\] test_mae: stored", text)
    assert "report/report.html [" in text
    for name in ("bundle/smallest.zip", "export/winners.csv", "tables/spread.parquet"):
        assert f"note: smallest/{name}: absent" in text, name
    assert "note: embeddings/" in text


def test_an_absent_journal_is_noted(copy):
    shutil.rmtree(copy.study / "journal")
    place = Place.of(copy.study)
    group = Group("test", place.results)
    check_runs(group, place)
    assert not group.differences and any("ci/journal/runs: absent" in note for note in group.notes)


def test_an_altered_label_is_found(copy):
    (vault,) = copy.folder.glob("results/data/*/vault")
    rewrite(vault / "val.parquet", lambda frame: frame.with_columns(pl.col("tm") + 1.0))
    differences, _ = found(copy, check_data)
    assert differences == {(str((vault / "val.parquet").relative_to(copy.folder / "results")), "sha256")}
    differences, _ = found(copy, check_trials)
    assert {column for _, column in differences} >= {"val_mae", "val_mae_by_seed"}


@pytest.mark.parametrize("name", ["winners", "floor_predictions"])
def test_an_altered_table_cell_is_found(copy, again, name):
    path = copy.study / "tables" / f"{name}.parquet"
    frame = pl.read_parquet(path)
    column = next(column for column, kind in frame.schema.items() if kind.is_float() and frame[column][0] is not None)
    first = pl.int_range(pl.len()).eq(0).cast(pl.Float64)
    rewrite(path, lambda frame: frame.with_columns(pl.col(column) + first * 1e-6))
    (line,) = compared(copy, again)
    assert line.startswith(f"ci/tables/{name}.parquet [")
    assert f"] {column}: stored" in line
    assert compared(copy, again, tolerance=1e-3) == []


def test_a_missing_row_is_named(copy, again):
    path = copy.study / "tables" / "trials.parquet"
    rewrite(path, lambda frame: frame.head(len(frame) - 1))
    one, other = compared(copy, again)
    assert one == "ci/tables/trials.parquet number of rows: stored 23, recomputed 24"
    assert other.startswith("ci/tables/trials.parquet [strategy=ua_bo trajectory=0 iteration=3")
    assert other.endswith("row: stored absent, recomputed present")


def test_an_altered_transcript_is_found(copy):
    path = copy.study / "ra/t0/i1/llm/01.json"
    record = read_json(path)
    write_json(path, record | {"reply": record["reply"] | {"text": record["reply"]["text"] + " "}})
    differences, lines = found(copy, check_transcripts)
    assert differences == {("ci/ra/t0/i1/llm", "seals")}
    assert "changed after it was written" in lines[0]


def test_an_altered_transcript_with_a_new_seal_is_found(copy):
    """With a valid seal, the reply no longer leads to the proposal, or the request hash does not match."""
    path = copy.study / "ra/t0/i1/llm/01.json"
    record = read_json(path)
    reply = json.loads(json.dumps(record["reply"]).replace("hypothesis", "hypo_thesis"))
    write_record(path, record | {"reply": reply})
    assert found(copy, check_transcripts)[0] == set()
    differences, _ = found(copy, check_proposals)
    assert ("ci/ra/t0/i1/proposal.json", "strict replay") in differences
    request = record["request"] | {"model": "another"}
    write_record(path, record | {"request": request, "usage": record["usage"] | {"prompt_tokens": 1}})
    differences, _ = found(copy, check_transcripts)
    assert differences == {
        ("ci/ra/t0/i1/llm/01.json", "request_hash"),
        ("ci/ra/t0/i1/proposal.json", "prompt_tokens"),
    }
    write_record(path, record | {"request": request, "request_hash": sha256_json(request)})
    assert ("ci/ra/t0/i1/proposal.json", "strict replay") in found(copy, check_proposals)[0]


def test_an_altered_script_is_found(copy):
    path = copy.study / "ua/t0/i2/train.py"
    path.write_text(path.read_text() + "\n# altered\n")
    assert found(copy, check_runs)[0] == {("ci/ua/t0/i2/train.py", "script")}
    fields = read_json(path.parent / "proposal.json")
    write_json(path.parent / "proposal.json", fields | {"script": sha256_file(path)})
    differences, _ = found(copy, check_runs, check_trials, check_proposals)
    assert ("ci/ua/t0/i2/trial.parquet", "script") in differences
    assert any(file == "ci/ua/t0/i2/train.py" for file, _ in differences)


def test_a_swapped_incumbent_with_a_new_chain_is_found(copy):
    search = copy.study / "random/t0"
    rows, chain = [], ""
    for row in pl.read_parquet(search / "i3/history.parquet").iter_rows(named=True):
        if row["iteration"] == 3:
            row |= {"incumbent": 1 if row["incumbent"] != 1 else 2, "decision": "keep"}
        chain = chain_of(chain, row)
        rows.append(row | {"chain": chain})
    write_table(search / "i3/history.parquet", rows, TRIAL)
    write_table(search / "i3/trial.parquet", rows[3:], TRIAL)
    write_table(search / "trials_n3_s2.parquet", rows, TRIAL)
    differences, _ = found(copy, check_trials)
    assert ("ci/random/t0/i3/trial.parquet", "incumbent") in differences
    assert not any(column == "chain" for _, column in differences)


def test_an_altered_number_on_the_page_is_found(copy, again):
    page = copy.study / "report" / "report.html"
    text = page.read_text()
    number = re.search(r'<section id="result">.*?<td>(\d+\.\d\d)', text, re.DOTALL)
    altered = f"{float(number[1]) - 1:.2f}"
    page.write_text(text[: number.start(1)] + altered + text[number.end(1) :])
    (line,) = compared(copy, again)
    assert line.startswith("ci/report/report.html [result] text ")
    assert line.endswith(f"stored “{altered}”, recomputed “{number[1]}”")


def test_an_altered_place_in_a_drawing_is_found(copy, again):
    page = copy.study / "report" / "report.html"
    text = page.read_text()
    circle = re.search(r'<path transform="translate\((\d+)', text)
    page.write_text(text[: circle.start(1)] + str(int(circle[1]) + 9) + text[circle.end(1) :])
    (line,) = compared(copy, again)
    assert line.startswith("ci/report/report.html [figure-")


def test_missing_files_are_named_and_cannot_be_verified(minimal_copy, verify):
    (minimal_copy.study / "random/t0/i1/s0/predictions.parquet").unlink()
    status, lines = verify(minimal_copy)
    assert status == UNVERIFIED, lines
    assert "missing smallest/random/t0/i1/s0/predictions.parquet" in lines[-1]
    (minimal_copy.study / "report" / "config.json").unlink()
    command = [sys.executable, "-m", "tmelt", "verify", minimal_copy.study]
    done = subprocess.run(command, env=minimal_copy.environment(), capture_output=True, text=True)
    assert done.returncode == UNVERIFIED
    assert re.fullmatch(r"error: .*config\.json: no such file; run the study to its report.*\n", done.stderr)
