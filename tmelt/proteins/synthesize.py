"""The project's own proteins: SYNTHETIC, seeded, made so that what is known about real melting temperatures holds.

No sequence is natural and no value was measured. What the generator follows was measured on meltome-like data
(10,236 proteins of 13 organisms; Meltome Atlas, Jarzab et al. 2020, Nat. Methods 17:495):

* Organisms differ in mean Tm (41–84 °C) and, with it, in composition: the fraction of IVYWREL (Zeldovich et al. 2007,
  PLoS Comput. Biol. 3:e5) goes from .37 to .47, Cys, Gln, Ser, Asn fall, Arg, Glu, Leu, Val rise.
* Within an organism Tm has a standard deviation of 3.0–5.8 °C, of which measurement noise is 1.2–4.3 °C; it falls a
  little with ln length (r about −.15).
* What sequence explains within an organism is 60 % local motifs (their *presence* counts, however long the protein:
  a mean over residues dilutes them, attention can find them) and 40 % a composition unlike the organism's.
* Proteins come in families of mutated homologues across organisms, so that a split by clusters means something.
  Motifs come and go within a family.

Because the noise is known, so is the error that no predictor can beat; `floors` states it for each split.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tmelt.proteins.clean import AMINO_ACIDS, Protein
from tmelt.proteins.read import Record
from tmelt.storage.schema import SPLITS
from tmelt.study.config import Synthetic

# Frequency in mesophiles (near Swiss-Prot's averages) and log change from 41 °C to 84 °C, before IVYWREL is set.
BASE = {
    "A": (0.083, 0.25), "C": (0.016, -1.0), "D": (0.055, -0.20), "E": (0.067, 0.30), "F": (0.039, 0.00),
    "G": (0.071, 0.20), "H": (0.023, -0.20), "I": (0.059, -0.05), "K": (0.058, -0.15), "L": (0.096, 0.20),
    "M": (0.024, -0.20), "N": (0.041, -0.45), "P": (0.047, 0.15), "Q": (0.040, -0.80), "R": (0.055, 0.45),
    "S": (0.067, -0.60), "T": (0.054, -0.30), "V": (0.069, 0.20), "W": (0.011, 0.05), "Y": (0.029, 0.15),
}  # fmt: skip
FREQUENCY, SLOPE = (np.array([BASE[a][column] for a in AMINO_ACIDS]) for column in (0, 1))
IVYWREL = np.array([a in "IVYWREL" for a in AMINO_ACIDS])
IVYWREL_COLD, IVYWREL_HOT = 0.37, 0.48  # ancestry pulls the hot end back to .47
TM_COLD, TM_HOT = 42.0, 83.0  # °C; realised means scatter around these
ORGANISM_STYLE = 0.18  # sd of log frequencies that temperature does not explain, between organisms
FAMILY_STYLE = 0.15  # the same, between families
SHORTEST = 40  # residues
MOTIFS = {"WKPEW": 1.0, "YRHEYI": 0.7, "CNGQC": -0.9, "HMSNFH": -0.8}  # pattern: effect of its presence, relative
MOTIF_IN_FAMILY, MOTIF_IN_MEMBER = 0.35, 0.75  # chance of one motif in a family, and in a member of such a family
MOTIF_SHARE = 0.6  # of the variance within an organism that sequence explains, apart from length
LENGTH_EFFECT = -0.22  # correlation of noiseless Tm with ln length; composition and noise leave about −.15 of it
MEASURED_TWICE = 0.05  # share of proteins with a second, independent measurement


@dataclass(frozen=True)
class Organism:
    """What one made-up organism is like."""

    name: str
    tm: float  # mean in °C
    tm_sd: float  # °C, measured values
    noise_sd: float  # °C, one measurement
    share: float  # of all proteins
    composition: NDArray[np.float64]  # (20,)


@dataclass(frozen=True)
class Truth:
    """What the generator knows of one protein."""

    tm: float  # °C, without noise
    tm_unlabelled: float  # °C, expected by who knows the generator, but not the organism
    noise_sd: float  # °C, one measurement


@dataclass
class Made:
    """A made table: measurements, and what stands behind them by protein_id."""

    records: list[Record]
    organisms: list[Organism]
    truth: dict[str, Truth] = field(default_factory=dict)


def synthesize(settings: Synthetic) -> Made:
    """Make proteins and their measurements; the same settings give the same table.

    Returns:
        `settings.proteins` different sequences in random order, some of them measured twice.
    """
    random = np.random.default_rng([settings.seed, 0x7E17])
    organisms = _organisms(random, settings.organisms)
    sequences, owners = _sequences(random, settings, organisms)
    composition = np.array([[sequence.count(a) for a in AMINO_ACIDS] for sequence in sequences])  # (n, 20) counts
    lengths = composition.sum(axis=1)
    presence = np.array([[motif in sequence for motif in MOTIFS] for sequence in sequences])
    motif = _standardise(presence @ np.array(list(MOTIFS.values())))
    length = _standardise(np.log(lengths))

    # Tm each protein would have in each organism, (n, organisms): its own is the truth.
    compositions = np.stack([organism.composition for organism in organisms])
    index = composition / lengths[:, None] @ SLOPE  # how thermophilic the composition is
    own = index - (compositions @ SLOPE)[owners]
    unlike = (index[:, None] - compositions @ SLOPE - own.mean()) / own.std()
    tm_sd, noise_sd = (np.array([getattr(organism, key) for organism in organisms]) for key in ("tm_sd", "noise_sd"))
    explained = np.sqrt((1 - LENGTH_EFFECT**2) * tm_sd**2 - noise_sd**2)
    inner = np.sqrt(MOTIF_SHARE) * motif[:, None] + np.sqrt(1 - MOTIF_SHARE) * unlike
    tms = (
        np.array([organism.tm for organism in organisms]) + LENGTH_EFFECT * tm_sd * length[:, None] + explained * inner
    )
    posterior = _posterior(composition, compositions, np.array([organism.share for organism in organisms]))
    unlabelled = (posterior * tms).sum(axis=1)

    made = Made([], organisms)
    for at in random.permutation(len(sequences)):
        number, organism = len(made.truth) + 1, organisms[owners[at]]
        name, tm = f"synthetic_{number:05d}", float(tms[at, owners[at]])
        made.truth[name] = Truth(tm, float(unlabelled[at]), organism.noise_sd)
        for _ in range(2 if random.random() < MEASURED_TWICE else 1):
            measured = round(tm + organism.noise_sd * random.normal(), 2)
            made.records.append(Record(len(made.records) + 1, name, sequences[at], measured, organism.name))
    return made


def _standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.mean()) / max(float(values.std()), 1e-9)


def _composition(warmth: float, style: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies of the 20 amino acids at a warmth of 0 (cold) to 1 (hot), with IVYWREL exactly on its line."""
    frequency = FREQUENCY * np.exp(SLOPE * warmth + style)
    share = IVYWREL_COLD + (IVYWREL_HOT - IVYWREL_COLD) * warmth
    frequency[IVYWREL] *= share / frequency[IVYWREL].sum()
    frequency[~IVYWREL] *= (1 - share) / frequency[~IVYWREL].sum()
    return frequency


