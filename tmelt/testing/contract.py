"""The contract that every strategy without an LLM keeps, as tests to inherit.

    class TestMine(StrategyContract):
        kind = "mine"
        options = {"step": 0.1}

Every test is a search on a simulated landscape (tmelt.testing.simulation).
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tmelt.errors import InputError
from tmelt.search.history import History
from tmelt.search.knobs import Knob, Space
from tmelt.storage.files import canonical_json
from tmelt.strategies import propose
from tmelt.strategies.check_options import check_options
from tmelt.strategies.registry import kind_of
from tmelt.testing.simulation import REFERENCE, Landscape, context_of, simulate, write_history

FAILING = Landscape(Space(), seed=3, failing=0.3)
# Six configurations.
TINY = Space([
    Knob("pooling", "choice", "mean", "", choices=("mean", "max")),
    Knob("head_depth", "int", 2, "", 1, 2, when=("pooling", ("max",))),
    Knob("norm", "choice", "pre", "", choices=("pre", "post")),
])  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """A strategy under the contract."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    iterations: int = 60  # of the search that the tests look at
    tiny: Mapping[str, Any] = field(default_factory=dict)  # further options in a space of six configurations


class StrategyContract:
    """Tests of one strategy; a subclass names its kind, or has a fixture `arm` of its own."""

    kind: str
    options: Mapping[str, Any] = {}
    iterations: int = 60
    tiny: Mapping[str, Any] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def arm(cls) -> Arm:
        """The strategy."""
        return Arm(cls.kind, cls.options, cls.iterations, cls.tiny)

    @pytest.fixture(scope="class")
    @classmethod
    def history(cls, arm: Arm) -> History:
        """A search in which almost a third of the trials fail."""
        return simulate(arm.kind, arm.iterations, landscape=FAILING, options=arm.options)

    def test_its_options_are_legal_and_others_are_not(self, arm: Arm) -> None:
        check_options("mine", arm.kind, arm.options)
        with pytest.raises(InputError, match=r"extent\.strategies\.mine\.no_such_option"):
            check_options("mine", arm.kind, {**arm.options, "no_such_option": 1})

    def test_trial_0_is_the_baseline(self, arm: Arm) -> None:
        proposal = propose(History(), context_of(arm.kind, 0, options=arm.options))
        assert proposal.origin == "baseline"
        assert proposal.knobs == Space().defaults()
        assert proposal.script == REFERENCE

    def test_no_configuration_is_tried_twice(self, arm: Arm, history: History) -> None:
        configurations = {(canonical_json(trial.knobs), trial.fidelity) for trial in history}
        assert len(configurations) == len(history) == arm.iterations + 1

    def test_ranges_and_conditions_are_respected(self, history: History) -> None:
        for trial in history:
            assert Space().complete(trial.knobs) == trial.knobs
            for knob in Space():
                if knob.name in trial.knobs:
                    assert type(trial.knobs[knob.name]) is type(knob.default)

    def test_each_trial_has_a_declared_origin_and_a_reason(self, arm: Arm, history: History) -> None:
        assert {trial.origin for trial in history[1:]} <= set(kind_of(arm.kind).origins)
        assert all(trial.proposal["rationale"] for trial in history[1:])

    def test_failures_are_survived(self, history: History) -> None:
        assert history[0].ok
        assert len(history.failed) > len(history) / 8
        assert all(trial.val_mae is None for trial in history.failed)
        assert history[-1].incumbent is not None

    def test_a_search_that_only_fails_goes_on(self, arm: Arm) -> None:
        failed = simulate(arm.kind, 14, landscape=Landscape(Space(), failing=1.0), options=arm.options)
        assert len({(canonical_json(trial.knobs), trial.fidelity) for trial in failed}) == 15
        assert failed.incumbent is None

    def test_a_new_process_proposes_the_same(self, arm: Arm, history: History, tmp_path: Path) -> None:
        for length, hash_seed in ((1, "1"), (len(history), "2")):
            part = History(history[:length])
            here = propose(part, context_of(arm.kind, length, options=arm.options))
            path = tmp_path / f"{length}.parquet"
            write_history(path, part)
            program = [sys.executable, "-m", "tmelt.testing.simulation", str(path), arm.kind]
            environment = os.environ | {"PYTHONHASHSEED": hash_seed}
            there = subprocess.run(
                [*program, json.dumps(dict(arm.options))], env=environment, check=True, capture_output=True, text=True
            )
            assert there.stdout.strip() == canonical_json(asdict(here))

    def test_a_resumed_search_is_the_uninterrupted_one(self, arm: Arm, history: History, tmp_path: Path) -> None:
        half = len(history) // 2
        write_history(tmp_path / "history.parquet", History(history[:half]))
        past = History.read(tmp_path / "history.parquet")
        resumed = simulate(arm.kind, arm.iterations, landscape=FAILING, options=arm.options, history=past)
        assert resumed.head == history.head

    def test_searches_differ(self, arm: Arm, history: History) -> None:
        other = simulate(arm.kind, 3, landscape=FAILING, options=arm.options, trajectory=1)
        assert other[0].knobs == history[0].knobs
        assert any(other[i].knobs != history[i].knobs for i in (1, 2, 3))

    def test_a_used_up_space_stops_the_search(self, arm: Arm) -> None:
        """Six configurations: all are tried, none twice at one fidelity, and then the strategy says so."""
        options = {**arm.options, **arm.tiny}
        searched = simulate(arm.kind, 20, landscape=Landscape(TINY), options=options)
        assert len({canonical_json(trial.knobs) for trial in searched}) == 6
        assert len({(canonical_json(trial.knobs), trial.fidelity) for trial in searched}) == len(searched) < 21
        assert all(trial.full for trial in searched) <= (len(searched) == 6)
        proposal = propose(searched, context_of(arm.kind, len(searched), options=options, space=TINY))
        assert proposal.status == "stopped"
        assert proposal.error
