"""Proteins to predict: read and cleaned as the study's own, or refused in one line."""

import polars as pl
import pytest

from tmelt.bundle.sequences import read_queries
from tmelt.errors import InputError
from tmelt.storage.files import sha256_text

ABOUT = {"nonstandard": "mask", "length": [4, 12]}


def queries(path, text, known=(), **about):
    path.write_text(text)
    return read_queries(path, ABOUT | about, set(known))


def test_fasta_keeps_its_order_and_names(tmp_path):
    found = queries(tmp_path / "a.fasta", ">second x\nmkvl\n LAWY*\n\n>sp|P1|FIRST\nMKVLLA\n")
    assert [(one.protein_id, one.sequence, one.masked) for one in found] == [
        ("second", "MKVLLAWY", "MKVLLAWY"), ("sp|P1|FIRST", "MKVLLA", "MKVLLA")
    ]  # fmt: skip
    assert [one.warnings for one in found] == [[], []]


def test_tables_are_read_too(tmp_path):
    frame = pl.DataFrame({"tm": [1.0, 2.0], "sequence": ["MKVLLA", "MKVLLAW"], "protein_id": ["a", "b"]})
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_csv(tmp_path / "a.csv")
    for name in ("a.parquet", "a.csv"):
        found = read_queries(tmp_path / name, ABOUT, set())
        assert [(one.protein_id, one.sequence) for one in found] == [("a", "MKVLLA"), ("b", "MKVLLAW")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "Protein ID,Sequence\na,MKVLLA\n"),
        ("a.csv", "Entry;aa_seq\na;MKVLLA\n"),
        ("a.txt", "uniprot_id\tprotein_sequence\na\tMKVLLA\n"),
        ("a.csv", ">a b\nMKVLLA\n"),
        ("a.fasta", "\ufeff>a b\nMKVLLA\n"),
    ],
)
def test_files_are_recognised_by_content(tmp_path, name, text):
    (one,) = queries(tmp_path / name, text)
    assert (one.protein_id, one.sequence) == ("a", "MKVLLA")


def test_proteins_of_a_parquet_file_may_be_numbered(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"protein_id": [0, 1], "sequence": ["MKVLLA", "MKVLLAW"]}).write_parquet(path)
    assert [one.protein_id for one in read_queries(path, ABOUT, set())] == ["0", "1"]
    pl.DataFrame({"protein_id": [None, "b"], "sequence": ["MKVLLA", "MKVLLAW"]}).write_parquet(path)
    assert [one.protein_id for one in read_queries(path, ABOUT, set())] == ["[line 1]", "b"]


@pytest.mark.parametrize(
    ("sequence", "warning"),
    [
        ("MKV", "shorter than any trained on (4 residues)"),
        ("MKVLLAWYMKVLLAWY", "longer than any trained on (12 residues)"),
        ("MKVUBL", "non-standard residues BU read as X"),
        ("MKV*LL", "non-standard residues * read as X"),
        ("MKVLLW", "in the training set: the interval is not meant for it"),
        ("MXXXXL", "non-standard residues X read as X; not predicted: more than half of the sequence is unknown"),
    ],
)
def test_what_to_read_with_care_is_said(tmp_path, sequence, warning):
    (one,) = queries(tmp_path / "a.fasta", f">a\n{sequence}\n", [sha256_text("MKVLLW")])
    assert "; ".join(one.warnings) == warning
    assert (one.masked is None) == ("not predicted" in warning)


def test_a_masked_sequence_is_found_in_training_as_the_study_had_it(tmp_path):
    (one,) = queries(tmp_path / "a.fasta", ">a\nMKVUL\n", [sha256_text("MKVXL")])
    assert one.masked == "MKVXL"
    assert "in the training set: the interval is not meant for it" in one.warnings


def test_the_studys_policy_for_other_residues_holds(tmp_path):
    (one,) = queries(tmp_path / "a.fasta", ">a\nMKVUL\n", nonstandard="drop")
    assert one.masked is None
    assert "the study dropped such proteins" in one.warnings[0]
    one, two = queries(tmp_path / "a.fasta", ">a\nMKVUL\n>b\nMKVL\n", nonstandard="stop")
    assert one.masked is None and two.masked == "MKVL"
    assert one.warnings[0].startswith("not predicted: 'U' at position 4 is none of the 20 amino acids")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("; a comment\n", "holds no protein"),
        ("MKVLLA\n", "line 1: text before the first header"),
        (">a\n>b\nMKVLLA\n>c\n", r"line 1: protein 'a': no sequence; add it, or remove the entry \(1 more of 3"),
        (">a\n*\n", "line 1: protein 'a': no sequence"),
        (">a\nMK-VL\n", "'-' at position 3 is no residue; remove the gaps"),
        (">a\nMK1VL\n", "'1' at position 3 is no residue; write amino acids in one-letter code"),
        (">a\nMKÄVL\n", "'Ä' at position 3 is no residue"),
        (">a\nACGTACGTACGT\n>b\nACGUACGU\n", "looks like DNA or RNA"),
    ],
)
def test_what_is_no_protein_is_one_line(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as error:
        queries(tmp_path / "a.fasta", text)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "a.fasta") in str(error.value)