def _organisms(random: np.random.Generator, count: int) -> list[Organism]:
    """Organisms from the coldest to the hottest; most are mesophiles, as in the data."""
    warmth = np.linspace(0, 1, count) ** 1.6
    warmth[1:-1] += random.uniform(-0.03, 0.03, count - 2)
    shares = random.dirichlet(np.full(count, 12.0))
    organisms = []
    for number, (warm, share) in enumerate(zip(warmth, shares, strict=True), 1):
        # ASSUME noise is the organism's own: experiments differ between species more than between proteins.
        tm_sd = random.uniform(3.5, 4.9)
        noise_sd = random.uniform(1.4, min(3.6, 0.7 * tm_sd))
        composition = _composition(warm, random.normal(0, ORGANISM_STYLE, 20))
        tm = TM_COLD + (TM_HOT - TM_COLD) * warm
        organisms.append(Organism(f"synthetic organism {number}", tm, tm_sd, noise_sd, share, composition))
    return organisms


def _sequences(
    random: np.random.Generator, settings: Synthetic, organisms: list[Organism]
) -> tuple[list[str], NDArray[np.int64]]:
    """Families of homologues, each member in some organism; (n sequences, the organism of each)."""
    sequences: list[str] = []
    owners: list[int] = []
    letters = np.array(list(AMINO_ACIDS))
    shares = np.array([organism.share for organism in organisms])
    while len(sequences) < settings.proteins:
        style = random.normal(0, FAMILY_STYLE, 20)
        length = int(np.clip(settings.length_median * np.exp(random.normal(0, 0.45)), SHORTEST, settings.length_max))
        ancient = _composition(0.3, style)
        ancestor = random.choice(20, length, p=ancient)
        # Non-overlapping places for the motifs, the same in every member that has them.
        places = 2 + random.permutation((length - 2) // 8)[: len(MOTIFS)] * 8
        carried = [
            (pattern, place)
            for pattern, place in zip(MOTIFS, places, strict=False)
            if random.random() < MOTIF_IN_FAMILY
        ]
        for _ in range(min(int(random.geometric(0.4)), settings.proteins - len(sequences))):
            owner = int(random.choice(len(organisms), p=shares))
            changed = random.uniform(0.3, 0.45)
            wanted = organisms[owner].composition * np.exp(style)
            incoming = np.clip(wanted / wanted.sum() - (1 - changed) * ancient, 0, None)
            member = np.where(
                random.random(length) < changed, random.choice(20, length, p=incoming / incoming.sum()), ancestor
            )
            text = "M" + "".join(letters[member[1:]])
            for pattern, place in carried:
                if random.random() < MOTIF_IN_MEMBER:
                    text = text[:place] + pattern + text[place + len(pattern) :]
            sequences.append(text[: length - int(random.integers(0, max(1, min(length // 12, length - SHORTEST))))])
            owners.append(owner)
    return sequences, np.array(owners)


def _posterior(
    counts: NDArray[np.int64], compositions: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability of each organism given a protein's residues, (n, organisms); families' own style is unknown to it."""
    log = counts @ np.log(compositions).T + np.log(shares)
    likelihood = np.exp(log - log.max(axis=1, keepdims=True))
    return likelihood / likelihood.sum(axis=1, keepdims=True)


def floors(truth: dict[str, Truth], proteins: list[Protein], labels: list[str]) -> dict[str, Any]:
    """What is reachable on each split, in °C: for data.json.

    The last two are taken on sealed labels, so they are for the report and never for a prompt.

    * `expected_mae`: mean of sd · √(2/π) over proteins, the noise alone; no predictor does better but by luck.
    * `noiseless_mae`: the generator's own noiseless Tm against the very measurements of this split.
    * `sequence_only_mae`: the same for who knows the generator but must guess the organism from the composition
      (naive Bayes): what a predictor from sequence can be expected to approach.
    """
    found: dict[str, Any] = {}
    for label in SPLITS:
        own = [(truth[p.protein_id], p) for p, split in zip(proteins, labels, strict=True) if split == label]
        found[label] = {
            "expected_mae": _rounded([t.noise_sd * np.sqrt(2 / np.pi / len(p.rows)) for t, p in own]),
            "noiseless_mae": _rounded([abs(t.tm - p.tm) for t, p in own]),
            "sequence_only_mae": _rounded([abs(t.tm_unlabelled - p.tm) for t, p in own]),
        }
    return found


def _rounded(values: list[float]) -> float:
    return round(float(np.mean(values)), 3)
