"""The book itself: what a careful person tries next, in order, given its briefing.

The order is the textbook's: pooling, patience with a robust loss, heads, batch size, initialisation, then schedule and
learning rates, capacity and regularisation (which of the two first depends on the generalisation gap), at last small
steps around the incumbent. Where a script may be written, its ideas (ideas/*.md) come between. Each search varies the
order and the sizes of the steps by its seed (variation.py).
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from tmelt.llm.extract import Edit
from tmelt.search.knobs import Knob, KnobError, Value
from tmelt.strategies.memory import format_value
from tmelt.strategies.playbook.ideas import Idea, read_ideas
from tmelt.strategies.playbook.repair import repairs
from tmelt.strategies.playbook.situation import Situation, typed
from tmelt.strategies.playbook.variation import Variation

WIDE_GAP = (
    1.0  # units of the target between validation and fit error, beyond which regularisation comes before capacity
)


@dataclass(frozen=True)
class Step:
    """A line of the book: knobs to change, and why.

    `up` and `down` mean the next value of a choice or whole number, `*3` or `/3` a factor; a number outside the range
    becomes its nearest end.
    """

    title: str
    knobs: Mapping[str, Any]
    why: str
    effect: float  # expected change of the validation error


@dataclass(frozen=True)
class Move:
    """What the playbook proposes."""

    title: str
    changes: Mapping[str, Value]
    why: str
    effect: float
    grounds: str
    edits: Sequence[Edit] = ()
    subspace: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    subspace_reason: str = ""


FIRST = (
    Step("Attention pooling", {"pooling": "attention"},
         "a learnt weight per residue finds the parts that decide about the label, which a mean dilutes", -0.3),
    Step("Patience and Huber loss", {"patience": 15, "loss": "huber"},
         "the stop error is noisy, so training ends too early; a robust loss keeps outliers from steering", -0.2),
    Step("More heads", {"heads": "up"}, "more heads look at more kinds of residue contacts at once", -0.05),
    Step("Fewer heads", {"heads": "down"}, "wider heads hold richer comparisons of residues", -0.05),
    Step("Smaller batches", {"batch_size": "down"}, "more and noisier steps per epoch generalise better", -0.05),
    Step("Xavier initialisation", {"initialisation": "xavier"}, "keeps the scale of activations across layers", -0.03),
    Step("Orthogonal initialisation", {"initialisation": "orthogonal"}, "keeps gradients' norms at the start", -0.03),
    Step("Cosine schedule with warm-up", {"schedule": "cosine", "warmup": 0.1},
         "large steps first, small ones to settle; the warm-up protects attention at the start", -0.1),
    Step("Higher learning rate", {"learning_rate": "*3"}, "the budget is short; larger steps get further", -0.1),
    Step("Lower learning rate", {"learning_rate": "/3"}, "smaller steps settle lower", -0.05),
)  # fmt: skip
REGULARISE = (
    Step("Dropout in the head", {"head_dropout": 0.2}, "the head is where few labels are memorised", -0.05),
    Step("More weight decay", {"weight_decay": "*5"}, "smaller weights, smoother predictions", -0.03),
    Step("Dropout on the embedding", {"embedding_dropout": 0.1}, "no single feature of ESM-2 may be relied on", -0.03),
    Step("More dropout in the blocks", {"dropout": 0.25}, "thins out co-adapted features", -0.03),
    Step("A narrower adapter", {"width": "down"}, "fewer weights to overfit with", -0.03),
    Step("A smaller feed-forward part", {"feed_forward": "down"}, "fewer weights to overfit with", -0.03),
)  # fmt: skip
CAPACITY = (
    Step("A second block", {"depth": "up"}, "one round of attention cannot relate pairs of relations", -0.05),
    Step("A wider adapter", {"width": "up"}, "more features per residue survive the projection", -0.05),
    Step("More epochs", {"epochs": "*2", "patience": 20}, "the error was still falling when training ended", -0.05),
    Step("A wider head", {"head_width": "up"}, "a finer function of the pooled features", -0.03),
    Step("Less dropout in the blocks", {"dropout": 0.0}, "nothing to regularise while it underfits", -0.03),
)
LATER = (
    Step("Robust target scaling", {"target_scaling": "robust"}, "groups with extreme labels stretch the scale", -0.03),
    Step("SiLU", {"activation": "silu"}, "a smoother non-linearity", -0.02),
    Step("Learnt residual scale", {"residual": "scaled"}, "blocks start near the identity", -0.03),
    Step("Mean absolute error as loss", {"loss": "mae"}, "train on what is measured", -0.05),
    Step("A deeper head", {"head_depth": "up"}, "one more non-linear step", -0.02),
    Step("Faster second moment", {"beta2": 0.98}, "the scale of gradients changes quickly in short runs", -0.02),
    Step("Looser clipping", {"gradient_clip": "*3"}, "clipping to a small norm hides the learning rate", -0.02),
    Step("Longer windows", {"crop": "up"}, "training sees whole proteins, as prediction does", -0.03),
    Step("Max pooling", {"pooling": "max"}, "one motif of great effect may be enough", -0.02),
    Step("Post-norm", {"norm": "post"}, "keeps the blocks' outputs at one scale", -0.01),
)
# What a hybrid's rounds set and open, in order.
ROUNDS = (
    (Step("Attention pooling, patience and Huber loss", {"pooling": "attention", "patience": 15, "loss": "huber"},
          "structure first; the numbers under it are for BO", -0.4),
     ("learning_rate", "huber_delta", "head_dropout", "batch_size")),
    (Step("Cosine schedule with warm-up", {"schedule": "cosine", "warmup": 0.1},
          "large steps first, small ones to settle", -0.1),
     ("learning_rate", "warmup", "weight_decay", "dropout")),
    (Step("Capacity", {"heads": "up", "depth": "up"}, "see whether the model is too small", -0.05),
     ("width", "feed_forward", "head_width", "heads", "dropout")),
    (Step("Initialisation and scale", {"initialisation": "xavier", "target_scaling": "robust"},
          "the start of training decides short runs", -0.05),
     ("initialisation", "activation", "learning_rate", "gradient_clip")),
)  # fmt: skip
FINE = (
    "learning_rate",
    "weight_decay",
    "head_dropout",
    "dropout",
    "huber_delta",
    "warmup",
    "embedding_dropout",
    "beta2",
)


def moves(situation: Situation) -> Iterator[Move]:
    """All that the book would propose here, best first; without end, unless a script needs a repair."""
    if situation.log is not None and situation.script is not None:
        yield from _repair_moves(situation, situation.script, situation.log)
        return
    yield from _asked_by_person(situation)
    yield from _round_moves(situation) if "subspace" in situation.asked else _single_moves(situation)


def _repair_moves(situation: Situation, script: str, log: str) -> Iterator[Move]:
    """Repairs as they are, then with a next step: without its idea a script may be one that was tried before."""
    known = [
        Move(title, {}, why, 0.0, f"trial {situation.base_number} crashed.", e)
        for title, why, e in repairs(script, log)
    ]
    for move in known:
        yield _open(situation, move, FINE[:3])
    for step in (*FIRST, *LATER):
        for further in _step_move(situation, step):
            for move in known:
                both = replace(move, title=f"{move.title}; {step.title}", changes=further.changes)
                yield _open(situation, both, FINE[:3])


def _single_moves(situation: Situation) -> Iterator[Move]:
    """One move per trial; where a script may be written, its own pooling comes before the knob's."""
    regularise_first = (situation.gap or 0.0) > WIDE_GAP
    middle = (*REGULARISE, *CAPACITY) if regularise_first else (*CAPACITY, *REGULARISE)
    pooling, patience, *further = FIRST
    opening, rest = ([], FIRST) if situation.script is None else ([patience], [pooling, *further])
    for step in opening:
        yield from _step_move(situation, step)
    yield from _ideas(situation)
    for group in (rest, middle, LATER):
        for step in _varied(situation, group):
            yield from _step_move(situation, step)
    yield from _combined_moves(situation)
    yield from _fine_moves(situation)


