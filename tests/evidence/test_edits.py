"""Edits of the reference script: which of them are a change, of a knob or of something else.

The first table holds the 23 edits of which 14 were misclassified before scripts were compared in normal form.
"""

import random
import re
import time

import pytest

from tmelt.evidence.difference import compare, similarity
from tmelt.evidence.effective import reference
from tmelt.search.knobs import Space
from tmelt.strategies.check_script import check_script

SPACE = Space()
KNOBS = SPACE.defaults()
SCRIPT = reference()
HUBER = KNOBS | {"loss": "huber", "huber_delta": 3.0}


def edited(*pairs: tuple[str, str], script: str = SCRIPT) -> str:
    """The reference script with texts replaced, each of which must occur."""
    for old, new in pairs:
        assert old in script, old
        script = script.replace(old, new)
    check_script(script, SPACE)
    return script


CLIP = 'knobs["gradient_clip"]'
POOLING = 'self.pooling = knobs["pooling"]'
BEFORE_FIT = "def fit(task, knobs, checkpoint):"
OWN_KNOB = """KNOBS = [{"name": "ema_decay", "kind": "float", "low": 0.9, "high": 1, "default": 0.99, "meaning": ""}]


"""
CONSTANT = "PROTEINS_PER_PASS = 256  # most proteins predicted at a time\n"
FIRST = "    torch.manual_seed(task.seed)\n    centre, scale"
MIXUP = """def mixed_up(x):
    return 0.9 * x + 0.1 * x.flip(0)


"""

# name: (edits, knobs afterwards, kind, knobs in effect, what is out of space)
REFEREE = {
    "comments and docstrings": ([("# (T, W)", "# residues"), ('"""Predict the tm', '"""The tm')], {}, "none", {}, None),
    "renamed local": ([("best_mae", "lowest"), ("generator", "shuffler")], {}, "none", {}, None),
    "renamed function": ([("loss_sum", "total_loss")], {}, "none", {}, None),
    "renamed class": ([("FeedForward", "Mlp"), ("Residual(", "Wrapped(")], {}, "none", {}, None),
    "type hints": (
        [("def learning_rate(step, steps, knobs):", "def learning_rate(step: int, steps: int, knobs: dict) -> float:"),
         ("    predictions = []", "    predictions: list[torch.Tensor] = []")], {}, "none", {}, None,
    ),
    "unused import": ([("import copy\n", "import copy\nimport os\n")], {}, "none", {}, None),
    "dead function": ([(BEFORE_FIT, MIXUP + BEFORE_FIT)], {}, "none", {}, None),
    "split statement": (
        [("progress = (step - warmup) / max(1, steps - warmup)",
          "left = max(1, steps - warmup)\n    progress = (step - warmup) / left")], {}, "none", {}, None,
    ),
    "moved constant": ([(CONSTANT, ""), (BEFORE_FIT, CONSTANT + "\n\n" + BEFORE_FIT)], {}, "none", {}, None),
    "literal equal to a knob's default": ([(CLIP, "1.0")], {}, "none", {}, None),
    "inert KNOBS entry": ([("class Attention", OWN_KNOB + "class Attention")], {"ema_decay": 0.99}, "none", {}, None),
    "hard-coded pooling": (
        [(POOLING, 'self.pooling = "attention"')], {}, "in_space", {"pooling": ["mean", "attention"]}, None,
    ),
    "hard-coded huber": (
        [('    if knobs["loss"] == "huber":  # its delta has the unit of labels\n', "    if True:\n")], {}, "in_space",
        {"loss": ["mse", "huber"], "huber_delta": [None, 3.0]}, None,
    ),
    "hard-coded clip": ([(CLIP, ".5")], {}, "in_space", {"gradient_clip": [1.0, 0.5]}, None),
    "scaled epochs": (
        [('knobs["epochs"]', '(2 * knobs["epochs"])')], {}, "in_space", {"epochs": [KNOBS["epochs"],
         2 * KNOBS["epochs"]]}, None,
    ),
    "ignored knob": ([(POOLING, 'self.pooling = "mean"')], {"pooling": "max"}, "none", {}, None),
    "knob alone": ([], {"width": 128}, "in_space", {"width": [256, 128]}, None),
    "other norm layer": ([("self.norm = nn.LayerNorm(width)", "self.norm = nn.RMSNorm(width)")], {}, "out_of_space",
                         {}, "structure"),
    "added layer": (
        [("self.head = nn.Sequential(*layers,", "self.head = nn.Sequential(*layers, nn.Identity(),")], {},
        "out_of_space", {}, "structure",
    ),
    "used function": (
        [(BEFORE_FIT, MIXUP + BEFORE_FIT), ("model(part.x, part.lengths)", "model(mixed_up(part.x), part.lengths)")],
        {}, "out_of_space", {}, "structure",
    ),
    "undiscovered hyperparameter": ([("0.1 * task.seconds_left()", "0.2 * task.seconds_left()")], {}, "out_of_space",
                                    {}, "hyperparameters"),
    "own knob that is read": (
        [("class Attention", OWN_KNOB + "class Attention"),
         ("    for epoch in range(", '    model.decay = knobs["ema_decay"]\n    for epoch in range(')],
        {"ema_decay": 0.99}, "out_of_space", {}, "structure",
    ),
    "script and knob": (
        [("self.norm = nn.LayerNorm(width)", "self.norm = nn.RMSNorm(width)")], {"patience": 20}, "mixed",
        {"patience": [KNOBS["patience"], 20]}, "structure",
    ),
}  # fmt: skip

