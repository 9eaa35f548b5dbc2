"""Make the agents' proposals again from the recorded calls, by strict replay: no model is asked."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tmelt.errors import InfrastructureError, InputError
from tmelt.llm.model_id import model_id
from tmelt.storage.files import read_json
from tmelt.strategies.agent import MEMORY_TOKENS
from tmelt.strategies.guidance import VETOED
from tmelt.strategies.registry import kind_of
from tmelt.study.config import Strategy
from tmelt.verify.group import Group
from tmelt.verify.page import compare_lines
from tmelt.verify.place import Place, script_function


def check_proposals(group: Group, place: Place) -> None:
    """Compare each agent's proposal with what its strategy makes of the history and the recorded replies.

    A proposal that a veto refused is not compared, because the veto may have come later, nor one that stopped a search,
    because it depends on the budget that was in force then.
    """
    propose = script_function("propose", "propose_candidate")
    skipped = 0
    for search in place.searches:
        strategy = search.parent.name
        settings = place.config.extent.strategies[strategy]
        if not kind_of(settings.kind).agent:
            continue
        with tempfile.TemporaryDirectory(prefix="tmelt-verify-") as folder:
            trajectory = Path(folder, "results", place.config.study, strategy, search.name)
            trajectory.mkdir(parents=True)
            for iteration, trial in enumerate(place.trials(search)):
                again = trajectory / trial.name
                if iteration and _is_comparable(group, trial):
                    again.mkdir()
                    if (trial / "llm").is_dir():
                        (again / "llm").symlink_to(trial / "llm")
                    try:
                        propose(
                            protocol=place.study / "protocol.json",
                            proteins=place.data / "proteins.parquet",
                            embedding=place.embedding / "embedding.json",
                            strategy=strategy,
                            settings=json.dumps(settings.model_dump(mode="json")),
                            trajectory=int(search.name.removeprefix("t")),
                            iteration=iteration,
                            iterations=place.config.extent.trials_of(strategy),
                            **_budget(place),
                            history=[search / f"i{iteration - 1}" / "history.parquet"],
                            replay="strict",
                            folder=again,
                            dialect=_dialect(place, settings),
                        )
                    except (InputError, InfrastructureError, OSError) as error:
                        group.checked += 1
                        reason = " ".join(str(error).replace(f"{trajectory}/", "").split())
                        group.differs(trial / "proposal.json", "", "strict replay", "a proposal", reason)
                    else:
                        compare_lines(group, trial / "proposal.json", again / "proposal.json")
                        compare_lines(group, trial / "train.py", again / "train.py")
                    shutil.rmtree(again)
                elif iteration:
                    skipped += 1
                again.symlink_to(trial)  # later proposals read its script and transcripts
    if skipped:
        group.notes.append(f"proposals that were vetoed, or that stopped a search, and were not replayed: {skipped}")


def _budget(place: Place) -> dict[str, Any]:
    """The budget of a search, where it is not one of trials alone."""
    return dict(zip(("unit", "limit"), place.config.extent.limit or (), strict=False))


def _dialect(place: Place, settings: Strategy) -> list[Path]:
    """The file of what a probe found out about a strategy's model; nothing where no LLM is asked."""
    model = model_id(settings.kind, settings.options, MEMORY_TOKENS)
    return [] if model is None else [place.study / "models" / model / "dialect.json"]


def _is_comparable(group: Group, trial: Path) -> bool:
    fields = group.passes(lambda: read_json(trial / "proposal.json"), trial / "proposal.json", "file")
    return fields is not None and fields["status"] != "stopped" and fields["error"] != VETOED
