"""What a study *is*: the names and hashes by which its parts are told apart (tmelt.study.protocol compares them)."""

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmelt.errors import InputError
from tmelt.search.knobs import space_of_config
from tmelt.storage.files import sha256_file, sha256_json, sha256_text
from tmelt.storage.records import to_json
from tmelt.study.group import ORGANISMS
from tmelt.study.target import TM

if TYPE_CHECKING:  # pydantic: a tenth of a second that scoring a trial does not need
    from tmelt.study.config import Backbone, Config, Data

PACKAGE = Path(__file__).resolve().parents[1]

# Code that decides what a score means; a comment or a docstring changed in it changes no score.
SCORING_CODE = (
    "candidate/train.py",
    "packed.py",
    "search/knobs.py",
    "search/scoring.py",
    "search/decision.py",
    "embed/view.py",
    "search/families.py",
    "harness/clock.py",
    "harness/confined.py",
    "harness/inside.py",
    "harness/precision.py",
    "harness/predictions.py",
    "harness/run.py",
    "harness/task.py",
    "harness/variation.py",
    *sorted(str(path.relative_to(PACKAGE)) for path in (PACKAGE / "harness" / "sandbox").glob("*.py")),
)

# Options of an agent that change no proposal: its budget may be raised, a price corrected, a time-out stretched, a
# coding agent's tool installed elsewhere.
_FREE_OPTIONS = {
    "budget", "max_retries", "timeout_s", "max_wait_s", "backoff_s", "price", "api_key_env", "env", "read", "home",
    "reported",
}  # fmt: skip


def dataset_id(data: "Data") -> str:
    """Folder name of a data set: its name and a hash of every setting and source file that shapes it.

    Raises:
        InputError: a source file that is not there.
    """
    from tmelt.study.config import TABLE_COLUMNS, TABLE_KEYS

    described = data.model_dump(mode="json")
    described.pop("name")
    for key in ("target", "group"):
        if getattr(data, key) == type(data).model_fields[key].default:
            described.pop(key)
    sources = {} if data.source == "synthetic" else {"source": data.source}
    if data.fasta:
        sources["fasta"] = data.fasta
    if data.source == "synthetic":
        described["generator"] = code_sha256(PACKAGE / "proteins" / "synthesize.py")
        for key in TABLE_KEYS:
            described.pop(key)
        for key in TABLE_COLUMNS:
            described["columns"].pop(key)
    else:
        described.pop("synthetic")
        if data.columns.parent is None:
            described["columns"].pop("parent")
    for key, path in sources.items():
        if not Path(path).is_file():
            raise InputError(
                f"config: design.data.{key}: {path}: no such file; give its path there, or by --config source=PATH"
            )
        if "{" in path or "}" in path:
            raise InputError(
                f"config: design.data.{key}: {path}: a name with braces is a wildcard here; rename the file"
            )
        try:
            described[key] = sha256_file(path)
        except OSError as error:
            raise InputError(f"config: design.data.{key}: {path}: cannot be read ({error.strerror})") from None
    return f"{data.name}-{sha256_json(described)[:8]}"


def backbone_id(backbone: "Backbone", tokens: int, device: str) -> str:
    """Folder name of a backbone: its name and a hash of everything that moves an embedding's bits."""
    described = backbone.model_dump(mode="json") | {"tokens": tokens, "device": device}
    described.pop("sha256")  # it is compared with the file, and moves no bit
    if backbone.weights != "random":
        described.pop("seed")
    return f"{backbone.name}-{sha256_json(described)[:8]}"


def code_sha256(path: Path) -> str:
    """Hash of Python code without comments, formatting and docstrings; the same in every version of Python."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    words: list[str] = []
    _spell(tree, words)
    return sha256_text("\0".join(words))


def _spell(node: ast.AST, words: list[str]) -> None:
    """A syntax tree as words. `ast.dump` writes fields that a newer Python added, empty as they are."""
    words.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if value is None or value == []:
            continue
        words.append(name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                _spell(part, words)
            else:
                words.append(repr(part))
        words.append(";")


def design_of(config: "Config") -> dict[str, Any]:
    """Everything that makes scores comparable, as JSON: design, threads, the knob table, the scoring code."""
    from tmelt.study.baseline import with_baseline

    design = config.design.model_dump(mode="json")
    target, group = config.design.data.target.record, config.design.data.groups
    space = with_baseline(space_of_config(config.design.space).for_target(target), config.design.baseline)
    return {
        "dataset": dataset_id(config.design.data),
        "backbone": backbone_id(config.design.backbone, config.runtime.embed_tokens, config.design.device),
        "budget": design["budget"],
        "decision": design["decision"],
        "precision": design["precision"],
        "device": design["device"],
        "sequences": design["sequences"],
        "sandbox": design["sandbox"],
        "sandbox_image": design["sandbox_image"],
        "threads": config.runtime.threads,
        "baseline": design["baseline"],
        "knobs": space.table(),
        **({} if target == TM else {"target": to_json(target)}),
        **({} if group == ORGANISMS else {"group": to_json(group)}),
        "code": {name: code_sha256(PACKAGE / name) for name in SCORING_CODE},
    }


def strategy_of(config: "Config", name: str) -> dict[str, Any]:
    """What makes the trials of one strategy one search: its kind, prompt and options, but those of _FREE_OPTIONS."""
    from tmelt.strategies.program import program_path
    from tmelt.strategies.registry import asked_kind, kind_of, named_code, package_of

    strategy = config.extent.strategies[name]
    options = {key: value for key, value in strategy.options.items() if key not in _FREE_OPTIONS}
    kind = kind_of(strategy.kind)
    asked = asked_kind(kind, strategy.options)
    package, code = package_of(strategy.kind), named_code(asked, strategy.options)
    contract = PACKAGE / "candidate" / "CONTRACT.md"  # stands in the prompts of those who write scripts
    return {
        "kind": strategy.kind,
        "options": options,
        "program": sha256_file(program_path(kind.name if kind.program else asked.name)) if kind.agent else None,
        "contract": sha256_file(contract) if asked.writes_scripts else None,
        **({"package": package} if package else {}),
        **({"code": code} if code else {}),
    }
