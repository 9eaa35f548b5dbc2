"""Tools of agents: what they tell, what they never tell, and scripts that are checked and tried in the real sandbox."""

import json

import pytest
from searching import SCRIPT, context_for, search, step
from simulation import Landscape, simulate
from small_data import RIDGE, small_harness

from tmelt.errors import InputError
from tmelt.harness.bench import Bench
from tmelt.llm.tools import ToolCall, ToolLimits
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Space
from tmelt.storage.files import read_json
from tmelt.strategies import propose
from tmelt.strategies.agent import incumbent_base
from tmelt.strategies.check_options import check_options
from tmelt.strategies.tools import AgentTools
from tmelt.strategies.ua import drafts

HEADER = {"hypothesis": "because", "rationale": "trial 0"}
TOOLS = {"calls": 8, "tokens": 20_000, "device_s": 60}
STOP_ERRORS = {
    "mae": 7.123, "bias": -1.077, "groups": [["yeast", 12, 6.111, 0.5], ["human", 30, 8.222, -2.5]],
    "tm": [["30 to 50 °C", 20, 9.0, 4.0]], "length": [["40 to 90 residues", 42, 7.1, -1.0]],
    "calibration": {"slope": 0.71, "sd_predicted": 9.8, "sd_measured": 8.1},
    "worst": [["p17", "human", 88, 71.3, -19]],
}  # fmt: skip


def call(tool, /, **arguments):
    return f"```tool\n{json.dumps({'name': tool, 'arguments': arguments})}\n```\n"


def header(**fields):
    return f"```json\n{json.dumps(HEADER | fields)}\n```\n"


def whole(script):
    return f"\n```python\n{script}```\n"


def prompts(context):
    return context.conversation._given.prompts


def with_diagnostics(history):
    """The history with diagnostics of every trial that worked."""
    found = {
        "epochs": 12.0, "best_epoch": 9.0, "curve": [[1, 9.5], [9, 7.1], [12, 7.3]], "predict_s": 0.4,
        "reports": {"blend": 0.75}, "stop_errors": STOP_ERRORS,
    }  # fmt: skip
    return History([Trial.of({**t.row, "diagnostics": json.dumps(found) if t.ok else None}) for t in history])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(scope="module")
def history(folder):
    return with_diagnostics(simulate("random", 6, folder=folder, reference=SCRIPT))


def toolbox(history, folder, kind="ua", limits=None, bench=None):
    context = context_for(kind, folder, history, replies=[], bench=bench)
    return AgentTools(
        history, context, ToolLimits(**(limits or TOOLS)), base=incumbent_base(history, context), space=Space(),
        candidate=drafts(context) if kind == "ua" else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("trial", {"n": 2}, ["Trial 2", "knobs: {", "epochs trained/best: 12/9", "reported: blend=0.75", "p17"]),
        ("trial", {"n": 3}, ["seconds of predict over all seeds: up to 1", "observed effect against trial 0"]),
        ("compare", {"a": 0, "b": 3}, ["Trial 0:", "knobs:", "the same script", "by group"]),
        ("curve", {"n": 1}, ["epochs trained/best 12/9", "epoch 9: 7.10"]),
        ("errors", {"n": 1}, ["yeast (12)", "measured on predicted 0.7", "p17 (human, 88 residues, 71 °C): -19"]),
        ("knob", {"name": "depth"}, ['"name": "depth"', "trials ("]),
        ("find", {"text": "pooling"}, ["- trial 6", "in knobs, script"]),
        ("script", {"n": 0}, ["```python", "def fit(task, knobs, checkpoint)"]),
    ],
)  # fmt: skip
def test_what_a_tool_tells(history, folder, name, arguments, told):
    result = toolbox(history, folder).run(ToolCall(name, arguments), "")
    assert result.ok and all(text in result.text for text in told), result.text


@pytest.mark.parametrize(
    ("name", "arguments", "fault"),
    [
        ("trial", {"n": 99}, "a trial's number from 0 to 6"),
        ("trial", {"n": True}, "a trial's number"),
        ("trial", {}, "a trial's number"),
        ("knob", {"name": "dept"}, "there is no knob 'dept'"),
        ("find", {"text": " "}, "a text to look for"),
        ("look", {}, "there is no tool 'look'"),
        ("check", {}, "there is no tool 'check'"),  # no sandbox here
    ],
)
def test_a_bad_call_is_told_why(history, folder, name, arguments, fault):
    result = toolbox(history, folder).run(ToolCall(name, arguments), "")
    assert not result.ok and fault in result.text


