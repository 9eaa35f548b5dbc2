"""Variants of proteins: what each of them changes, and what it leaves alone."""

from collections import Counter

import numpy as np
import pytest

from tmelt.harness.perturbation import ALIKE, BLOCK, NOISE, swap_alike, variants

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def proteins(count=6, width=16):
    """Rows, embeddings and sequences of random proteins."""
    random = np.random.default_rng(1)
    lengths = random.integers(40, 90, count)
    return [
        (7 * row, random.normal(size=(length, width)).astype(np.float16), "".join(random.choice(LETTERS, length)))
        for row, length in enumerate(lengths)
    ]


@pytest.fixture
def made():
    """Function: the variants of one kind, by protein."""
    given = proteins()
    found = variants(given, with_sequences=True, random=np.random.default_rng(0))
    return given, lambda kind: {variant.protein: variant for variant in found if variant.kind == kind}


def test_unchanged_and_noisy_proteins(made):
    given, of = made
    for row, residues, sequence in given:
        assert np.array_equal(of("same")[row].residues, residues)
        assert of("same")[row].sequence == of("noise")[row].sequence == sequence
    change = np.concatenate([of("noise")[row].residues - residues.astype(float) for row, residues, _ in given])
    assert change.std() == pytest.approx(NOISE, rel=0.1)  # the features' standard deviation is 1
    assert abs(change.mean()) < 0.01


def test_a_trimmed_protein_lacks_one_residue_everywhere(made):
    given, of = made
    for row, residues, sequence in given:
        trimmed = of("trimmed")[row]
        assert len(trimmed.residues) == len(trimmed.sequence) == len(sequence) - 1
        (gone,) = [
            place
            for place in range(len(residues))
            if np.array_equal(np.delete(residues, place, axis=0), trimmed.residues)
        ]
        assert sequence[:gone] + sequence[gone + 1 :] == trimmed.sequence


def test_joined_proteins_are_two_whole_ones(made):
    given, of = made
    by_row = {row: (residues, sequence) for row, residues, sequence in given}
    for row, residues, sequence in given:
        joined = of("joined")[row]
        assert joined.partner != row
        assert joined.sequence == sequence + by_row[joined.partner][1]
        assert np.array_equal(joined.residues, np.concatenate([residues, by_row[joined.partner][0]]))


def test_swaps_are_conservative_keep_the_composition_and_reach_every_block():
    random = np.random.default_rng(0)
    changed = []
    for _ in range(50):
        sequence = "".join(random.choice(LETTERS, 200))
        swapped = swap_alike(sequence, random)
        assert Counter(swapped) == Counter(sequence)
        differing = [place for place in range(200) if swapped[place] != sequence[place]]
        assert all(swapped[place] in ALIKE[sequence[place]] for place in differing)
        blocks = {place // BLOCK for place in differing}
        assert blocks == set(range(200 // BLOCK))
        changed.append(len(differing) / 200)
    assert 0.1 <= np.mean(changed) < 0.2


def test_similar_letters_are_similar_both_ways():
    assert all(one in ALIKE[other] for one, others in ALIKE.items() for other in others)
    assert not ALIKE["C"] and not ALIKE["P"] and not ALIKE["G"]


def test_a_sequence_without_similar_letters_stays_as_it_is():
    assert swap_alike("CPGXCPGX", np.random.default_rng(0)) == "CPGXCPGX"
    assert swap_alike("", np.random.default_rng(0)) == ""


def test_without_granted_sequences_none_is_swapped():
    found = variants(proteins(), with_sequences=False, random=np.random.default_rng(0))
    assert {variant.kind for variant in found} == {"same", "noise", "trimmed", "joined"}


def test_proteins_of_one_row_lose_no_residue_and_are_joined_to_none():
    """Imported embeddings may have one row per protein."""
    random = np.random.default_rng(0)
    proteins = [(row, random.normal(size=(1, 4)).astype(np.float16), "MKVLAAGIVG") for row in range(3)]
    made = variants(proteins, with_sequences=False, random=random)
    assert [variant.kind for variant in made] == ["same", "noise"] * 3
    assert all(variant.residues.shape == (1, 4) for variant in made)
