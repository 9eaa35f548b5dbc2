"""Splits: complete, seeded, independent of the order of the rows, and homologues never on two sides."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proteins_tables import data, sequence
from test_proteins_cluster import families

from tmelt.errors import InputError
from tmelt.proteins.clean import Protein
from tmelt.proteins.cluster import find_homologues
from tmelt.proteins.split import split_proteins, take_subset


def proteins(sequences, splits=None):
    splits = splits or [None] * len(sequences)
    return [
        Protein(f"p{at}", text, 50.0, None, split, [at])
        for at, (text, split) in enumerate(zip(sequences, splits, strict=True))
    ]


def strangers(count=200, length=60):
    return [sequence(number, length) for number in range(count)]


def by_sequence(made, **choices):
    return {p.sequence: label for p, label in zip(made, split_proteins(made, data(**choices))[0], strict=True)}


GIVEN = ["train"] * 120 + ["val"] * 40 + ["test"] * 40


def test_auto_takes_the_given_split_and_divides_train():
    labels, facts, _ = split_proteins(proteins(strangers(), GIVEN), data())
    assert (facts["method"], facts["asked"], facts["stop_by"]) == ("given", "auto", "cluster")
    assert {label for label, split in zip(labels, GIVEN, strict=True) if split == "val"} == {"val", "select"}
    assert labels[160:] == GIVEN[160:]
    assert Counter(labels) == {"fit": 108, "stop": 12, "val": 20, "select": 20, "test": 40} == facts["counts"]


def test_auto_without_a_split_clusters():
    labels, facts, _ = split_proteins(proteins(strangers()), data())
    assert (facts["method"], facts["asked"], facts["stop_by"]) == ("cluster", "auto", "cluster")
    assert facts["counts"] == {"fit": 126, "stop": 14, "val": 15, "select": 15, "test": 30} == Counter(labels)


def test_a_given_stop_is_kept():
    splits = ["fit"] * 60 + ["stop"] * 20 + ["train"] * 40 + GIVEN[120:]
    _, facts, _ = split_proteins(proteins(strangers(), splits), data())
    assert facts["stop_by"] == "given" and facts["stop_fraction"] is None
    assert facts["counts"] == {"fit": 100, "stop": 20, "val": 20, "select": 20, "test": 40}


@pytest.mark.parametrize("method", ["cluster", "given"])
def test_no_family_is_on_two_sides(method):
    made = proteins(families(0.85, count=40, members=5, length=120))
    if method == "given":  # whole families again, so that only the division of train is ours
        for at, protein in enumerate(made):
            protein.split = GIVEN[at]
    labels, facts, _ = split_proteins(made, data(split=method, split_fractions=(0.6, 0.2, 0.2), stop_fraction=0.2))
    assert [len(set(labels[at : at + 5])) for at in range(0, 200, 5)] == [1] * 40
    assert facts["across"]["homologous_pairs"] == 0
    assert facts["clusters"]["count"] == 40 and facts["clusters"]["largest"] == 5
    assert all(
        abs(facts["counts"][name] - n) <= 5
        for name, n in {"fit": 96, "stop": 24, "val": 20, "select": 20, "test": 40}.items()
    )


def test_the_facts_tell_of_homologues_across_a_given_split():
    made = proteins(families(0.9, count=100, members=2, length=120), ["train", "test"] * 80 + ["val"] * 40)
    _, facts, _ = split_proteins(made, data())
    assert facts["across"]["homologous_pairs"] == 80
    closest = facts["across"]["closest"]
    assert closest["identity"] > 0.8 and closest["coverage"] > 0.9 and "test" in closest["splits"]


def test_a_dominating_family_goes_to_train():
    made = proteins(families(0.9, count=1, members=60, length=120) + strangers(140))
    labels, *_ = split_proteins(made, data(split="cluster"))
    assert set(labels[:60]) == {"fit"}


def test_variants_of_one_protein_divide_train_by_hash_and_say_so():
    made = proteins(families(0.97, count=1, members=200, length=120), GIVEN)
    with pytest.raises(InputError, match=r"40 validation proteins form 1 clusters .*select_by to hash"):
        split_proteins(made, data())
    _, facts, _ = split_proteins(made, data(select_by="hash"))
    assert facts["select_by"] == "hash" and facts["counts"]["select"] >= 8
    assert facts["stop_by"] == "hash" and 3 <= facts["counts"]["stop"] <= 30
    with pytest.raises(InputError, match="0 proteins in stop by the cluster split of 200 proteins in 1 clusters"):
        split_proteins(made, data(split="cluster"))


@pytest.mark.parametrize("method", ["cluster", "hash", "auto"])
def test_the_order_of_the_rows_does_not_matter_and_the_seed_does(method):
    sequences = strangers(150)
    order = np.random.default_rng(0).permutation(150)
    splits = ["train"] * 100 + ["val"] * 25 + ["test"] * 25 if method == "auto" else None
    made = proteins(sequences, splits)
    first = by_sequence(made, split=method)
    assert by_sequence([made[at] for at in order], split=method) == first
    assert by_sequence(made, split=method, split_seed=1) != first


def test_by_hash_nobody_changes_sides_when_proteins_are_added():
    few, many = proteins(strangers(200)), proteins(strangers(400))
    before, after = (by_sequence(made, split="hash", select_by="hash") for made in (few, many))
    assert all(after[text] == label for text, label in before.items())
    share = Counter("val" if label == "select" else label for label in after.values())
    assert abs(share["val"] - 60) < 25 and abs(share["test"] - 60) < 25 and share["stop"] > 10


@pytest.mark.parametrize(
    "splits, what",
    [
        ([None] * 200, "design.data.split is 'given', but there is no column split with splits"),
        (["train"] * 160 + ["test"] * 40, "no row says val (there are: 40 test, 160 train); add such rows, or set"),
        (["val"] * 160 + ["test"] * 40, "no row says train"),
        (["train"] * 200, "no row says val or test"),
        (["train"] * 170 + ["val"] * 29 + ["test"], "1 proteins in test by the given split"),
        (["train"] * 10 + ["val"] * 90 + ["test"] * 100, "proteins in fit by the given split"),
    ],
)
def test_incomplete_splits_end_in_one_line(splits, what):
    with pytest.raises(InputError) as caught:
        split_proteins(proteins(strangers(), splits), data(split="given"))
    assert what in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_subset_keeps_the_proportions_of_given_splits():
    made = proteins(strangers(400), ["train"] * 280 + ["val"] * 60 + ["test"] * 60)
    part = take_subset(made, data(subset=100))
    assert Counter(protein.split for protein in part) == {"train": 70, "val": 15, "test": 15}
    assert [int(protein.protein_id[1:]) for protein in part] == sorted(int(protein.protein_id[1:]) for protein in part)
    assert take_subset(made, data(subset=100)) == part
    assert take_subset(made, data(subset=100, split_seed=1)) != part
    assert take_subset(made, data(subset=400)) == take_subset(made, data()) == made


@given(st.integers(60, 140), st.lists(st.sampled_from(["train", "val", "test"]), min_size=150, max_size=150))
def test_a_subset_has_the_size_asked_for(size, splits):
    part = take_subset(proteins(strangers(150), splits), data(subset=size))
    assert len(part) == size
    whole, taken = Counter(splits), Counter(protein.split for protein in part)
    assert all(abs(taken[name] - size * whole[name] / 150) < 1 for name in whole)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=15, max_size=40),
    st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.8, 0.1, 0.1)]),
    st.integers(0, 3),
)
def test_clusters_are_dealt_whole_and_near_the_fractions(sizes, fractions, seed):
    random = np.random.default_rng(seed)
    sequences = []
    for number, size in enumerate(sizes):
        text = sequence(number, 70)
        places = [random.choice(70, 3, replace=False) for _ in range(size)]
        sequences += [
            "".join("ACDEFG"[(i + at) % 6] if at in p else a for at, a in enumerate(text)) for i, p in enumerate(places)
        ]
    made = proteins(sorted(set(sequences)))
    try:
        labels, facts, _ = split_proteins(made, data(split="cluster", split_fractions=fractions, split_seed=seed))
    except InputError as error:
        assert "at least" in str(error) or "too few to divide" in str(error)
        return
    pairs = find_homologues([protein.sequence for protein in made])
    crossing = [a for a, b in zip(pairs.first, pairs.second, strict=True) if labels[a] != labels[b]]
    assert not crossing
    validation = facts["counts"]["val"] + facts["counts"]["select"]
    for count, share in zip((validation, facts["counts"]["test"]), fractions[1:], strict=True):
        assert abs(count - share * len(made)) <= 12
    assert abs(facts["counts"]["val"] - facts["counts"]["select"]) <= 12


def test_validation_is_halved_by_cluster_and_by_the_seed():
    splits = ["train"] * 200 + ["val"] * 100 + ["test"] * 100
    made = proteins(families(0.85, count=80, members=5, length=120), splits)
    labels, facts, clusters = split_proteins(made, data(split="given"))
    assert facts["select_by"] == "cluster" and facts["counts"]["val"] == facts["counts"]["select"] == 50
    sides = {}
    for label, cluster in zip(labels, clusters, strict=True):
        sides.setdefault(cluster, set()).add(label)
    assert not any({"val", "select"} <= side for side in sides.values())
    assert split_proteins(made, data(split="given"))[0] == labels
    assert split_proteins(made, data(split="given", split_seed=1))[0] != labels
    third = split_proteins(made, data(split="given", select_fraction=0.3))[1]["counts"]
    assert (third["val"], third["select"]) == (70, 30)


def test_a_given_select_part_is_kept():
    splits = ["train"] * 120 + ["val"] * 30 + ["select"] * 10 + ["test"] * 40
    labels, facts, _ = split_proteins(proteins(strangers(), splits), data())
    assert facts["select_by"] == "given" and labels[120:] == splits[120:]
