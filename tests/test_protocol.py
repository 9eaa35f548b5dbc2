"""A study is not silently mixed with another: changes of its definition stop it by name."""

from dataclasses import replace

import pytest
import yaml
from study_records import embedding_record, hypothesis, protocol
from test_config import ROOT

from tmelt.errors import InputError
from tmelt.harness.run import Harness
from tmelt.storage.files import read_json, sha256_file, write_json, write_text
from tmelt.storage.records import from_json, to_json
from tmelt.storage.schema import LABELS, write_table
from tmelt.strategies.registry import kind_of
from tmelt.study.config import parse_config
from tmelt.study.identity import code_sha256, design_of, strategy_of
from tmelt.study.protocol import REFERENCE, check_integrity, differences, guard
from tmelt.study.protocol_record import MeasuredInputs, StudyDesign, protocol_hash, read_protocol
from tmelt.study.replay_from import check_replay_from
from tmelt.verify.group import Group
from tmelt.verify.hashes import check_protocol
from tmelt.verify.place import Place


@pytest.fixture
def raw():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def study(tmp_path, raw):
    """A started study: protocol and strategies as the rules write them."""
    config = parse_config(raw)
    started = from_json(StudyDesign, design_of(config))
    protocol(design=started).write(tmp_path / "protocol.json")
    for name in config.extent.strategies:
        write_json(tmp_path / name / "strategy.json", strategy_of(config, name))
    guard(config, tmp_path, record=True)
    return tmp_path


def test_growth_and_runtime_are_free(study, raw):
    raw["extent"]["iterations"] += 10
    raw["extent"]["seeds"].append(7)
    raw["extent"]["strategies"]["bo_gp"] = {"kind": "bo", "sampler": "gp"}
    raw["extent"]["strategies"]["ra"]["budget"] = {"usd": 5}
    raw["runtime"]["block"] = 7
    guard(parse_config(raw), study, record=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw["design"]["budget"].update(fit_s=31), r"budget\.fit_s: 30\.0 -> 31\.0"),
        (lambda raw: raw["design"]["space"]["width"].update(default=32), r"knobs\.width\.default: 64 -> 32"),
        (lambda raw: raw["design"]["data"]["synthetic"].update(seed=1), r"dataset: 'synthetic-"),
        (lambda raw: raw["extent"]["strategies"]["bo"].update(startup=5), r"strategies\.bo\.options\.startup: 3 -> 5"),
        (lambda raw: raw["extent"]["strategies"].pop("ra"), r"strategies\.ra: removed"),
    ],
)
def test_changes_are_refused_by_name(study, raw, change, message):
    change(raw)
    with pytest.raises(InputError, match=message):
        guard(parse_config(raw), study, record=True)


def test_an_edited_contract_stops_the_searches_that_write_scripts(study, raw):
    described = read_json(study / "ua" / "strategy.json")
    write_json(study / "ua" / "strategy.json", described | {"contract": "0" * 64})
    with pytest.raises(InputError, match=r"strategies\.ua\.contract"):
        guard(parse_config(raw), study, record=True)
    assert read_json(study / "ra" / "strategy.json")["contract"] is None


def test_the_extent_may_not_shrink(study, raw):
    write_table(study / "bo" / "t2" / "trials_n20_s2.parquet", [], LABELS)
    write_table(study / "bo" / "t2" / "i0" / "history.parquet", [], LABELS)
    write_json(study / "bo" / "t2" / "i0" / "s5" / "run.json", {})
    write_json(study / "bo" / "t2" / "i0" / "s6.old" / "run.json", {})  # a copy that a person made
    write_text(study / "bo" / "t2" / "i0" / "score_trial.log", "")
    with pytest.raises(InputError) as caught:
        guard(parse_config(raw), study, record=True)
    for line in ("extent.iterations: 20 -> 8", "extent.trajectories: 3 -> 1", "extent.seeds: [5] removed"):
        assert line in str(caught.value)


def test_the_extent_may_not_shrink_below_what_an_unfinished_search_has_done(study, raw):
    for iteration in range(11):
        write_table(study / "bo" / "t1" / f"i{iteration}" / "history.parquet", [], LABELS)
    write_json(study / "bo" / "t4" / "guidance.yaml", {})  # a person's word for a search that has not begun
    with pytest.raises(InputError) as caught:
        guard(parse_config(raw), study, record=True)
    for line in ("extent.iterations: 10 -> 8", "extent.trajectories: 2 -> 1"):
        assert line in str(caught.value)
    raw["extent"] |= {"iterations": 10, "trajectories": 2}
    guard(parse_config(raw), study, record=True)


