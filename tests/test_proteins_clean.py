"""Cleaning: every decision is taken as documented, counted, and shown row by row."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proteins_tables import data, sequence

from tmelt.errors import InputError
from tmelt.proteins.clean import AMINO_ACIDS, IN_VAULT, clean_records
from tmelt.proteins.read import Record
from tmelt.proteins.table import Table

TABLE = Table(Path("mine.csv"), [], [], "line")
A, B, C = sequence(1), sequence(2), sequence(3)


def records(*cells):
    """Records from (sequence, tm) or (sequence, tm, further fields) in lines 2, 3, …"""
    made = []
    for line, (text, tm, *more) in enumerate(cells, 2):
        made.append(
            Record(line, **({"protein_id": f"p{line}", "sequence": text, "tm": tm} | (more[0] if more else {})))
        )
    return made


def clean(given, **settings):
    proteins, cleaning = clean_records(given, TABLE, data(**settings))
    counts = {step["what"]: step["rows"] for step in cleaning.steps}
    return proteins, counts, cleaning.rows


def fault(given, **settings):
    with pytest.raises(InputError) as caught:
        clean(given, **settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def plain(count=30, tm=50.0):
    return [(sequence(100 + number), tm + number % 7) for number in range(count)]


def test_sound_rows_are_left_alone():
    proteins, counts, rows = clean(records((A, 50.0, {"organism": "o", "split": "train"}), (B, 60.0)))
    assert [(p.protein_id, p.sequence, p.tm) for p in proteins] == [("p2", A, 50.0), ("p3", B, 60.0)]
    assert (proteins[0].organism, proteins[0].split, proteins[0].rows) == ("o", "train", [2])
    assert rows == [] and counts.pop("rows of the table") == 2 and set(counts.values()) == {0}


def test_repairs_are_made_and_shown():
    proteins, counts, rows = clean(records((A.lower(), 50.0), (f" {B[:20]} {B[20:]}\n", 51.0), (C + "**", 52.0)))
    assert [protein.sequence for protein in proteins] == [A, B, C]
    for what in ("lower case in the sequence", "white space in the sequence", "* at the end of the sequence"):
        assert counts[what] == 1 and [row["what"] for row in rows].count(what) == 1
    shown = {row["protein_id"]: (row["row"], row["before"], row["after"]) for row in rows}
    assert shown["p2"] == (2, A.lower(), A)
    assert shown["p4"] == (4, f"residue 61: {C[50:]}**", f"residue 61: {C[50:]}")


@pytest.mark.parametrize("letter", ["B", "J", "O", "U", "X", "Z", "*"])
def test_nonstandard_residues_by_policy(letter):
    odd = A[:10] + letter + A[11:]
    given = records((odd, 50.0), (B, 60.0))
    proteins, counts, rows = clean(given, nonstandard="mask")
    assert proteins[0].sequence == A[:10] + "X" + A[11:]
    assert counts["non-standard residues"] == (letter != "X")
    proteins, counts, rows = clean(given, nonstandard="drop")
    assert [protein.sequence for protein in proteins] == [B]
    assert (rows[0]["before"], rows[0]["after"]) == (letter, "dropped") and counts["non-standard residues"] == 1
    line = fault(given, nonstandard="stop")
    assert line == (
        f"mine.csv: line 2, column sequence: residue 11 is {letter!r}; "
        "correct it, or set design.data.nonstandard to mask or drop"
    )
    assert len(clean(records((A, 50.0)), nonstandard="stop")[0]) == 1


@pytest.mark.parametrize(
    "text, what",
    [
        (A[:6] + "-" + A[6:], "'-' at position 7 is no residue; remove the gaps of the alignment"),
        (A[:6] + "1" + A[6:], "'1' at position 7 is no residue; write amino acids in one-letter code"),
        (A[:6] + "Ä" + A[6:], "'Ä' at position 7"),
    ],
)
def test_what_is_no_residue_stops(text, what):
    line = fault(records((A, 50.0), (text, 60.0), (text, 61.0)))
    assert line.startswith("mine.csv: line 3, column sequence: ") and what in line and "(1 more such row)" in line


def test_rows_without_a_label_have_no_faults():
    assert len(clean(records((A, 50.0), (A[:6] + "-" + A[6:], None), ("ACGT" * 20, None), ("ACGT" * 20, None)))[0]) == 1


def test_nucleotides_are_noticed():
    assert "looks like DNA or RNA" in fault(records(("ACGT" * 20, 50.0), ("acgu" * 20, 51.0), (A, 52.0)))


def test_rows_without_value_or_sequence_are_dropped():
    proteins, counts, rows = clean(records((A, 50.0), (B, None), ("", 60.0), (" * ", 60.0)))
    assert len(proteins) == 1 and counts["no melting temperature"] == 1 and counts["no sequence"] == 2
    assert {row["row"] for row in rows if row["after"] == "dropped"} == {3, 4, 5}


def test_lengths_and_unknown_residues_are_limited():
    given = records((A, 50.0), (A[:30], 51.0), (A + B, 52.0), ("X" * 31 + A[31:], 53.0), ("X" * 30 + A[30:], 54.0))
    proteins, counts, rows = clean(given, length_min=31, length_max=100)
    assert [protein.rows for protein in proteins] == [[2], [6]]
    assert counts["shorter than 31 residues"] == counts["longer than 100 residues"] == 1
    assert counts["more than half of the sequence unknown"] == 1
    assert [row["before"] for row in rows] == [
        "60 residues, 31 unknown", "30 residues, 0 unknown", "120 residues, 0 unknown",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "convert, what",
    [
        (lambda tm: tm + 273.15, "looks like Kelvin (median 326.1, 90 % between 323.1 and 329.1); subtract 273.15"),
        (lambda tm: tm * 1.8 + 32, "looks like °F (median 127.4, 90 % between 122 and 132.8); convert it"),
        (lambda tm: (tm - 50) / 6, "looks scaled to 0–1"),
        (lambda tm: (tm - 53) / 2, "looks like z-scores"),
    ],
)
@pytest.mark.parametrize("count", [7, 60])
def test_other_units_are_noticed(convert, what, count):
    line = fault(records(*((text, convert(tm)) for text, tm in plain(count))))
    assert line.startswith("mine.csv: column tm: ") and what.split(" (")[0] in line
    assert count == 7 or what in line


def test_real_ranges_in_celsius_are_not_mistaken():
    for low, high in ((25.0, 45.0), (30.0, 99.0), (80.0, 105.0)):
        given = [(sequence(number), low + (high - low) * number / 39) for number in range(40)]
        assert len(clean(records(*given))[0]) == 40


def test_single_absurd_values_are_dropped_and_many_stop():
    given = [*plain(40), (A, 323.15), (B, -5.0)]
    proteins, counts, rows = clean(records(*given))
    assert len(proteins) == 40 and counts["melting temperature outside 10 to 120 °C"] == 2
    assert [(row["before"], row["after"]) for row in rows] == [("323.15", "dropped"), ("-5", "dropped")]
    mixed = [(text, tm + 273.15 if number % 4 == 0 else tm) for number, (text, tm) in enumerate(plain(40))]
    line = fault(records(*mixed))
    assert "10 of 40 values lie outside 10 to 120 °C (the first is 323.15): mixed units?" in line


def test_nothing_left_says_why():
    assert "column tm: holds no value" in fault(records((A, None)))
    line = fault(records((A[:10], 50.0), (B[:10], 50.0)))
    assert "no row is left after cleaning (2 × shorter than 20 residues)" in line


def test_repeated_sequences_are_averaged_with_their_range():
    given = records((A, 50.0), (B, 60.0), (A.lower(), 53.0, {"protein_id": "other", "organism": "o"}))
    proteins, counts, rows = clean(given)
    assert [(p.protein_id, p.tm, p.organism, p.rows) for p in proteins] == [
        ("p2", 51.5, "o", [2, 4]), ("p3", 60.0, None, [3]),
    ]  # fmt: skip
    assert counts["sequence in several rows"] == 1
    shown = {row["what"]: (row["before"], row["after"]) for row in rows}
    assert shown["sequence in several rows"] == ("50; 53", "51.50 (range 3.00 °C of 2)")
    assert shown["several names of one sequence"] == ("p2; other", "p2")


def test_masking_can_make_two_sequences_one():
    given = records((A[:10] + "U" + A[11:], 50.0), (A[:10] + "O" + A[11:], 52.0))
    assert [protein.tm for protein in clean(given)[0]] == [51.0]


def test_one_name_for_different_sequences_stops():
    line = fault(records((A, 50.0, {"protein_id": "x"}), (B, 60.0, {"protein_id": "x"})))
    assert line == (
        "mine.csv: line 3, column protein_id: 'x' names another sequence in line 2; rename one of them, "
        "or set design.data.columns.protein_id to null to have names made"
    )


@pytest.mark.parametrize(
    "splits, winner",
    [(("train", "test"), "test"), (("val", "test"), "test"), (("train", "val"), "val"), (("fit", "stop"), "stop")],
)
def test_conflicting_splits_go_to_the_best_guarded(splits, winner):
    for order in (splits, splits[::-1]):
        proteins, counts, rows = clean(records(*((A, 50.0, {"split": split}) for split in order)))
        assert [protein.split for protein in proteins] == [winner]
        assert counts["one sequence in several splits"] == 1 and rows[-1]["after"] == winner


def test_sealed_labels_leave_the_table_of_rows():
    text, same = sequence(100), {"protein_id": "p2"}
    given = records(*plain(40), (text, 300.0, same), (text, 58.0, same))
    _, cleaning = clean_records(given, TABLE, data())
    cleaning.hide_labels(["p2"])
    shown = {row["what"]: (row["before"], row["after"]) for row in cleaning.rows}
    assert shown["sequence in several rows"] == (IN_VAULT, "(range 8.00 °C of 2)")
    assert shown["melting temperature outside 10 to 120 °C"] == (IN_VAULT, "dropped")


@given(
    st.lists(
        st.tuples(
            st.text("ACDEFGHIKLMNPQRSTVWYacdxXUB* \n", min_size=0, max_size=40),
            st.one_of(st.none(), st.floats(-50, 400)),
            st.fixed_dictionaries({"protein_id": st.sampled_from("abcd")}),
        ),
        max_size=12,
    ),
    st.sampled_from(["drop", "mask", "stop"]),
)
def test_whatever_comes_the_books_balance(cells, policy):
    """Clean, distinct, within the limits, every row accounted for; or one line."""
    given = records(*cells)
    try:
        proteins, cleaning = clean_records(given, TABLE, data(nonstandard=policy, length_min=5))
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert len({protein.sequence for protein in proteins}) == len(proteins)
    for protein in proteins:
        assert set(protein.sequence) <= set(AMINO_ACIDS + "X") and len(protein.sequence) >= 5
        assert 10 <= protein.tm <= 120
    used = {row for protein in proteins for row in protein.rows}
    dropped = {row["row"] for row in cleaning.rows if row["after"] == "dropped"}
    assert used | dropped == {record.row for record in given} and not used & dropped
    assert cleaning.steps[-1]["left"] == len(proteins)