SPELLING = {
    "renamed knobs": [("knobs", "values"), ('"values"', '"knobs"')],
    "import as": [("from torch.nn import functional as F", "import torch.nn.functional as Fn"), ("F.huber", "Fn.huber"),
                  ("F.mse", "Fn.mse"), ("F.l1", "Fn.l1")],
    "inlined constant": [(CONSTANT, ""), ("PROTEINS_PER_PASS", "256")],
    "folded constant": [("PROTEINS_PER_PASS = 256", "PROTEINS_PER_PASS = 2 * 128")],
    "local constant": [("    tokens, proteins = (128, 1)", "    few = 128\n        tokens, proteins = (few, 1)")],
    "inlined table": [('ACTIVATIONS[knobs["activation"]]()',
                       '{"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU}[knobs["activation"]]()')],
    "merged statements": [("    warmup = round(knobs[\"warmup\"] * steps)\n", "    share = knobs[\"warmup\"]\n"
                           "    warmup = share * steps\n    warmup = round(warmup)\n")],
    "reassigned": [("    model = Predictor(task.fit.width, knobs, centre, scale).to(task.device)\n",
                    "    model = Predictor(task.fit.width, knobs, centre, scale)\n"
                    "    model = model.to(task.device)\n")],
    "one at a time": [("    best_mae, best_epoch, best_weights = math.inf, 0, None\n",
                       "    best_mae = math.inf\n    best_epoch = 0\n    best_weights = None\n")],
    "chained": [("optimiser.param_groups[0][\"lr\"] = rate = learning_rate(step, steps, knobs)",
                 "rate = learning_rate(step, steps, knobs)\n            optimiser.param_groups[0][\"lr\"] = rate")],
    "else branch": [('        if self.pooling == "max":\n            return packed.segment_max(h, lengths)\n'
                     "        return packed.segment_sum(packed.segment_softmax(self.score(h), lengths) * h, lengths)\n",
                     '        elif self.pooling == "max":\n            return packed.segment_max(h, lengths)\n'
                     "        else:\n"
                     "            weights = packed.segment_softmax(self.score(h), lengths)\n"
                     "            return packed.segment_sum(weights * h, lengths)\n")],
    "keyword argument": [("make_optimiser(model, knobs)\n    generator",
                          "make_optimiser(knobs=knobs, model=model)\n    generator")],
    "unreachable": [("    return predict_tm(task, model, task.pool)", "    return predict_tm(task, model, task.pool)\n"
                     "    model.train()\n    return None")],
    "branch never taken": [(FIRST, "    if False:\n        task.shout()\n" + FIRST)],
    "dead method": [("    def pool(self, h, lengths):", "    def unused(self, h):\n        return h * 2\n\n"
                     "    def pool(self, h, lengths):")],
    "dead class and constant": [(BEFORE_FIT, "class Spare(nn.Module):\n    width = 3\n\n\nSPARE = [1, 2]\n\n\n"
                                 + BEFORE_FIT)],
    "unused local": [(FIRST, "    spare = 3\n" + FIRST)],
    "print": [(FIRST, '    print(f"seed {task.seed}")\n' + FIRST)],
    "comprehension that is unpacked": [
        ('    epochs = max(1, round(knobs["epochs"] * task.budget_factor))\n'
         '    patience = max(1, round(knobs["patience"] * task.budget_factor))\n',
         '    epochs, patience = (max(1, round(knobs[k] * task.budget_factor)) for k in ("epochs", "patience"))\n')],
    "pass": [(FIRST, "    pass\n" + FIRST)],
    "shadowing a builtin that is not used": [("for layer in range(", "for id in range("), ("4**layer", "4**id")],
}  # fmt: skip

