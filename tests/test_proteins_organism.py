"""Spellings of organisms: merged where they mean one, named where they may."""

import itertools

import pytest

from tmelt.proteins.organism import may_be_one, one_spelling


@pytest.mark.parametrize(
    "names",
    [
        ["Escherichia coli", "escherichia coli", "Escherichia  coli ", "ESCHERICHIA COLI"],
        ["Escherichia coli", "E. coli", "E.coli", "E coli", "e. coli"],
        ["Escherichia coli", "Escherichia_coli", "Escherichia coli."],
        ["Homo sapiens", "human", "Human", "Homo sapiens (Human)", "H. sapiens"],
        ["Mus musculus", "mouse", "M. musculus"],
        ["Thermus thermophilus", "T. thermophilus", "thermus_thermophilus"],
        ["E. coli", "E.coli", "E coli"],
    ],
)
def test_one_organism(names):
    counts = dict.fromkeys(names, 1) | {names[0]: 5}
    for order in itertools.islice(itertools.permutations(names), 24):
        assert one_spelling({name: counts[name] for name in order}) == dict.fromkeys(names, names[0])
    others = {"Bacillus subtilis": 3, "Saccharomyces cerevisiae": 2}
    assert one_spelling(counts | others).items() >= {name: name for name in others}.items()


@pytest.mark.parametrize(
    "names",
    [
        ["Escherichia coli", "Escherichia fergusonii"],
        ["Escherichia coli", "Escherichia coli K12"],
        ["Escherichia coli (strain K12)", "Escherichia coli"],
        ["Thermus thermophilus", "Thermotoga thermophilus", "T. thermophilus"],  # two that fit
        ["o0", "o1", "o2"],
        ["synthetic organism 1", "synthetic organism 2"],
    ],
)
def test_different_organisms_stay_apart(names):
    assert one_spelling(dict.fromkeys(names, 1)) == {name: name for name in names}


@pytest.mark.parametrize(
    "names, pairs",
    [
        (["Escherichia coli", "Escherichia coli K12"], 1),
        (["Escherichia coli", "Escherichia colli"], 1),
        (["Thermus thermophilus", "Thermotoga thermophilus", "T. thermophilus"], 2),
        (["Escherichia coli", "Bacillus subtilis"], 0),
        (["organism 1", "organism 2"], 0),
        (["Escherichia coli", "Escherichia fergusonii"], 0),
    ],
)
def test_what_may_be_one_is_named(names, pairs):
    assert len(may_be_one(names)) == pairs
