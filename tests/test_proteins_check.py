"""`tmelt check`: everything about a table at once, and a config and a cleaned copy that a study takes as they are."""

import os
import subprocess
import sys

import polars as pl
import pytest
import yaml
from proteins_tables import data, row, rows, sequence, text, write

from tmelt.errors import InputError
from tmelt.proteins.check import check_table, data_block, describe, settings_for, write_cleaned
from tmelt.proteins.prepare import parse_data_config, prepare


def tmelt(*arguments, **environment):
    command = [sys.executable, "-m", "tmelt", "check", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, timeout=120, check=False, env=os.environ | environment, encoding="utf-8"
    )


def checked(table, fasta=None, columns=()):
    return check_table(settings_for(table, None, fasta, list(columns)))


def excel(folder):
    """A sheet as Excel exports it in Europe, with a fault of every kind."""
    lines = ['"Protein ID";"Sequence";"Tm (°C)";"Organism";"remark"']
    for number in range(90):
        tm, organism, letters = f"{45 + number % 17 + number / 100:.2f}", "E. coli", sequence(number)
        if number == 7:
            letters = letters[:10] + "-" + letters[10:]
        tm = {9: "warm", 11: "warm", 12: "> 95", 13: "55-57", 14: "", 15: "300"}.get(number, tm.replace(".", ","))
        organism = {20: "Bäcillus", 21: "Escherichia coli"}.get(number, organism)
        lines.append(f"p{number};{letters};{tm};{organism};x")
    lines += [f"p3;{sequence(200)};51,2;E. coli;y", "short;1", f";{sequence(201)};50;E. coli;z"]
    path = folder / "my sheet.csv"
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


