"""Notations of mutations, and their application to a wild type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmelt.proteins.mutation import MutationError, apply_mutations, is_applied, offset_of, parse_mutations

WILD = "MKVLLAWYHC"


@pytest.mark.parametrize(
    "text, spelled",
    [
        ("K2A", "K2A"), (" K2A ", "K2A"), ("AK2A", "K2A"), ("A:K2A", "K2A"), ("p.Lys2Ala", "K2A"), ("Lys2Ala", "K2A"),
        ("p.(Lys2Ala)", "K2A"), ("LYS2ALA", "K2A"), ("K2A/V3G", "K2A+V3G"), ("K2A,V3G", "K2A+V3G"),
        ("K2A, V3G", "K2A+V3G"),
        ("K2A;V3G", "K2A+V3G"), ("K2A:V3G", "K2A+V3G"), ("K2A+V3G", "K2A+V3G"), ("K2A V3G", "K2A+V3G"),
        ("K2A_V3G", "K2A+V3G"),
        ("A:K2A,A:V3G", "K2A+V3G"), ("K2A V3G (Based on UniProt)", "K2A+V3G"),
        ("K2A (Based on UniProt and PDB)", "K2A"),
        ("WT", ""), ("wild-type", ""), ("Wild type", ""), ("wt", ""), ("p.=", ""), ("wild-type (Based on PDB)", ""),
    ],
)  # fmt: skip
def test_notations(text, spelled):
    assert "+".join(map(str, parse_mutations(text))) == spelled


@pytest.mark.parametrize(
    "text", ["", " ", "K2del", "ins2K", "K2", "2A", "K2*", "B2A", "K2A/K2V", "p.Lys2Xyz", "yes", "K2A?", "ΔK2"]
)
def test_what_is_no_mutation(text):
    with pytest.raises(MutationError) as caught:
        parse_mutations(text)
    assert len(str(caught.value).splitlines()) == 1


def test_mutations_are_checked_against_the_wild_type():
    assert apply_mutations(WILD, parse_mutations("K2A/C10W")) == "MAVLLAWYHW"
    for text in ("A2K", "K3A", "C11W", "M0A"):
        with pytest.raises(MutationError):
            apply_mutations(WILD, parse_mutations(text))


@given(st.data())
def test_an_applied_mutation_is_found_in_place(draw):
    at = draw.draw(st.integers(0, 9))
    letter = draw.draw(st.sampled_from([one for one in "ACDEFGHIKLMNPQRSTVWY" if one != WILD[at]]))
    mutations = parse_mutations(f"{WILD[at]}{at + 1}{letter}")
    mutant = apply_mutations(WILD, mutations)
    assert is_applied(mutant, mutations) and not is_applied(WILD, mutations)
    assert [a != b for a, b in zip(mutant, WILD, strict=True)].count(True) == 1


def test_a_shift_is_named_only_if_it_is_the_only_one():
    shifted = [parse_mutations(f"{WILD[at]}{at + 101}G") for at in range(5)]
    assert offset_of(WILD, shifted) == -100
    assert offset_of(WILD, shifted[:3]) is None
    assert offset_of("A" * 20, [parse_mutations(f"A{at}G") for at in range(101, 106)]) is None
