"""Trial 0 of a study: published, good, or with other faults drawn by a seed."""

from pathlib import Path

import pytest

from tmelt.errors import InputError
from tmelt.search.knobs import Space, space_of_config
from tmelt.study.baseline import FAULTS, with_baseline
from tmelt.study.config import Planted, load_config, parse_config
from tmelt.study.identity import design_of

ROOT = Path(__file__).resolve().parents[1]
SMALL = space_of_config(load_config(ROOT / "config.yaml").design.space)
PUBLISHED = [fault for fault in FAULTS if fault.published]


def faults_in(space: Space) -> list[str]:
    """Names of the faults whose every bad value is a default."""
    return [
        fault.name
        for fault in FAULTS
        if all(name in space and space[name].default == value for name, value in fault.bad.items())
    ]


def test_the_published_baseline_has_the_published_faults():
    assert with_baseline(Space(), "published").table() == Space().table()
    assert faults_in(Space()) == [fault.name for fault in PUBLISHED]


@pytest.mark.parametrize("space", [Space(), SMALL], ids=["full", "small"])
def test_a_good_baseline_has_none_of_them(space):
    good = with_baseline(space, "good")
    assert not faults_in(good)
    assert good["pooling"].default == "attention" and good["loss"].default == "huber"
    assert {knob.name: knob.range_text() for knob in good} == {knob.name: knob.range_text() for knob in space}


@pytest.mark.parametrize("space", [Space(), SMALL], ids=["full", "small"])
def test_planted_faults_are_others_and_follow_the_seed(space):
    good = with_baseline(space, "good").defaults()
    drawn = []
    for seed in range(6):
        planted = with_baseline(space, Planted(planted=3, seed=seed)).defaults()
        assert planted == with_baseline(space, Planted(planted=3, seed=seed)).defaults()
        changed = {name for name in good.keys() & planted.keys() if good[name] != planted[name]}
        assert len(changed) == 3 and not changed & {name for fault in PUBLISHED for name in fault.bad}
        drawn.append(frozenset(changed))
    assert len(set(drawn)) > 3


def test_more_faults_than_a_space_can_express_are_refused():
    with pytest.raises(InputError, match=r"design\.baseline\.planted"):
        with_baseline(Space([Space()["pooling"], Space()["warmup"]]), Planted(planted=2))


def test_the_baseline_is_part_of_the_design(tmp_path):
    raw = {
        "study": "mine",
        "design": {"data": {"name": "mine"}, "baseline": {"planted": 2, "seed": 5}},
        "extent": {"strategies": {"random": {"kind": "random"}}},
    }
    planted = design_of(parse_config(raw))
    published = design_of(parse_config(raw | {"design": {"data": {"name": "mine"}}}))
    assert planted["baseline"] == {"planted": 2, "seed": 5} and published["baseline"] == "published"
    assert planted["knobs"] != published["knobs"]
