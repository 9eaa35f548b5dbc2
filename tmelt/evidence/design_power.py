"""What a config's design can establish, before it is run: the lines of `tmelt power`, and warnings at the start."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tmelt.errors import InputError
from tmelt.evidence.looks import planned_levels, unplanned_level
from tmelt.evidence.power import (
    MOST,
    Noise,
    attainable_p,
    established,
    least_searches,
    registered,
    smallest_effect,
    smallest_n,
)
from tmelt.evidence.verdict import ALPHA, FEW, PRIMARY
from tmelt.storage.files import read_json
from tmelt.study.identity import dataset_id

if TYPE_CHECKING:
    from tmelt.study.config import Config

# °C. Not known before searches were repeated; the table `power` of a finished study has the observed value.
SEARCH_SD = 0.3
# °C. The default study's baseline over 14 training seeds: .54, part of which is common to all candidates.
SEED_SD = 0.5
# °C. Standard error of a paired difference is about .15 with 100 proteins.
PROTEIN_SD = 1.5
PROTEINS = 500  # test proteins where the data are not there yet
TARGET = 0.8
_DRAWS = 1000


@dataclass(frozen=True)
class Design:
    """A config's numbers that decide what can be established.

    Attributes:
        arms: strategies.
        searches: of each strategy.
        family: contrasts that the adjustment counts.
        level: error rate that all pairs share at the end of the plan, whatever the registered contrast shows.
    """

    arms: int
    searches: int
    family: int
    level: float

    @classmethod
    def of(cls, config: "Config") -> "Design":
        """The design of a config."""
        arms = len(config.extent.strategies)
        baseline = "baseline" in config.evidence.purposes
        family = arms * (arms - 1) // 2 + arms * baseline + 2  # two contrasts with the reference predictor
        if config.hypothesis is None:
            return cls(arms, config.extent.trajectories, family, unplanned_level(1))
        level = (1 - PRIMARY) * planned_levels(config.hypothesis.plan)[-1]
        return cls(arms, config.extent.trajectories, family - 1, level)

    def attainable(self, searches: int) -> float:
        """The least adjusted p of a pair that was not registered, to be compared with ALPHA."""
        return min(1.0, attainable_p(searches, self.family) * ALPHA / self.level)


def assumed_noise(config: "Config", sd: float | None = None, seed_sd: float | None = None, proteins: int = 0) -> Noise:
    """Noise of a config's study, in its target's unit; what is not given is assumed, `proteins` are counted first."""
    scale = config.design.data.target.record.scale
    families = proteins or _test_proteins(config) or PROTEINS
    return Noise(
        float(f"{SEARCH_SD * scale:.2g}") if sd is None else sd,
        float(f"{SEED_SD * scale:.2g}") if seed_sd is None else seed_sd,
        PROTEIN_SD * scale / math.sqrt(families),
        max(1, config.extent.confirm_seeds),
        families,
    )


def _test_proteins(config: "Config") -> int | None:
    data = config.design.data
    try:
        prepared = Path("results/data", dataset_id(data), "data.json")
        if prepared.exists():
            return read_json(prepared)["splits"]["test"]
    except (InputError, KeyError):
        pass
    total = data.subset or (data.synthetic.proteins if data.source == "synthetic" else None)
    return round(total * data.split_fractions[2]) if total else None


def statements(config: "Config", noise: Noise) -> list[str]:
    """What the design can establish, line by line, with the assumptions."""
    amount = _amount(config)
    lines = [
        f"Assumed: SD between the searches of a strategy {amount(noise.search)} (--sd), between training seeds "
        f"{amount(noise.seed)} (--seed-sd), {noise.seeds} fresh seeds, {noise.families} test proteins (--proteins; "
        f"standard error of a difference {amount(float(f'{noise.protein:.2g}'))})."
    ]
    if missing := _unmeasured(config):
        return [*lines, missing]
    return [*lines, *_of_hypothesis(config, noise), *_of_all_pairs(config, noise)]


def warnings(config: "Config") -> list[str]:
    """Why the design cannot answer its question; empty if it can."""
    if missing := _unmeasured(config):
        return [missing] if config.hypothesis else []
    noise, hypothesis, amount = assumed_noise(config), config.hypothesis, _amount(config)
    if hypothesis is not None:
        plan, baseline = hypothesis.plan, hypothesis.b == "baseline"
        power = registered(hypothesis.effect, plan, noise=noise, baseline=baseline, draws=_DRAWS)
        if power >= TARGET:
            return []
        return [
            f"hypothesis: {plan[-1]} searches of each find {amount(hypothesis.effect)} with a power of {power:.0%} "
            f"only, at an assumed SD of {amount(noise.search)} between searches; `tmelt power` says what would do"
        ]
    design = Design.of(config)
    if design.arms > 1 and design.attainable(design.searches) >= ALPHA:
        return [
            f"{_nothing(design)}; {least_searches(design.family, design.level)} of each could, and a registered "
            "`hypothesis` needs fewer: see `tmelt power`"
        ]
    return []


def _amount(config: "Config") -> Callable[[float], str]:
    """Writes a number with the unit of the config's target."""
    target = config.design.data.target.record
    return lambda value: target.amount(f"{value:g}")