def test_files_that_are_no_text_are_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_queries(tmp_path / "none.fasta", ABOUT, set())
    (tmp_path / "a.fasta").write_bytes(b"\x1f\x8bxx")
    with pytest.raises(InputError, match="damaged gzip file"):
        read_queries(tmp_path / "a.fasta", ABOUT, set())
    with pytest.raises(InputError, match="cannot be read"):
        read_queries(tmp_path, ABOUT, set())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sequence,tm\nMKVLLA,50\n", "needs one column protein_id"),
        ("id,tm\nMKVLLA,50\n", "needs one column sequence"),
        ("id,seq,mutated_sequence\na,MKVLLA,MKVLLG\n", "needs one column sequence"),
        ("protein_id,sequence\na,\n", "line 2: protein 'a': no sequence"),
        ("protein_id,sequence\n", "holds no protein"),
    ],
)
def test_tables_that_lack_something_are_one_line(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        queries(tmp_path / "a.csv", text)


PROTEOME = "".join(f">p{number} some words\nMKVLLA{letter}\n" for number, letter in enumerate("ACDEFGHIKL"))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (">bad\nMK-VL\n", "'-' at position 3 is no residue; remove the gaps of the alignment"),
        (">bad\nMK~VL\n", "'~' at position 3 is no residue; remove the gaps of the alignment"),
        (">bad\nMK VL 12\n", "'1' at position 5 is no residue; write amino acids in one-letter code"),
        (">bad\nМKVL\n", "'М' at position 1 is no residue; write amino acids in one-letter code"),
        (">bad\n", "no sequence; add it, or remove the entry"),
        (">bad\n\n***\n", "no sequence; add it, or remove the entry"),
    ],
)
@pytest.mark.parametrize("at", [0, 5, 10])
def test_one_bad_entry_does_not_stop_a_proteome(tmp_path, entry, reason, at):
    parts = PROTEOME.split(">")[1:]
    text = "".join(f">{part}" for part in parts[:at]) + entry + "".join(f">{part}" for part in parts[at:])
    found = queries(tmp_path / "a.fasta", text)
    assert len(found) == 11 and [one.protein_id for one in found if one.masked is None] == ["bad"]
    assert found[at].warnings == [f"not predicted: {reason}"]


@pytest.mark.parametrize(
    ("text", "names", "made"),
    [
        (">lysozyme T4\nMKVL\n>lysozyme hen egg\nMKVLA\n>c d\nMKV\n", ["lysozyme T4", "lysozyme hen egg", "c"], 0),
        (">sp|P1|A\tx\nMKVL\n>sp|P1|A  y\nMKVLA\n", ["sp|P1|A x", "sp|P1|A y"], 0),
        (">a\nMKVL\n>a b\nMKVLA\n", ["a", "a b"], 0),
        (">a\nMKVL\n>a\nMKVLA\n", ["a", "a [line 3]"], 1),
        (">a b\nMKVL\n>a b\nMKVLA\n>a b\nMKV\n", ["a b", "a b [line 3]", "a b [line 5]"], 2),
        (">a\nMKVL\n>a\nMKVLA\n>a [line 3]\nMKV\n", ["a", "a [line 3]'", "a [line 3]"], 1),
        (">\nMKVL\n> \nMKVLA\n>a\nMKV\n", ["[line 1]", "[line 3]", "a"], 2),
    ],
)
def test_every_entry_has_a_name_of_its_own(tmp_path, text, names, made):
    found = queries(tmp_path / "a.fasta", text)
    assert [one.protein_id for one in found] == names
    assert sum(any("name" in warning for warning in one.warnings) for one in found) == made


@pytest.mark.parametrize(
    ("sequence", "warning"),
    [
        ("ACGT" * 15, "looks like DNA or RNA"),
        ("AUGGCN" * 10, "looks like DNA or RNA"),
        ("A" * 60, "only 1 kinds of amino acids in 60 residues"),
        ("G" * 60, "only 1 kinds of amino acids in 60 residues"),
        ("GS" * 30, "only 2 kinds of amino acids in 60 residues"),
        ("EAAAK" * 12, "only 3 kinds of amino acids in 60 residues"),
        ("MKVLLAWYHC" * 6, None),
        ("GATC", None),
    ],
)
def test_what_is_hardly_a_protein_has_a_warning(tmp_path, sequence, warning):
    text = PROTEOME + f">odd\n{sequence}\n"
    found = queries(tmp_path / "a.fasta", text, length=[4, 100])[-1]
    warnings = [said for said in found.warnings if "non-standard" not in said]
    assert warnings == ([warning] if warning else [])
