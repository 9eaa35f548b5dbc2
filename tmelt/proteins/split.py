"""Division of the proteins into fit, stop, val, select and test.

| method | how | good for |
|---|---|---|
| given | the table's own column; train is divided into fit and stop by clusters | published benchmarks |
| cluster | families of homologues (`cluster`) are dealt out whole, the largest first | the user's own data |
| hash | a hash of the sequence: additions never change a protein's side | growing tables; homologues cross |

`auto` takes the table's own split where it has one, else clusters. Everything is seeded and independent of the order
of the rows.

Validation has two parts. `val` guides the searches. `select` (`select_fraction` of the validation proteins) is seen by
no search: it chooses among the last incumbents of a search and measures how far a gain on val carries over. Whole
clusters of homologues are dealt to either part, whatever the method, unless the table gives a `select` part itself.
"""

import hashlib
from collections import Counter
from typing import Any

import numpy as np

from tmelt.errors import InputError
from tmelt.proteins.clean import Protein
from tmelt.proteins.cluster import COVERAGE, Pairs, cluster_homologues, find_homologues
from tmelt.study.config import Data

SMALLEST = {"fit": 20, "stop": 3, "val": 3, "select": 3, "test": 3}  # below these a mean error says nothing
LARGEST_PART = (0.25, 0.5, 1.0)  # of val, test or stop that one cluster may make up; more if the sizes miss
CLOSE = 0.1  # of a part's share that its size may miss
LEAST_CLUSTERS = 2  # of val and of select
LARGEST_MISS = 0.5  # of its share that the size of val or of select may miss


def _unit(seed: int, purpose: str, sequence: str) -> float:
    """A number in [0, 1) that depends on these three alone."""
    digest = hashlib.sha256(f"{seed} {purpose} {sequence}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def take_subset(proteins: list[Protein], data: Data) -> list[Protein]:
    """A seeded random part of `data.subset` proteins, each given split in its proportion; the order is kept."""
    if data.subset is None or data.subset >= len(proteins):
        return proteins
    parts: dict[str | None, list[int]] = {}
    for at, protein in enumerate(proteins):
        parts.setdefault(protein.split if data.split in ("auto", "given") else None, []).append(at)
    exact = {name: data.subset * len(part) / len(proteins) for name, part in parts.items()}
    counts = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(parts, key=lambda name: (counts[name] - exact[name], str(name)))
    for name in by_remainder[: data.subset - sum(counts.values())]:
        counts[name] += 1
    chosen: set[int] = set()
    for name, part in parts.items():
        part.sort(key=lambda at: _unit(data.split_seed, "subset", proteins[at].sequence))
        chosen.update(part[: counts[name]])
    return [protein for at, protein in enumerate(proteins) if at in chosen]


def split_proteins(proteins: list[Protein], data: Data) -> tuple[list[str], dict[str, Any], list[str]]:
    """The split of every protein (fit, stop, val, select or test), the facts about it for data.json, and the families.

    Raises:
        InputError: a given split with a part missing, or too few proteins or clusters for one of the parts.
    """
    sequences = [protein.sequence for protein in proteins]
    method = data.split
    if method == "auto":
        method = "given" if any(protein.split for protein in proteins) else "cluster"
    pairs = find_homologues(sequences)
    clusters = cluster_homologues(len(proteins), pairs)
    if method == "given":
        parts = _given(proteins, data)
    elif method == "hash":
        bounds = np.cumsum(data.split_fractions)
        units = [_unit(data.split_seed, "split", sequence) for sequence in sequences]
        parts = [("train", "val", "test")[min(2, int(np.searchsorted(bounds, unit, "right")))] for unit in units]
    else:
        shares = dict(zip(("train", "val", "test"), data.split_fractions, strict=True))
        parts = _deal(sequences, clusters, shares, data.split_seed, "split")
    labels, stop_by = _divide_train(parts, sequences, clusters, method, data)
    labels, select_by = _divide_validation(labels, sequences, clusters, data)
    counts = Counter(labels)
    for name, least in SMALLEST.items():
        if counts[name] < least:
            of = f"{len(proteins)} proteins in {clusters.max() + 1} clusters of homologues"
            raise InputError(
                f"data set {data.name!r}: {counts[name]} proteins in {name} by the {method} split of {of}, "
                f"at least {least} are needed; give more proteins, or set split, split_fractions, stop_fraction or "
                "select_fraction of design.data"
            )
    sizes = np.bincount(clusters)
    facts = {
        "method": method,
        "asked": data.split,
        "stop_by": stop_by,
        "select_by": select_by,
        "select_fraction": data.select_fraction if select_by != "given" else None,
        "seed": data.split_seed,
        "fractions": None if method == "given" else list(data.split_fractions),
        "stop_fraction": data.stop_fraction if stop_by != "given" else None,
        "counts": {name: counts[name] for name in SMALLEST},
        "clusters": {
            "count": len(sizes),
            "largest": int(sizes.max()),
            "single": int((sizes == 1).sum()),
            "in": {name: len({int(c) for c, label in zip(clusters, labels, strict=True) if label == name})
                   for name in SMALLEST},
        },
        "across": _across(proteins, labels, pairs),
    }  # fmt: skip
    return labels, facts, [f"family{cluster}" for cluster in clusters]


def _given(proteins: list[Protein], data: Data) -> list[str]:
    """The table's own split: train, val, test, or fit and stop where it divides train itself."""
    counts = Counter(protein.split for protein in proteins)
    if not any(counts[name] for name in ("train", "fit", "stop", "val", "test")):
        raise InputError(
            f"{data.source}: design.data.split is 'given', but there is no column {data.columns.split} with splits; "
            "set design.data.columns.split, or design.data.split to cluster or hash"
        )
    missing = [name for name in ("val", "test") if not counts[name]]
    if not counts["train"] and not counts["fit"]:
        missing.insert(0, "train")
    if missing:
        there = ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=str))
        raise InputError(
            f"{data.source}: column {data.columns.split}: no row says {' or '.join(missing)} (there are: {there}); "
            "add such rows, or set design.data.split to cluster or hash to split all rows anew"
        )
    return [str(protein.split) for protein in proteins]


