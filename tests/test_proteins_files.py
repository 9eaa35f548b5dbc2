"""The field's own files: recognised by their columns and headers, read as they are, or refused in one line."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from proteins_tables import data, sequence

from tmelt.errors import InputError
from tmelt.proteins.clean import clean_records
from tmelt.proteins.columns import with_names
from tmelt.proteins.prepare import parse_data_config, prepare
from tmelt.proteins.read import read_all, read_records

A, B, C = sequence(1), sequence(2), sequence(3)
MUTANT = A[:4] + "W" + A[5:]
CODE = f"{A[4]}5W"


def write(folder, content, name="mine.csv"):
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def read(folder, content, name="mine.csv", **choices):
    return read_records(data(write(folder, content, name), **choices))


def cells(reading, *fields):
    return [tuple(getattr(record, key) for key in fields) for record in reading.records]


def fault(folder, content, name="mine.csv", **choices):
    with pytest.raises(InputError) as caught:
        read(folder, content, name, **choices)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


FLIP = f"sequence,target,set,validation\n{A},50.5,train,\n{B},51,train,True\n{C},52,test,\n"


@pytest.mark.parametrize(
    "content",
    [
        FLIP,
        FLIP.replace(",\n", ",False\n"),
        FLIP.replace("True", "1.0").replace(",\n", ",0.0\n"),
        FLIP.replace(",\n", ",nan\n"),
        FLIP.replace("set", "Set").replace("target", "Target"),
        FLIP.replace(",", ";"),
        FLIP.replace(",", "\t"),
        FLIP.replace(".5", ",5").replace(",", "\t").replace("50\t5", "50,5"),
        f">a TARGET=50.5 SET=train VALIDATION=False\n{A}\n>b TARGET=51 SET=train VALIDATION=True\n{B}\n"
        f">c TARGET=52 SET=test VALIDATION=False\n{C}\n",
        f">a TARGET=50.5 SET=train\n{A[:20]}\n{A[20:]}\n>b TARGET=51 SET=val\n{B}\n>c TARGET=52 SET=test\n{C}\n",
        f">a SET=train VALIDATION=False TARGET=50.5\n{A}\n>b SET=train VALIDATION=True TARGET=51\n{B}\n"
        f">c SET=test VALIDATION=False TARGET=52\n{C}\n",
    ],
)
@pytest.mark.parametrize("name", ["mine.csv", "mine.fasta", "mine.txt", "mine"])
def test_flip_and_biotrainer(tmp_path, content, name):
    reading = read(tmp_path, content, name)
    assert cells(reading, "sequence", "tm", "split") == [(A, 50.5, "train"), (B, 51.0, "val"), (C, 52.0, "test")]


def test_flip_makes_a_data_set_with_its_published_split(tmp_path):
    lines = ["sequence,target,set,validation"]
    for number in range(300):
        part = ("train", "train", "train", "train", "test")[number % 5]
        lines.append(f"{sequence(number)},{40 + number % 30 / 2},{part},{'True' if number % 5 == 3 else ''}")
    facts = prepare(data(write(tmp_path, "\n".join(lines) + "\n")), tmp_path / "set")
    assert facts.split["method"] == "given"
    assert facts.splits == {"fit": 162, "stop": 18, "val": 30, "select": 30, "test": 60}


@pytest.mark.parametrize(
    "content, what",
    [
        (f"sequence,target,set,validation\n{A},50,test,True\n", "line 2, column validation: is True in a row of test"),
        (
            f"sequence,target,set,validation\n{A},50,train,maybe\n" + f"{B},50,train,True\n" * 9,
            "'maybe' is neither True",
        ),
        (f">a TARGET=Nucleus SET=train\n{A}\n", "line 1, column TARGET: 'Nucleus' is not a number"),
        (
            f">a TARGET=50 SET=learn\n{A}\n" + f">b TARGET=50 SET=train\n{B}\n" * 9,
            "line 1, column SET: 'learn' is no split",
        ),
        (f">a TARGET=50 SET=train\n{A}\n>b TARGET=51\n{B}\n", "line 3, column SET: is empty while other rows"),
        (f"sequence,target\n{A},50\n", "no column tm (there are: sequence, target); set design.data.columns.tm"),
    ],
)
def test_flip_with_faults(tmp_path, content, what):
    assert what in fault(tmp_path, content)


def test_uniprot_headers_give_the_organism(tmp_path):
    content = f">sp|P1|X_HUMAN Protein x OS=Homo sapiens OX=9606 GN=X PE=1 SV=2 TARGET=50\n{A}\n"
    assert cells(read(tmp_path, content), "protein_id", "organism", "tm") == [("sp|P1|X_HUMAN", "Homo sapiens", 50.0)]


def test_headers_with_one_first_word_keep_their_other_words(tmp_path):
    content = f">lysozyme T4 TARGET=50\n{A}\n>lysozyme hen TARGET=51\n{B}\n>c d TARGET=52\n{C}\n"
    assert cells(read(tmp_path, content), "protein_id") == [("lysozyme T4",), ("lysozyme hen",), ("c",)]


MELTOME = "Protein_ID,run_name,meltPoint,channel,fold_change,temperature,gene_name\n" + "".join(
    f"{name},{run},{tm},c{at},{1 - at / 10},{37 + 3 * at},g\n"
    for name, run, tm in (
        ("P12345_ABC", "cells R1", "50.5"), ("P12345_ABC", "cells R2", "52.5"), ("Q54321_DEF", "cells R1", "60"),
        ("A0A023PXQ4_X", "cells R1", "NA"),
    )
    for at in range(10)
)  # fmt: skip


def test_the_meltome_long_table_gives_one_measurement_a_run(tmp_path):
    fasta = write(tmp_path, f">sp|P12345|ABC\n{A}\n>Q54321 x\n{B}\n>tr|A0A023PXQ4|X\n{C}\n", "all.fasta")
    reading = read(tmp_path, MELTOME, fasta=str(fasta))
    assert cells(reading, "sequence", "tm") == [(A, 50.5), (A, 52.5), (B, 60.0), (C, None)]
    proteins, cleaning = clean_records(reading.records, reading.table, data(), set_aside=reading.set_aside)
    assert [protein.tm for protein in proteins] == [51.5, 60.0]
    steps = {step["what"]: step["rows"] for step in cleaning.steps}
    assert steps["rows of the table"] == 40 and steps["further point of a melting curve"] == 36
    assert cleaning.steps[-1]["left"] == 2


def test_two_kinds_of_melting_points_stop(tmp_path):
    content = f"gene_name,sequence,fold_change,temperature,meltPoint,quan_norm_meltPoint\ng,{A},1,37,50,51\n"
    assert "columns meltPoint and quan_norm_meltPoint may all be the melting temperature" in fault(tmp_path, content)
    assert cells(read(tmp_path, content, columns={"tm": "meltPoint"}), "tm") == [(50.0,)]


@pytest.mark.parametrize(
    "header, row",
    [
        ("sequence,mutation,tm", f"{A},{CODE},50"),
        ("sequence,mutant,tm", f"{A.lower()},{CODE},50"),
        ("mutated_sequence,mutant,Tm", f"{MUTANT},{CODE},50"),
        ("sequence,position,wild_type,mutation,tm", f"{A},5,{A[4]},W,50"),
        ("sequence,position,wild_type,mutation,tm,dTm,ddG", f"{A},5.0,{A[4]},W,50,-3,1.2"),
        ("Protein_Sequence;MUTATION;Tm_(C)", f"{A};{CODE} (Based on UniProt and PDB);50"),
        ("sequence,variant,melting temperature (°C)", f"{A},A{CODE},50"),
        ("sequence,mutation,tm", f'{A},"{CODE}",50'),
    ],
)
def test_mutations_are_applied_to_the_wild_type_or_found_in_place(tmp_path, header, row):
    (record,) = read(tmp_path, f"{header}\n{row}\n").records
    assert (record.sequence.upper(), record.tm, record.mutation) == (MUTANT, 50.0, CODE)


def test_mutants_have_names_of_their_own(tmp_path):
    content = f"uniprot_id,sequence,mutation,tm\nP1,{A},wild-type,52\nP1,{A},{CODE},50\nP1,{A},{CODE},51\n"
    reading = read(tmp_path, content)
    assert cells(reading, "protein_id") == [("P1",), (f"P1_{CODE}",), (f"P1_{CODE}",)]
    assert reading.repairs == {"mutations": ("applied to the wild type", 2)}
    assert len(clean_records(reading.records, reading.table, data())[0]) == 2


def wrong(letter):
    return "A" if letter != "A" else "G"


@pytest.mark.parametrize(
    "code, what",
    [
        (f"{wrong(A[4])}5W", f"{wrong(A[4])}5W: the sequence has {A[4]} at position 5; number as in the sequence"),
        ("A999W", "A999W: the sequence has 60 residues"),
        ("A0W", "A0W: the sequence has 60 residues"),
        ("K12del", "'K12del' is no substitution such as A123G"),
        ("ins5A", "is no substitution"),
        ("B5W", "is no substitution"),
        (f"{CODE}/{A[4]}5Y", "changes one position twice"),
    ],
)
def test_mutations_that_do_not_fit(tmp_path, code, what):
    good = "".join(f"{A},{A[at]}{at + 1}{wrong(A[at])},50\n" for at in range(20))
    content = f"sequence,mutation,tm\n{A},{code},50\n{good}"
    line = fault(tmp_path, content)
    assert "line 2, column mutation: " in line and what in line
    reading = read(tmp_path, content, labels={"mismatched": "drop"})
    assert len(reading.records) == 20
    assert [(what, record.row) for what, record, _ in reading.set_aside] == [
        ("mutation that does not fit the wild type", 2)
    ]


def test_a_shifted_numbering_is_named(tmp_path):
    rows = "".join(f"p,{A},{A[at]}{at + 21}{wrong(A[at])},50\n" for at in range(8))
    line = fault(tmp_path, f"protein_id,sequence,mutation,tm\n{rows}")
    assert "all 8 mutations of 'p' would fit if 20 were subtracted from their positions" in line


def test_tables_of_both_kinds_of_sequences_stop(tmp_path):
    rows = "".join(f"{A},{A[at]}{at + 1}{wrong(A[at])},50\n" for at in range(10))
    rows += "".join(f"{A[:at]}{wrong(A[at])}{A[at + 1 :]},{A[at]}{at + 1}{wrong(A[at])},50\n" for at in range(10))
    assert "10 sequences carry their mutation already and 10 are the wild type's" in fault(
        tmp_path, f"sequence,mutation,tm\n{rows}"
    )


@pytest.mark.parametrize("name, word", [("variant", "isoform 2"), ("variant", "long"), ("mutants", "12")])
def test_other_columns_of_such_names_are_left_alone(tmp_path, name, word):
    reading = read(tmp_path, f"sequence,{name},tm\n{A},{word},50\n")
    assert reading.records[0].sequence == A and name in reading.found.unused


HEADER = '"Protein ID","Sequence","Tm (°C)","Organism"\n'


def test_usual_names_of_columns_are_found_and_said(tmp_path):
    reading = read(tmp_path, HEADER + f'"x","{A}","50","E. coli"\n')
    assert cells(reading, "protein_id", "sequence", "tm", "organism") == [("x", A, 50.0, "E. coli")]
    first, *others = reading.found.notes()
    assert "protein_id from 'Protein ID'" in first and "tm from 'Tm (°C)'" in first
    assert others == ["made: the split"]


@pytest.mark.parametrize(
    "header, found",
    [
        ("seq_id,protein_sequence,pH,data_source,tm", {"protein_id": "seq_id", "sequence": "protein_sequence"}),
        ("Entry,Sequence,Melting Temperature,Species", {"protein_id": "Entry", "organism": "Species"}),
        ("uniprot_id,name,aa_seq,Tm [degC]", {"protein_id": "uniprot_id", "sequence": "aa_seq", "tm": "Tm [degC]"}),
        ("Accession,AMINO_ACID_SEQUENCE,meltPoint,taxon", {"tm": "meltPoint", "organism": "taxon"}),
        ("seq,tm_c,dTm,∆Tm_(C),T_(C)", {"sequence": "seq", "tm": "tm_c"}),
    ],
)
def test_headers_of_the_field(tmp_path, header, found):
    cell = {"protein_sequence": A, "sequence": A, "aa_seq": A, "amino_acid_sequence": A, "seq": A}
    row = ",".join(cell.get(name.lower(), "50") for name in header.split(","))
    names = read(tmp_path, f"{header}\n{row}\n").found.names
    assert found.items() <= names.items()


@pytest.mark.parametrize("key", ["protein_id", "sequence", "tm", "organism", "split", "validation", "mutation"])
def test_a_declared_column_is_there_or_it_stops(tmp_path, key):
    content = f"protein_id,sequence,tm,organism\nx,{A},50,o\n"
    assert f"no column nowhere (there are: protein_id, sequence, tm, organism); set design.data.columns.{key}" in fault(
        tmp_path, content, columns={key: "nowhere"}
    )
    if key in ("split", "validation", "mutation"):  # the default's name, but declared
        assert f"no column {key} " in fault(tmp_path, content, columns={key: key})


def test_whether_a_column_is_declared_survives_the_command_line(tmp_path):
    path = write(tmp_path, f"sequence,tm\n{A},50\n")
    told = parse_data_config({"name": "mine", "source": str(path), "columns": {"organism": "organism"}}, "x")
    again = parse_data_config(told.model_dump(mode="json", exclude_unset=True), "x")
    with pytest.raises(InputError, match="no column organism"):
        read_records(again)


def test_a_split_with_typing_errors_is_not_ignored(tmp_path):
    content = "sequence,target,set\n" + "".join(
        f"{sequence(at)},{50 + at},{('train', 'test', 'trian')[at % 3]}\n" for at in range(9)
    )
    assert "line 4, column set: 'trian' is no split; write train, val or test (2 more such rows)" in fault(
        tmp_path, content
    )
    other = content.replace("trian", "b").replace("train", "a").replace("test", "c").replace("target", "tm")
    assert "set" in read(tmp_path, other).found.unused


@pytest.mark.parametrize("name", ["Tm (K)", "Tm_kelvin", "dTm", "∆Tm_(C)", "Melting temperature (F)"])
def test_labels_in_other_units_by_their_name(tmp_path, name):
    line = fault(tmp_path, f"sequence,{name}\n{A},50\n")
    assert f"no column tm; {name} may have another unit or be a difference" in line


def test_sequences_of_wild_types_are_read_beside_a_mutation(tmp_path):
    assert read(tmp_path, f"wt_sequence,mutation,tm\n{A},{CODE},50\n").records[0].sequence == MUTANT
    assert "no column sequence" in fault(tmp_path, f"wt_sequence,tm\n{A},50\n")
    assert "may all be the sequence" in fault(tmp_path, f"wt_sequence,sequence,mutation,tm\n{A},{MUTANT},{CODE},50\n")


@pytest.mark.parametrize(
    "header, what",
    [
        ("sequence,mutated_sequence,tm", "columns sequence and mutated_sequence may all be the sequence"),
        ("sequence,seq,tm", "columns sequence and seq may all be the sequence"),
        ("sequence,tm,meltPoint", "columns tm and meltPoint may all be the melting temperature"),
        ("sequence,tm_c,melting_point", "columns tm_c and melting_point may all be the melting temperature"),
    ],
)
def test_ambiguous_columns_stop(tmp_path, header, what):
    assert what in fault(tmp_path, f"{header}\n{A},{A},50\n")


def test_rows_by_ph_and_assay(tmp_path):
    content = "sequence,tm,pH,assay\n" + "".join(
        f"{sequence(number)},50,{ph},{assay}\n"
        for number, (ph, assay) in enumerate(
            [("7", "DSC"), ("7.4", "dsc "), ("3.0", "DSC"), ("", "DSC"), ("7-7.4", "CD"), ("pH 7", "TSA"), ("x", "DSC")]
        )
    )
    reading = read(tmp_path, content, where={"pH": [6.5, 7.5]})
    assert [record.row for record in reading.records] == [2, 3, 6, 7]
    assert {(what, record.row) for what, record, _ in reading.set_aside} == {
        ("pH outside design.data.where", row) for row in (4, 5, 8)
    }
    reading = read(tmp_path, content, where={"pH": [6.5, 7.5], "assay": ["DSC", "CD"]})
    assert [record.row for record in reading.records] == [2, 3, 6]
    assert [record.row for record in read(tmp_path, content, where={"pH": 3}).records] == [4]
    assert "design.data.where: no column buffer in " in fault(tmp_path, content, where={"buffer": "PBS"})
    assert "design.data.where: no row of " in fault(tmp_path, content, where={"assay": "ITC"})


def test_faults_in_rows_that_are_not_read_do_not_stop(tmp_path):
    content = f"sequence,tm,assay,protein_id\n{A},50,DSC,a\n{B},warm,CD,\n"
    assert cells(read(tmp_path, content, where={"assay": "DSC"}), "tm") == [(50.0,)]


def test_all_faults_are_found_at_once(tmp_path):
    path = write(
        tmp_path,
        f'protein_id,sequence,tm,split\n,{A},50.5,train\nb,{B},warm,train\nc,{C},"50,2",learn\nd,{A},cold,test\ne,{A}\n',
    )
    reading, faults = read_all(data(path))
    lines = [each.line() for each in faults.found]
    assert len(lines) == 5 and reading.records == []
    for what in (
        "line 6: has 2 cells",
        "line 2, column protein_id: is empty",
        "line 3, column tm: 'warm' is not a number; write the value in °C alone, or leave the cell empty (1 more",
        "line 4, column tm: '50,2' has a decimal comma",
        "line 4, column split: 'learn' is no split",
    ):
        assert any(what in line for line in lines), what
    with pytest.raises(InputError, match=r"line 6: has 2 cells .*\(and 4 other faults: `tmelt check` lists all\)"):
        read_records(data(path))


def test_excel_exports_are_read(tmp_path):
    content = f"Protein ID;Sequence;Tm (°C);Organism\nx;{A};51,2;E. coli\ny;{B};60;\n"
    reading = read(tmp_path, content)
    assert cells(reading, "tm") == [(51.2,), (60.0,)] and reading.repairs["decimal commas"] == ("read as points", 1)
    path = tmp_path / "utf16.csv"
    path.write_bytes(content.encode("utf-16"))
    assert cells(read_records(data(path)), "tm") == [(51.2,), (60.0,)]


def test_lines_before_the_header_may_be_comments(tmp_path):
    content = f"# from a page, in May; 2 rows\n##\n\nsequence;tm\n{A};50\n# {B};51\n"
    assert [record.row for record in read(tmp_path, content).records][:1] == [5]
    assert "position 1 is no residue" not in str(read(tmp_path, f"#id,sequence,tm\n1,{A},50\n").found.notes())


@pytest.mark.parametrize("cell", ["", "-", "NA", "none"])
def test_a_row_without_a_mutation_says_what_to_write(tmp_path, cell):
    content = f"sequence,mutation,tm\n{A},{cell},50\n{A},{CODE},51\n"
    assert "line 2, column mutation: is empty; write WT for the wild type" in fault(tmp_path, content)


def test_parquet_is_recognised_by_content(tmp_path):
    path = tmp_path / "mine.data"
    pq.write_table(
        pa.table({"Sequence": [A, B], "target": [50.0, 51.0], "set": ["train", "test"], "vector": [[1.0]] * 2}), path
    )
    assert cells(read_records(data(path)), "tm", "split") == [(50.0, "train"), (51.0, "test")]


def test_messages_name_the_column_of_the_table(tmp_path):
    told = data(write(tmp_path, "seq,Tm (K)\n"), columns={"tm": "Tm (K)"})
    reading, _ = read_all(told)
    assert with_names(told, reading.found).columns.sequence == "seq"


LABELS = [
    ("52.3±0.4", "uncertain", 52.3), ("44.3 (1.0)", "uncertain", 44.3), ("55-57", "ranged", 56.0),
    ("~58", "approximate", 58.0), ("> 95", "censored", 95.0), ("40-70", "ranged", 55.0),
]  # fmt: skip


@pytest.mark.parametrize(
    "policy, kept",
    [
        ({}, [50.0, 52.3, 44.3, 56.0, 58.0]),
        ({"censored": "bound"}, [50.0, 52.3, 44.3, 56.0, 58.0, 95.0]),
        ({"uncertain": "drop"}, [50.0, 56.0]),
        ({"ranged": "drop"}, [50.0, 52.3, 44.3, 58.0]),
        ({"range_max": 50}, [50.0, 52.3, 44.3, 56.0, 58.0, 55.0]),
    ],
)
def test_inexact_labels_by_policy_with_counts_and_rows(tmp_path, policy, kept):
    content = f"sequence,tm\n{sequence(0)},50\n" + "".join(
        f"{sequence(number)},{cell}\n" for number, (cell, _, _) in enumerate(LABELS, 1)
    )
    reading = read(tmp_path, content)
    assert [(record.label, record.tm) for record in reading.records[1:]] == [(kind, tm) for _, kind, tm in LABELS]
    proteins, cleaning = clean_records(reading.records, reading.table, data(labels=policy))
    assert [protein.tm for protein in proteins] == kept
    shown = {row["row"]: (row["before"], row["after"]) for row in cleaning.rows}
    assert {row: before for row, (before, _) in shown.items()} == {
        3 + at: cell for at, (cell, _, _) in enumerate(LABELS)
    }
    assert sum(after == "dropped" for _, after in shown.values()) == 7 - len(kept)


@pytest.mark.parametrize("kind", ["uncertain", "ranged", "censored"])
def test_inexact_labels_may_stop(tmp_path, kind):
    content = "sequence,tm\n" + "".join(f"{sequence(at)},{cell}\n" for at, (cell, _, _) in enumerate(LABELS[:5]))
    reading = read(tmp_path, content)
    with pytest.raises(InputError, match=f"is {kind}; correct it, or set design.data.labels.{kind}"):
        clean_records(reading.records, reading.table, data(labels={kind: "stop"}))


PROTHERM = "\t".join(
    ("NO", "PROTEIN", "UniProt_ID", "MUTATION", "PDB_wild", "pH", "T_(C)", "∆Tm_(C)", "Tm_(C)", "METHOD", "MEASURE")
)


def test_prothermdb_joined_by_accession(tmp_path):
    """Its layout: `-` for what is missing, wild types in words, mutations with their numbering, ± in parentheses."""
    fasta = write(tmp_path, f">sp|P1|A_X\n{A}\n>sp|P2|B_X\n{B}\n", "all.fasta")
    lines = [
        ("1", "lysozyme", "P1", "wild-type", "1abc", "7.0", "-", "-", "52.3 (0.4)", "Thermal", "CD"),
        ("2", "lysozyme", "P1", f"{CODE} (Based on UniProt and PDB)", "-", "7.0", "-", "-2", "50.0", "Thermal", "DSC"),
        ("3", "lysozyme", "P1", f"{A[0]}1W {A[1]}2W (Based on UniProt)", "-", "3.0", "25", "-", ">60", "Thermal", "CD"),
        ("4", "other", "-", "X12del", "-", "-", "25", "-", "-", "GdnHCl", "Fl"),
        ("5", "other", "P9", "A999W", "-", "-", "25", "-", "-", "GdnHCl", "Fl"),
        ("6", "barnase", "P2", f"{B[0]}1W (Based on PDB)", "-", "6.9", "-", "-", "48.1", "Thermal", "CD"),
    ]  # fmt: skip
    content = PROTHERM + "\n" + "\n".join("\t".join(line) for line in lines) + "\n"
    reading = read(tmp_path, content, "mine.tsv", fasta=str(fasta))
    assert cells(reading, "protein_id", "tm", "label")[:3] == [
        ("P1", 52.3, "uncertain"), (f"P1_{CODE}", 50.0, "exact"), (f"P1_{A[0]}1W+{A[1]}2W", 60.0, "censored"),
    ]  # fmt: skip
    assert reading.records[1].sequence == MUTANT and reading.records[2].sequence == "WW" + A[2:]
    assert set(reading.found.conditions) == {"pH", "METHOD", "MEASURE"}
    proteins, cleaning = clean_records(reading.records, reading.table, data())
    assert len(proteins) == 3 and {step["what"]: step["rows"] for step in cleaning.steps}["no melting temperature"] == 2


FIREPROT = (
    "experiment_id,protein_name,uniprot_id,pdb_id,chain,position,wild_type,mutation,ddG,dTm,is_curated,type,method,"
    "technique,pH,tm,notes,datasets,sequence"
)


def test_fireprotdb(tmp_path):
    """Its layout: rows with ΔΔG alone have no melting temperature, and nothing in them stops."""
    lines = [
        f"LL1,lysozyme,P1,1ABC|2ABC,A,5,{A[4]},W,1.2,-3.1,true,,DSC,Thermal,7.0,50.0,,FireProt,{A}",
        f'LL2,lysozyme,P1,1ABC,A,1,{A[0]},W,,,true,,DSC,Thermal,7.0,51.5,"a, b",,{A}',
        f"LL3,lysozyme,P1,1ABC,A,77,L,R,0.3,,true,,CD,,,,,,{A}",
        "LL4,barnase,,2RN2,B,77,L,R,0.3,,true,,CD,,,,,,",
    ]
    reading = read(tmp_path, FIREPROT + "\n" + "\n".join(lines) + "\n")
    assert reading.found.names["protein_id"] == "uniprot_id" and reading.found.names["tm"] == "tm"
    assert cells(reading, "protein_id", "sequence", "tm")[:2] == [
        (f"P1_{CODE}", MUTANT, 50.0), (f"P1_{A[0]}1W", "W" + A[1:], 51.5),
    ]  # fmt: skip
    assert len(clean_records(reading.records, reading.table, data())[0]) == 2


def test_novozymes(tmp_path):
    content = f"seq_id,protein_sequence,pH,data_source,tm\n0,{A},7.0,doi.org/10.1,75.7\n1,{B},,,50.5\n"
    reading = read(tmp_path, content)
    assert cells(reading, "protein_id", "sequence", "tm") == [("0", A, 75.7), ("1", B, 50.5)]
    assert reading.found.conditions == ["pH", "data_source"]
