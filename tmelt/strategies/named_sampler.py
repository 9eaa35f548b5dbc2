"""Build an Optuna sampler that a config names: a class of an installed package, or of a file or folder.

    sampler: optuna.samplers.NSGAIISampler           # a class by its dotted name
    sampler: samplers/whale_optimization:WOASampler  # a folder of OptunaHub's registry, or a .py file, and its class

The code is trusted like that of tmelt: it runs in the process that proposes.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmelt.errors import InputError
from tmelt.storage.files import sha256_file, sha256_json
from tmelt.text.safe import one_line

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def is_name(sampler: str) -> bool:
    """Whether it names a class: `package.module.Class` or `path:Class`."""
    path, colon, name = sampler.rpartition(":")
    dotted = sampler.split(".")
    return (bool(path) and name.isidentifier()) if colon else len(dotted) > 1 and all(map(str.isidentifier, dotted))


def build_sampler(sampler: str, arguments: Mapping[str, Any], seed: int, where: str) -> "BaseSampler":
    """The sampler, seeded for one trial.

    Args:
        sampler: see the module.
        arguments: keyword arguments of the class, besides `seed`.
        seed: of the trial.
        where: the key of the config, for messages.

    Raises:
        InputError: the class is missing or no sampler, takes no seed, or refuses the arguments.
    """
    import optuna

    kind = _class_of(sampler, where)
    if not (isinstance(kind, type) and issubclass(kind, optuna.samplers.BaseSampler)):
        raise InputError(f"{where}: {sampler} is no optuna.samplers.BaseSampler; name such a class")
    if "seed" not in inspect.signature(kind).parameters:
        raise InputError(f"{where}: {sampler} takes no `seed`, so no search with it could be repeated")
    make: Any = kind  # its parameters are its own
    try:
        return make(seed=seed, **arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {sampler} refuses its arguments: {one_line(error)}") from None


def code_of(sampler: str) -> str | None:
    """Hash of the Python files of a sampler that is named by its path; None for one of an installed package."""
    path, colon, _ = sampler.rpartition(":")
    if not colon:
        return None
    files = sorted(Path(path).rglob("*.py")) if Path(path).is_dir() else [Path(path)]
    return sha256_json({file.name: sha256_file(file) for file in files if file.is_file()})


def _class_of(sampler: str, where: str) -> Any:
    path, colon, name = sampler.rpartition(":")
    if not colon:
        path, _, name = sampler.rpartition(".")
    try:
        return getattr(_load(Path(path)) if colon else importlib.import_module(path), name)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        remedy = "correct the path" if colon else "install its package or correct the name"
        raise InputError(f"{where}: {sampler} cannot be loaded: {one_line(error)}; {remedy}") from None


def _load(path: Path) -> Any:
    """The module of a file, or the package of a folder with `__init__.py`, under a name of its own."""
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}")
    name = f"tmelt_sampler_{sha256_json(str(path.resolve()))[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    folder = [str(path)] if path.is_dir() else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folder)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