def _divide_train(
    parts: list[str], sequences: list[str], clusters: np.ndarray, method: str, data: Data
) -> tuple[list[str], str]:
    """Train divided into fit and stop, and by what: given, cluster or hash."""
    if "stop" in parts:
        return ["fit" if part == "train" else part for part in parts], "given"
    train = [at for at, part in enumerate(parts) if part in ("train", "fit")]
    inner = [sequences[at] for at in train]
    labels = list(parts)
    if method != "hash":
        shares = {"fit": 1 - data.stop_fraction, "stop": data.stop_fraction}
        dealt = _deal(inner, clusters[train], shares, data.split_seed, "stop")
        for at, label in zip(train, dealt, strict=True):
            labels[at] = label
        if method == "cluster" or dealt.count("stop") >= 0.5 * data.stop_fraction * len(train):
            return labels, "cluster"
    # Variants of few proteins have no clusters to deal out: data.json says that stop went by hash.
    for at, sequence in zip(train, inner, strict=True):
        labels[at] = "stop" if _unit(data.split_seed, "stop", sequence) < data.stop_fraction else "fit"
    return labels, "hash"


def _divide_validation(
    labels: list[str], sequences: list[str], clusters: np.ndarray, data: Data
) -> tuple[list[str], str]:
    """Divide val into val and select; also return by what: given, cluster or hash.

    Raises:
        InputError: too few clusters for two disjoint parts of about the sizes asked for.
    """
    if "select" in labels:
        return labels, "given"
    inside = [at for at, label in enumerate(labels) if label == "val"]
    divided = list(labels)
    if data.select_by == "hash":
        for at in inside:
            if _unit(data.split_seed, "select", sequences[at]) < data.select_fraction:
                divided[at] = "select"
        return divided, "hash"
    share = {"val": 1 - data.select_fraction, "select": data.select_fraction}
    groups: dict[int, list[int]] = {}
    for at in inside:
        groups.setdefault(int(clusters[at]), []).append(at)

    def place(group: list[int]) -> tuple[int, float]:
        return -len(group), _unit(data.split_seed, "select", min(sequences[at] for at in group))

    filled = dict.fromkeys(share, 0)
    dealt = dict.fromkeys(share, 0)
    for group in sorted(groups.values(), key=place):
        part = min(share, key=lambda name: (filled[name] + len(group)) / share[name])
        filled[part] += len(group)
        dealt[part] += 1
        for at in group:
            divided[at] = part
    if len(inside) < SMALLEST["val"] + SMALLEST["select"]:
        return divided, "cluster"  # the caller says which part is too small
    for part in share:
        wanted = share[part] * len(inside)
        missed = abs(filled[part] - wanted) > max(2, LARGEST_MISS * wanted)
        if dealt[part] < LEAST_CLUSTERS or missed or filled[part] < SMALLEST[part]:
            raise InputError(
                f"data set {data.name!r}: the {len(inside)} validation proteins form {len(groups)} clusters of "
                f"homologues, too few to divide them into val and select ({filled['val']} and {filled['select']} "
                "proteins); give more validation proteins, or set design.data.select_by to hash"
            )
    return divided, "cluster"