def _varied(situation: Situation, steps: Sequence[Step]) -> list[Step]:
    """The steps in the order of this search."""
    return Variation(situation.search_seed).order(steps, lambda step: step.title)


def _combined_moves(situation: Situation) -> Iterator[Move]:
    """Two changes together that each were a little better than the incumbent, but not beyond the noise."""
    base = situation.base_attempt
    if base is None or base.val is None:
        return
    gains = sorted(
        (attempt.val, attempt.number, dict(change.split("=", 1) for change in attempt.changes))
        for attempt in situation.attempts
        if attempt.parent == base.number and attempt.val is not None and attempt.val < base.val
        and attempt.changes
        and all("=" in change and change.split("=")[0] in situation.base for change in attempt.changes)
    )  # fmt: skip
    for (_, one, first), (_, other, second) in combinations(gains[:4], 2):
        if first.keys() & second.keys() or len(first) + len(second) > 3:
            continue
        changes = {name: typed(situation.knobs[name], text) for name, text in (first | second).items()}
        if not _tried(situation, changes):
            why = f"trials {one} and {other} were each a little better; together they may show beyond the noise"
            yield Move(f"Combine trials {one} and {other}", changes, why, -0.05, _grounds(situation))


def _round_moves(situation: Situation) -> Iterator[Move]:
    """The first of ROUNDS, then ideas for the script where one may be written, then the others; at last fine steps."""
    ideas = (_open(situation, move, (*move.subspace, *FINE[:3])) for move in _ideas(situation))
    rounds = Variation(situation.search_seed).order(ROUNDS, lambda line: line[0].title)
    steps = (
        _open(situation, move, opened)
        for step, opened in rounds
        if not any(attempt.idea.startswith(step.title) for attempt in situation.attempts)
        for move in _step_move(situation, step)
    )
    opening = rounds[0][0].title
    if situation.script is None or not any(attempt.idea.startswith(opening) for attempt in situation.attempts):
        yield from steps
        yield from ideas
    else:
        yield from ideas
        yield from steps
    for move in _fine_moves(situation):
        yield _open(situation, move, FINE[:5])


