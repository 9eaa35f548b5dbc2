"""Samplers that a config names: classes of Optuna, and of a folder or file such as one of OptunaHub's registry."""

import textwrap

import pytest
from simulation import Landscape, context_of, simulate

from tmelt.errors import InputError
from tmelt.search.knobs import Space
from tmelt.storage.files import canonical_json
from tmelt.strategies import propose
from tmelt.strategies.check_options import check_options
from tmelt.strategies.registry import kind_of, named_code

# A sampler as OptunaHub's registry has them: a folder with `__init__.py` that imports its neighbour.
PACKAGE = {
    "__init__.py": "from .sampler import NearestSampler\n",
    "sampler.py": """
        import numpy as np
        from optuna.samplers import BaseSampler, RandomSampler
        from optuna.search_space import IntersectionSearchSpace

        class NearestSampler(BaseSampler):
            "The best trial's parameters, some of them drawn again."

            def __init__(self, share=0.2, seed=None):
                if not 0 < share <= 1:
                    raise ValueError("share: a number between 0 and 1")
                self._share, self._random = share, RandomSampler(seed=seed)
                self._rng = np.random.default_rng(seed)

            def infer_relative_search_space(self, study, trial):
                return IntersectionSearchSpace().calculate(study)

            def sample_relative(self, study, trial, search_space):
                best = study.best_trial.params
                return {name: value for name, value in best.items() if self._rng.random() > self._share}

            def sample_independent(self, study, trial, name, distribution):
                return self._random.sample_independent(study, trial, name, distribution)
    """,
}


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "nearest"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def options_of(sampler, **rest):
    return {"sampler": sampler, "startup": 3, **rest}


@pytest.mark.parametrize("name", ["optuna.samplers.NSGAIISampler", "optuna.samplers.RandomSampler", "package"])
def test_a_named_sampler_searches(name, package):
    options = options_of(f"{package}:NearestSampler" if name == "package" else name)
    check_options("mine", "bo", options)
    landscape = Landscape(Space(), seed=3, failing=0.2)
    searched = simulate("bo", 15, landscape=landscape, options=options)
    assert len({canonical_json(trial.knobs) for trial in searched}) == 16
    assert [trial.origin for trial in searched].count("sampler") >= 10 and searched[-1].model_based
    assert options["sampler"] in searched[-1].proposal["rationale"]
    again = propose(searched[:10], context_of("bo", 10, options=options))
    assert again.knobs == searched[10].knobs


def test_its_arguments_reach_it(package):
    sampler = f"{package}:NearestSampler"
    landscape = Landscape(Space(), seed=3)
    far, near = (
        simulate("bo", 12, landscape=landscape, options=options_of(sampler, arguments={"share": share}))
        for share in (1.0, 0.05)
    )

    def changed(searched):
        """Knobs that a trial has other than the best before it, on average."""
        counts = []
        for trial in searched[5:]:
            best = min(searched[: trial.iteration], key=lambda other: other.val_mae)
            counts.append(sum(trial.knobs.get(name) != value for name, value in best.knobs.items()))
        return sum(counts) / len(counts)

    assert changed(near) < 5 < changed(far)


def test_the_code_of_a_path_belongs_to_the_strategy(package):
    def code(options):
        return named_code(kind_of("bo"), options)

    options = options_of(f"{package}:NearestSampler")
    before = code(options)
    assert named_code(kind_of("ra_bo"), {"bo": options}) == before
    assert named_code(kind_of("ra"), {}) is named_code(kind_of("ra_bo"), {}) is None
    (package / "sampler.py").write_text((package / "sampler.py").read_text() + "\n# other\n")
    assert before and code(options) != before
    assert code({"sampler": "tpe"}) is None and code({"sampler": "optuna.samplers.NSGAIISampler"}) is None


@pytest.mark.parametrize(
    ("sampler", "rest", "message"),
    [
        ("tpes", {}, "sampler: 'tpes': expected one of tpe, gp, cmaes, qmc, or a class"),
        ("optuna.samplers.Nothing", {}, "sampler: optuna.samplers.Nothing cannot be loaded: .*install its package"),
        ("no_such_package.Sampler", {}, "sampler: .*No module named"),
        ("optuna.study.Study", {}, "sampler: optuna.study.Study is no optuna.samplers.BaseSampler"),
        (
            "optuna.samplers.GridSampler",
            {},
            "sampler: optuna.samplers.GridSampler refuses its arguments: .*search_space",
        ),
        ("optuna.samplers.PartialFixedSampler", {}, "sampler: .* takes no `seed`"),
        ("{package}:Other", {}, "sampler: .*nearest:Other cannot be loaded: .*correct the path"),
        ("{package}/missing.py:Other", {}, "sampler: .*no file"),
        ("{package}:NearestSampler", {"arguments": {"share": 2}}, "sampler: .* refuses its arguments: share: a number"),
        ("{package}:NearestSampler", {"population": 5}, "population"),
    ],
)
def test_a_sampler_that_cannot_be_used_is_refused_before_any_job(sampler, rest, message, package):
    options = options_of(sampler.format(package=package), **rest)
    with pytest.raises(InputError, match=rf"extent\.strategies\.mine\.{message}") as caught:
        check_options("mine", "bo", options)
    assert "\n" not in str(caught.value)
