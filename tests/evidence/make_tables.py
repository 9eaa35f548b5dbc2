"""All tables of a simulated study, by the project's own scripts in the order of the workflow."""

import importlib.util
import inspect
from pathlib import Path

from simulated_study import LAST_INCUMBENTS, SimulatedStudy

from tmelt.evidence.make import MAKERS, TABLES
from tmelt.evidence.make import make_tables as tables_of_module
from tmelt.prices.listed import COMPUTE_FILE, TOKEN_FILE

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ORDER = ["tabulate_trials", "choose_winners", "open_test_labels"]
ORDER += ["open_external_labels"]
ORDER += [f"tabulate_{name}" for name in MAKERS if name != "trials"]
ASKED = '{"threshold": 55.0, "top": 0.1}'  # of the endpoints
OPENED = ("scores", "facts", "predictions")  # of an external set
_ELSEWHERE = {
    "plan": "confirm/plan.parquet",
    "protocol": "protocol.json",
    "labels": "evidence/labels.parquet",
    "last_incumbents": "evidence/last_incumbents.parquet",
    "confirmed_predictions": "evidence/confirmed_predictions.parquet",
}


def script_function(name: str):
    """The one function of a script."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def _open_external(study: Path, folder: Path, given: dict) -> None:
    """What the rule of this name does with one external set."""
    made = {part: study / "evidence" / "external" / f"{folder.name}_{part}.parquet" for part in OPENED}
    script_function("open_external_labels")(
        called=folder.name,
        study=study,
        asked=ASKED,
        trials=study / "tables" / "trials.parquet",
        plan=given["plan"],
        proteins=given["proteins"],
        external=folder / "proteins.parquet",
        vault=folder / "vault" / "labels.parquet",
        predicted=sorted(study.glob(f"confirm/*/external_{folder.name}.parquet")),
        **made,
    )


def make_tables(simulated: SimulatedStudy, only: tuple[str, ...] = tuple(ORDER)) -> Path:
    """Run the scripts; returns the folder of the tables. The confirmation must have been planned and trained."""
    study = simulated.study
    given = {
        "study": study,
        "seeds": simulated.seeds,
        "histories": simulated.histories,
        "proteins": simulated.data / "proteins.parquet",
        "val": simulated.data / "vault" / "val.parquet",
        "select": simulated.data / "vault" / "select.parquet",
        "test": simulated.data / "vault" / "test.parquet",
        "count": LAST_INCUMBENTS,
        "prices": COMPUTE_FILE,
        "token_prices": TOKEN_FILE,
        "perturbed": sorted(study.glob("confirm/*/perturbed.parquet")),
        "asked": ASKED,
        **{name: study / path for name, path in _ELSEWHERE.items()},
    }
    tables = {name: study / "tables" / f"{name}.parquet" for name in TABLES}
    for name in only:
        if name == "open_external_labels":
            for folder in sorted(study.glob("external/*")):
                _open_external(study, folder, given)
            for part in OPENED:
                given[f"opened_{part}"] = sorted(study.glob(f"evidence/external/*_{part}.parquet"))
            continue
        if name.startswith("tabulate_"):
            tables_of_module(name.removeprefix("tabulate_"), tables | given)
            continue
        function = script_function(name)
        wanted = inspect.signature(function).parameters.values()
        function(**{one.name: (tables | given)[one.name] for one in wanted if one.default is inspect.Parameter.empty})
    return study / "tables"