def test_agents_without_scripts_see_none(history, folder):
    box = toolbox(history, folder, kind="ra")
    assert {spec.name for spec in box.specs} == {"trial", "compare", "curve", "errors", "knob", "find"}
    assert "script" not in box.run(ToolCall("find", {"text": "pooling"}), "").text


def test_tools_tell_no_error_finer_than_the_noise_and_none_by_seed(folder):
    history = with_diagnostics(simulate("random", 8, landscape=Landscape(Space(), noise=0.4), folder=folder / "coarse",
                                        reference=SCRIPT))  # fmt: skip
    box = toolbox(history, folder / "coarse")
    calls = [ToolCall(name, {"n": n}) for name in ("trial", "errors", "curve") for n in range(9)]
    calls += [ToolCall("compare", {"a": 0, "b": n}) for n in range(9)]
    told = "\n".join(box.run(each, "").text for each in calls)
    fine = [mae for trial in history for mae in (trial.val_mae_by_seed or []) if round(mae * 100) % 5]
    assert fine and not any(f"{mae:.2f}" in told for mae in fine)
    assert "7.12" not in told and "6.11" not in told


def test_results_stay_within_their_tokens(history, folder):
    box = toolbox(history, folder, limits=TOOLS | {"tokens": 1000})
    first = box.run(ToolCall("script", {"n": 0}), "")
    box.note(ToolCall("script", {"n": 0}), "", first)
    assert "[cut here to fit the token budget]" in first.text
    assert len(box.run(ToolCall("trial", {"n": 1}), "").text) < 300


def test_an_agent_uses_tools_and_its_proposal_counts_them(history, tmp_path):
    folder = tmp_path
    for trial in history:
        Proposal(trial.knobs, SCRIPT).write(folder / f"i{trial.iteration}")
    replies = [call("trial", n=2) + call("knob", name="depth"), header(changes={"depth": 4, "dropout": 0.07})]
    context = context_for("ra", folder, history, replies=replies, options={"tools": TOOLS})
    proposal = propose(history, context)
    assert proposal.status == "proposed" and proposal.tool_calls == 2 and proposal.llm_calls == 2
    assert "## Tools" in prompts(context)[0][0] and "`try_out" not in prompts(context)[0][0]
    assert "Trial 2" in prompts(context)[1][-1] and "(6 calls of tools are left.)" in prompts(context)[1][-1]
    replayed = propose(
        history, context_for("ra", folder, history, replies=[], options={"tools": TOOLS}, replay="strict")
    )
    assert replayed == proposal


def test_without_tools_nothing_is_said_of_them(history, folder):
    context = context_for("ua", folder, history, replies=["no"], max_asks=1)
    assert propose(history, context).tool_calls == 0
    assert "## Tools" not in prompts(context)[0][0]


def test_an_obfuscated_view_has_no_tools():
    with pytest.raises(InputError, match=r"extent\.strategies\.x\.tools: an obfuscated view has none"):
        check_options("x", "obfuscated", {"model": "playbook", "tools": {"calls": 3}})
    check_options("x", "ra", {"model": "playbook", "tools": "none"})
    with pytest.raises(InputError, match=r"extent\.strategies\.x\.tools\.calls"):
        check_options("x", "ra", {"model": "playbook", "tools": {"calls": 0}})


# In the real sandbox, on a small data set.

HARD = "import numpy as np\n"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    from small_data import make_small_data

    data, embedding = make_small_data(tmp_path_factory.mktemp("small"))
    return Bench(lambda: small_harness(data, embedding))


@pytest.fixture
def start(tmp_path):
    first = Proposal(Space().defaults(), SCRIPT, origin="baseline")
    return step(History(), first, tmp_path)


def talk(start, folder, bench, *replies, replay="fill", tools=TOOLS):
    context = context_for("ua", folder, start, replies=replies, options={"tools": tools}, bench=bench, replay=replay)
    return propose(start, context), context


