"""Reading a person's table: what is sound is read, what is not ends in one line that helps."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proteins_tables import data, row, rows, sequence, text, write

from tmelt.bundle.sequences import read_queries
from tmelt.errors import InputError
from tmelt.proteins import text as files
from tmelt.proteins.fasta import read_fasta
from tmelt.proteins.read import read_records
from tmelt.proteins.table import is_fasta

A, B = sequence(1), sequence(2)
HEAD = "protein_id,sequence,tm\n"
TWICE = gzip.compress(gzip.compress(HEAD.encode(), mtime=0), mtime=0)


def fault(path, **choices):
    """The one line that reading ends with."""
    with pytest.raises(InputError) as caught:
        read_records(data(path, **choices))
    line = str(caught.value)
    assert line.strip() and len(line.splitlines()) == 1
    return line


def read(path, **choices):
    return read_records(data(path, **choices)).records


def test_rows_keep_their_order_line_and_cells(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        f"tm, organism ,protein_id,sequence,split,extra\n50.5,E. coli,a,{A},train,1\n\n 61 ,,b,{B},Test,2\n"
    )
    one, two = read(path)
    assert (one.row, one.protein_id, one.sequence, one.tm, one.organism, one.split) == (
        2, "a", A, 50.5, "E. coli", "train",
    )  # fmt: skip
    assert (two.row, two.tm, two.organism, two.split) == (4, 61.0, None, "test")


def test_lines_are_counted_as_an_editor_does_across_quoted_breaks(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(f'protein_id,sequence,tm\r\na,"{A[:30]}\r\n{A[30:]}",50\r\nb,{B},hot\r\n'.encode())
    assert "line 4, column tm: 'hot' is not a number" in fault(path)


@pytest.mark.parametrize("name", ["mine.csv.gz", "mine.gz", "mine.csv"])
def test_tables_and_fasta_files_in_gzip_are_read(tmp_path, name):
    path, plain = tmp_path / name, tmp_path / "plain.csv"
    plain.write_text("protein_id,tm\na,50\nb,61\n")
    path.write_bytes(gzip.compress(plain.read_bytes()[:20]) + gzip.compress(plain.read_bytes()[20:]))  # as bgzip does
    fasta = tmp_path / "mine.fasta.gz"
    fasta.write_bytes(gzip.compress(f">a\n{A}\n>b\n{B}\n".encode()))
    found = read(path, fasta=str(fasta), columns={"sequence": None})
    assert found == read(plain, fasta=str(fasta), columns={"sequence": None})
    assert [(record.protein_id, record.sequence, record.tm) for record in found] == [("a", A, 50.0), ("b", B, 61.0)]
    assert is_fasta(fasta) and not is_fasta(tmp_path / "mine.csv.gz")
    assert [query.sequence for query in read_queries(fasta, {"nonstandard": "mask", "length": [1, 999]}, set())] == [
        A,
        B,
    ]


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 1 << 20)
    (tmp_path / "bomb.csv").write_bytes(gzip.compress(HEAD.encode() + bytes(2 << 20)))
    assert "when unpacked; is this the right file?" in fault(tmp_path / "bomb.csv")


@pytest.mark.parametrize("delimiter, name", [("\t", "mine.tsv"), (",", "MINE.CSV")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tabs_commas_and_a_byte_order_mark(tmp_path, delimiter, name, encoding):
    path = tmp_path / name
    path.write_text(text(rows(3, organism="Émile"), delimiter), encoding=encoding)
    assert [record.organism for record in read(path)] == ["Émile"] * 3


def test_optional_columns_may_be_absent(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"sequence,tm\n{A},50\n{B},\n")
    one, two = read(path)
    assert (one.protein_id, two.protein_id) == ("protein_000001", "protein_000002")
    assert (one.organism, one.split, two.tm) == (None, None, None)


def test_columns_have_the_names_a_person_gives(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"id,aa,Tm (°C)\nx,{A},50\n")
    columns = {"protein_id": "id", "sequence": "aa", "tm": "Tm (°C)", "organism": None, "split": None}
    assert read(path, columns=columns)[0].protein_id == "x"


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "null", "None", "-"])
def test_missing_temperatures_are_missing_not_wrong(tmp_path, cell):
    path = tmp_path / "mine.csv"
    path.write_text(HEAD + f"a,{A},{cell}\n")
    assert read(path)[0].tm is None


@pytest.mark.parametrize(
    "cell, what",
    [
        ('"55,2"', "'55,2' has a decimal comma, other cells a decimal point; write 55.2"),
        ("328 K", "'328 K' is in Kelvin; subtract 273.15"),
        ("131°F", "'131°F' is in °F; convert it"),
        ("57-55", "'57-55' is a range whose ends are reversed or equal"),
        ("55/57", "is not a number"),
        ("55; 57", "is not a number"),
        ("warm", "is not a number"),
        ("1_0", "is not a number"),
        ("٥٥", "is not a number"),
        ("inf", "is not a number"),
        ("1e999", "is not a finite number"),
        ("0x37", "is not a number"),
    ],
)
def test_what_is_no_temperature(tmp_path, cell, what):
    path = tmp_path / "mine.csv"
    path.write_text(HEAD + f"a,{A},50.5\nb,{B},{cell}\n", encoding="utf-8")
    line = fault(path)
    assert line.startswith(f"{path}: line 3, column tm: ") and what in line


def test_further_faults_of_the_same_kind_are_counted(tmp_path):
    assert "line 2, column tm" in (line := fault(write(tmp_path, rows(4, tm="x")))) and "(3 more such rows)" in line


@pytest.mark.parametrize(
    "content, what",
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (HEAD.encode(), "has a header but no rows"),
        (b",,\n,,\n", "no column sequence"),
        (b"a,b\n1,2\n", "no column sequence (there are: a, b); set design.data.columns.sequence"),
        (f"sequence,temp\n{A},50\n".encode(), "no column tm (there are: sequence, temp); set design.data.columns.tm"),
        (f"sequence,tm,Tm\n{A},50,50\n".encode(), "columns tm and Tm may all be the melting temperature; set"),
        (
            f"sequence,tm,split,Set\n{A},50,train,test\n".encode(),
            "columns split and Set may all be the split; set design.data.columns.split to one of them",
        ),
        (f"sequence,tm,tm\n{A},50,50\n".encode(), "column tm stands twice"),
        (f"sequence;tm,id\n{A};50,1\n".encode(), "may be separated by commas or by semicolons; save it with commas"),
        (HEAD.encode() + f"a,{A},55,2\n".encode(), "line 2: has 4 cells where the header has 3; is there"),
        (HEAD.encode() + f"a,{A},50\nb,{A}\n".encode(), "line 3: has 2 cells"),
        (HEAD.encode() + f'a,"{A},50\nb,{B},60\n'.encode(), "line 2: "),
        (HEAD.encode() + b"a,\xff\xfe,50\n", "line 2: is not UTF-8 text; save the file with the encoding UTF-8"),
        (HEAD.encode("utf-16") + b"\x00", "is not sound UTF-16 text; save the file with the encoding UTF-8"),
        (
            HEAD.encode() + b"a,\xe9,50\nb,x,50\nc,\xe9,50\n",
            "line 2: is not UTF-8 text; save the file with the encoding UTF-8 (1 more",
        ),
        (b"<!DOCTYPE html><html>", "is a web page or XML, not a table"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (HEAD.encode("utf-16-le"), "line 1: holds a NUL byte"),
        (TWICE, "is compressed with gzip twice; unpack it first"),
        (gzip.compress(HEAD.encode(), mtime=0)[:-5], "damaged gzip file"),
        (gzip.compress(b"PAR1" + bytes(50), mtime=0), "not a readable Parquet file"),
        (b"PK\x03\x04rest", "is an Excel workbook or a ZIP archive; save the sheet as CSV (UTF-8), or unpack"),
        (b'sequence,"t\nm"\nA,5\n', "the name of column 2 holds a line break"),
        (b"PAR1rest", "not a readable Parquet file"),
        (f">a\n{A}\n".encode(), "a FASTA file without labels; give a table in design.data.source"),
        (HEAD.encode() + f",{A},50\n".encode(), "line 2, column protein_id: is empty; fill it in, or set"),
        (HEAD.encode() + f'"a\nb",{A},50\n'.encode(), "line 2, column protein_id: 'a\\nb' holds a line break"),
        (f"sequence,tm,split\n{A},50,train\n{B},50,\n".encode(), "line 3, column split: is empty while other rows"),
        (f"sequence,tm,split\n{A},50,learn\n".encode(), "line 2, column split: 'learn' is no split; write train, val"),
    ],
)
def test_bad_files_end_in_one_line_with_file_place_fault_and_remedy(tmp_path, content, what):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    line = fault(path)
    assert line.startswith(f"{path}: ") and what in line


def test_files_that_are_not_there_or_have_another_ending(tmp_path):
    assert fault(tmp_path / "none.csv").endswith("none.csv: no such file")
    assert fault(tmp_path / "none.parquet").endswith("none.parquet: no such file")
    assert fault(tmp_path / "mine.xlsx").endswith("mine.xlsx: no such file")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.parquet").mkdir()
    assert "cannot be read" in fault(tmp_path / "folder.csv")
    assert "not a readable Parquet file" in fault(tmp_path / "folder.parquet")


def test_settings_that_contradict_each_other(tmp_path):
    path = write(tmp_path, rows(2))
    assert "design.data.columns.sequence: is null and design.data.fasta is not set" in fault(
        path, columns={"sequence": None}
    )
    assert "'tm' is also named for tm; name another column" in fault(path, columns={"organism": "tm"})
    assert "no column species" in fault(path, columns={"organism": "species"})


def parquet(folder, columns):
    path = folder / "mine.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_gives_the_same_records_as_csv(tmp_path):
    table = rows(5)
    columns = {key: [each[key] for each in table] for key in table[0]}
    from_parquet = read(parquet(tmp_path, columns | {"vector": [[1.0, 2.0]] * 5}))
    from_csv = read(write(tmp_path, table))
    assert [(r.protein_id, r.sequence, r.tm, r.organism) for r in from_parquet] == [
        (r.protein_id, r.sequence, r.tm, r.organism) for r in from_csv
    ]
    assert [record.row for record in from_parquet] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "columns, what",
    [
        ({"sequence": [A, B], "tm": [True, False]}, "row 1, column tm: holds a bool instead of a number"),
        ({"sequence": [A, B], "tm": [50.0, float("inf")]}, "row 2, column tm: inf is not a finite number"),
        ({"sequence": [A, B], "tm": [[50.0], [51.0]]}, "row 1, column tm: holds a list"),
        ({"sequence": [1.5, 2.5], "tm": [50.0, 51.0]}, "row 1, column sequence: holds a float instead of text"),
        ({"sequence": pa.array([], pa.string()), "tm": pa.array([], pa.float64())}, "has a header but no rows"),
    ],
)
def test_parquet_of_the_wrong_kind(tmp_path, columns, what):
    assert what in fault(parquet(tmp_path, columns))


@pytest.mark.parametrize("size", [0, 1, 100, 600])
def test_parquet_cut_short(tmp_path, size):
    path = parquet(tmp_path, {"sequence": [A, B], "tm": [50.0, 51.0]})
    path.write_bytes(path.read_bytes()[:size])
    assert "not a readable Parquet file" in fault(path)


def test_sequences_from_fasta_by_name_or_accession(tmp_path):
    fasta = tmp_path / "all.fasta"
    fasta.write_text(f"; a comment\n>sp|P1|ONE_X some words\n{A[:30]}\n{A[30:]}\n\n>two\n{B}\n>unused\nMK\n")
    path = tmp_path / "mine.csv"
    path.write_text("protein_id,tm\nP1,50\ntwo,60\n")
    assert [record.sequence for record in read(path, fasta=str(fasta))] == [A, B]


@pytest.mark.parametrize(
    "content, what",
    [
        ("", "is empty"),
        (f"{A}\n", "line 1: text before the first header"),
        (f">a\n>b\n{A}\n", "line 1: an entry without a sequence"),
        (f">a\n{A}\n>\n{B}\n", "line 3: a header without a name"),
        (f">a\n{A}\n>a\n{B}\n", "line 3: a second, different sequence for 'a'"),
    ],
)
def test_bad_fasta(tmp_path, content, what):
    path = tmp_path / "all.fasta"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_fasta(path)
    assert str(caught.value).startswith(f"{path}: ") and what in str(caught.value)


def test_fasta_and_table_must_fit_together(tmp_path):
    fasta = tmp_path / "all.fasta"
    fasta.write_text(f">a\n{A}\n>a\n{A}\n")
    path = tmp_path / "mine.csv"
    path.write_text("protein_id,tm\na,50\nb,60\nc,60\n")
    line = fault(path, fasta=str(fasta))
    assert f"line 3, column protein_id: 'b' is not in {fasta}; add it, or remove the row (1 more such row)" in line
    assert "sequences stand here and in design.data.fasta" in fault(write(tmp_path, [row(1)]), fasta=str(fasta))
    assert "design.data.columns.protein_id: is null" in fault(path, fasta=str(fasta), columns={"protein_id": None})


CELLS = st.one_of(
    st.sampled_from(['"', ",", "\n", "\r\n", ";", "\t", "NA", "50", "55,2", "train", "-", "é", "﻿", "\0", "* ", A]),
    st.text(max_size=5),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, max_size=30), st.binary(max_size=8), st.integers(0, 200), st.sampled_from(["csv", "tsv"]))
def test_no_traceback_reaches_a_person_from_any_text(tmp_path, pieces, noise, at, suffix):
    """Whatever stands in the file: records, or one line."""
    head = ("protein_id,sequence,tm,split\n" if suffix == "csv" else "protein_id\tsequence\ttm\tsplit\n").encode()
    whole = head + "".join(pieces).encode("utf-8", "surrogatepass")
    path = tmp_path / f"fuzz.{suffix}"
    path.write_bytes(whole[:at] + noise + whole[at:])
    try:
        records = read_records(data(path)).records
        assert records
    except InputError as error:
        assert len(str(error).splitlines()) == 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 900), st.binary(min_size=1, max_size=4))
def test_no_traceback_reaches_a_person_from_a_damaged_parquet_file(tmp_path, at, noise):
    sound = parquet(tmp_path, {"sequence": [A, B], "tm": [50.0, 51.0]}).read_bytes()
    path = tmp_path / "fuzz.parquet"
    path.write_bytes(sound[:at] + noise + sound[at + len(noise) :])
    try:
        read_records(data(path))
    except InputError as error:
        assert len(str(error).splitlines()) == 1
