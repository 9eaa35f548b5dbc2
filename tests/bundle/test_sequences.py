"""Proteins that a person asks about: read, treated as the study treated its own, or refused in one line."""

import polars as pl
import pytest

from tmelt.bundle.sequences import read_queries
from tmelt.errors import InputError
from tmelt.files import sha256_text

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


def test_proteins_of_a_parquet_file_may_be_numbered(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"protein_id": [0, 1], "sequence": ["MKVLLA", "MKVLLAW"]}).write_parquet(path)
    assert [one.protein_id for one in read_queries(path, ABOUT, set())] == ["0", "1"]
    pl.DataFrame({"protein_id": [None, "b"], "sequence": ["MKVLLA", "MKVLLAW"]}).write_parquet(path)
    with pytest.raises(InputError, match="row 1, column protein_id: is empty"):
        read_queries(path, ABOUT, set())


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
    with pytest.raises(InputError, match=r"line 1: protein 'a': 'U' at position 4 is none of the 20 amino acids"):
        queries(tmp_path / "a.fasta", ">a\nMKVUL\n", nonstandard="stop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("; a comment\n", "holds no protein"),
        ("MKVLLA\n", "line 1: text before the first header"),
        (">\nMKVLLA\n", "line 1: a header without a name"),
        (">a\n>b\nMKVLLA\n", "line 1: an entry without a sequence"),
        (">a\n*\n", "line 1: protein 'a' has no sequence"),
        (">a\nMKVLLA\n>b\nMKVL\n>a\nMKVLLA\n", "line 5: a second protein named 'a', as in line 1"),
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
    with pytest.raises(InputError, match="compressed with gzip"):
        read_queries(tmp_path / "a.fasta", ABOUT, set())
    with pytest.raises(InputError, match="cannot be read"):
        read_queries(tmp_path, ABOUT, set())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sequence,name\nMKVLLA,a\n", "needs one column protein_id"),
        ("protein_id,sequence\n,MKVLLA\n", "line 2, column protein_id: is empty"),
        ("protein_id,sequence\na,\n", "line 2: protein 'a' has no sequence"),
        ("protein_id,sequence\n", "holds no protein"),
    ],
)
def test_tables_that_lack_something_are_one_line(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        queries(tmp_path / "a.csv", text)
