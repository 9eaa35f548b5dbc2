"""The label audit: each implausible table stops or has its caution, and plausible tables have none."""

from functools import cache

import numpy as np
import pytest
from proteins_tables import data, sequence, write

from tmelt.errors import InputError
from tmelt.proteins.audit import Subject, audit
from tmelt.proteins.check import check_table
from tmelt.proteins.clean import Cleaning, Protein
from tmelt.proteins.columns import Found
from tmelt.proteins.prepare import prepare
from tmelt.proteins.read import Reading
from tmelt.proteins.table import Table
from tmelt.storage.schema import AUDIT, read_table

ORGANISMS = ("Escherichia coli", "Thermus thermophilus", "Bacillus subtilis")


@cache
def plausible(count=240, seed=0):
    """Rows as experiments give them: lengths, organisms and labels vary, a tenth of the proteins is measured twice."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        organism = int(random.integers(3))
        tm = (48.0, 75.0, 52.0)[organism] + random.normal(0, 4.5)
        letters = sequence(number, int(random.integers(60, 180)))
        cells = {"protein_id": f"p{number}", "sequence": letters, "organism": ORGANISMS[organism]}
        for _ in range(2 if number % 10 == 0 else 1):
            made.append(cells | {"tm": round(tm + random.normal(0, 1.5), 2)})
    return made


def number_of(row):
    """A number that looks random; repeats of a protein share it."""
    return int(row["protein_id"][1:]) * 7919 % 1009


def changed(change, count=240):
    """The plausible table with what `change` makes of each row."""
    return [row | change(row) for row in plausible(count)]


def found_in(folder, table, **settings):
    checked = check_table(data(write(folder, table), **settings))
    return {result.check: result for result in checked.audited}, checked


def wild_types_under_mutants():
    """FireProtDB's layout without its column of mutations: 150 wild types, 15 mutants each, 43.6 to 64.6 °C."""
    random = np.random.default_rng(1)
    return [
        {"protein_id": f"w{number}", "sequence": sequence(number, 80 + number % 50), "tm": round(tm, 1)}
        for number in range(150)
        for tm in random.uniform(43.6, 64.6, 15)
    ]


def few_mutants():
    """Single measurements with five wild types and their mutants among them."""
    random = np.random.default_rng(2)
    return [*plausible()] + [
        {"protein_id": f"w{at}", "sequence": sequence(900 + at, 90), "tm": round(tm, 1), "organism": ORGANISMS[0]}
        for at in range(5)
        for tm in random.uniform(40, 70, 12)
    ]


def one_wild_type():
    """All variants of one protein under the wild type's sequence."""
    random = np.random.default_rng(3)
    return [{"protein_id": "w", "sequence": sequence(1, 90), "tm": round(tm, 1)} for tm in random.uniform(40, 70, 300)]


def second_half_in_other_unit():
    """Repeats from two sources, one of which is off by a constant."""
    return plausible() + [row | {"tm": row["tm"] + 25} for row in plausible()[:40]]


def long_table():
    """A row for each temperature, whose column is taken for the label."""
    return [
        {"protein_id": f"p{number}", "sequence": sequence(number, 60 + number), "temperature": tm}
        for number in range(100)
        for tm in (37, 41, 44, 47, 50, 53, 56, 59, 63, 67)
    ]


def growth(row):
    base = {"E": 37, "T": 70, "B": 30}[row["organism"][0]]
    return {"tm": base + number_of(row) % 40 / 100}