@pytest.mark.parametrize(("part", "change"), [("data", {"stop_fraction": 0.2}), ("backbone", {"seed": 1})])
def test_data_and_backbone_cannot_be_revised(study, raw, part, change):
    raw["design"][part] |= change
    raw["on_change"] = "revision"
    before = (study / "protocol.json").read_bytes()
    with pytest.raises(InputError, match="not with other data or another backbone"):
        guard(parse_config(raw), study, record=True)
    assert (study / "protocol.json").read_bytes() == before


def test_a_revision_is_recorded_but_not_by_a_dry_run(study, raw):
    raw["design"]["budget"]["fit_s"] = 31
    raw["on_change"] = "revision"
    before = (study / "protocol.json").read_bytes()
    guard(parse_config(raw), study, record=False)
    assert (study / "protocol.json").read_bytes() == before
    guard(parse_config(raw), study, record=True)
    (revision,) = read_json(study / "protocol.json")["revisions"]
    assert revision["changes"] == ["budget.fit_s: 30.0 -> 31.0"]
    raw["on_change"] = "refuse"
    guard(parse_config(raw), study, record=True)


def test_comments_and_docstrings_are_no_change(tmp_path):
    write_text(tmp_path / "a.py", '"""One."""\ndef f():\n    """Two."""\n    return 1\n')
    write_text(tmp_path / "b.py", "# other\ndef f():\n\n    return 1  # same\n")
    write_text(tmp_path / "c.py", "def f():\n    return 2\n")
    assert code_sha256(tmp_path / "a.py") == code_sha256(tmp_path / "b.py") != code_sha256(tmp_path / "c.py")


def test_code_has_the_same_hash_in_every_python(tmp_path):
    """Pythons 3.11, 3.12 and 3.13 gave this one; their `ast.dump` of it differs."""
    write_text(
        tmp_path / "a.py",
        "class A(B):\n    def f(self, x=1, *, y: int = 2):\n        return f'{x!r} {y}', None, [], b''\n",
    )
    assert code_sha256(tmp_path / "a.py") == "87435e1bc4435aeb66e29dfe7f1c9ab86f142746ca576a0d169c44c5625329cf"


@pytest.mark.parametrize("name", ["harness/run.py", "harness/sandbox/confine.py", "candidate/train.py"])
def test_the_whole_harness_is_checked_before_a_score(study, tmp_path, name):
    write_text(tmp_path / "val.parquet", "labels")
    labels = {"val": sha256_file(tmp_path / "val.parquet")}
    fixed = read_protocol(study / "protocol.json")
    fixed = replace(fixed, measured=replace(fixed.measured, labels=labels))
    check_integrity(fixed, val_labels=tmp_path / "val.parquet")
    other = replace(fixed, design=replace(fixed.design, code={**fixed.design.code, name: "0" * 64}))
    with pytest.raises(InputError, match=f"tmelt/{name}: not the code"):
        check_integrity(other, val_labels=tmp_path / "val.parquet")
    write_text(tmp_path / "val.parquet", "others")
    with pytest.raises(InputError, match="not the labels"):
        check_integrity(other, val_labels=tmp_path / "val.parquet")


def test_a_harness_takes_no_other_embedding_and_no_other_proteins(study, tmp_path, raw):
    """Say, a weights file was replaced under its own name, and then the embedding deleted and made anew."""
    embedding, proteins = tmp_path / "embedding", tmp_path / "proteins.parquet"
    about = embedding_record(weights_sha256="a" * 64)
    write_text(proteins, "proteins")
    fixed = protocol(measured=MeasuredInputs({}, sha256_file(proteins), about))
    write_json(embedding / "embedding.json", to_json(about))
    assert Harness.of(fixed, embedding, proteins).embedding == embedding.resolve()
    write_json(embedding / "embedding.json", to_json(replace(about, weights_sha256="d" * 64)))
    with pytest.raises(InputError, match=r"embedding\.json: not the embedding this study .* \(weights_sha256: 'aaa"):
        Harness.of(fixed, embedding, proteins)
    fit = replace(about.views["fit"], files={"tm.npy": "e" * 64})
    write_json(embedding / "embedding.json", to_json(replace(about, views={"fit": fit})))
    with pytest.raises(InputError, match=r"not the embedding this study .* \(views\.fit\.files\.tm\.npy: 'bbb"):
        Harness.of(fixed, embedding, proteins)
    write_json(embedding / "embedding.json", to_json(about))
    write_text(proteins, "other proteins")
    with pytest.raises(InputError, match=r"proteins\.parquet: not the proteins this study was started with; restore"):
        Harness.of(fixed, embedding, proteins)


