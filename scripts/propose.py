"""Propose the next candidate of one search.

Reads   protocol.json, proteins.parquet (labels of fit and stop), the history so far (none before trial 0), earlier
        scripts and transcripts of the trajectory, the dialect of the model if there is one; for tools that run scripts
        the embedding's views; with replay_from the transcripts of another study
Writes  proposal.json, train.py; llm/NN.json for every LLM call, llm/NN.tools.json for the tools that it used
"""

import json
from pathlib import Path
from typing import cast

from tmelt.command import run_command
from tmelt.search.fidelity import stop_if_beyond
from tmelt.search.history import History
from tmelt.search.spend import Limit, Meter, Unit, left_in_words, stop_if_used_up
from tmelt.strategies import Context, propose
from tmelt.strategies.facts import facts_of
from tmelt.strategies.registry import kind_of
from tmelt.strategies.seeds import seed_of
from tmelt.strategies.stop import continue_stop
from tmelt.study.config import Strategy
from tmelt.study.protocol import REFERENCE
from tmelt.study.protocol_record import read_protocol
from tmelt.study.resume import with_circumstances


def propose_candidate(
    *,
    protocol: Path,
    proteins: Path,
    embedding: Path,
    strategy: str,
    settings: str,
    trajectory: int,
    iteration: int,
    iterations: int,
    history: list[Path],
    replay: str,
    folder: Path,
    dialect: list[Path] | None = None,
    unit: str | None = None,
    limit: float | None = None,
    replay_from: Path | None = None,
) -> None:
    """Write the proposal of trial `iteration` into `folder`; the search has `iterations`, cheap ones as shares of one.

    `limit` is the budget of the search in `unit`, where it is not one of trials alone.
    """
    fixed = read_protocol(protocol)
    chosen = Strategy.model_validate(json.loads(settings))
    past = History.read(history[0] if history else None)
    kind, conversation, bench, sessions = kind_of(chosen.kind), None, None, None
    if kind.agent and iteration > 0 and replay_from is not None:
        from tmelt.llm.replay_source import ReplaySource

        ReplaySource(replay_from).copy_trial(folder)
    if kind.external and iteration > 0:
        from tmelt.coder.session import Sessions

        results = protocol.parent.parent
        sessions = Sessions(folder / "llm", replay, sandbox=fixed.design.sandbox, hidden=results, source=replay_from)
    elif kind.agent and iteration > 0:
        from tmelt.llm import conversation_for
        from tmelt.llm.dialect import DEFAULT, read_dialect
        from tmelt.strategies.playbook import playbook

        seed = seed_of(fixed.search_seeds, strategy, trajectory)
        form = read_dialect(dialect[0]) if dialect else DEFAULT
        conversation = conversation_for(
            chosen.options, folder / "llm", past, replay, seed, form, playbook, source=replay_from
        )
    if sessions is not None or (conversation is not None and conversation.settings.tools is not None):
        from tmelt.harness.bench import Bench
        from tmelt.harness.run import Harness

        bench = Bench(lambda: Harness.of(fixed, embedding.parent, proteins))
    meter = Meter(folder.parent, fixed.design.device, cast(Unit, unit)) if unit and limit else None
    context = Context(
        study=fixed.search_seeds,
        strategy=strategy,
        kind=chosen.kind,
        options=chosen.options,
        trajectory=trajectory,
        iteration=iteration,
        space=fixed.space,
        reference=REFERENCE.read_text(encoding="utf-8"),
        folder=folder.parent,
        conversation=conversation,
        facts=facts_of(fixed, proteins) if kind.agent and iteration > 0 else None,
        bench=bench,
        sessions=sessions,
        iterations=iterations,
        budget_left=left_in_words(past, meter, limit) if meter and limit else None,
        target=fixed.design.target,
    )
    proposal = continue_stop(past)
    if proposal is None:
        used_up = stop_if_used_up(past, meter, limit) if meter and limit and past else None
        proposal = used_up or propose(past, context)
        proposal = stop_if_beyond(past, proposal, iterations) or proposal
        if proposal.status == "stopped":
            limits: list[Limit] = [(meter.unit, limit)] if meter and limit else []
            limits += [("trials", iterations)] if kind.least_fidelity else []
            proposal = with_circumstances(proposal, chosen.options, folder.parent, *limits)
    if conversation is not None:
        conversation.finish()
    proposal.write(folder)


if __name__ == "__main__":
    run_command(propose_candidate)
