"""Replies from another study's transcripts: the same proposals, and a complaint where they answer something else."""

import shutil
import tarfile

import pytest

from tmelt.errors import InputError
from tmelt.export.transcripts import export_transcripts
from tmelt.llm import Conversation, Spent, extract_json
from tmelt.llm.replay_source import ReplaySource
from tmelt.llm.tools import ToolResult
from tmelt.llm.transcript import read_record
from tmelt.storage.files import read_json, write_json, write_text

from .server import Reply

TRIAL = "ua/t0/i1"


def ask(conversation, user):
    return conversation.ask(system="You tune.", user=user, parse=extract_json, purpose="propose")


def use(conversation):
    return conversation.use("trial", {"n": 0}, lambda: ToolResult("found"))


@pytest.fixture
def recorded(settings, server, tmp_path):
    """A study's folder with one proposal's calls: an unusable reply, a usable one, a tool."""
    study = tmp_path / "results" / "first"
    write_json(study / "protocol.json", {"study": "first", "design": {}})
    write_json(study / "ua" / "strategy.json", {"kind": "ua"})
    write_text(study / "ua/t0/guidance.yaml", "veto: [3]\n")
    write_text(study / f"{TRIAL}/train.py", "no transcript")
    server.will(Reply("No JSON."), Reply('{"knob": 1}'))
    conversation = Conversation(settings(), study / TRIAL / "llm", Spent())
    ask(conversation, "Trial 0 took 3.25 s.")
    use(conversation)
    conversation.finish()
    write_text(study / f"{TRIAL}/llm/left.txt", "- 3 trials\n")
    return study


@pytest.fixture
def replay(settings, tmp_path):
    """Makes the conversation of a new study from a source; its server does not exist."""

    def make(path, **changes):
        folder = tmp_path / "results" / "second" / TRIAL
        shutil.rmtree(folder, ignore_errors=True)
        ReplaySource(path).copy_trial(folder)
        chosen = settings(**{"base_url": "http://192.0.2.1/v1", "timeout_s": 1} | changes)
        return Conversation(chosen, folder / "llm", Spent(), source=path)

    return make


@pytest.mark.parametrize("form", ["study", "transcripts", "zip", "tar of a parent"])
def test_measured_numbers_may_differ(form, recorded, replay, server, tmp_path):
    path = recorded
    if form == "transcripts":
        path = tmp_path / "shipped"
        shutil.copytree(recorded, path, ignore=shutil.ignore_patterns("train.py", "strategy.json"))
    elif form == "zip":
        (path,) = export_transcripts(recorded, tmp_path)
    elif form == "tar of a parent":
        path = tmp_path / "shipped.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(recorded, "results/first")
    source = ReplaySource(path)
    assert source.seeds_of == "first" and source.trials == {("ua", 0): [1]}
    assert not any("train.py" in name for name in source.names)
    asked = len(server.requests)
    again = replay(path)
    assert ask(again, "Trial 0 took 12.5 s.") == {"knob": 1}
    assert use(again).text == "found"
    again.finish()
    assert len(server.requests) == asked
    folder = again.folder
    assert (folder / "left.txt").exists() and (folder.parent.parent / "guidance.yaml").read_text() == "veto: [3]\n"
    record = read_record(folder / "02.json")
    assert "12.5 s" in record["request"]["messages"][1]["content"] and record["taken_from"]["source"] == str(path)

    # The new study's transcripts are complete in themselves.
    own = Conversation(again.settings, folder, Spent(), "strict")
    assert ask(own, "Trial 0 took 12.5 s.") == {"knob": 1} and use(own).text == "found"


@pytest.mark.parametrize(
    ("user", "changes", "words"),
    [
        ("Trial 0 crashed.", {}, ["-  Trial # took # s.", "+  Trial # crashed."]),
        ("Trial 0 took 3.25 s.", {"model": "openai:another"}, ["-model: openai:test-model", "+model: openai:another"]),
        ("Trial 0 took 3.25 s.", {"temperature": 0.5}, ["+temperature: 0.5"]),
    ],
)
def test_another_request_is_shown_with_the_remedy(user, changes, words, recorded, replay):
    with pytest.raises(InputError, match="answers another request; take the options") as caught:
        ask(replay(recorded, **changes), user)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_reply_is_named(recorded, replay):
    (recorded / TRIAL / "llm" / "02.json").unlink()
    with pytest.raises(InputError, match=r"second/ua/t0/i1/llm/02.json: .*first has no reply .* lower extent"):
        ask(replay(recorded), "Trial 0 took 3.25 s.")


def test_what_is_no_record_is_named(recorded, tmp_path):
    write_text(tmp_path / "words.txt", "no archive")
    for path, words in [
        (tmp_path / "nothing", "no such file or folder"),
        (tmp_path / "words.txt", "not a folder, nor a zip or tar archive"),
        (recorded / "ua", "no protocol.json"),
    ]:
        with pytest.raises(InputError, match=words):
            ReplaySource(path)
    assert ReplaySource(tmp_path / "results").seeds_of == "first"
    shutil.copytree(recorded, tmp_path / "results" / "other")
    with pytest.raises(InputError, match=r"several protocol\.json"):
        ReplaySource(tmp_path / "results")


def test_a_replay_of_a_replay_has_the_first_studys_seeds(recorded):
    write_json(recorded / "protocol.json", read_json(recorded / "protocol.json") | {"seeds_of": "original"})
    assert ReplaySource(recorded).seeds_of == "original"
