"""Boundaries of scripts: what may change is named, and everything else is compared as a syntax tree."""

import json

import pytest
from searching import SCRIPT, context_for, prompt_of, step

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Space
from tmelt.strategies import propose
from tmelt.strategies.boundaries import Boundaries, BoundaryError
from tmelt.strategies.check_options import check_options

ONLY = {"only": ["Predictor.pool", "loss_sum"]}
POOL = "    def pool(self, h, lengths):\n"


def changed(old, new, script=SCRIPT):
    assert script.count(old) == 1, old
    return script.replace(old, new)


@pytest.mark.parametrize(
    "script",
    [
        SCRIPT,
        changed(POOL, POOL + "        h = h * 2\n"),
        changed("def loss_sum(", "def loss_sum(prediction, target, knobs, scale):\n    return 0\n\n\ndef unused("),
        changed(POOL, POOL + "        h = helper(h)\n") + "\n\ndef helper(h):\n    return h\n",
        changed("import math\n", "import math\nimport random\n"),
        SCRIPT
        + '\nKNOBS = [{"name": "t", "kind": "float", "low": 0.0, "high": 1.0, "default": 0.5, "meaning": "m"}]\n',
        changed("import copy\n", "import copy  # a comment\n"),
        changed("class Attention(nn.Module):\n", "class Attention(nn.Module):\n    # another comment\n"),
    ],
    ids=range(8),
)
def test_what_may_change_may(script):
    Boundaries.model_validate(ONLY).check(script, SCRIPT)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (changed("PROTEINS_PER_PASS = 256", "PROTEINS_PER_PASS = 128"), "PROTEINS_PER_PASS is changed"),
        (changed("    def forward(self, x, lengths):\n", "    def forward(self, x, lengths):\n        x = x * 2\n"),
         "Predictor is changed"),
        (changed("def target_scale(", "def another_scale("), "is new here|is missing|out of order|stands"),
        (SCRIPT + "\n\ndef fit(task, knobs, checkpoint):\n    pass\n", "fit stands here a second time"),
        (SCRIPT + "\nfit = predict\n", "the value of fit is new here"),
        (SCRIPT + "\nprint(1)\n", "a statement \\(Expr\\) is new here"),
        (SCRIPT + "\n\ndef len(x):\n    return 0\n", "len is new here"),
        (changed("import math\n", "import math\nfrom random import random as loss_sum\n"), "an import takes the name"),
        (changed(POOL, POOL + "        Predictor.forward = None\n"), "Predictor.forward is given another value"),
        (changed(POOL, POOL + "        nn.Module.forward = None\n"), "nn.Module.forward is given another value"),
        (changed(POOL, POOL + "        setattr(Predictor, 'forward', None)\n"), "`setattr` hides"),
    ],
    ids=range(11),
)  # fmt: skip
def test_the_rest_stays_as_it_is(script, why):
    with pytest.raises(BoundaryError, match=why):
        Boundaries.model_validate(ONLY).check(script, SCRIPT)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (changed(POOL, POOL + "        task.fit.composition\n"), "reads `composition`"),
        (SCRIPT + "\n\ndef more(proteins):\n    return proteins.sequences\n", "reads `sequences`"),
        (SCRIPT + "\n\ndef more(proteins):\n    return getattr(proteins, 'sequ' + 'ences')\n", "`getattr` hides"),
        (changed("import copy\n", "import copy\nfrom operator import attrgetter\n"), "`attrgetter` hides"),
        (SCRIPT + "\n\ndef more(proteins):\n    return proteins.__dict__\n", "`__dict__` hides"),
    ],
    ids=range(5),
)
def test_no_new_features(script, why):
    boundaries = Boundaries(new_features=False)
    with pytest.raises(BoundaryError, match=why):
        boundaries.check(script, SCRIPT)
    boundaries.check(changed(POOL, POOL + "        h = torch.tanh(h)\n"), SCRIPT)


@pytest.mark.parametrize("kind", ["ua", "ua_bo"])
def test_a_proposal_outside_is_refused_with_the_reason_and_the_prompt_says_so(kind, tmp_path):
    history = step(History(), Proposal(Space().defaults(), SCRIPT, origin="baseline"), tmp_path)
    header = {"hypothesis": "h", "rationale": "r"}
    if kind == "ua_bo":
        header |= {"changes": {"depth": 2}, "subspace": {"depth": {"low": 1, "high": 3}}, "subspace_reason": "s"}
    line = "PROTEINS_PER_PASS = 256  # most proteins predicted at a time\n"
    edit = f"<<<<<<< SEARCH\n{line}=======\nPROTEINS_PER_PASS = 1\n>>>>>>> REPLACE\n"
    good = "<<<<<<< SEARCH\n" + POOL + "=======\n" + POOL + "        h = h * 2\n>>>>>>> REPLACE\n"
    block = f"```json\n{json.dumps(header)}\n```\n"
    context = context_for(kind, tmp_path, history, replies=[block + edit, block + good], options={"boundaries": ONLY})
    proposal = propose(history, context)
    assert "## Boundaries" in prompt_of(context) and "`Predictor.pool`, `loss_sum` may change" in prompt_of(context)
    asked = context.conversation._given.prompts[1][-1]
    assert "outside the boundaries of this study" in asked and "PROTEINS_PER_PASS" in asked
    assert proposal.status == "proposed" and "h = h * 2" in proposal.script


def test_a_name_that_the_reference_does_not_have_is_one_line():
    with pytest.raises(
        InputError, match=r"boundaries\.only: the reference script has no 'Pooling'; it has .*Predictor\.pool"
    ):
        check_options("x", "ua", {"model": "playbook", "boundaries": {"only": ["Pooling"]}})
    with pytest.raises(InputError, match=r"extent\.strategies\.x\.boundaries\.only"):
        check_options("x", "ua", {"model": "playbook", "boundaries": {"only": ["a b"]}})
    check_options("x", "ua_bo", {"model": "playbook", "boundaries": {**ONLY, "new_features": False}})