def _deal(sequences: list[str], clusters: np.ndarray, shares: dict[str, float], seed: int, purpose: str) -> list[str]:
    """Deal whole clusters out, the largest first, each to the part that lacks most of its share.

    The first of `shares` is the training part: it takes the clusters that would dominate another one.
    """
    members: dict[int, list[int]] = {}
    for at, cluster in enumerate(clusters):
        members.setdefault(int(cluster), []).append(at)

    def place(group: list[int]) -> tuple[int, float]:
        return -len(group), _unit(seed, purpose, min(sequences[at] for at in group))

    groups = sorted(members.values(), key=place)
    targets = {name: share * len(sequences) for name, share in shares.items()}
    training = next(iter(shares))
    attempts: list[tuple[float, list[str]]] = []
    for largest in LARGEST_PART:
        lacking = dict(targets)
        labels = [""] * len(sequences)
        for group in groups:
            size = len(group)
            fitting = [
                name
                for name in shares
                if size <= lacking[name] and (name == training or size <= max(1, largest * targets[name]))
            ]
            if fitting:
                name = max(fitting, key=lambda part: lacking[part] / targets[part])
            else:
                name = training if size > 1 else max(shares, key=lambda part: lacking[part])
            lacking[name] -= size
            for at in group:
                labels[at] = name
        off = max(max(0.0, abs(lacking[name]) - 1) / targets[name] for name in shares)
        attempts.append((off, labels))
        if off <= CLOSE:
            break
    return min(attempts, key=lambda attempt: attempt[0])[1]


def _across(proteins: list[Protein], labels: list[str], pairs: Pairs) -> dict[str, Any]:
    """How close train, validation and test come to each other: gapless segments, so a lower bound."""
    sides = {"fit": "train", "stop": "train", "select": "val"}
    side = np.array([sides.get(label, label) for label in labels])
    crossing = np.flatnonzero(side[pairs.first] != side[pairs.second])
    facts: dict[str, Any] = {
        "homologous_pairs": int((pairs.coverage[crossing] >= COVERAGE).sum()),
        "similar_pairs": len(crossing),
        "closest": None,
    }
    if len(crossing):
        nearest = crossing[np.argmax((pairs.identity * pairs.coverage)[crossing])]
        ends = [int(pairs.first[nearest]), int(pairs.second[nearest])]
        facts["closest"] = {
            "proteins": [proteins[at].protein_id for at in ends],
            "splits": [labels[at] for at in ends],
            "identity": round(float(pairs.identity[nearest]), 3),
            "coverage": round(float(pairs.coverage[nearest]), 3),
        }
    return facts