def variant(at):
    """The at-th of variants in fours of one sequence."""
    letters = list(sequence(5000 + at // 4, 120))
    letters[at % 4 * 7] = "W"
    return "".join(letters)


def leaking():
    parts = ("train", "train", "val", "test")
    once = list({row["protein_id"]: row for row in plausible()}.values())
    return [row | {"sequence": variant(at), "split": parts[at % 4]} for at, row in enumerate(once)]


MUTANTS = "mutants under the wild type's sequence? name design.data.columns.mutation"
# check, table, settings, what is said
STOPS = {
    "mutants, all": ("repeats", wild_types_under_mutants, {}, MUTANTS),
    "mutants, few": ("repeats", few_mutants, {}, "repeats of 4 of 29 proteins spread beyond the noise"),
    "mutants of one": ("repeats", one_wild_type, {}, MUTANTS),
    "two sources": ("repeats", second_half_in_other_unit, {}, "spread beyond the noise of experiments (4.3 °C)"),
    "long table": ("spread", long_table, {"columns": {"tm": "temperature"}}, "there is hardly anything to predict"),
    "constant": ("spread", lambda: changed(lambda row: {"tm": 51.7}), {}, "standard deviation of 0.00 °C"),
    "nearly constant": (
        "spread", lambda: changed(lambda row: {"tm": 51 + number_of(row) % 7 / 10}), {}, "is it the right column?",
    ),
    "classes": (
        "values", lambda: changed(lambda row: {"tm": (40, 70)[number_of(row) % 2]}), {}, "2 different labels of 240",
    ),
    "most at a limit": (
        "tied", lambda: changed(lambda row: {"tm": 95.0} if number_of(row) % 3 else {}), {}, "at the highest value",
    ),
    "most censored": (
        "censored", lambda: changed(lambda row: {"tm": ">70"} if number_of(row) % 3 else {}), {}, "labels are bounds",
    ),
    "growth temperatures": ("organism_labels", lambda: changed(growth), {}, "growth temperatures of the organisms?"),
    "leaking split": ("leak", leaking, {}, "100% of 120 proteins of val and test have homologues in train"),
}  # fmt: skip
CAUTIONS = {
    "a third at the upper limit": (
        "tied", lambda: changed(lambda row: {"tm": 95.0} if number_of(row) % 3 == 0 else {}), {},
        "at the highest value: censored at an instrument's limit?",
    ),
    "a tenth at the lower limit": (
        "tied", lambda: changed(lambda row: {"tm": 30.0} if number_of(row) % 10 == 0 else {}), {},
        "at the lowest value",
    ),
    "both limits": (
        "tied",
        lambda: changed(lambda row: {"tm": (25.0, 99.0)[number_of(row) % 2]} if number_of(row) % 8 < 2 else {}), {},
        "2 value(s), at the lowest and the highest value",
    ),
    "a default inside the range": (
        "tied", lambda: changed(lambda row: {"tm": 50.0} if number_of(row) % 5 == 0 else {}), {}, "inside the range",
    ),
    "few values": (
        "values", lambda: changed(lambda row: {"tm": 40 + 5 * (number_of(row) % 8)}), {}, "8 different labels",
    ),
    "one protein's repeats disagree": (
        "repeats", lambda: [*plausible(), plausible()[3] | {"tm": 99.0}], {}, "repeats of 1 of 25 proteins spread",
    ),
    "bounds": (
        "censored", lambda: changed(lambda row: {"tm": ">95"} if number_of(row) % 8 == 0 else {}), {},
        "dropped, which removes the most or least stable",
    ),
    "bounds, used": (
        "censored",
        lambda: changed(lambda r: {"tm": f"> {80 + number_of(r) % 100 / 9:.2f}"} if number_of(r) % 8 == 0 else {}),
        {"labels": {"censored": "bound"}}, "used as their bounds",
    ),
    "one length": (
        "lengths", lambda: changed(lambda row: {"sequence": row["sequence"][:60]}), {},
        "of the sequences have 60 residues",
    ),
    "cut at a length": (
        "lengths", lambda: changed(lambda row: {"sequence": row["sequence"][:165]}), {},
        "the largest length, 165 residues",
    ),
    "spellings": (
        "organisms",
        lambda: changed(lambda row: {"organism": "E. coli" if number_of(row) % 7 == 0 else "Escherichia coli"}), {},
        "1 spellings were unified ('E. coli' as 'Escherichia coli')",
    ),
    "case": (
        "organisms",
        lambda: changed(lambda row: {"organism": row["organism"].upper()} if number_of(row) % 7 == 0 else {}),
        {}, "3 spellings were unified",
    ),
    "strains": (
        "organisms",
        lambda: changed(lambda row: {"organism": row["organism"] + " K12" * (number_of(row) % 7 == 0)}), {},
        "3 pairs may be one organism",
    ),
    "organisms unknown": (
        "organisms", lambda: changed(lambda row: {"organism": "" if number_of(row) % 2 else row["organism"]}), {},
        "have no organism",
    ),
    "pH": ("conditions", lambda: changed(lambda row: {"pH": 3 + number_of(row) % 7}), {}, "column pH: pH 3 to 9"),
    "pH in words": (
        "conditions", lambda: changed(lambda row: {"pH": f"pH {3 + number_of(row) % 7}"}), {}, "column pH: pH 3 to 9",
    ),
    "assay": (
        "conditions", lambda: changed(lambda row: {"assay": ("DSC", "CD")[number_of(row) % 2]}), {},
        "column assay has 2 values (",
    ),
    "source": (
        "conditions", lambda: changed(lambda row: {"data_source": f"doi{number_of(row) % 5}"}), {},
        "column data_source has 5 values",
    ),
    "some homologues across": (
        "leak",
        lambda: [row | ({} if at < 60 else {"sequence": sequence(at, 100)}) for at, row in enumerate(leaking())],
        {}, "25% of 120 proteins of val and test have homologues in train: errors there are too small",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STOPS)
def test_implausible_labels_stop(tmp_path, case):
    check, table, settings, said = STOPS[case]
    results, checked = found_in(tmp_path, table(), **settings)
    assert results[check].level == "stop" and said in results[check].text
    with pytest.raises(InputError, match=r"mine\.csv: label audit, .*set design\.data\.audit\.accept: \[") as caught:
        prepare(checked.data, tmp_path / "set")
    assert len(str(caught.value).splitlines()) == 1 and not (tmp_path / "set").exists()
    stopped = [name for name, result in results.items() if result.level == "stop"]
    again, _ = found_in(tmp_path, table(), **settings, audit={"accept": stopped})
    assert {again[name].level for name in stopped} == {"accepted"}


@pytest.mark.parametrize("case", CAUTIONS)
def test_doubtful_labels_have_a_caution(tmp_path, case):
    check, table, settings, said = CAUTIONS[case]
    results, _ = found_in(tmp_path, table(), **settings)
    assert results[check].level == "caution" and said in results[check].text, results[check]
    assert not [result for result in results.values() if result.level == "stop"]
    others = {name for name, result in results.items() if result.level == "caution"} - {check}
    assert not others - {"lengths"}, others  # variants of one protein have one length


@pytest.mark.parametrize("seed", range(8))
def test_plausible_labels_have_none(tmp_path, seed):
    results, _ = found_in(tmp_path, plausible(seed=seed))
    assert {result.level for result in results.values()} == {"ok"}
    assert set(results) == {"repeats", "spread", "values", "tied", "organism_labels", "lengths", "organisms"}


@pytest.mark.parametrize(
    "change",
    [
        lambda row: {"tm": round(row["tm"])},  # thermometers that are read to a degree
        lambda row: {"tm": round(2 * row["tm"]) / 2},
        lambda row: {"pH": 7 + number_of(row) % 5 / 10},
        lambda row: {"assay": "DSC"},
        lambda row: {"experiment": row["protein_id"] + str(row["tm"])},
    ],
)
def test_what_is_usual_has_no_caution(tmp_path, change):
    results, _ = found_in(tmp_path, changed(change))
    assert {result.level for result in results.values()} == {"ok"}


def test_selected_conditions_have_no_caution(tmp_path):
    table = changed(lambda row: {"pH": 3 + number_of(row) % 7, "assay": ("DSC", "CD")[number_of(row) % 2]})
    results, _ = found_in(tmp_path, table, where={"pH": [6, 9], "assay": "DSC"}, split="hash")
    assert "conditions" not in results


def test_the_audit_is_a_table_of_the_data_set_without_sealed_labels(tmp_path):
    table = changed(lambda row: {"tm": 95.0} if number_of(row) % 3 == 0 else {})
    prepare(data(write(tmp_path, table)), tmp_path / "set")
    written = read_table(tmp_path / "set" / "audit.parquet", AUDIT)
    assert dict(written.select("check", "level").rows())["tied"] == "caution"
    assert "95" not in " ".join(written["text"])
    prepare(data(), tmp_path / "synthetic")
    assert read_table(tmp_path / "synthetic" / "audit.parquet", AUDIT).is_empty()


def test_a_stop_explains_a_split_that_fails(tmp_path):
    table = [row | {"sequence": sequence(number_of(row) % 8, 90)} for row in plausible()]
    with pytest.raises(InputError, match=r"label audit, repeats: .*and \d other fault"):
        prepare(data(write(tmp_path, [row | {"protein_id": row["sequence"][:5]} for row in table])), tmp_path / "set")


def subject(groups):
    """Proteins with these repeated labels."""
    proteins = [
        Protein(f"p{at}", "MKV", float(np.mean(tms)), None, None, [at], [float(tm) for tm in tms])
        for at, tms in enumerate(groups)
    ]
    return Subject(proteins, Reading([], Table(None, [], [], "row"), Found()), Cleaning(), data())


def stop_rate(draw, runs=300):
    """The share of simulated tables that stop for their repeats."""
    random = np.random.default_rng(7)
    levels = [{r.check: r.level for r in audit(subject(draw(random)))}["repeats"] for _ in range(runs)]
    return levels.count("stop") / runs


@pytest.mark.slow
@pytest.mark.parametrize("proteins", [3, 10, 30, 200])
@pytest.mark.parametrize("repeats", [2, 4])
def test_repeats_within_the_worst_known_noise_do_not_stop(proteins, repeats):
    assert stop_rate(lambda random: random.normal(55, 4.3, (proteins, repeats))) <= 0.01


def test_repeats_with_heavy_tails_do_not_stop():
    noise = 3.0 / np.sqrt(5 / 3)  # standard deviation 3 °C, t with 5 degrees of freedom
    assert stop_rate(lambda random: 55 + noise * random.standard_t(5, (50, 2))) <= 0.01


@pytest.mark.parametrize("proteins, repeats", [(5, 15), (20, 5), (20, 8), (150, 15)])
def test_mutants_under_one_sequence_stop(proteins, repeats):
    """The spread that was met: 43.6 to 64.6 °C within one sequence."""
    assert stop_rate(lambda random: random.uniform(43.6, 64.6, (proteins, repeats))) >= 0.9


def test_repeats_from_two_units_stop():
    assert stop_rate(lambda random: 55 + random.normal(0, 1.5, (30, 2)) + [0, 25]) == 1.0
