"""Learning the validation labels by asking: scripts that measure them, a decoder, and what it gains where.

A row-wise script may predict 60 ± r °C with signs of its own choice. Its validation MAE is then a linear measurement of
the labels, and a few hundred of them give most labels' signs. Here such a search asks the real scoring, decision and
agent's view; only the predictions are drawn, not trained. Rounding to the noise of a comparison is no bound, since one
measurement has the size of that noise. What it takes are the measurements by seed, and `select`, which no search is
told of, does not follow: that is the optimism of the search.
"""

import re
from dataclasses import asdict
from functools import cache

import numpy as np
import polars as pl
import pytest
from simulation import REFERENCE

from tmelt.evidence.optimism import optimism
from tmelt.search.decision import Rule, Validation
from tmelt.search.families import Families
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Space
from tmelt.search.scoring import trial_row
from tmelt.storage.schema import PREDICTIONS, TRIAL, as_frame, write_table
from tmelt.strategies.memory import remember
from tmelt.study.config import Decision as Configured

PROTEINS = 100  # of val, and as many of select
SEEDS = (0, 1, 2)
TRIALS = 100  # 300 queries by seed
R = 4.0  # °C
CENTRE = 60.0  # °C
RULE = Rule(**Configured().model_dump())


class Attack:
    """A search that measures labels for `TRIALS` trials, and the script at its end."""

    def __init__(self, number: int, *, by_seed: bool, trials: int = TRIALS):
        """`by_seed`: signs differ between seeds, which pays where errors by seed are told."""
        self._rng = np.random.default_rng(number)
        self.tm = self._rng.normal(CENTRE, 9, 2 * PROTEINS)
        self.predictions = [np.full((len(SEEDS), 2 * PROTEINS), CENTRE)]
        self.errors = []  # (seeds, val proteins) of each trial
        self.history = History()
        self._ask()
        self.signs = []  # (seeds, proteins) of each query
        for _ in range(trials):
            rows = self._rng.choice([-1.0, 1.0], (len(SEEDS) if by_seed else 1, 2 * PROTEINS))
            self.signs.append(np.broadcast_to(rows, (len(SEEDS), 2 * PROTEINS)))
            self.predictions.append(CENTRE + R * self.signs[-1])
            self._ask()

    def _ask(self) -> None:
        """Score the last candidate as the harness does."""
        number = len(self.history)
        self.errors.append(np.abs(self.predictions[-1] - self.tm)[:, :PROTEINS])
        validation = Validation(lambda trial, seeds: self.errors[trial][list(seeds)], Families.of(np.arange(PROTEINS)))
        maes = [round(float(mae), 2) for mae in self.errors[-1].mean(axis=1)]
        measured = dict.fromkeys(("fit_mae", "stop_mae", "cpu_s", "device_s", "memory_mb"), 0.0)
        measured |= {"parameter_count": number, "checkpoint_mb": 1.0 + number, "fit_s": 1.0, "cut_by_clock": 0}
        row = trial_row(
            proposal=Proposal(Space().defaults(), f"{REFERENCE}# {number}\n", origin="agent"),
            strategy="ua", trajectory=0, iteration=number, history=self.history, rule=RULE, validation=validation,
            status="ok", seeds=SEEDS, maes=maes, error=None, measured=measured,
        )  # fmt: skip
        self.history = History([*self.history, Trial.of(row)])

    def told_by_seed(self) -> list[tuple[float, np.ndarray]]:
        """(error, signs) of each query in hundredths by seed, as `look_up` told once."""
        return [
            (mae, signs)
            for trial, rows in zip(self.history[1:], self.signs, strict=True)
            for mae, signs in zip(trial.val_mae_by_seed, rows, strict=True)
        ]

    def told(self) -> list[tuple[float, np.ndarray]]:
        """(error, mean signs) of each query as the agent's prompt tells it."""
        text = remember(self.history, Space(), base=0, tokens=200_000)
        found = {
            int(number): float(mae) for number, mae in re.findall(r"^\| (\d+) \| (\d+\.\d+) \|", text, re.MULTILINE)
        }
        assert len(found) == TRIALS + 1
        return [(found[number], rows.mean(axis=0)) for number, rows in enumerate(self.signs, 1)]

    def finish(self, told: list[tuple[float, np.ndarray]]) -> tuple[float, float]:
        """Try the decoder's script; its gain over trial 0 on val and on select in °C."""
        maes, signs = np.array([mae for mae, _ in told]), np.array([row for _, row in told])
        weight = -(maes - maes.mean()) @ signs  # (proteins,)
        self.predictions.append(np.tile(CENTRE + 1.5 * R * weight / weight.std(), (len(SEEDS), 1)))
        self._ask()
        gain = np.abs(self.predictions[0] - self.tm) - np.abs(self.predictions[-1] - self.tm)
        return float(gain[:, :PROTEINS].mean()), float(gain[:, PROTEINS:].mean())


@cache
def gains(*, coarse: bool) -> np.ndarray:
    """(searches, 2) gains on val and select in °C."""
    found = []
    for number in range(3):
        attack = Attack(number, by_seed=not coarse)
        found.append(attack.finish(attack.told() if coarse else attack.told_by_seed()))
    return np.array(found)


@pytest.mark.slow
def test_the_decoder_gains_less_by_what_agents_are_told_and_nothing_on_select():
    before, after = gains(coarse=False).mean(axis=0), gains(coarse=True).mean(axis=0)
    print(f"gain on val, select in °C: by seed in hundredths {before.round(2)}, as agents are told {after.round(2)}")
    assert before[0] > 2.0
    assert after[0] < 0.75 * before[0]
    assert max(before[1], after[1]) < 0.1


def test_a_sign_per_seed_gains_no_more_by_what_agents_are_told():
    attack = Attack(0, by_seed=True)
    assert attack.finish(attack.told())[0] < 0.75 * gains(coarse=False)[0, 0]


def test_optimism_shows_what_was_learnt_of_the_validation_labels(tmp_path):
    attack = Attack(1, by_seed=False)
    val, select = attack.finish(attack.told())
    last = len(attack.history) - 1
    assert attack.history.incumbent.iteration == last  # the harness keeps it: on val it is better
    names = [f"p{number}" for number in range(2 * PROTEINS)]
    splits = ["val"] * PROTEINS + ["select"] * PROTEINS
    for iteration in (0, last):
        for seed, predictions in zip(SEEDS, attack.predictions[iteration], strict=True):
            rows = zip(names, splits, predictions, strict=True)
            path = tmp_path / "ua" / "t0" / f"i{iteration}" / f"s{seed}" / "predictions.parquet"
            write_table(path, [dict(zip(PREDICTIONS.names, row, strict=True)) for row in rows], PREDICTIONS)
    labels = pl.DataFrame({"protein_id": names, "split": splits, "cluster": names, "tm": attack.tm})
    trials = as_frame([trial.row for trial in attack.history], TRIAL)
    runs = pl.DataFrame(
        [
            {"strategy": "ua", "trajectory": 0, "iteration": iteration, "seed": seed, "status": "ok"}
            for iteration in range(last + 1)
            for seed in SEEDS
        ]
    )
    found = optimism(trials, runs, tmp_path, labels).of(("ua", 0))
    assert found.value == pytest.approx(val - select)
    assert found.interval()[0] > 0


def test_no_row_of_a_history_holds_errors_by_protein():
    trial = Attack(2, by_seed=False, trials=1).history[-1]
    longest = max(len(value) for value in asdict(trial).values() if isinstance(value, list))
    assert longest == len(SEEDS) and set(trial.row) == set(TRIAL.names)
