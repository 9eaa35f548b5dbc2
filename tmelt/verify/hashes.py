"""Hashes that a study keeps of itself: protocol, code, data, embedding, runs, transcripts."""

from pathlib import Path

from tmelt.embed.views import recorded_hashes
from tmelt.harness.journal import FILES, run_key
from tmelt.harness.variation import Variation
from tmelt.llm.tool_record import tool_usage_of
from tmelt.llm.transcript import records, usage_of
from tmelt.search.history import Proposal
from tmelt.storage.files import read_json, sha256_file, sha256_json
from tmelt.storage.records import to_json
from tmelt.storage.schema import HIDDEN, RUN, read_table
from tmelt.study.identity import PACKAGE, code_sha256, strategy_of
from tmelt.study.protocol import REFERENCE, differences
from tmelt.study.protocol_record import protocol_hash
from tmelt.verify.group import Group
from tmelt.verify.place import Place

_NOT_RUN = ("refused", "stopped")  # statuses of proposals that were not trained


def check_protocol(group: Group, place: Place) -> None:
    """Compare protocol.json with its own hashes, and the code, prompts, data and embedding of this checkout with it."""
    protocol, file = place.protocol, place.study / "protocol.json"
    versions = [*protocol.versions]
    for number, version in enumerate(versions, 1):
        found = protocol_hash(version.design, protocol.measured, version.hypothesis)
        group.equal(file, "sha256", version.sha256, found, f"version {number}" if len(versions) > 1 else "")
    for name, sha256 in protocol.design.code.items():
        path = PACKAGE / name
        group.equal(
            file, "hash of code", sha256, code_sha256(path) if path.exists() else "no such file", f"tmelt/{name}"
        )
    group.equal(file, "reference_sha256", protocol.reference_sha256, sha256_file(REFERENCE))
    for name in place.config.extent.strategies:
        described = place.study / name / "strategy.json"
        if group.present(described):
            group.checked += 1
            for line in differences(read_json(described), strategy_of(place.config, name)):
                key, _, values = line.partition(": ")
                stored, _, now = values.partition(" -> ")
                group.differs(described, "", key, stored, now)


def check_data(group: Group, place: Place) -> None:
    """Compare proteins, vault, facts and, where it is there, the embedding with the protocol."""
    protocol = place.protocol
    hashed = {place.data / "proteins.parquet": protocol.measured.proteins}
    hashed |= {place.data / "vault" / f"{split}.parquet": protocol.measured.labels[split] for split in HIDDEN}
    for path, sha256 in hashed.items():
        if group.present(path):
            group.equal(path, "sha256", sha256, sha256_file(path))
    if group.present(place.data / "data.json"):
        group.equal(place.data / "data.json", "facts", to_json(protocol.data), read_json(place.data / "data.json"))
    if not (place.embedding / "embedding.json").exists():
        group.notes.append(f"{group.named(place.embedding)}: absent, its hashes were not compared")
        return
    recorded = to_json(protocol.measured.embedding)
    about = read_json(place.embedding / "embedding.json")
    group.equal(place.embedding / "embedding.json", "facts", recorded, {key: about.get(key) for key in recorded})
    hashes = group.passes(lambda: recorded_hashes(place.embedding), place.embedding / "embedding.json", "hashes") or {}
    for name, sha256 in hashes.items():
        path = place.embedding / name
        if path.exists():
            group.equal(path, "sha256", sha256, sha256_file(path))
        else:
            group.notes.append(f"{group.named(path)}: absent, its hash was not compared")


def check_runs(group: Group, place: Place) -> None:
    """Compare scripts with their proposals, and the files of each run with the hashes that the journal keeps."""
    journal = place.study / "journal" / "runs"
    if not journal.is_dir():
        group.notes.append(f"{group.named(journal)}: absent, the hashes of runs were not compared")
    for search in place.searches:
        for trial in place.trials(search):
            proposal = group.passes(lambda folder=trial: Proposal.read(folder), trial / "train.py", "script")
            if proposal is not None and journal.is_dir():
                for seed in place.config.extent.seeds:
                    _check_run(group, place, journal, proposal, trial / f"s{seed}", seed)
    for folder in place.candidates:
        proposal = group.passes(lambda folder=folder: Proposal.read(folder), folder / "train.py", "script")
        if proposal is not None and journal.is_dir():
            for seed in place.fresh_seeds:
                _check_run(group, place, journal, proposal, folder / f"s{seed}", seed)


def _check_run(group: Group, place: Place, journal: Path, proposal: Proposal, folder: Path, seed: int) -> None:
    """Compare a run's files with the journal; runs that were refused or stopped are not in it."""
    if not (folder / "run.parquet").exists():
        return  # the trials or the tables need it, and will say so
    for version in place.protocol.versions:
        key = run_key(
            version.sha256,
            proposal.script_sha256,
            proposal.knobs,
            seed,
            version.design.threads,
            (proposal.variation or Variation()).key(),
        )
        entry = journal / key[:2] / key / "run.json"
        if entry.exists():
            break
    else:
        return
    file = folder / "run.parquet"
    row = group.passes(lambda: read_table(file, RUN).row(0, named=True), file, "file")
    if row is None or row["status"] in _NOT_RUN:
        return  # the entry is of an earlier trial with the same script and knobs
    about = group.passes(lambda: read_json(entry), entry, "entry")
    if about is None:
        return
    group.equal(file, "row in the journal", row, about["row"])
    for name in FILES:
        if group.present(folder / name):
            group.equal(folder / name, "sha256", about["sha256"][name], sha256_file(folder / name))


def check_transcripts(group: Group, place: Place) -> None:
    """Compare each record of an LLM call with its seal, and its request with its hash.

    And compare what the calls cost with what the proposal says.
    """
    for search in place.searches:
        for trial in place.trials(search):
            _check_trial(group, trial)


def _check_trial(group: Group, trial: Path) -> None:
    file = trial / "proposal.json"
    fields = group.passes(lambda: read_json(file), file, "file")
    folder = trial / "llm"
    if fields is None or (not folder.is_dir() and not fields["transcripts"]):
        return
    for name in fields["transcripts"]:
        group.present(folder / name)
    found = group.passes(lambda: list(records(folder)), folder, "seals")
    used = group.passes(lambda: tool_usage_of(folder), folder, "seals")
    if found is None or used is None:
        return
    for path, record in found:
        group.equal(path, "request_hash", record["request_hash"], sha256_json(record["request"]))
    usage = usage_of(folder)
    stated = {"llm_calls": usage.calls}
    stated |= {key: getattr(usage, key) for key in ("prompt_tokens", "completion_tokens", "cost_usd")}
    stated |= {"tool_calls": used.calls, "tool_s": used.seconds}
    stated |= {"tool_cpu_s": used.cpu_s, "tool_device_s": used.device_s}
    for key, value in stated.items():
        group.equal(file, key, fields[key], value)