def _step_move(situation: Situation, step: Step) -> Iterator[Move]:
    """The step's move, unless it was tried, changes nothing here or is impossible. What is so already is left out."""
    changes: dict[str, Value] = {}
    step = Variation(situation.search_seed).sized(step)
    for name, wish in step.knobs.items():
        value = _wished(situation, name, wish)
        when = situation.knobs[name].when if value is not None else None
        counts = when is None or {**situation.base, **step.knobs}.get(when[0]) in when[1]
        if value is not None and counts and value != situation.base.get(name):
            changes[name] = value
    if changes and not _tried(situation, changes):
        yield Move(step.title, changes, step.why, step.effect, _grounds(situation))


def _wished(situation: Situation, name: str, wish: Any) -> Value | None:
    """The value that a step wants of a knob, as far as the table allows; None where there is none."""
    knob = situation.knobs.get(name)
    if knob is None:
        return None
    now = situation.base.get(name, knob.default)
    try:
        if isinstance(wish, str) and wish[0] in "*/" and wish[1:].replace(".", "").isdigit():
            if knob.kind == "choice":  # the study has fixed this number
                return None
            factor = float(wish[1:]) if wish[0] == "*" else 1 / float(wish[1:])
            return _fit(knob, float(now) * factor)
        if wish in ("up", "down"):
            return _neighbour(knob, now, 1 if wish == "up" else -1)
        return knob.check(wish) if knob.kind == "choice" else _fit(knob, wish)
    except KnobError:
        return None


def _neighbour(knob: Knob, now: Value, direction: int) -> Value | None:
    if knob.kind != "choice":
        return _fit(knob, now + direction)
    ordered = sorted(knob.choices) if all(isinstance(c, int | float) for c in knob.choices) else list(knob.choices)
    place = ordered.index(now) + direction if now in ordered else -1
    return ordered[place] if 0 <= place < len(ordered) else None


def _fit(knob: Knob, value: float) -> Value:
    """The legal value nearest to `value`, to three digits."""
    value = min(max(float(f"{value:.3g}"), knob.low), knob.high)
    return knob.check(round(value) if knob.kind == "int" else value)


def _tried(situation: Situation, changes: Mapping[str, Value]) -> bool:
    wanted = {f"{name}={format_value(value)}" for name, value in changes.items()}
    for attempt in situation.attempts:
        others = {change.partition("=")[0] for change in attempt.changes if change not in wanted}
        # knobs that a change merely brought to life are among the changes at their defaults
        if wanted <= set(attempt.changes) and all(
            name in situation.knobs and situation.knobs[name].when for name in others
        ):
            return True
    return False


def _grounds(situation: Situation) -> str:
    gap = ""
    if situation.gap is not None:
        gap = f"; its gap between validation and fit error is {situation.gap:.2f} {situation.unit}".rstrip()
    return f"next in the book after {len(situation.attempts)} trials shown, from trial {situation.base_number}{gap}."


