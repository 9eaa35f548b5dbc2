"""Command lines of the project's scripts, from values by name. The only place where the rules quote anything."""

import shlex
from typing import Any


def script_command(script: str, /, *words: str, **given: Any) -> str:
    """Return `python {script}.py words … --name value …`, quoted for a shell.

    Args:
        script: the script's path without its ending.
        words: its arguments without a name.
        given: by the option's name, with `_` for `-`: one value, several (none is an option without values), True or
            False (`--name`, `--no-name`), or None, which leaves the option out.
    """
    line = ["python", f"{script}.py", *words]
    for name, value in given.items():
        option = name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            line.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, str) or not hasattr(value, "__iter__"):
            line += [f"--{option}", str(value)]
        else:
            line += [f"--{option}", *map(str, value)]
    return shlex.join(line)
