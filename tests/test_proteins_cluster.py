"""Clusters keep homologues together, leave strangers apart, and depend on nothing but the sequences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proteins_tables import LETTERS, sequence

from tmelt.proteins.cluster import cluster_homologues, find_homologues


def mutate(text, identity, random):
    """A homologue with about this identity, of the same length."""
    letters = np.array(list(text))
    changed = random.random(len(letters)) > identity
    letters[changed] = random.choice(LETTERS, changed.sum())
    return "".join(letters)


def families(identity, count=40, members=5, length=200):
    random = np.random.default_rng(7)
    ancestors = [sequence(number, length) for number in range(count)]
    return [mutate(ancestor, identity, random) for ancestor in ancestors for _ in range(members)]


def clusters(sequences):
    return cluster_homologues(len(sequences), find_homologues(sequences))


def grouping(sequences):
    """Clusters as a set of sets of sequences."""
    labels = clusters(sequences)
    return {frozenset(s for s, label in zip(sequences, labels, strict=True) if label == each) for each in labels}


@pytest.mark.parametrize("identity, kept", [(0.9, 1.0), (0.8, 1.0), (0.7, 0.95)])
def test_homologues_stay_together_and_strangers_apart(identity, kept):
    """Members that are `identity` from their ancestor are about `identity` squared from each other: .81, .64, .49."""
    labels = clusters(families(identity)).reshape(40, 5)
    whole = np.mean([len(set(family)) == 1 for family in labels])
    assert whole >= kept
    assert all(not set(a) & set(b) for at, a in enumerate(labels) for b in labels[:at])


def test_unrelated_sequences_have_no_pairs():
    assert len(find_homologues([sequence(number, 300) for number in range(400)]).first) == 0


def test_identity_and_coverage_are_measured():
    text = sequence(1, 200)
    other = "".join("A" if a != "A" and at % 10 == 0 else a for at, a in enumerate(text))
    pairs = find_homologues([text, other + sequence(2, 200)])
    same = np.mean([a == b for a, b in zip(text, other, strict=True)])
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0], [1])
    assert pairs.identity[0] == pytest.approx(same, abs=0.02) and pairs.coverage[0] == pytest.approx(0.5, abs=0.02)


def test_a_shared_short_segment_is_no_family():
    """Two proteins with one common stretch of 40 residues in 300: similar, not clustered."""
    common = sequence(1, 40)
    pair = [sequence(number, 130) + common + sequence(10 + number, 130) for number in (2, 3)]
    assert len(find_homologues(pair).first) == 1
    assert len(set(clusters(pair))) == 2


def test_insertions_and_ends_do_not_hide_a_homologue():
    text = sequence(1, 300)
    assert len(set(clusters([text, text[20:140] + "GSGSG" + text[140:]]))) == 1


def test_unknown_residues_match_nothing():
    assert len(find_homologues(["X" * 100, "X" * 100 + "A"]).first) == 0


@pytest.mark.parametrize("sequences", [[], ["A"], ["MK", "MK"], ["A" * 60, "A" * 61], ["X", "XX"]])
def test_small_and_simple_input(sequences):
    assert len(clusters(sequences)) == len(sequences)


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_sequences_does_not_matter(random):
    sequences = families(0.65, count=6, members=4, length=90) + [sequence(number, 50) for number in range(5)]
    shuffled = list(sequences)
    random.shuffle(shuffled)
    assert grouping(shuffled) == grouping(sequences)
