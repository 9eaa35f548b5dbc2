"""What a user of Optuna alone writes: the trials of a history as a study in memory, and one ask.

    python benchmarks/plain_optuna.py TRIALS_JSON tpe|gp         # benchmarks/ask.py starts it, as a peer

TRIALS_JSON holds `space`, rows of (name, kind, low, high, log, choices), and `trials`, pairs of values and score.
"""

import json
import sys
import warnings
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.WARNING)


def distribution(kind, low, high, log, choices):
    """A knob's range in Optuna's words."""
    if kind == "choice":
        return CategoricalDistribution(choices)
    return (IntDistribution if kind == "int" else FloatDistribution)(low, high, log=log)


def main(path: str, sampler: str) -> None:
    """Print the next suggestion."""
    told = json.loads(Path(path).read_text())
    space = {name: distribution(*rest) for name, *rest in told["space"]}
    if sampler == "gp":
        import torch

        torch.set_num_threads(1)
        chosen = optuna.samplers.GPSampler(seed=0, n_startup_trials=0)
    else:
        chosen = optuna.samplers.TPESampler(seed=0, n_startup_trials=0, multivariate=True, group=True)
    study = optuna.create_study(sampler=chosen)
    study.add_trials(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE,
            value=score,
            params=values,
            distributions={name: space[name] for name in values},
        )
        for values, score in told["trials"]
    )
    print(json.dumps(study.ask(space).params))


if __name__ == "__main__":
    main(*sys.argv[1:])
