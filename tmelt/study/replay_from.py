"""Check a study that takes its LLM replies from another one (`replay_from`), before any job starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tmelt.errors import InputError
from tmelt.llm.replay_source import ReplaySource
from tmelt.strategies.registry import kind_of
from tmelt.study.identity import design_of, strategy_of
from tmelt.study.protocol import differences
from tmelt.study.protocol_record import read_protocol

if TYPE_CHECKING:
    from tmelt.study.config import Config

# How candidates are kept in, and the version of the code: neither is asked for in a prompt.
_FREE = ("code", "sandbox", "sandbox_image")


def check_replay_from(config: "Config", study: Path) -> None:
    """Check that the recorded study is there, and that it is the one that the config describes.

    Args:
        config: of the new study; nothing is checked if it has no `replay_from`.
        study: folder of the new study.

    Raises:
        InputError: there is no such record, what it lacks or what differs by name, or the new study was started with
            seeds of its own.
    """
    if config.replay_from is None:
        return
    source = ReplaySource(Path(config.replay_from))
    started = study / "protocol.json"
    if started.exists() and read_protocol(started).search_seeds != source.seeds_of:
        raise InputError(
            f"config: replay_from: {study} was started with other seeds than {source.path}; give the replay a `study:`"
            " name of its own"
        )
    if faults := list(_faults(config, source)):
        raise InputError(
            f"config: replay_from: {source.path} does not answer this study:\n"
            + "\n".join(f"  {fault}" for fault in faults)
            + "\nTake these from the config of the recorded study, leave out the strategies that it lacks, or remove"
            " replay_from to ask the models."
        )


def _faults(config: "Config", source: ReplaySource) -> Iterator[str]:
    design = {key: value for key, value in design_of(config).items() if key not in _FREE}
    recorded = {key: value for key, value in source.design.items() if key not in _FREE}
    if recorded:
        yield from (f"design.{line}" for line in differences(recorded, design))
    for name, strategy in config.extent.strategies.items():
        described = source.described(name)
        if described is not None:
            changes = differences(dict(described), strategy_of(config, name))
            yield from (f"extent.strategies.{name}.{line}" for line in changes)
        if not kind_of(strategy.kind).agent:
            continue
        lacking = [number for number in range(config.extent.trajectories) if (name, number) not in source.trials]
        if lacking:
            yield f"extent.strategies.{name}: no recorded call of trajectory {', '.join(map(str, lacking))}"
