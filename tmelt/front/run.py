"""Run Snakemake in this process, with the handler that shows a study's trials in place of its own messages.

python -m tmelt.front.run CONFIG SOURCE FEED SNAKEMAKE-ARGUMENTS

`tmelt study` becomes this process, so that signals and exit codes are Snakemake's own. The handler is a logger plugin;
it is registered here by hand, because Snakemake only finds plugins that are packages of their own.
"""

import os
import sys
from pathlib import Path

from tmelt.front import handler


def main() -> None:
    """Run Snakemake's own command line; it ends the process."""
    # What this process prints keeps its place when the handler sends descriptor 1, which jobs inherit, to the log.
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1, errors="backslashreplace")
    from snakemake.cli import main as snakemake
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    config, source, feed, *arguments = sys.argv[1:]
    handler.SHOWN = handler.Shown(Path(config), Path(source) if source else None, feed or None)
    LoggerPluginRegistry().register_plugin("tmelt", handler)
    arguments += ["--logger", "tmelt"]
    sys.argv = ["snakemake", *arguments]  # the default profile asks it which profile was named
    snakemake(arguments)


if __name__ == "__main__":
    main()
