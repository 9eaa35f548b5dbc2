"""The made proteins obey what was measured on real ones, and leave room between the floors.

Ranges: organism means 41–84 °C, IVYWREL .37 to .47, within an organism sd 3.0–5.8 °C and r −.15 with ln length, noise
1.2–4.3 °C per measurement; signs and rough sizes of the per-protein correlations with Tm.
"""

from functools import cached_property

import numpy as np
import pytest
from proteins_tables import data

from tmelt.proteins.clean import AMINO_ACIDS, clean_records
from tmelt.proteins.cluster import cluster_homologues, find_homologues
from tmelt.proteins.split import split_proteins
from tmelt.proteins.synthesize import IVYWREL, MOTIFS, Truth, floors, synthesize
from tmelt.proteins.table import Table
from tmelt.study.config import Synthetic


class World:
    """Everything that is measured on one made table."""

    def __init__(self, **settings):
        self.made = synthesize(Synthetic.model_validate(settings))
        self.proteins, _ = clean_records(self.made.records, Table(None, [], [], "row"), data())
        self.sequences = [protein.sequence for protein in self.proteins]
        self.tm = np.array([protein.tm for protein in self.proteins])
        self.organism = np.array([protein.organism for protein in self.proteins])
        self.length = np.array([len(text) for text in self.sequences])
        self.share = np.array([[text.count(a) / len(text) for a in AMINO_ACIDS] for text in self.sequences])
        self.own = [self.organism == name for name in sorted(set(self.organism))]

    @cached_property
    def split(self):
        """Splits of the proteins, and the facts about them; a table of 60 proteins may be too small to have any."""
        return split_proteins(self.proteins, data())[:2]

    def of(self, letters):
        return self.share[:, [AMINO_ACIDS.index(letter) for letter in letters]].sum(axis=1)

    def r(self, values):
        return float(np.corrcoef(values, self.tm)[0, 1])


@pytest.fixture(scope="module")
def large():
    return World(proteins=4000, organisms=13, length_median=250, length_max=1000, seed=5)


@pytest.fixture(scope="module", params=[0, 1, 2])
def default(request):
    return World(seed=request.param)


def test_the_same_settings_make_the_same_table():
    first, second = (synthesize(Synthetic(seed=3)) for _ in range(2))
    assert first.records == second.records and first.truth == second.truth
    assert synthesize(Synthetic(seed=4)).records != first.records


@pytest.mark.parametrize("settings", [{"proteins": 60, "organisms": 2, "length_median": 40, "length_max": 60},
                                      {"proteins": 61, "organisms": 13}, {}])  # fmt: skip
def test_settings_are_kept(settings):
    world = World(**settings)
    asked = Synthetic.model_validate(settings)
    assert len(world.proteins) == asked.proteins == len(set(world.sequences))
    assert len(world.made.organisms) == asked.organisms and world.length.max() <= asked.length_max
    assert all(set(text) <= set(AMINO_ACIDS) for text in world.sequences)
    assert abs(np.median(world.length) - asked.length_median) < 0.2 * asked.length_median


def test_organism_means_and_compositions_span_the_measured_range(large):
    means = np.array([large.tm[own].mean() for own in large.own])
    ivywrel = np.array([large.share[own][:, IVYWREL].sum(axis=1).mean() for own in large.own])
    assert 41 <= means.min() <= 43.5 and 80 <= means.max() <= 84
    assert 0.36 <= ivywrel.min() <= 0.38 and 0.45 <= ivywrel.max() <= 0.48
    assert np.corrcoef(means, ivywrel)[0, 1] > 0.95


def test_spread_and_noise_within_organisms(large):
    deviations = np.array([large.tm[own].std() for own in large.own])
    assert deviations.min() >= 3.0 and deviations.max() <= 5.8
    noise = np.array([organism.noise_sd for organism in large.made.organisms])
    assert noise.min() >= 1.2 and noise.max() <= 4.3
    # The noise is really there: repeated measurements differ by it.
    by_name = {}
    for record in large.made.records:
        by_name.setdefault(record.protein_id, []).append(record.tm)
    pairs = np.array([tms for tms in by_name.values() if len(tms) == 2])
    assert 0.03 * 4000 < len(pairs) < 0.07 * 4000
    # Var(a − b) / 2 is the variance of one measurement.
    assert np.sqrt(np.mean(np.diff(pairs) ** 2) / 2) == pytest.approx(np.sqrt(np.mean(noise**2)), rel=0.25)


