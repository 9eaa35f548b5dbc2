"""Whether a bundle's model is of use, from what was measured: the first line of its card and of `tmelt predict`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Verdict:
    """The verdict on a model.

    Attributes:
        kind: use; care, where the model is not shown to be better than a simple predictor; or avoid.
        text: one sentence or two.
    """

    kind: Literal["use", "care", "avoid"]
    text: str


def verdict(about: Mapping[str, Any]) -> Verdict:
    """Return the verdict that follows from bundle.json.

    The model is held against the best reference predictor, which needs neither embedding nor search; both errors are
    mean absolute errors on the same test proteins. Oracles and bounds do not count: they cannot predict new proteins.
    """
    if about["labels"]:
        causes = " and ".join(label.partition(":")[0].lower() for label in about["labels"])
        return Verdict("avoid", f"Do not use it for real proteins: {causes}.")
    measured = about["measured"]
    ours, high = measured["winner"]["test_ensemble_mae"], measured["winner"]["test_high"]
    others = [row for row in measured["floors"] if row["kind"] == "predictor" and row["test_mae"] is not None]
    on = f"on {measured['test_proteins']} test proteins"
    if not others:
        return Verdict("care", f"Use it with care: it was held against no other predictor (error {ours:.2f} {on}).")
    best = min(others, key=lambda row: row["test_mae"])
    errors = f"mean absolute error {ours:.2f} against {best['test_mae']:.2f} {on}"
    if ours >= best["test_mae"]:
        return Verdict(
            "avoid", f"Do not use it: a simpler predictor, {best['label']}, is as good or better ({errors})."
        )
    if high is None or best["test_mae"] <= high:
        return Verdict("care", f"Use it with care: it is not shown to be better than {best['label']} ({errors}).")
    return Verdict(
        "use",
        f"Use it to rank and screen proteins like those that it was trained on: it is better than {best['label']}"
        f" ({errors}).",
    )
