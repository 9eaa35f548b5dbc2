"""Power of the decision rule, held against the decision rule itself on simulated errors."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml

from tmelt.errors import InputError
from tmelt.evidence.comparison import BASELINE, Side, compare, with_verdicts
from tmelt.evidence.design_power import Design, assumed_noise, statements, warnings
from tmelt.evidence.error_model import Arm
from tmelt.evidence.permutation import exact_p, permutation_p
from tmelt.evidence.power import (
    Noise,
    _permutation_p,
    _pitman_p,
    attainable_p,
    established,
    least_searches,
    registered,
    smallest_effect,
    smallest_n,
)
from tmelt.evidence.verdict import ALPHA, PRIMARY
from tmelt.study.config import parse_config

ROOT = Path(__file__).parents[2]
NOISE = Noise(search=0.3, seed=0.5, protein=0.1, seeds=3, families=60)


def _side(name, mean, n, rng, shared, noise, *, fixed=False):
    own = noise.protein * np.sqrt(len(shared) / 2) * rng.normal(size=len(shared))
    runs = [
        shared + own + mean + noise.search * rng.normal() * (not fixed) + noise.seed * rng.normal(size=(noise.seeds, 1))
        for _ in range(n)
    ]
    return Side(
        name, Arm.of(runs, [list(range(noise.seeds))] * n, list(range(n))), tuple(f"{name}{i}" for i in range(n))
    )


def _judged(effect, n, arms, rng, noise, primary=None, share=1.0):
    """Rows of the decision rule for a world in which arm 0 is better by `effect`."""
    shared = np.abs(rng.normal(6, 2, noise.families))
    sides = [_side(f"s{arm}", -effect * (arm == 0), n, rng, shared, noise) for arm in range(arms)]
    pairs = itertools.combinations(sides, 2)
    rows = [compare(a, b, "test_mae", np.arange(noise.families)) for a, b in pairs]
    return with_verdicts(rows, primary, share)


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "n", "arms"), [(1.0, 6, 3), (0.7, 7, 2), (0.0, 6, 2)])
def test_power_is_that_of_the_verdict(effect, n, arms):
    """Brute force: every error of every protein drawn, the error model, permutations and Holm as in the tables."""
    rng, draws = np.random.default_rng(arms), 120
    hits = [
        np.mean([row["verdict"] == "a better" for row in _judged(effect, n, arms, rng, NOISE) if row["a"] == "s0"])
        for _ in range(draws)
    ]
    said = established(effect, n, arms=arms, family=arms * (arms - 1) // 2, noise=NOISE)
    if effect == 0:
        assert said <= ALPHA and np.mean(hits) <= ALPHA
    else:
        assert abs(said - np.mean(hits)) < 3 * np.std(hits) / np.sqrt(draws) + 0.02


def test_power_of_a_registered_contrast_is_that_of_the_verdict():
    rng, draws = np.random.default_rng(3), 200
    hits = []
    for _ in range(draws):
        rows = _judged(0.8, 6, 2, rng, NOISE, primary=("s0", "s1"))
        hits.append(rows[0]["verdict"] == "a better")
    assert abs(registered(0.8, [6], noise=NOISE) - np.mean(hits)) < 3 * np.std(hits) / np.sqrt(draws) + 0.02


def test_power_against_the_baseline_is_that_of_the_verdict():
    rng, draws = np.random.default_rng(4), 300
    hits = []
    for _ in range(draws):
        shared = np.abs(rng.normal(6, 2, NOISE.families))
        a = _side("s0", -1.0, 6, rng, shared, NOISE)
        b = _side(BASELINE, 0.0, 1, rng, shared, NOISE, fixed=True)
        row = compare(a, b, "test_mae", np.arange(NOISE.families))
        hits.append(row["p_value"] < PRIMARY * ALPHA and row["difference"] < 0)
    said = registered(1.0, [6], noise=NOISE, baseline=True)
    assert abs(said - np.mean(hits)) < 3 * np.std(hits) / np.sqrt(draws) + 0.02


def test_the_permutation_test_is_exact_and_its_approximation_close():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 6)), rng.normal(0.8, 1, size=(40, 6))
    exact = [permutation_p(x, y, rng) for x, y in zip(a, b, strict=True)]
    assert _permutation_p(a, b) == pytest.approx(exact)
    a, b = rng.normal(size=(600, 8)), rng.normal(1.5, 1, size=(600, 8))
    exact, approximate = exact_p(a, b), _pitman_p(a, b)
    for level in (0.04, 0.01, 0.002):
        assert abs((exact < level).mean() - (approximate < level).mean()) < 0.03


def test_what_is_attainable_is_arithmetic():
    assert attainable_p(5, 28) == pytest.approx(28 * 2 / 252)  # 8 strategies, all pairs: .222
    assert attainable_p(4, 1) == 1.0
    assert least_searches(15) == 6 and least_searches(28) == 7 and least_searches(1) == 5
    tiny = Noise(search=0.01, seed=0.0, protein=0.0, seeds=1, families=50)
    assert established(9.0, 5, arms=8, family=28, noise=tiny) == 0.0
    assert established(9.0, 7, arms=8, family=28, noise=tiny) == 1.0


def test_power_grows_with_effect_and_searches_and_comes_out_the_same():
    powers = [established(0.6, n, arms=2, family=1, noise=NOISE) for n in (5, 8, 14)]
    assert powers == sorted(powers)
    assert established(0.6, 8, arms=2, family=1, noise=NOISE) == powers[1]
    n = smallest_n(lambda n: registered(0.6, [n], noise=NOISE), 0.8)
    assert registered(0.6, [n], noise=NOISE) >= 0.8 > registered(0.6, [n - 2], noise=NOISE)
    assert smallest_n(lambda n: 0.0, 0.8) is None
    least = smallest_effect(lambda effect: registered(effect, [12], noise=NOISE), 0.8)
    assert registered(least, [12], noise=NOISE) >= 0.8 > registered(0.95 * least, [12], noise=NOISE)
    assert smallest_effect(lambda effect: 0.0, 0.8) is None


def test_an_early_look_costs_little_power():
    one, two = (registered(0.6, plan, noise=NOISE) for plan in ([12], [6, 12]))
    assert one - 0.05 < two <= one + 0.01


@pytest.fixture
def raw():
    return {
        "study": "mine",
        "design": {"data": {"name": "synthetic"}},
        "extent": {"trajectories": 5, "strategies": {name: {"kind": "random"} for name in "abcdefgh"}},
    }


def test_a_design_that_can_establish_nothing_is_warned_of(raw):
    config = parse_config(raw)
    (line,) = warnings(config)
    assert "with 5 searches of each of 8 strategies no difference between them can be established" in line
    assert Design.of(config).family == 38 and "0.377" in line  # 38 × 2 / 252 at .04 of .05
    assert any(
        "all pairs" in line.lower() and "at least 7" in line for line in statements(config, assumed_noise(config))
    )
    raw["extent"]["trajectories"] = 7
    assert warnings(parse_config(raw)) == []


@pytest.mark.slow
def test_a_registered_effect_that_would_be_missed_is_warned_of(raw):
    raw["hypothesis"] = {"a": "a", "b": "b", "effect": 0.3, "searches": 5}
    (line,) = warnings(parse_config(raw))
    assert line.startswith("hypothesis: 5 searches of each find 0.3 °C with a power of")
    raw["hypothesis"] = {"a": "a", "b": "b", "effect": 3.0, "searches": 8, "looks": [5, 8]}
    config = parse_config(raw)
    assert warnings(config) == []
    said = statements(config, assumed_noise(config, proteins=1000))
    assert "1000 test proteins" in said[0] and said[1].startswith("Registered: a against b, looks at 5, 8 searches")
    raw["extent"]["confirm_seeds"] = 0
    assert "nothing is tested" in warnings(parse_config(raw))[0]


def test_the_full_scale_study_can_answer_its_question(tmp_path):
    raw = yaml.safe_load((ROOT / "studies" / "thermostability.yaml").read_text())
    raw["design"]["data"]["source"] = str(tmp_path / "absent.csv")
    assert warnings(parse_config(raw)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "ghost"}, r"hypothesis\.a: unknown strategy 'ghost'"),
        ({"a": "baseline"}, r"hypothesis\.a: unknown strategy 'baseline'"),
        ({"b": "a"}, r"hypothesis: 'a' on both sides"),
        ({"effect": 0}, r"hypothesis\.effect"),
        ({"looks": [5, 4, 8]}, r"looks: \[5, 4, 8\]: expected increasing"),
        ({"looks": [5, 9]}, r"looks: the last is 9; expected `searches`, 8"),
        ({"metric": "val_mae"}, r"hypothesis\.metric"),
        ({"power": 0.8}, r"hypothesis\.power: Extra"),
    ],
)
def test_hypotheses_are_checked(raw, change, message):
    raw["hypothesis"] = {"a": "a", "b": "b", "effect": 0.5, "searches": 8} | change
    with pytest.raises(InputError, match=message):
        parse_config(raw)
    raw["hypothesis"] = {"a": "a", "b": "baseline", "effect": 0.5, "searches": 8}
    assert parse_config(raw).hypothesis.plan == (8,)