def _fine_moves(situation: Situation) -> Iterator[Move]:
    """Small steps of one or two numbers around the incumbent, without end: drawn from a hash, so never the same."""
    declared = [name for name in situation.knobs if name not in FINE and situation.knobs[name].kind != "choice"]
    names = [name for name in (*FINE, *declared) if name in situation.base and situation.knobs[name].kind != "choice"]
    if not names:
        return
    for draw in range(10_000):
        digest = hashlib.sha256(
            f"{situation.search_seed}/{situation.iteration}/{situation.base_number}/{draw}".encode()
        ).digest()
        chosen = sorted({names[digest[0] % len(names)], names[digest[1] % len(names)]})
        changes = {}
        for position, name in enumerate(chosen):
            knob = situation.knobs[name]
            share = 0.15 * (digest[2 + position] / 127.5 - 1)  # of the range
            value = _shifted(knob, situation.base[name], share)
            if value != situation.base[name]:
                changes[name] = value
        if changes and not _tried(situation, changes):
            why = "close to the incumbent, small steps of what matters most may still gain"
            yield Move(f"Fine step of {' and '.join(changes)}", changes, why, -0.01, _grounds(situation))


def _shifted(knob: Knob, value: Value, share: float) -> Value:
    if knob.log:
        return _fit(knob, math.exp(math.log(value) + share * (math.log(knob.high) - math.log(knob.low))))
    return _fit(knob, value + share * (knob.high - knob.low))


def _asked_by_person(situation: Situation) -> Iterator[Move]:
    """The user's `knob=value`, if the table allows it and it was not tried."""
    for name, text in re.findall(r"\b(\w+)\s*=\s*([\w.+-]*\w)", situation.guidance):
        knob = situation.knobs.get(name)
        if knob is None:
            continue
        choice = next((choice for choice in knob.choices if str(choice) == text), None)
        try:
            value = knob.check(choice if knob.kind == "choice" else float(text))
        except (KnobError, ValueError):
            continue
        changes = {name: value}
        if value != situation.base.get(name) and not _tried(situation, changes):
            move = Move(f"As the user asked: {name}", changes, f"{name} = {value}", -0.05, "the user's guidance.")
            yield _open(situation, move, FINE[:3])


def _ideas(situation: Situation) -> Iterator[Move]:
    """Ideas for the script that it does not have, that fit it and that no trial shown has had."""
    if situation.script is None:
        return
    seen = [attempt.idea for attempt in situation.attempts]
    for idea in Variation(situation.search_seed).order(read_ideas(), lambda idea: idea.title):
        if any(text.startswith(idea.title) for text in seen):
            continue
        edits = idea.edits_for(situation.script)
        if edits is not None:
            yield _idea_move(situation, idea, edits)


def _idea_move(situation: Situation, idea: Idea, edits: Sequence[Edit]) -> Move:
    subspace = {row["name"]: {"low": row["low"], "high": row["high"]} for row in idea.knobs if row["kind"] != "choice"}
    return Move(idea.title, {}, idea.why, idea.effect, _grounds(situation), edits, subspace)


def _open(situation: Situation, move: Move, names: Sequence[str]) -> Move:
    """The move with a subspace of these knobs around it; numbers get a part of their range that shrinks by rounds."""
    if "subspace" not in situation.asked:
        return move
    own = {**situation.base, **move.changes}
    share = (0.2 + 0.1 * Variation(situation.search_seed).share("subspace", move.title)) / (
        1 + 0.5 * max(0, situation.rounds - len(ROUNDS))
    )
    subspace: dict[str, Mapping[str, Any]] = dict(move.subspace)
    for name in names:
        knob = situation.knobs.get(name)
        if knob is None or name in subspace:
            continue
        if knob.when and own.get(knob.when[0], situation.knobs[knob.when[0]].default) not in knob.when[1]:
            continue
        value = own.get(name, knob.default)
        if knob.kind != "choice":
            low, high = _shifted(knob, value, -share), _shifted(knob, value, share)
            if low < high:
                subspace[name] = {"low": low, "high": high}
            continue
        near = {value, _neighbour(knob, value, -1), _neighbour(knob, value, 1)} - {None}
        if len(near) > 1:
            subspace[name] = {"choices": [choice for choice in knob.choices if choice in near]}
    return replace(
        move, subspace=subspace, subspace_reason="what must be tuned under this structure, around its values."
    )
