"""Notes of proposals: typed, checked when they are read, and the same after a journey through a file."""

import json
from typing import get_args

import pytest

from tmelt.errors import InputError
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.search.notes import (
    Branched,
    Candidates,
    CmaSample,
    Ended,
    InRound,
    InRung,
    LookUp,
    Note,
    Oversight,
    Own,
    Repair,
    Sampled,
    Stop,
    UsedUp,
    find,
    notes_from_json,
    notes_to_json,
)
from tmelt.storage.files import read_json, write_json

EVERY = (
    Sampled(model_based=True),
    CmaSample(space="0123456789ab", coordinates=(0.1, 0.30000000000000004), choices=(0, 2)),
    InRound(number=2, start=5, spent=1),
    InRung(rung=1, bracket=2),
    Repair(attempt=1, of=3),
    Candidates(knobs=({"width": 64, "pooling": "max", "learning_rate": 1e-3, "own": True},)),
    LookUp(trials=(1, 4)),
    Branched(topology="best_of_k", parent=3, place=2),
    Oversight(guidance="try heads=16"),
    Stop(circumstances="abc"),
    Ended(cause="unusable_replies"),
    UsedUp(unit="usd", limit=2.0, used=None),
    Own(values={"step": 0.5, "seen": [1, 2]}),
)


def test_every_note_survives_a_file():
    assert {type(note) for note in EVERY} == set(get_args(Note))
    assert len({note.kind for note in EVERY}) == len(EVERY)
    raw = json.loads(json.dumps(notes_to_json(EVERY)))
    again = notes_from_json(raw, "here")
    assert again == EVERY
    knobs = find(again, Candidates).knobs[0]
    assert [type(value) for value in knobs.values()] == [int, str, float, bool]
    assert find(again, Repair) == Repair(attempt=1, of=3) and find((), Repair) is None


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "state: "),
        ({"model_based": True}, "state"),
        ([{"kind": "guess"}], "state.0: .*'guess'.*'sampled'"),
        ([{"kind": "repair", "attempt": 1}], "state.0.repair.of: Field required"),
        ([{"kind": "repair", "attempt": "first", "of": 1}], "state.0.repair.attempt: .*integer"),
        ([{"kind": "sampled", "model_based": True, "more": 1}], "state.0.sampled.more"),
        (notes_to_json([Repair(attempt=1, of=1), Repair(attempt=2, of=1)]), "two notes of the kind 'repair'"),
    ],
)
def test_notes_that_nobody_wrote_are_refused_in_one_line(raw, message, tmp_path):
    Proposal(knobs={}, script="pass").write(tmp_path)
    path = tmp_path / "proposal.json"
    write_json(path, read_json(path) | {"state": raw})
    with pytest.raises(InputError, match=message) as caught:
        Proposal.read(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_proposal_survives_its_file(tmp_path):
    proposal = Proposal(knobs={"width": 64}, script="pass", state=EVERY, variation=Variation(fit_fraction=0.5))
    proposal.write(tmp_path)
    again = Proposal.read(tmp_path)
    assert (again.state, again.variation) == (proposal.state, proposal.variation)
