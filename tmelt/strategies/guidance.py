"""Human oversight: `guidance.yaml` in a trajectory's folder.

    guidance: try larger heads before anything else      # enters the agent's prompt
    veto: [12]                                           # trial 12 is refused, whatever was proposed
    pause_before: 20                                     # the search stops before trial 20 until this line goes

Guidance counts from the next proposal on. The text in force when a proposal was first asked for is journaled beside
the proposal's transcripts (`llm/guidance.yaml`), so that a replay says the same words although the file has moved on.
A veto works on a proposal that is made as always and then turned into `refused`, by the same function whether the veto
was there before (when proposing) or came after (when training is due), so both leave the same row in the history. A
veto of a trial that has been trained comes too late.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from tmelt.errors import InputError, first_complaint
from tmelt.search.history import History, Proposal
from tmelt.search.notes import Oversight
from tmelt.storage.files import write_text

FILE = "guidance.yaml"
VETOED = "vetoed by the user"


class Guidance(BaseModel):
    """The user's orders for one trajectory."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    guidance: str = Field("", max_length=4000, description="words for the agent")
    veto: tuple[Annotated[StrictInt, Field(ge=1)], ...] = Field(
        (), description="iterations whose proposals are refused"
    )
    pause_before: StrictInt | None = Field(None, ge=1, description="stop before this iteration")


def read_guidance(folder: Path) -> Guidance:
    """What the trajectory's `guidance.yaml` says; nothing when there is none.

    Raises:
        InputError: unreadable YAML, an unknown key or a value of the wrong kind.
    """
    path = folder / FILE
    if not path.exists():
        return Guidance()
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}; correct or remove it") from None
    if raw is None:
        return Guidance()
    if not isinstance(raw, dict):
        raise InputError(f"{path}: needs keys (guidance, veto, pause_before), not a {type(raw).__name__}")
    try:
        return Guidance.model_validate(raw)
    except ValidationError as error:
        raise InputError(
            f"{path}: {first_complaint(error)}; there are guidance (text), veto (list of iterations), pause_before"
            " (iteration)"
        ) from None


def write_guidance(folder: Path, wanted: Guidance) -> None:
    """Write the trajectory's `guidance.yaml`, atomically; remove it where nothing is wanted."""
    given = {name: value for name, value in wanted.model_dump(mode="json").items() if value not in ("", [], None)}
    if given:
        write_text(folder / FILE, yaml.safe_dump(given, allow_unicode=True, sort_keys=False))
    else:
        (folder / FILE).unlink(missing_ok=True)


def guidance_in_force(folder: Path, iteration: int, replay: str) -> str:
    """The words for the agent at `iteration`.

    Once a call is recorded there, they are those journaled beside it, or none; before, they are today's, which are
    journaled. With `replay: off` they are always today's; with `replay: strict` nothing is written.
    """
    journal = folder / f"i{iteration}" / "llm" / FILE
    if replay != "off" and any(journal.parent.glob("[0-9]*.json")):
        return read_guidance(journal.parent).guidance
    text = read_guidance(folder).guidance.strip()
    if replay == "strict":
        return text
    if text:
        write_text(journal, yaml.safe_dump({"guidance": text}, allow_unicode=True))
    else:
        journal.unlink(missing_ok=True)
    return text


def pause(history: History, folder: Path, iteration: int) -> Proposal | None:
    """A stop, if the user asked the search to wait before `iteration` or an earlier one; no LLM is asked."""
    before = read_guidance(folder).pause_before
    if before is None or iteration < before:
        return None
    last = history[-1]
    reason = f"paused by the user before iteration {before}; remove or raise pause_before in {folder / FILE} to go on"
    return Proposal(
        knobs=last.knobs, script="", origin=last.origin, status="stopped", parent=last.parent, error=reason,
        state=(Oversight(pause_before=before),),
    )  # fmt: skip


def apply_veto(proposal: Proposal, folder: Path, iteration: int) -> Proposal:
    """The proposal as the user leaves it: refused where its iteration is vetoed. Applying it twice changes nothing.

    The knobs and the script stay on record, so that the agent sees what was vetoed and does not propose it again.
    """
    if proposal.status != "proposed" or iteration not in read_guidance(folder).veto:
        return proposal
    return replace(proposal, status="refused", error=VETOED)


def proposal_to_train(folder: Path) -> Proposal:
    """The proposal in a trial's folder …/t{trajectory}/i{iteration}; a veto that came after it was made counts.

    Raises:
        InputError: a damaged proposal or guidance file.
    """
    return apply_veto(Proposal.read(folder), folder.parent, int(folder.name.removeprefix("i")))
