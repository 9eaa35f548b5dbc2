"""Placebo: an agent that is shown outcomes that belong to other trials.

Its prompts, its budget and its way of working are those of the agent named by `agent`. Of what it sees, only the
outcomes are wrong: those of all trials but the baseline have changed places, at random and anew for each trial.
Whatever such an arm reaches, it did not learn from its results. The harness measures and decides as for every arm, so
its winner is the candidate that was really best by validation.
"""

from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tmelt.search.history import History, Proposal, Trial
from tmelt.strategies import Context
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.kind import Kind
from tmelt.strategies.memory import NOT_RUN
from tmelt.strategies.registry import agent_kinds, kind_of, kinds

# Columns that say what was tried, not what came of it; decision and incumbent are made anew.
_TRIED = frozenset({
    "strategy", "trajectory", "iteration", "origin", "parent", "script", "script_lines", "knobs", "proposal",
    "fidelity",
    "cost_usd", "llm_calls", "prompt_tokens", "completion_tokens", "tool_calls", "tool_s", "tool_cpu_s",
    "tool_device_s", "chain", "decision", "incumbent",
})  # fmt: skip


class PlaceboOptions(BaseModel):
    """Options of a placebo; all others are those of its agent."""

    model_config = ConfigDict(extra="allow", frozen=True)
    agent: str = Field("ra", description="the agent that is deceived: a kind that asks an LLM and is no control itself")

    @field_validator("agent")
    @classmethod
    def _can_be_deceived(cls, agent: str) -> str:
        known = {name for name in agent_kinds() if not kinds()[name].control}
        if agent not in known:
            raise ValueError(f"{agent!r}: expected one of {', '.join(sorted(known))}")
        return agent


def propose(history: History, context: Context) -> Proposal:
    """What the agent proposes, given the shuffled history."""
    agent = context.options.get("agent", "ra")
    rest = {name: value for name, value in context.options.items() if name != "agent"}
    shown = replace(context, kind=agent, options=rest, bench=None)
    return kind_of(agent).propose(shuffled(history, context.seed), shown)


def shuffled(history: History, seed: int) -> History:
    """The history with the outcomes of all trials that ran after the baseline in other places: none keeps its own.

    Incumbents follow from the outcomes as they are shown, by the lowest validation error as agents are told it.
    """
    ran = [trial.iteration for trial in history if trial.iteration and trial.status not in NOT_RUN]
    order = np.random.default_rng([seed, 2]).permutation(ran).tolist()
    source = dict(zip(order, order[1:] + order[:1], strict=True))
    rows, best = [], None
    for trial in history:
        outcome = history[source.get(trial.iteration, trial.iteration)].row
        row = {name: (trial.row if name in _TRIED else outcome)[name] for name in trial.row}
        kept = row["status"] == "ok" and (best is None or told_mae(Trial.of(row)) < told_mae(Trial.of(rows[best])))
        if kept:
            best = trial.iteration
        if trial.iteration:
            row["decision"] = "keep" if kept else "discard"
        rows.append(row | {"incumbent": best})
    return History([Trial.of(row) for row in rows])


KIND = Kind(
    "placebo",
    "placebo",
    propose,
    PlaceboOptions,
    order=60,
    agent=True,
    mask=True,
    control="shows the agent outcomes that were shuffled between trials",
)