def test_length_lowers_tm_a_little_within_organisms(large):
    r = np.mean([np.corrcoef(np.log(large.length[own]), large.tm[own])[0, 1] for own in large.own])
    assert -0.25 < r < -0.08


def test_correlations_with_composition_are_those_of_real_proteins(large):
    """Measured on real ones: +.53, +.45, +.36, −.61, +.39, −.32; long made proteins are purer, so wide bounds."""
    aliphatic = large.of("A") + 2.9 * large.of("V") + 3.9 * large.of("IL")
    assert 0.4 < large.r(large.of("IVYWREL")) < 0.75
    assert 0.3 < large.r(large.of("DEKR") - large.of("NQST")) < 0.7
    assert 0.2 < large.r(aliphatic) < 0.6
    assert -0.8 < large.r(large.of("QNST")) < -0.45
    assert 0.2 < large.r(large.of("R") / (large.of("RK") + 1e-9)) < 0.6
    assert -0.55 < large.r(large.of("C")) < -0.15


def test_motifs_matter_by_presence_and_not_by_share(large):
    """Within organisms, motif presence explains what the residues they consist of do not."""
    rest = large.tm.copy()
    for own in large.own:
        rest[own] -= rest[own].mean()
    presence = np.array([[motif in text for motif in MOTIFS] for text in large.sequences])
    assert (presence.mean(axis=0) > 0.1).all() and (presence.mean(axis=0) < 0.5).all()
    effect = [rest[presence[:, at]].mean() - rest[~presence[:, at]].mean() for at in range(len(MOTIFS))]
    assert [value > 0 for value in effect] == [value > 0 for value in MOTIFS.values()]
    assert min(np.abs(effect)) > 1.0
    design = np.column_stack([presence, np.ones(len(rest))])
    explained = 1 - (rest - design @ np.linalg.lstsq(design, rest, rcond=None)[0]).var() / rest.var()
    rare = np.column_stack([large.share, np.ones(len(rest))])
    by_composition = 1 - (rest - rare @ np.linalg.lstsq(rare, rest, rcond=None)[0]).var() / rest.var()
    assert explained > 0.3 and explained > by_composition + 0.05


@pytest.mark.slow
def test_families_are_found_by_clustering(large):
    labels = cluster_homologues(len(large.sequences), find_homologues(large.sequences))
    sizes = np.bincount(labels)
    assert 0.3 < len(sizes) / len(labels) < 0.6 and 2 <= sizes.max() < 60
    assert large.split[1]["across"]["homologous_pairs"] == 0


def ridge(features, tm, train, penalty=5.0):
    """Predictions of a ridge regression on standardised features."""
    z = (features - features[train].mean(axis=0)) / features[train].std(axis=0)
    inner = z[train].T @ z[train] + penalty * np.eye(z.shape[1])
    return tm[train].mean() + z @ np.linalg.solve(inner, z[train].T @ (tm[train] - tm[train].mean()))


def test_floors_leave_room_to_search(default):
    """Median ≫ ridge on composition > what sequence tells > noise."""
    labels = np.array(default.split[0])
    train, test = np.isin(labels, ["fit", "stop"]), labels == "test"
    features = np.column_stack([default.share, np.log(default.length)])
    error = np.abs(ridge(features, default.tm, train) - default.tm)[test].mean()
    median = np.abs(np.median(default.tm[train]) - default.tm[test]).mean()
    known = floors(default.made.truth, default.proteins, default.split[0])["test"]
    assert median > 1.4 * error
    assert error > known["sequence_only_mae"] > 1.5 * known["expected_mae"]
    assert known["noiseless_mae"] == pytest.approx(known["expected_mae"], rel=0.3)
    assert 1.0 < known["expected_mae"] < 3.5


def test_floors_are_arithmetic():
    """Two proteins of known noise; the second measured four times."""

    class Measured:
        def __init__(self, name, tm, count):
            self.protein_id, self.tm, self.rows = name, tm, [0] * count

    truth = {"a": Truth(50.0, 48.0, 2.0), "b": Truth(60.0, 65.0, 4.0)}
    proteins = [Measured("a", 51.0, 1), Measured("b", 57.0, 4)] * 4
    found = floors(truth, proteins, ["fit", "fit", "stop", "stop", "val", "val", "test", "test"])
    assert found["val"] == {"expected_mae": 1.596, "noiseless_mae": 2.0, "sequence_only_mae": 5.5}