def test_all_faults_of_a_sheet_in_one_round(tmp_path):
    path = excel(tmp_path)
    done = tmelt(path, "--cleaned", tmp_path / "clean.csv")
    assert done.returncode == 2 and done.stderr == f"error: {path}: 6 faults, listed above\n"
    for line in (
        f"{path}: text, separated by semicolons, 92 rows",
        "  made: the split",
        "  not used: 'remark'",
        "line 1: is not UTF-8 text; save the file with the encoding UTF-8 (1 more such lines)",
        "line 93: has 2 cells where the header has 5",
        "line 94, column Protein ID: is empty",
        "line 11, column Tm (°C): 'warm' is not a number",
        "    also line 13",
        "line 9, column Sequence: '-' at position 11 is no residue; remove the gaps of the alignment",
        "line 92, column Protein ID: 'p3' names another sequence in line 5; rename one of them",
        "  tm: Tm (°C)",
        "left out: 3 rows dropped by cleaning, 6 rows with faults",
    ):
        assert line in done.stdout, line
    for rows_of, lines in (
        ("as a range", "15"),
        ("as a bound", "14"),
        ("no melting temperature", "16"),
        ("outside", "17"),
    ):
        at = next(i for i, line in enumerate(done.stdout.splitlines()) if rows_of in line)
        assert done.stdout.splitlines()[at + 1].strip() == f"lines {lines}"
    clean = pl.read_csv(tmp_path / "clean.csv")
    assert len(clean) == 84 and set(clean["organism"]) == {"Escherichia coli", "Bäcillus"}
    again = tmelt(tmp_path / "clean.csv")
    assert again.returncode == 0 and again.stderr == "" and "no faults" in again.stdout
    block = again.stdout[again.stdout.index("data:") :]
    facts = prepare(parse_data_config(yaml.safe_load(block)["data"], "block"), tmp_path / "set")
    assert facts.proteins == 84


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_terminal_can_show_it(tmp_path, encoding):
    path = write(tmp_path, [row(number, organism="Émile α") for number in range(80)])
    command = [sys.executable, "-m", "tmelt", "check", str(path)]
    done = subprocess.run(
        command, capture_output=True, timeout=120, check=False, env=os.environ | {"PYTHONIOENCODING": encoding}
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "proteins" in done.stdout.decode(encoding)


def flip(at):
    return f"{sequence(at)},{50 + at % 9},{('train', 'test')[at % 3 == 0]},{at % 3 == 1}"


def fireprot(at):
    return f"{sequence(at)},3,{sequence(at)[2]},W,{50 + at % 9}"


@pytest.mark.parametrize(
    "header, cells, fasta",
    [
        ("sequence,target,set,validation", flip, None),
        ("id,Tm", lambda at: f"p{at},{50 + at % 9}", "all.fasta"),
        ("seq;Tm (°C)", lambda at: f"{sequence(at)};{50 + at % 9},5", None),
        ("Sequence,position,wild_type,mutation,tm", fireprot, None),
    ],
)
def test_the_printed_block_reads_the_table_as_it_was_checked(tmp_path, header, cells, fasta):
    path = tmp_path / "2nd Table.csv"
    path.write_text(header + "\n" + "\n".join(cells(at) for at in range(120)) + "\n")
    if fasta:
        (tmp_path / fasta).write_text("".join(f">p{at}\n{sequence(at)}\n" for at in range(120)))
    found = checked(path, tmp_path / fasta if fasta else None)
    assert not found.faults.found, describe(found)
    block = yaml.safe_load(data_block(found.data, found.reading))["data"]
    assert block["name"] == "data_2nd_table"
    facts = prepare(parse_data_config(block, "block"), tmp_path / "set")
    assert facts.splits == found.split["counts"] and facts.proteins == len(found.proteins)


def test_a_table_can_be_checked_with_a_config(tmp_path):
    path = write(tmp_path, [row(number, ph=7 if number % 2 else 3) for number in range(200)])
    (tmp_path / "study.yaml").write_text(
        "study: x\ndesign:\n  data:\n    name: other\n    source: nowhere.csv\n    where: {ph: [6, 8]}\n"
    )
    found = check_table(settings_for(path, tmp_path / "study.yaml", None, []))
    assert (found.data.name, len(found.proteins)) == ("other", 100)
    assert yaml.safe_load(data_block(found.data, found.reading))["data"]["where"] == {"ph": [6, 8]}
    for content, what in (("- 1\n", "holds no `data:` part"), ("a: [", "study.yaml: "), ("data: {nme: 1}\n", "nme: ")):
        (tmp_path / "study.yaml").write_text(content)
        with pytest.raises(InputError, match=what):
            settings_for(path, tmp_path / "study.yaml", None, [])


@pytest.mark.parametrize("told, what", [("tm", "expected key=name"), ("colour=x", "expected key=name, with a key of")])
def test_columns_on_the_command_line(tmp_path, told, what):
    path = write(tmp_path, [{"x": sequence(number), "y": 50 + number % 9, "organism": "o"} for number in range(90)])
    found = checked(path, columns=["sequence=x", "tm=y", "organism=null"])
    assert not found.faults.found and "organism" in found.reading.found.unused
    assert yaml.safe_load(data_block(found.data, found.reading))["data"]["columns"] == {
        "sequence": "x", "tm": "y", "organism": None,
    }  # fmt: skip
    with pytest.raises(InputError, match=what):
        checked(path, columns=[told])


def test_faults_of_the_header_are_all_found(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"seq,sequence,temp\n{sequence(1)},{sequence(1)},50\n")
    lines = [fault.line() for fault in checked(path, columns=["organism=species"]).faults.found]
    assert [any(what in line for line in lines) for what in ("no column species", "sequence", "no column tm")] == [
        True
    ] * 3


def test_a_split_that_cannot_be_made_is_a_fault_among_others(tmp_path):
    path = write(tmp_path, [*rows(12), row(20, tm="warm")])
    lines = [fault.line() for fault in checked(path).faults.found]
    assert len(lines) == 2 and "'warm' is not a number" in lines[0] and "proteins in" in lines[1]


def test_the_source_is_never_overwritten(tmp_path):
    path = write(tmp_path, rows(80))
    before, found = path.read_bytes(), checked(path)
    (tmp_path / "link.csv").symlink_to(path)
    for target in (path, tmp_path / "link.csv"):
        with pytest.raises(InputError, match="is the table itself"):
            write_cleaned(found, target)
    with pytest.raises(InputError, match=r"should end in \.csv or \.parquet"):
        write_cleaned(found, tmp_path / "clean.xlsx")
    assert path.read_bytes() == before


def test_a_cleaned_copy_holds_what_a_study_uses(tmp_path):
    table = [*rows(80), row(3, tm=49), row(90, sequence=sequence(90).lower() + "*"), row(91, tm="")]
    found = checked(write(tmp_path, table))
    write_cleaned(found, tmp_path / "clean.parquet")
    copy = pl.read_parquet(tmp_path / "clean.parquet")
    assert len(copy) == 81 and copy.filter(protein_id="p3")["tm"].item() == pytest.approx(46)
    assert copy.filter(protein_id="p90")["sequence"].item() == sequence(90)
    again = check_table(data(tmp_path / "clean.parquet"))
    assert again.split == found.split


@pytest.mark.parametrize("content", ["", "a,b\n", "protein_id,sequence,tm\n", "x\n1\n", text(rows(1, tm="x"))])
def test_tables_without_a_protein_end_in_faults(tmp_path, content):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    done = tmelt(path, "--cleaned", tmp_path / "clean.csv")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "clean.csv").exists()