IN_SPACE = {
    "only the huber loss": (
        [('    if knobs["loss"] == "huber":  # its delta has the unit of labels\n        return F', "    return F"),
         ('    return {"mse": F.mse_loss, "mae": F.l1_loss}[knobs["loss"]](prediction, target, reduction="sum")\n', ""),
         ('knobs["huber_delta"]', "1.5")], {"loss": ["mse", "huber"], "huber_delta": [None, 1.5]},
    ),
    "replaced at the start of fit": (
        [(FIRST, '    knobs = {**knobs, "pooling": "attention", "gradient_clip": 0.5}\n' + FIRST)],
        {"pooling": ["mean", "attention"], "gradient_clip": [1.0, 0.5]},
    ),
    "stored at the start of fit": ([(FIRST, '    knobs["patience"] = 20\n' + FIRST)], {"patience": [5, 20]}),
    "renamed and hard-coded": ([("best_mae", "lowest"), (CLIP, "0.5")], {"gradient_clip": [1.0, 0.5]}),
    "a knob for a constant": ([(CLIP, "CLIP"), ("class Attention", "CLIP = 0.25\n\n\nclass Attention")],
                              {"gradient_clip": [1.0, 0.25]}),
    "another knob's value": ([('knobs["head_width"]', 'knobs["width"]')], {"head_width": [512, 256]}),
    "one activation": ([('ACTIVATIONS[knobs["activation"]]()', "nn.ReLU()")], {"activation": [KNOBS["activation"],
                       "relu"]}),
}  # fmt: skip

