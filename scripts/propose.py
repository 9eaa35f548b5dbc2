"""Propose the next candidate of one search.

Reads   protocol.json, the history so far (none before trial 0), earlier scripts and transcripts of the trajectory,
        the dialect of the model if there is one
Writes  proposal.json, train.py; llm/NN.json for every LLM call
"""

import json
from pathlib import Path

from tmelt.command import run_command
from tmelt.config import Strategy
from tmelt.history import History
from tmelt.protocol import REFERENCE
from tmelt.protocol_record import read_protocol
from tmelt.resume import with_circumstances
from tmelt.strategies import Context, propose
from tmelt.strategies.facts import facts_of
from tmelt.strategies.registry import kind_of
from tmelt.strategies.seeds import seed_of
from tmelt.strategies.stop import continue_stop


def propose_candidate(
    *,
    protocol: Path,
    strategy: str,
    settings: str,
    trajectory: int,
    iteration: int,
    history: list[Path],
    replay: str,
    folder: Path,
    dialect: list[Path] | None = None,
) -> None:
    """Write the proposal of trial `iteration` into `folder`."""
    fixed = read_protocol(protocol)
    chosen = Strategy.model_validate(json.loads(settings))
    past = History.read(history[0] if history else None)
    conversation = None
    if kind_of(chosen.kind).agent and iteration > 0:
        from tmelt.llm import conversation_for
        from tmelt.llm.dialect import DEFAULT, read_dialect
        from tmelt.strategies.playbook import playbook

        seed = seed_of(fixed.study, strategy, trajectory)
        form = read_dialect(dialect[0]) if dialect else DEFAULT
        conversation = conversation_for(chosen.options, folder / "llm", past, replay, seed, form, playbook)
    context = Context(
        study=fixed.study,
        strategy=strategy,
        kind=chosen.kind,
        options=chosen.options,
        trajectory=trajectory,
        iteration=iteration,
        space=fixed.space,
        reference=REFERENCE.read_text(encoding="utf-8"),
        folder=folder.parent,
        conversation=conversation,
        facts=facts_of(fixed),
    )
    proposal = continue_stop(past)
    if proposal is None:
        proposal = propose(past, context)
        if proposal.status == "stopped":
            proposal = with_circumstances(proposal, chosen.options, folder.parent)
    if conversation is not None:
        conversation.finish()
    proposal.write(folder)


if __name__ == "__main__":
    run_command(propose_candidate)
