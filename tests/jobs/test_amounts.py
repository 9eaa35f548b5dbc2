"""What jobs are granted, and which trials hang together."""

import pytest
from workflow import study

from tmelt.jobs import amounts
from tmelt.study.config import parse_config


def config(device="cpu", seeds=(0, 1, 2), strategies=None, **runtime):
    raw = study(seeds=list(seeds), runtime=runtime, **({"strategies": strategies} if strategies else {}))
    raw["design"]["device"] = device
    raw["design"]["budget"] |= {"fit_s": 600, "predict_s": 100, "memory_mb": 2000}
    return parse_config(raw)


@pytest.mark.parametrize(
    ("device", "seeds_per_job", "threads", "asked", "at_once"),
    [("cpu", 1, 2, 2, 1), ("cpu", "all", 2, 2, 1), ("cuda", "all", 2, 6, 3), ("cuda", 1, 2, 2, 1)],
)
def test_seeds_train_side_by_side_where_there_are_cores_for_them(device, seeds_per_job, threads, asked, at_once):
    chosen = config(device, seeds_per_job=seeds_per_job, threads=threads)
    assert amounts.training_threads(chosen) == asked
    assert amounts.side_by_side(chosen, asked) == at_once
    assert amounts.training_megabytes(chosen, asked) == 2000 * at_once + 1500


def test_fewer_cores_than_asked_for_still_train_one_seed():
    assert amounts.side_by_side(config(seeds_per_job="all", threads=4), 1) == 1


@pytest.mark.parametrize(("seeds", "threads", "rounds"), [(1, 1, 2), (3, 1, 4), (3, 3, 2), (3, 2, 3)])
def test_minutes_hold_a_rehearsal_and_every_round(seeds, threads, rounds):
    """A round is 600 s of training and three passes of 100 s; on a GPU half as much again, for the wall clock."""
    chosen = config("cuda", seeds_per_job="all", threads=1)
    assert amounts.training_minutes(chosen, seeds, threads) == int(3 + rounds * 1.5 * 900 / 60)


@pytest.mark.parametrize(
    ("iterations", "block", "expected"),
    [(1, 2, [[0, 1]]), (4, 2, [[0, 1], [2, 3], [4]]), (5, 3, [[0, 1, 2], [3, 4, 5]]), (2, 100, [[0, 1, 2]])],
)
def test_blocks_hold_every_trial_once_and_in_order(iterations, block, expected):
    assert [list(trials) for trials in amounts.blocks(iterations, block)] == expected


@pytest.mark.parametrize(
    ("group", "strategy", "name"),
    [
        ("trial", "bo", "smallest-bo-t1-i5"),
        ("block", "bo", "smallest-bo-t1-b2"),
        ("block", "ra", "smallest-ra-t1-i5"),
    ],
)
def test_an_agents_block_is_no_job_of_a_cluster(group, strategy, name):
    strategies = {"bo": {"kind": "bo"}, "ra": {"kind": "ra", "model": "playbook"}}
    assert amounts.job_group(config(strategies=strategies, group=group), strategy, 1, 5) == name


def test_a_plan_is_named_by_everything_that_is_wanted():
    raw = study(confirm_seeds=3)
    names = [amounts.plan_name(parse_config(raw))]
    for wanted in ({"incumbents": 2}, {"every_search": True}, {"purposes": ["winner", "interaction"]}):
        names.append(amounts.plan_name(parse_config(raw | {"evidence": wanted})))
    more = {"purposes": ["winner", "interaction"], "interaction_runs": 4}
    names.append(amounts.plan_name(parse_config(raw | {"evidence": more})))
    assert names[0] == "plan_k3_c3_baseline_incumbent_winner.parquet"
    assert len(set(names)) == len(names)
