"""A study whose coding agent is the real mini-swe-agent, over a scripted server: python mini_swe_agent.py MINI FOLDER.

mini-swe-agent has 85 packages of 750 MB, so that the tests do not install it. To check it by hand:

    python -m venv /tmp/mini && /tmp/mini/bin/pip install mini-swe-agent
    python tests/coder/mini_swe_agent.py /tmp/mini/bin/mini /tmp/study

The server answers like a model that reads the program and the history, changes a knob, checks, tries, writes its notes
and submits. Printed are the trials, the search's git history, and whether a strict replay without the server makes the
same proposals.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import polars as pl
from llm.server import ChatServer, Reply
from workflow import Workspace, study

from tmelt.verify.group import Group
from tmelt.verify.place import Place
from tmelt.verify.replay import check_proposals

TRIALS = 12
PRICE = {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6, "litellm_provider": "openai", "mode": "chat"}
STEPS = (
    "head -20 program.md; grep '^# Trial' program.md; tail -30 history/summary.md; git log --oneline --all | head",
    "{edit} && cat knobs.json",
    "./check",
    "./try --share 0.5 --seconds 3",
    "printf 'Hypothesis: {hypothesis}\\nExpected effect: -0.2\\nThe summary shows no trial with it.\\n' > NOTES.md",
    "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT",
)


def edit_of(trial: int) -> tuple[str, str]:
    """A command that makes the change of this trial, and the idea behind it."""
    if trial % 4 == 0:
        return f"echo '# {trial}' >> train.py", "a script with a comment trains as before"
    name, values = [("epochs", (1, 2, 3)), ("batch_size", (8, 16, 32)), ("dropout", (0.05, 0.1, 0.2))][trial % 3]
    value = values[(trial // 3) % 3]
    change = (
        f"import json; k = json.load(open('knobs.json')); k['{name}'] = {value}; json.dump(k, open('knobs.json','w'))"
    )
    return f'python3 -c "{change}" && echo "# {trial}" >> train.py', f"{name} of {value} helps"


def scripted(request: dict) -> Reply:
    """The next step of the session that the request shows."""
    messages = request["body"]["messages"]
    said = sum(message["role"] == "assistant" for message in messages)
    text = "\n".join(str(message["content"]) for message in messages)
    trial = int((re.findall(r"^# Trial (\d+)", text, re.MULTILINE) or ["1"])[-1])
    edit, hypothesis = edit_of(trial)
    command = STEPS[min(said, len(STEPS) - 1)].replace("{edit}", edit).replace("{hypothesis}", hypothesis)
    return Reply(f"THOUGHT: step {said + 1} of trial {trial}.\n\n```mswea_bash_command\n{command}\n```")


def main(mini: Path, folder: Path, trials: int) -> None:
    """Run the study to its report."""
    folder.mkdir(parents=True, exist_ok=True)
    registry = folder / "prices.json"
    registry.write_text(json.dumps({"scripted": PRICE, "openai/scripted": PRICE}))
    os.environ["MINI_KEY"] = os.environ["OPENAI_API_KEY"] = "sk-scripted-0123456789"
    with ChatServer(model=scripted) as server:
        agent = {
            "kind": "coder",
            "command": [
                str(mini), "-c", "mini_textbased.yaml", "-m", "openai/scripted", "--model-class", "litellm_textbased",
                "-t", "{prompt}", "-l", "{usd_left}", "-y", "--exit-immediately", "-o", "session.traj.json",
            ],
            "read": [str(mini.parents[1]), str(registry)],
            "env": ["OPENAI_API_KEY"],
            "variables": {
                "OPENAI_API_BASE": f"{server.url}/v1", "MSWEA_CONFIGURED": "true", "MSWEA_SILENT_STARTUP": "1",
                "LITELLM_MODEL_REGISTRY_PATH": str(registry), "LITELLM_LOCAL_MODEL_COST_MAP": "true",
            },
            "network": [f"127.0.0.1:{server.port}"],
            "budget": {"usd": 2},
            "reported": {
                "file": "session.traj.json", "cost_usd": "info.model_stats.instance_cost",
                "calls": "info.model_stats.api_calls",
            },
        }  # fmt: skip
        config = study(iterations=trials, confirm_seeds=1, strategies={"mini": agent}) | {"study": "coder"}
        space = Workspace(folder / "space", config)
        space.run("--cores", "1", targets=["all"], timeout=3000)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=60):
        print(
            space.trials().select("iteration", "status", "decision", "val_mae", "cost_usd", "llm_calls", "tool_calls")
        )
    subprocess.run([sys.executable, "-m", "tmelt", "export", "git", str(space.study)], check=True)
    repository = space.study / "export" / "git" / "mini_t0"
    subprocess.run(["git", "-C", str(repository), "log", "--all", "--graph", "--format=%s"], check=True)
    place = Place.of(space.study)
    group = Group("proposals", place.results)
    check_proposals(group, place)
    print(f"strict replay without the server: {group.checked} lines compared, {len(group.differences)} differ")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), int(sys.argv[3]) if len(sys.argv) > 3 else TRIALS)