REAL = {
    "behind a rename": [("loss_sum", "total"), ('reduction="sum")\n\n\ndef make', 'reduction="mean")\n\n\ndef make')],
    "swapped arguments": [("F.huber_loss(prediction * scale, target * scale,", "F.huber_loss(target * scale, "
                           "prediction * scale,")],
    "swapped operands": [("epoch - best_epoch >=", "best_epoch - epoch >=")],
    "swapped names": [("warmup = round(", "progress = round("), ("if step < warmup", "if step < progress")],
    "swapped calls": [("        model.train()\n        total, seen = 0.0, 0\n",
                       "        total, seen = 0.0, 0\n        model.eval()\n        model.train()\n")],
    "order of effects": [("    optimiser.step()\n    optimiser.zero_grad(set_to_none=True)\n",
                          "    optimiser.zero_grad(set_to_none=True)\n    optimiser.step()\n")],
    "order of modules": [("self.embedding_dropout = packed.Dropout(knobs[\"embedding_dropout\"])\n"
                          "        self.project = nn.Linear(features, width)\n",
                          "self.project = nn.Linear(features, width)\n"
                          "        self.embedding_dropout = packed.Dropout(knobs[\"embedding_dropout\"])\n")],
    "through a dict": [("ACTIVATIONS = {", "def double(x):\n    return nn.GELU()\n\n\nACTIVATIONS = {"),
                       ('"gelu": nn.GELU', '"gelu": lambda: double(2)')],
    "through getattr": [("self.pool(self.norm(h), lengths)", 'getattr(self, "po" + "ol_")(self.norm(h), lengths)'),
                        ("    def pool(self, h, lengths):", "    def pool_(self, h, lengths):\n        return h\n\n"
                         "    def pool(self, h, lengths):")],
    "shadowed function": [(BEFORE_FIT, "def loss_sum(prediction, target, knobs, scale):\n"
                           "    return (prediction - target).pow(4).sum()\n\n\n" + BEFORE_FIT)],
    "shadowed builtin": [(BEFORE_FIT, "def round(x):\n    return int(x) + 1\n\n\n" + BEFORE_FIT)],
    "shadowed by a local": [("    warmup = round(", "    round = math.floor\n    warmup = round(")],
    "decorator": [("def loss_sum(", "@torch.no_grad()\ndef loss_sum(")],
    "decorator of its own": [("def loss_sum(", "def twice(f):\n    return lambda *a: 2 * f(*a)\n\n\n@twice\n"
                              "def loss_sum(")],
    "class attribute": [("class Predictor(nn.Module):", "class Predictor(nn.Module):\n    call_super_init = True\n")],
    "torch hook method": [("    def pool(self, h, lengths):", "    def train(self, mode=True):\n        return self\n\n"
                           "    def pool(self, h, lengths):")],
    "base class": [("class FeedForward(nn.Module)", "class FeedForward(nn.Sequential)")],
    "module-level effect": [("class Attention", "torch.use_deterministic_algorithms(True)\n\n\nclass Attention")],
    "patched library": [("class Attention", "F.mse_loss = F.l1_loss\n\n\nclass Attention")],
    "global counter": [("class Attention", "STEPS = 0\n\n\nclass Attention"),
                       ("    optimiser.step()\n", "    global STEPS\n    STEPS += 1\n    optimiser.step()\n")],
    "in place": [("total = total + train_step(", "total += train_step(")],
    "one of two reads": [('"weight_decay": knobs["weight_decay"]', '"weight_decay": 0.5 * knobs["weight_decay"]'),
                         ('nn.LayerNorm(knobs["width"])', 'nn.LayerNorm(knobs["width"], eps=1e-3)')],
    "half hard-coded": [('return knobs["learning_rate"] * (step', "return 0.01 * (step")],
    "changed copy of the knobs": [("loss_sum(prediction, target, knobs, model.scale)",
                                   'loss_sum(prediction, target, {**knobs, "loss": "mae"}, model.scale)')],
    "another dict under the key": [('"knobs": knobs, ', '"knobs": {**knobs, "pooling": "max"}, ')],
    "knobs changed late": [("    step = 0\n", '    step = 0\n    knobs["patience"] = 2\n')],
    "read of a stale value": [("            seen, step = seen + len(batch), step + 1\n",
                               "            step, seen = step + 1, seen + step\n")],
    "exec": [(FIRST, '    exec("knobs = dict(knobs)")\n' + FIRST)],
    "default argument": [("centre=0.0, scale=1.0)", "centre=0.0, scale=2.0)")],
    "early return": [("    return predict_tm(task, model, task.pool)",
                      "    model.half()\n    return predict_tm(task, model, task.pool)")],
    "constant in a dead branch of these knobs": [("momentum=knobs", "nesterov=True, momentum=knobs")],
    "inactive branch": [("return packed.segment_max(h, lengths)", "return packed.segment_sum(h, lengths)")],
    "type that is read": [("class Attention", "from dataclasses import dataclass\n\n\n@dataclass\nclass Pair:\n"
                           "    one: int = 1\n\n\nclass Attention"),
                          ("    step = 0\n", "    step = Pair(0).one\n")],
}  # fmt: skip


