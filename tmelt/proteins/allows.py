"""What the numbers of proteins and organisms of a table allow a study to show, before hours are spent on it."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tmelt.evidence.design_power import PROTEIN_SD
from tmelt.study.group import Group

if TYPE_CHECKING:
    from tmelt.proteins.clean import Protein
    from tmelt.study.config import Data

# Of a paired, two-sided test at 5 % with a power of 80 %: 1.96 + 0.84 standard errors.
_SHOWN = 2.8
_FEW_FIT = 200  # fit proteins below which a head on frozen embeddings rarely does better than a ridge regression
_FEW_PER_ORGANISM = 5  # test proteins; fewer give no rank correlation within an organism


def allows(proteins: Sequence["Protein"], split: dict[str, Any], data: "Data") -> Iterator[str]:
    """Yield what the split's sizes allow, one sentence each.

    Args:
        proteins: after cleaning.
        split: facts about it, as in data.json.
        data: the settings, which name target and groups.
    """
    families, target = split["clusters"]["in"], data.target.record
    sd = _SHOWN * PROTEIN_SD * target.scale
    smallest = {part: target.amount(f"{sd / math.sqrt(max(1, families[part])):.1f}") for part in ("val", "test")}
    yield (
        f"test: {split['counts']['test']} proteins of {families['test']} families; a difference between two models"
        f" below about {smallest['test']} will not show, however many searches there are"
    )
    yield (
        f"search: {split['counts']['val']} proteins of {families['val']} families guide it; a single change worth less"
        f" than about {smallest['val']} is within their noise"
    )
    if split["counts"]["fit"] < _FEW_FIT:
        yield (
            f"training: {split['counts']['fit']} proteins are few; expect a ridge regression on the same embeddings to"
            " be as good, and read the report's reference predictors first"
        )
    if data.columns.organism is not None:
        yield _groups(proteins, split["fractions"][2], data.groups)


def _groups(proteins: Sequence["Protein"], test: float, group: Group) -> str:
    """What the column of groups allows."""
    known = Counter(protein.organism for protein in proteins if protein.organism)
    if not known:
        return f"{group.plural}: none are named, so there are no numbers within {group.plural} and none for new ones"
    if len(known) == 1:
        return f"{group.plural}: one ({next(iter(known))}), so nothing is said about proteins of others"
    enough = sum(count * test >= _FEW_PER_ORGANISM for count in known.values())
    return (
        f"{group.plural}: {len(known)}, of which {enough} have about {_FEW_PER_ORGANISM} test proteins or more, as"
        f" numbers within {group.one} need"
    )