@pytest.mark.parametrize(
    "change",
    [
        lambda fixed: fixed["design"]["budget"].update(fit_s=31.0),
        lambda fixed: fixed["measured"].update(proteins="0" * 64),
        lambda fixed: fixed.update(hypothesis=to_json(hypothesis())),
    ],
    ids=["design", "measured", "hypothesis"],
)
def test_an_altered_protocol_is_noticed(study, raw, change):
    fixed = replace(read_protocol(study / "protocol.json"), reference_sha256=sha256_file(REFERENCE))
    replace(fixed, sha256=protocol_hash(fixed.design, fixed.measured, None)).write(study / "protocol.json")
    write_json(study / "report" / "config.json", {"config": raw, "configs": []})

    def found():
        group = Group("protocol", study)
        check_protocol(group, Place(study))
        return [one.column for one in group.differences]

    assert found() == []
    altered = read_json(study / "protocol.json")
    change(altered)
    write_json(study / "protocol.json", altered)
    assert found() == ["sha256"]


def test_differences_name_each_leaf():
    assert differences({"a": {"b": 1}, "c": [1]}, {"a": {"b": 2}, "d": 3}) == [
        "a.b: 1 -> 2", "c: [1] -> None", "d: None -> 3"
    ]  # fmt: skip


HYPOTHESIS = {"a": "ua", "b": "bo", "effect": 0.5, "searches": 10, "looks": [5, 10]}


def test_a_hypothesis_cannot_be_added_or_changed_in_silence(study, raw):
    raw["hypothesis"] = dict(HYPOTHESIS)
    with pytest.raises(InputError, match="hypothesis: None -> "):
        guard(parse_config(raw), study, record=True)
    raw["on_change"] = "revision"
    guard(parse_config(raw), study, record=True)
    fixed = read_json(study / "protocol.json")
    assert fixed["hypothesis"]["looks"] == [5, 10] and fixed["revisions"][0]["openings"] == 0
    write_json(study / "vault_log.json", [{"opening": 1}, {"opening": 2}])
    raw["hypothesis"]["effect"] = 0.1
    guard(parse_config(raw), study, record=True)
    changed = read_json(study / "protocol.json")
    revision = changed["revisions"][1]
    assert revision["changes"] == ["hypothesis.effect: 0.5 -> 0.1"] and revision["openings"] == 2
    assert revision["before"]["hypothesis"]["effect"] == 0.5 and changed["sha256"] != fixed["sha256"]


def test_a_plan_that_is_written_out_is_no_change(study, raw):
    raw |= {"hypothesis": {**HYPOTHESIS, "looks": []}, "on_change": "revision"}
    guard(parse_config(raw), study, record=True)
    raw |= {"hypothesis": {**HYPOTHESIS, "looks": [10]}, "on_change": "refuse"}
    guard(parse_config(raw), study, record=True)


def test_a_replay_names_what_the_recorded_study_lacks_or_has_otherwise(study, tmp_path, raw):
    """`replay_from`, before any job starts."""
    raw |= {"study": "again", "replay_from": str(study)}
    new = tmp_path / "again"
    raw["design"]["budget"]["fit_s"] = 31
    raw["extent"]["strategies"]["bo"]["startup"] = 5
    with pytest.raises(InputError) as caught:
        check_replay_from(parse_config(raw), new)
    agents = [name for name, each in raw["extent"]["strategies"].items() if kind_of(each["kind"]).agent]
    assert agents
    for line in (
        "design.budget.fit_s: 30.0 -> 31.0",
        "extent.strategies.bo.options.startup: 3 -> 5",
        *(f"extent.strategies.{name}: no recorded call of trajectory 0" for name in agents),
        "remove replay_from",
    ):
        assert line in str(caught.value)
    for name in agents:
        write_json(study / name / "t0" / "i1" / "llm" / "01.json", {})
    raw["design"]["budget"]["fit_s"] = 30
    raw["extent"]["strategies"]["bo"]["startup"] = 3
    check_replay_from(parse_config(raw), new)
    protocol(study="again").write(new / "protocol.json")
    with pytest.raises(InputError, match="was started with other seeds"):
        check_replay_from(parse_config(raw), new)