def judged(pairs, knobs=None):
    after = edited(*pairs)
    return compare(SCRIPT, after, KNOBS, KNOBS | (knobs or {}), SPACE)


@pytest.mark.parametrize("name", REFEREE)
def test_the_referees_edits(name):
    pairs, knobs, kind, effect, outside = REFEREE[name]
    change = judged(pairs, knobs)
    assert (change.kind, dict(change.knobs), change.outside) == (kind, effect, outside), change.functions


@pytest.mark.parametrize("name", SPELLING)
def test_spelling_is_no_change(name):
    change = judged(SPELLING[name])
    assert (change.kind, change.functions) == ("none", ())


@pytest.mark.parametrize("name", IN_SPACE)
def test_a_value_in_place_of_a_knob_is_a_change_of_the_knob(name):
    pairs, effect = IN_SPACE[name]
    change = judged(pairs)
    assert (change.kind, dict(change.knobs), change.functions) == ("in_space", effect, ())


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a_real_change_stays_out_of_space(name):
    change = judged(REAL[name])
    assert change.kind in ("out_of_space", "mixed") and change.functions


def test_going_back_from_a_hard_coded_value_is_a_change_of_the_knob():
    fixed = edited((POOLING, 'self.pooling = "attention"'))
    back = compare(fixed, SCRIPT, KNOBS, KNOBS | {"pooling": "max"}, SPACE)
    assert (back.kind, dict(back.knobs)) == ("in_space", {"pooling": ["attention", "max"]})
    other = edited((POOLING, 'self.pooling = "max"'))
    change = compare(fixed, other, KNOBS, KNOBS, SPACE)
    assert (change.kind, dict(change.knobs)) == ("in_space", {"pooling": ["attention", "max"]})


def test_a_knob_that_neither_script_reads_is_no_change():
    fixed = edited((POOLING, 'self.pooling = "attention"'))
    assert compare(fixed, fixed, KNOBS, KNOBS | {"pooling": "max"}, SPACE).kind == "none"


def test_a_hard_coded_knob_beside_a_structural_change_is_mixed():
    change = judged([(CLIP, "0.5"), ("self.norm = nn.LayerNorm(width)", "self.norm = nn.RMSNorm(width)")])
    assert (change.kind, dict(change.knobs), change.outside) == ("mixed", {"gradient_clip": [1.0, 0.5]}, "structure")


def _names(script: str) -> list[str]:
    """Names that the reference script binds itself and that can be renamed as text."""
    found = set(re.findall(r"^(?:def|class) (\w+)", script, re.M)) | set(re.findall(r"^    (\w+) = ", script, re.M))
    texts = re.findall(r"[\"'][^\"'\n]*[\"']", script)
    quoted = {word for text in texts for word in re.findall(r"\w+", text)} | set(re.findall(r"\.(\w+)", script))
    named = set(re.findall(r"(\w+)=", script))
    return sorted(found - quoted - named - {"fit", "predict"})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_random_renaming_and_reordering_is_no_change(seed):
    drawn = random.Random(seed)
    script = SCRIPT
    for name in drawn.sample(_names(SCRIPT), 6):
        script = re.sub(rf"\b{name}\b", f"{name}_{drawn.randrange(99)}", script)
    head, *parts = re.split(r"\n\n\n(?=class |def |@)", script.rstrip("\n"))
    drawn.shuffle(parts)
    script = "\n\n\n".join([head, *parts]) + "\n"
    check_script(script, SPACE)
    change = compare(SCRIPT, script, KNOBS, KNOBS, SPACE)
    assert change.kind == "none", change.functions


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_random_literal_is_a_change(seed):
    drawn = random.Random(seed)
    places = list(re.finditer(r"(?<![\w.#])\d+(?:\.\d+)?(?![\w.])", SCRIPT))
    code = [place for place in places if "#" not in SCRIPT[SCRIPT.rfind("\n", 0, place.start()) : place.start()]]
    code = [place for place in code if SCRIPT[: place.start()].count('"""') % 2 == 0]
    place = drawn.choice(code)
    script = SCRIPT[: place.start()] + str(float(place[0]) + 3) + SCRIPT[place.end() :]
    assert compare(SCRIPT, script, KNOBS, KNOBS, SPACE).kind != "none", SCRIPT[place.start() - 30 : place.end() + 10]


