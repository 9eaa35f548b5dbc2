"""What can be wrong with a study before it starts: each check gives a line that says what it found, or a fault.

All checks run, so that all faults are told at once, and before Snakemake builds anything. They write nothing.
"""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tmelt.embed.settings import ARCHITECTURES
from tmelt.errors import InfrastructureError, InputError
from tmelt.front.price import commands, limits_usd, models, most_usd, training_hours
from tmelt.strategies.check_options import check_options
from tmelt.study import lock, protocol
from tmelt.study.config import Config
from tmelt.study.replay_from import check_replay_from
from tmelt.study.stage import Stages

if TYPE_CHECKING:
    from tmelt.proteins.check import Checked

_MB = 1_000_000
_MB_AROUND = 500  # scripts, logs, predictions and tables of a small study


@dataclass(frozen=True)
class Result:
    """What one check found."""

    what: str
    said: tuple[str, ...]
    fault: bool


@dataclass
class Subject:
    """The study to check, and what checks found for later ones."""

    config: Config
    results: Path
    local: bool  # whether jobs run on this machine
    checked: "Checked | None" = None


def run_checks(subject: Subject) -> Iterator[Result]:
    """Run all checks, one after the other; a fault that several meet is told once."""
    told: set[str] = set()
    for what, check in CHECKS.items():
        try:
            yield Result(what, tuple(check(subject)), False)
        except (InputError, InfrastructureError) as error:
            if str(error) not in told:
                told.add(str(error))
                yield Result(what, tuple(str(error).splitlines()), True)


def _strategies(subject: Subject) -> Iterator[str]:
    config = subject.config
    for name, strategy in config.extent.strategies.items():
        check_options(name, strategy.kind, strategy.options, config)
    extent = config.extent
    searches = len(extent.strategies) * extent.trajectories
    cheap = any(extent.most_trials_of(name) > extent.trials_of(name) for name in extent.strategies)
    shares = " (cheap ones as shares of one)" if cheap else ""
    yield (
        f"{len(extent.strategies)} strategies, {searches} searches, {extent.trials} trials with"
        f" {extent.trials * len(extent.seeds)} trainings{shares}; at most {training_hours(config):.1f}"
        f" {'core' if config.design.device == 'cpu' else 'GPU'} hours by the budget of a run"
    )


def _platform(subject: Subject) -> Iterator[str]:
    if sys.platform != "linux":
        raise InputError(
            f"this is {platform.system()}; candidates are confined by means of Linux: use Linux, WSL 2 or a container"
        )
    yield f"Linux {platform.release()}, Python {platform.python_version()}, {len(os.sched_getaffinity(0))} cores"


def _packages(subject: Subject) -> Iterator[str]:
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in requires("tmelt") or () if "extra ==" not in text]
    except PackageNotFoundError:  # a checkout on PYTHONPATH
        yield "not compared: tmelt is not installed here, only found"
        return
    for requirement in needed:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            raise InputError(f"package {requirement} is missing; pip install '{requirement}'") from None
        if not requirement.specifier.contains(found, prereleases=True):
            raise InputError(f"package {requirement.name} {found} is installed; pip install '{requirement}'")
    yield f"{len(needed)} packages as required"


def _study(subject: Subject) -> Iterator[str]:
    folder = subject.results / subject.config.study
    found = lock.find(folder) if folder.is_dir() else None
    if found is not None and found.alive:
        raise InputError(f"{folder}: a run of this study is going on ({found.who}); wait for its end, or stop it there")
    begun = (folder / "protocol.json").exists()
    protocol.guard(subject.config, folder, record=False)
    check_replay_from(subject.config, folder)
    yield f"{folder}: {'begun before, goes on from there' if begun else 'new'}"


def _data(subject: Subject) -> Iterator[str]:
    data = subject.config.design.data
    if data.source == "synthetic":
        yield f"{data.synthetic.proteins} synthetic proteins"
        return
    if Stages(subject.config, subject.results).data.exists():  # or an error: no such file
        yield f"{data.source}: prepared by an earlier run"
        return
    from tmelt.proteins.allows import allows
    from tmelt.proteins.check import check_table

    checked = check_table(data)
    if faults := checked.faults.found:
        more = f"\n`tmelt check {data.source}` shows rows and remedies" if len(faults) > 1 else ""
        raise InputError("\n".join(fault.line() for fault in faults) + more)
    subject.checked = checked
    yield f"{data.source}: {len(checked.proteins)} proteins"
    if checked.split is not None:
        yield from allows(checked.proteins, checked.split, checked.data)
    for result in checked.audited:
        if result.level in ("caution", "accepted"):
            yield f"caution: {result.check}: {result.text}"


def _external(subject: Subject) -> Iterator[str]:
    """The tables of external test sets that no earlier run has prepared."""
    from tmelt.proteins.external import refuse_bad_sets
    from tmelt.study.external import FOLDER, RECORD

    design = subject.config.design
    folder = subject.results / subject.config.study / FOLDER
    new = [name for name in design.external if not (folder / name / RECORD).exists()]
    for name, told in design.external.items():
        for path in filter(None, (told.source, told.fasta, told.embeddings)):
            _present(f"design.external.{name}", path)
    yield from refuse_bad_sets({name: design.external[name].data(name, design.data) for name in new})
    for name in design.external.keys() - set(new):
        yield f"{design.external[name].source}: external set {name}, prepared by an earlier run"