@pytest.mark.slow
def test_a_script_is_tried_out_and_what_it_reports_comes_back(start, tmp_path, bench):
    reporting = RIDGE.replace('print("ridge', 'task.report(strength=0.25)\n    print("ridge')
    proposal, context = talk(
        start, tmp_path, bench, call("try_out", share=0.5, script=reporting), header() + whole(reporting + "\n")
    )
    told = prompts(context)[1][-1]
    assert "ok on " in told and "error on stop as the harness measured it" in told
    assert "by tm:" in told and "reported: strength=0.25" in told and "ridge is fitted" in told
    assert proposal.status == "proposed" and proposal.tool_calls == 1  # what was tried needs no further check
    assert proposal.tool_s > 0 and proposal.tool_cpu_s > 0 and proposal.tool_device_s == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "i1" / "llm").iterdir()}

    def unused():
        raise AssertionError("a strict replay runs nothing")

    replayed, _ = talk(start, tmp_path, Bench(unused), replay="strict")
    assert replayed == proposal
    assert {path.name: path.read_bytes() for path in (tmp_path / "i1" / "llm").iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (RIDGE.replace("np.linalg.solve", "np.linalg.sovle"), "has no attribute 'sovle'"),
        (RIDGE.replace('saved["w"] +', 'saved["v"] +'), "crash (predict_crash) in predict, of which"),
        (RIDGE.replace('return (x - saved["centre"])', 'return (x[1:] - saved["centre"])'), "invalid (wrong_count)"),
    ],
)  # fmt: skip
def test_a_typo_costs_no_trial(start, tmp_path, bench, bad, why):
    """The script comes back with the reason before it becomes a trial."""
    proposal, context = talk(start, tmp_path, bench, header() + whole(bad), header() + whole(RIDGE))
    assert why in prompts(context)[1][-1] and "did not pass `check`" in prompts(context)[1][-1]
    assert proposal.status == "proposed" and proposal.script.strip() == RIDGE.strip()
    assert proposal.tool_calls == 2
    recorded = read_json(tmp_path / "i1" / "llm" / "01.tools.json")["calls"]
    assert [each["name"] for each in recorded] == ["check"] and not recorded[0]["result"]["ok"]


@pytest.mark.slow
def test_predict_sends_nothing_back_through_a_check(start, tmp_path, bench):
    """Neither what it prints nor what it raises, although it sees early-stopping proteins alone."""
    telling = RIDGE.replace(
        "    saved = np", '    print("SECRET", len(task.pool)); task.report(secret=1.0)\n    saved = np'
    )
    _, context = talk(
        start, tmp_path, bench, call("try_out") + whole(telling),
        call("check") + whole(telling.replace("x = task.pool", "raise ValueError('SECRET')\n    x = task.pool")),
        header() + whole(RIDGE),
    )  # fmt: skip
    told = "\n".join(prompts(context)[-1])
    assert "ok on " in told and "no message is shown" in told
    results = [message for message in prompts(context)[-1] if message.startswith("Result of")]
    assert len(results) == 2 and not any("SECRET" in text or "secret" in text for text in results)


@pytest.mark.slow
def test_seconds_of_tries_are_bounded(start, tmp_path, bench):
    slow = RIDGE.replace("    x = task.fit", "    while task.seconds_left() > 0:\n        pass\n    x = task.fit", 1)
    tools = TOOLS | {"device_s": 3}
    proposal, context = talk(
        start, tmp_path, bench, call("try_out") + whole(slow), call("try_out") + whole(slow), header() + whole(RIDGE),
        tools=tools,
    )  # fmt: skip
    assert "no seconds are left of the 3 s" in prompts(context)[2][-1]
    assert 3 <= proposal.tool_s < 12


def test_the_playbook_looks_before_it_moves_a_knob(tmp_path):
    history = search("ra", 3, tmp_path, options={"tools": TOOLS})
    assert [trial.tool_calls for trial in history] == [0, 1, 1, 1] and [t.llm_calls for t in history[1:]] == [2, 2, 2]
    for trial in history[1:]:
        (use,) = read_json(tmp_path / f"i{trial.iteration}" / "llm" / "01.tools.json")["calls"]
        assert use["name"] == "knob" and use["arguments"]["name"] in trial.knobs and "trials (" in use["result"]["text"]
    without = search("ra", 3, tmp_path / "without")
    assert [trial.knobs for trial in without] == [trial.knobs for trial in history]  # tools change no move of the book


@pytest.mark.slow
def test_the_playbook_tries_its_scripts_out_and_leaves_what_fails(tmp_path, bench):
    history = search("ua", 1, tmp_path)
    context = context_for("ua", tmp_path, history, options={"tools": TOOLS | {"device_s": 200}}, bench=bench)
    proposal = propose(history, context)
    uses = [
        use
        for name in sorted(path.name for path in (tmp_path / "i2" / "llm").glob("*.tools.json"))
        for use in read_json(tmp_path / "i2" / "llm" / name)["calls"]
    ]
    assert proposal.status == "proposed" and proposal.tool_calls == len(uses) >= 1
    assert uses[-1]["result"]["ok"]
    replayed = propose(history, context_for("ua", tmp_path, history, options={"tools": TOOLS | {"device_s": 200}},
                                            bench=bench, replay="strict"))  # fmt: skip
    assert replayed == proposal
