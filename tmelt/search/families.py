"""Variance of a mean over proteins that come in families: the cluster-robust CR2 estimate (Bell & McCaffrey 2002).

Relatives are no independent evidence, so the family is the unit. `tmelt.evidence.error_model` builds its intervals on
this, `tmelt.search.decision` its margin. Only NumPy is imported: every trial of every search pays for it.
"""

import numpy as np


class Families:
    """Families of proteins: their shares, and what a family adds to a mean over all proteins.

    Attributes:
        share: (families,) share of the proteins.
        inflation: (families,) CR2's factor: a large family pulls the mean towards itself.
        freedom: degrees of freedom of the variance by Bell and McCaffrey, for independent proteins of equal variance.
    """

    def __init__(self, index: np.ndarray, count: int) -> None:
        """Take the families of proteins.

        Args:
            index: (proteins,) family of each protein, from 0.
            count: number of families, at least two.
        """
        self.share = np.bincount(index, minlength=count) / len(index)
        self._order = np.argsort(index, kind="stable")
        self._starts = np.searchsorted(index[self._order], np.arange(count))
        self.inflation = 1 / (1 - self.share)
        # tr(C)² / tr(C²) of the covariance C of the families' contributions, whose trace is 1.
        pulled = self.share**2 * self.inflation
        self.freedom = float(1 / ((self.share**2).sum() + pulled.sum() ** 2 - (pulled**2).sum()))

    @classmethod
    def of(cls, names: np.ndarray) -> "Families":
        """The families of proteins (proteins,) by name."""
        found, index = np.unique(names, return_inverse=True)
        return cls(index, len(found))

    def contributions(self, values: np.ndarray) -> np.ndarray:
        """(runs, families): sum over a family of the deviations from the run's mean, divided by all proteins."""
        centred = values - values.mean(axis=1, keepdims=True)
        return np.add.reduceat(centred[:, self._order], self._starts, axis=1) / values.shape[1]

    def variance(self, values: np.ndarray) -> float:
        """Variance of the mean of `values` (runs, proteins) that comes from the proteins alone.

        What differs between the runs by protein is part of the spread between their means already, and is taken off.
        Of a single run it stays in, because it cannot be told apart.
        """
        parts = self.contributions(values)  # (runs, families)
        whole = parts.mean(axis=0) ** 2 @ self.inflation
        between = parts.var(axis=0, ddof=1) @ self.inflation / len(parts) if len(parts) > 1 else 0.0
        return max(0.0, float(whole - between))
