"""Groups of test proteins: organisms of few proteins are pooled, and their ranks are not compared."""

import polars as pl
import pytest

from tmelt.evidence.subgroups import subgroups
from tmelt.study.group import ORGANISMS


def errors_by_organism(counts: dict[str, int]) -> dict[str, dict]:
    """Rows of `subgroups` by organism, for one candidate whose error is its protein's place."""
    organisms = [name for name, count in counts.items() for _ in range(count)]
    places = range(len(organisms))
    proteins = {"protein_id": [f"p{place}" for place in places], "organism": organisms}
    predictions = pl.DataFrame(
        proteins
        | {
            "split": "test",
            "role": "winner",
            "strategy": "ua",
            "trajectory": 0,
            "cluster": [f"c{place}" for place in places],
            "length": 150,
            "tm": [50.0 + place for place in places],
            "prediction": [50.0 + 2 * place for place in places],
        }
    )
    labels = predictions.select("protein_id", identity=pl.lit(0.0))
    rows = subgroups(predictions, labels).filter(dimension="organism").sort("order")
    return {row["group"]: row for row in rows.to_dicts()}


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ({"a": 9, "z": 1, "b": 3, "c": 8}, {"a": 9, "c": 8, ORGANISMS.others: 4}),
        ({"a": 9, "b": 3}, {"a": 9, "b": 3}),
        ({"a": 8, "b": 8}, {"a": 8, "b": 8}),
    ],
)
def test_small_organisms_are_pooled_at_the_end(counts, groups):
    found = errors_by_organism(counts)
    assert {name: row["proteins"] for name, row in found.items()} == groups
    assert list(found) == list(groups)


def test_pooled_organisms_have_an_error_and_no_rank_correlation():
    found = errors_by_organism({"a": 9, "b": 4, "c": 5})
    assert found["a"]["spearman"] == pytest.approx(1) and found[ORGANISMS.others]["spearman"] is None
    assert found[ORGANISMS.others]["mae"] == pytest.approx(sum(range(9, 18)) / 9)