def _backbone(subject: Subject) -> Iterator[str]:
    config = subject.config
    if Stages(config, subject.results).embedding.exists():
        yield f"{config.design.backbone.name}: the proteins are embedded"
    else:
        yield _weights(config)


def _weights(config: Config) -> str:
    """Where the weights come from."""
    backbone = config.design.backbone
    if backbone.name == "imported":
        return _present("design.backbone.path", str(backbone.path))
    if backbone.name == "transformers":
        if find_spec("transformers") is None:
            raise InputError("design.backbone.name: package transformers is missing; pip install 'tmelt[transformers]'")
        return _present("design.backbone.weights", backbone.weights)
    if backbone.name not in ARCHITECTURES:
        raise InputError(f"design.backbone.name: {backbone.name!r} is unknown; one of {', '.join(ARCHITECTURES)}")
    if backbone.weights == "random":
        return f"{backbone.name}, untrained"
    if backbone.weights != "download":
        return _present("design.backbone.weights", backbone.weights)
    from tmelt.embed.backbone import download_place

    place = download_place(backbone.name)
    return f"{backbone.name}, " + (f"at {place}" if place.exists() else f"to be downloaded to {place}")


def _present(key: str, path: str) -> str:
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError(f"{key}: {path}: no such file or folder; correct the path")
    return str(place)


def _device(subject: Subject) -> Iterator[str]:
    if subject.config.design.device == "cpu":
        yield "cpu"
    elif not subject.local:
        yield "cuda, on the machines that the profile names"
    else:
        import torch

        if not torch.cuda.is_available():
            raise InputError("design.device: cuda, but torch finds no GPU here; set cpu, or install torch for CUDA")
        yield f"cuda: {torch.cuda.get_device_name()}"


def _sandbox(subject: Subject) -> Iterator[str]:
    design = subject.config.design
    if not subject.local:
        yield f"{design.sandbox}: tried on the machines that the profile names, before the first trial"
        return
    from tmelt.harness.confined import Sandbox

    gpu = design.device == "cuda"
    with Sandbox(design.sandbox, gpu=gpu, image=design.sandbox_image) as sandbox:
        backend = sandbox.backend
    yield backend if backend != "none" else "none: candidates run with all of your rights"


def _models(subject: Subject) -> Iterator[str]:
    config = subject.config
    asked, own = models(config), commands(config)
    if not asked and not own:
        yield "no LLM is asked"
    for name in own:
        limit = limits_usd(config)[name]
        told = "NO LIMIT in dollars" if limit is None else f"each search at most ${limit:g}"
        yield f"{name}: a command of yours, which calls its own model; {told}"
    for name, settings in asked.items():
        if config.runtime.replay == "strict" or config.replay_from is not None:
            yield f"{name}: {settings.model}, from recorded replies alone"
            continue
        from tmelt.llm.chat import Chat

        Chat(settings)  # a missing key or package, or a parameter that the model does not take
        yield f"{name}: {settings.model}, {_price(settings, config.extent.trajectories)}"
    if (limit := most_usd(config)) is not None:
        yield f"all calls together: at most ${limit:.2f}"


def _price(settings: object, searches: int) -> str:
    from tmelt.llm.call_price import price_of
    from tmelt.llm.settings import LLMSettings

    assert isinstance(settings, LLMSettings)
    price, _ = price_of(settings)
    rate = "price unknown" if price is None else f"${price.input:g} in and ${price.output:g} out per million tokens"
    budget = settings.budget.model_dump(exclude_none=True) if settings.budget else {}
    if not budget:
        return f"{rate}; NO LIMIT: set budget: {{usd: …}} for this strategy"
    limit = ", ".join(f"${value:g}" if key == "usd" else f"{value:,} {key}" for key, value in budget.items())
    return f"{rate}; each of {searches} searches at most {limit}"


def _disk(subject: Subject) -> Iterator[str]:
    place = next(path for path in (subject.results.absolute(), *subject.results.absolute().parents) if path.exists())
    if not os.access(place, os.W_OK):
        raise InputError(f"{place}: not writable; run in a folder of your own")
    free = shutil.disk_usage(place).free / _MB
    need = _MB_AROUND + _embedding_mb(subject)
    if free < need:
        raise InputError(f"{place}: {free:,.0f} MB free; embeddings and results take about {need:,.0f} MB: make room")
    yield f"{free:,.0f} MB free at {place}; embeddings and results take about {need:,.0f} MB"


def _embedding_mb(subject: Subject) -> float:
    """Megabytes of the embeddings: 16-bit numbers, once in the cache and once in the views."""
    config = subject.config
    backbone, data = config.design.backbone, config.design.data
    if subject.checked is not None:
        residues = sum(len(protein.sequence) for protein in subject.checked.proteins)
    elif data.source == "synthetic":
        residues = data.synthetic.proteins * data.synthetic.length_median
    else:
        return 0.0
    if backbone.name in ("imported", "transformers") or Stages(config, subject.results).embedding.exists():
        return 0.0
    return 2 * 2 * residues * ARCHITECTURES[backbone.name][1] / _MB if backbone.name in ARCHITECTURES else 0.0


CHECKS: dict[str, Callable[[Subject], Iterator[str]]] = {
    "platform": _platform,
    "packages": _packages,
    "strategies": _strategies,
    "data": _data,
    "external": _external,
    "study": _study,
    "backbone": _backbone,
    "device": _device,
    "sandbox": _sandbox,
    "models": _models,
    "disk": _disk,
}