HARD = {
    "few distinct lines": ("    a = 1\n    b = 2\n" * 2400, "    b = 2\n    a = 1\n    a = 1\n" * 1600),
    "one line": ("    x = " + "task + " * 900 + "1\n", "    x = " + "task + " * 901 + "1\n"),
    "many branches": (
        "".join(f"    if task.seed == {i}:\n        return {i}\n" for i in range(1200)),
        "".join(f"    if task.seed == {i}:\n        return {i + 1}\n" for i in range(1200)),
    ),
    "nested": (
        "".join("    " * (i + 1) + f"for i{i} in task.fit:\n" for i in range(19)) + "    " * 20 + "task()\n",
        "".join("    " * (i + 1) + f"for j{i} in task.fit:\n" for i in range(19)) + "    " * 20 + "task(1)\n",
    ),
    "early returns on both sides": (
        "".join(
            "    " * (i + 1) + "if task.seed:\n" + "    " * (i + 2) + "a = task()\n" for i in range(18)
        ) + "".join("    " * (18 - i) + "else:\n" + "    " * (19 - i) + "return 1\n" for i in range(18)),
        "    task(3)\n",
    ),
    "many calls": (
        "".join(f"    v{i} = task(v{i - 1}, {i})\n" if i else "    v0 = 1\n" for i in range(3300)),
        "".join(f"    v{i} = task(v{i - 1}, {i + 1})\n" if i else "    v0 = 1\n" for i in range(3300)),
    ),
    "doubled constants": (
        "    v0 = (1, 2)\n" + "".join(f"    v{i + 1} = (v{i}, v{i})\n" for i in range(60)) + "    task(v60)\n",
        "    v0 = (1, 3)\n" + "".join(f"    v{i + 1} = (v{i}, v{i})\n" for i in range(60)) + "    task(v60)\n",
    ),
    "long constants": (
        f"    task(0x{'f' * 40_000} * 2 ** 60, '%999999999d' % 3)\n", f"    task(0x{'f' * 40_000} * 2 ** 61, 3)\n",
    ),
    "many keywords": (
        "".join(f"    v{i} = {{}}\n    task(**v{i})\n" for i in range(2000)),
        "".join(f"    v{i} = {{}}\n    task(**v{i}, a=1)\n" for i in range(2000)),
    ),
    "many methods": (
        "    pass\n\n\nclass A:\n    def f(self, knobs):\n" + "        self.f(knobs)\n" * 3000,
        "    pass\n\n\nclass A:\n    def f(self, knobs):\n" + "        self.f(knobs)\n" * 3000 + "\n\nA().f(1)\n",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_no_script_takes_long(name):
    one, other = (f"def predict(task, checkpoint):\n    pass\n\n\ndef fit(task, knobs, checkpoint):\n{body}"
                  for body in HARD[name])  # fmt: skip
    for script in (one, other):
        check_script(script, SPACE)
    started = time.process_time()
    change = compare(one, other, KNOBS, KNOBS, SPACE)
    similarity(one, other)
    assert change.kind == ("none" if name == "few distinct lines" else "out_of_space")
    assert time.process_time() - started < 15
