"""Where a search's gain comes from: which scores, and into what it is divided."""

import polars as pl
import pytest

from tmelt.evidence import attribution
from tmelt.evidence.attribution import FRESH, SEARCH, _remarks, _split_of_steps, _split_of_winner
from tmelt.evidence.confirmation import Candidate
from tmelt.evidence.winners import Confirmed, candidate_of
from tmelt.search.history import Proposal
from tmelt.storage.schema import read_table


def _steps(*rows):
    """Kept changes: (kind, outside, effect, search_effect, in_space_share)."""
    names = ("kind", "outside", "effect", "search_effect", "in_space_share")
    schema = {"kind": pl.String, "outside": pl.String, **dict.fromkeys(names[2:], pl.Float64)}
    return pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


KNOBS = ("in_space", None, -0.5, -0.7, 1.0)
CONSTANT = ("out_of_space", "hyperparameters", -0.2, -0.4, 0.0)
REWRITE = ("out_of_space", "structure", -0.3, -0.6, 0.0)
BOTH = ("mixed", "structure", -0.4, -0.8, 0.25)
SPELLING = ("none", None, 0.0, -0.1, None)


def _parts(split):
    return [split[name] for name in ("gain", "in_space", "out_of_space", "hyperparameters", "structure", "unknown")]


def test_steps_add_up_by_either_score():
    own = _steps(KNOBS, CONSTANT, REWRITE, BOTH)
    assert _parts(_split_of_steps(own, FRESH)) == pytest.approx([-1.4, -0.6, -0.8, -0.2, -0.6, 0.0])
    assert _parts(_split_of_steps(own, SEARCH)) == pytest.approx([-2.5, -0.9, -1.6, -0.4, -1.2, 0.0])


def test_a_projection_of_the_winner_divides_the_gain_on_fresh_seeds():
    found = _split_of_winner(_steps(KNOBS, REWRITE), -1.0, -0.4)
    assert (found["source"], found["basis"]) == (FRESH, "projection")
    assert _parts(found) == pytest.approx([-1.0, -0.4, -0.6, 0.0, -0.6, 0.0])


def test_two_kinds_out_of_space_stay_undivided_in_a_projection():
    found = _split_of_winner(_steps(KNOBS, REWRITE, CONSTANT), -1.0, -0.4)
    assert _parts(found) == [-1.0, -0.4, -0.6, None, None, 0.0]
    assert list(_remarks(_steps(KNOBS, REWRITE, CONSTANT), found, 0)) == [
        "other constants and structure were not trained apart"
    ]


def test_changes_of_one_kind_need_no_projection():
    assert _parts(_split_of_winner(_steps(KNOBS, SPELLING), -1.0, None)) == [-1.0, -1.0, 0.0, 0.0, 0.0, 0.0]
    assert _parts(_split_of_winner(_steps(CONSTANT), -1.0, None)) == [-1.0, 0.0, -1.0, -1.0, 0.0, 0.0]
    assert _split_of_winner(_steps(KNOBS, REWRITE), -1.0, None) is None
    assert _split_of_winner(_steps(BOTH), -1.0, None) is None


def test_a_gain_by_spelling_alone_is_unknown():
    found = _split_of_winner(_steps(SPELLING), -0.1, None)
    assert _parts(found) == [-0.1, 0.0, 0.0, 0.0, 0.0, -0.1]
    assert list(_remarks(_steps(SPELLING), found, 0)) == ["trainings of the same code and knobs differed"]


def test_no_gain_is_said_with_its_source():
    worse = _split_of_winner(_steps(KNOBS), 0.2, None)
    assert list(_remarks(_steps(KNOBS), worse, 0)) == ["no gain over the baseline on fresh seeds"]
    none = _split_of_steps(_steps(), SEARCH)
    assert list(_remarks(_steps(), none, 2)) == [
        "no gain over the baseline in validation", "the baseline failed: measured from trial 2"
    ]  # fmt: skip


def test_effects_of_a_study_come_from_fresh_seeds_where_both_ends_were_retrained(simulated, read):
    changes = read("changes")
    fresh = dict(read("confirmed_runs").group_by("candidate").agg(pl.col("val_mae").mean()).iter_rows())

    def name(row, iteration):
        folder = simulated.study / row["strategy"] / f"t{row['trajectory']}" / f"i{iteration}"
        proposal = Proposal.read(folder)
        return Candidate(proposal.script, proposal.knobs).name

    for row in changes.to_dicts():
        ends = [name(row, row["iteration"]), name(row, row["parent"])]
        if set(ends) <= set(fresh):
            assert row["source"] == FRESH and row["effect"] == pytest.approx(fresh[ends[0]] - fresh[ends[1]])
        else:
            assert row["source"] == SEARCH and row["effect"] == row["search_effect"]
    assert FRESH in set(changes["source"])


def test_effects_come_from_the_search_where_an_end_was_not_retrained(simulated, read):
    plan = read_table(simulated.study / "confirm" / "plan.parquet")
    predictions = read_table(simulated.study / "evidence" / "confirmed_predictions.parquet")
    baseline = candidate_of(plan, "baseline", None, None)
    confirmed = Confirmed.of(
        predictions.filter(pl.col("candidate") == baseline),
        read_table(simulated.study / "evidence" / "labels.parquet"),
    )
    found = attribution.changes(read("trials"), read("runs"), plan, confirmed, simulated.study, simulated.space)
    assert len(found) and set(found["source"]) == {SEARCH}
    assert found["effect"].to_list() == found["search_effect"].to_list()


def test_gains_of_a_study_come_from_fresh_seeds(read):
    rows = read("attribution")
    assert set(rows["source"]) == {FRESH}
    assert rows["gain"].to_list() == pytest.approx(rows["confirmed_gain"].to_list())