def _unmeasured(config: "Config") -> str | None:
    if config.extent.confirm_seeds and "winner" in config.evidence.purposes:
        return None
    return "No winner is retrained on fresh seeds (extent.confirm_seeds, evidence.purposes), so nothing is tested."


def _of_hypothesis(config: "Config", noise: Noise) -> list[str]:
    hypothesis = config.hypothesis
    if hypothesis is None:
        return ["No hypothesis is registered: every comparison will be exploratory."]
    plan, baseline, amount = hypothesis.plan, hypothesis.b == "baseline", _amount(config)

    def power(n: int, effect: float = hypothesis.effect) -> float:
        looks = sorted({max(1, round(n * searches / plan[-1])) for searches in plan})
        return registered(effect, looks, noise=noise, baseline=baseline)

    found = smallest_effect(lambda effect: power(plan[-1], effect), TARGET, most=20.0)
    lines = [
        f"Registered: {hypothesis.a} against {hypothesis.b}, looks at {', '.join(map(str, plan))} searches of each. A "
        f"difference of {amount(hypothesis.effect)} is established with a power of {power(plan[-1]):.0%}"
        + (f"; {amount(float(f'{found:.2g}'))} with {TARGET:.0%}." if found else "; none with 80%.")
    ]
    parts = [
        f"{wanted:.0%}: {_searches(smallest_n(power, wanted, least=2 if baseline else FEW))}" for wanted in (0.8, 0.9)
    ]
    lines.append(f"  For {amount(hypothesis.effect)} it takes, of each, with a power of {' and of '.join(parts)}.")
    if config.extent.trajectories < plan[-1]:
        lines.append(f"  extent.trajectories is {config.extent.trajectories}: the plan ends at {plan[-1]}.")
    return lines


def _of_all_pairs(config: "Config", noise: Noise) -> list[str]:
    design = Design.of(config)
    if design.arms < 2:
        return []
    effect, amount = config.hypothesis.effect if config.hypothesis else 0.5, _amount(config)
    lines = []
    if config.hypothesis:
        lines.append(
            f"All other pairs have {design.level / ALPHA:.0%} of the error rate (all of it once the registered "
            "difference is established)."
        )
    least = design.attainable(design.searches)
    if least >= ALPHA:
        lines.append(
            f"All pairs: {_nothing(design)}; it takes at least {least_searches(design.family, design.level)} of each."
        )
    else:
        power = _pair_power(design, noise, effect, design.searches)
        lines.append(
            f"All pairs: with {design.searches} searches of {design.arms} strategies, a pair that differs by "
            f"{amount(effect)} is established with a power of {power:.0%}."
        )
    parts = [
        f"{amount(size)} {_searches(smallest_n(lambda n, e=size: _pair_power(design, noise, e, n), TARGET))}"
        for size in sorted({0.3, effect, 1.0})
    ]
    return [*lines, f"  With a power of {TARGET:.0%} for any pair it takes, of each strategy: {', '.join(parts)}."]


def _pair_power(design: Design, noise: Noise, effect: float, n: int) -> float:
    return established(
        effect, n, arms=design.arms, family=design.family, noise=noise, level=design.level, draws=_DRAWS // 2
    )


def _nothing(design: Design) -> str:
    least = design.attainable(design.searches)
    why = (
        f"the least attainable adjusted p among {design.family} contrasts is {least:.3f}"
        if design.searches >= FEW
        else f"fewer than {FEW} are not tested"
    )
    searches = "1 search" if design.searches == 1 else f"{design.searches} searches"
    return f"with {searches} of each of {design.arms} strategies no difference between them can be established ({why})"


def _searches(n: int | None) -> str:
    return f"more than {MOST} searches" if n is None else f"{n} searches"
