"""The subcommands of `tmelt` that run a study and say where it stands."""

import contextlib
import os
import sys
from pathlib import Path

from tmelt.errors import InputError

RESULTS = Path("results")


def study(
    config: Path,
    snakemake: list[str] | None = None,
    *,
    source: Path | None = None,
    profile: str | None = None,
    cores: int | None = None,
    feed: str | None = None,
    check_only: bool = False,
) -> None:
    """Check a study, then run it to its report: one line per trial, and a line of progress.

    Everything that can be known before is checked first: config, table, packages, keys, prices, sandbox, disk. All
    faults are listed, and nothing has been started then. The study is run by Snakemake in the working directory;
    exit status, Ctrl-C and kill are Snakemake's own. Its complete log is a file whose path is printed.
    `snakemake --profile profiles/default --configfile CONFIG` runs the same study with Snakemake's own output.

    Args:
        config: the study's config file
        snakemake: arguments for Snakemake, after `--`; for example `-- --dry-run` or `-- --keep-going`
        source: a table to use in place of the config's design.data.source
        profile: how and where jobs run: `slurm`, or the folder of a profile of your own; by default this machine
        cores: cores to use on this machine; all by default
        feed: send each scored trial to a tracker as well, trackio or mlflow (`pip install 'tmelt[trackio]'`): a run
            per search, a step per trial
        check_only: check, and start nothing
    """
    from tmelt.front.workflow import is_local, snakemake_arguments, study_command
    from tmelt.track import check_tracker

    further = [*(["--cores", str(cores)] if cores is not None else []), *(snakemake or [])]
    arguments = snakemake_arguments(config, source, profile, further)
    if feed is not None:
        check_tracker(feed)
    _check(config, source, is_local(profile, further))
    if check_only:
        return
    sys.stdout.flush()
    # Jobs start by the word `python`: it is to be the one that tmelt is installed for.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    command = study_command(config, source, arguments, feed)
    os.execv(command[0], command)


def _check(path: Path, source: Path | None, local: bool) -> None:
    """Print what the checks before a study find.

    Raises:
        InputError: there is a fault.
    """
    from tmelt.front.checks import Subject, run_checks
    from tmelt.study.config import load_config
    from tmelt.text.safe import for_terminal

    config = load_config(path, source)
    print(for_terminal(f"{config.study}: {config.title or path}"), flush=True)
    faults = 0
    for result in run_checks(Subject(config, RESULTS, local)):
        mark = "FAULT" if result.fault else "ok"
        for number, line in enumerate(result.said):
            head = f"{mark:>7} {result.what:<11}" if number == 0 else " " * 19
            print(for_terminal(f"{head} {line}"), flush=True)
        faults += result.fault
    if faults:
        raise InputError(f"{path}: {faults} check{'s' * (faults > 1)} failed, listed above; nothing was started")


def status(config: Path | None = None, *, source: Path | None = None, results: Path = RESULTS) -> None:
    """Say where a study stands, also while it runs.

    Per search: trials done, the incumbent, what was spent, jobs begun and failed; then what is being made and when the
    searches are estimated to end. Only reads.

    Args:
        config: the study's config file; config.yaml by default
        source: the table, where the study was started with one
        results: the folder that studies are in; results by default
    """
    from tmelt.study.config import load_config
    from tmelt.study.status import report as describe
    from tmelt.text.safe import for_terminal

    print(for_terminal(describe(load_config(config or Path("config.yaml"), source), results)))


def watch(
    config: Path | None = None,
    *,
    source: Path | None = None,
    port: int = 8765,
    results: Path = RESULTS,
    control: bool = False,
) -> None:
    """Show a study in a browser while it runs; ends with Ctrl-C.

    One page: trials as they arrive, incumbents, spend against budget, running jobs, the latest proposal with its
    reason and difference, and alerts. It only reads, unless `--control` is given. It is served on this machine's
    loopback address alone, under the address with a token that is printed. From a login node:
    `ssh -L 8765:127.0.0.1:8765 NODE`, then open the address here.

    Args:
        config: the study's config file; config.yaml by default
        source: the table, where the study was started with one
        port: of the loopback address; 8765 by default, 0 for any that is free
        results: the folder that studies are in; results by default
        control: let the page write guidance, vetoes and pauses into the searches' guidance.yaml; who knows the
            address may then do so
    """
    from tmelt.study.config import load_config
    from tmelt.watch.control import Control
    from tmelt.watch.page import policy, render
    from tmelt.watch.server import WatchServer
    from tmelt.watch.state import Reader

    parsed = load_config(config or Path("config.yaml"), source)
    reader, desk = Reader(parsed, results), Control(parsed, results) if control else None

    def page() -> str:
        return render(reader.read(), desk.read() if desk else None)

    with (
        contextlib.suppress(KeyboardInterrupt),
        WatchServer(port, page, policy(), desk.write if desk else None) as server,
    ):
        print(server.address, flush=True)
        print(f"over SSH: ssh -L {server.port}:127.0.0.1:{server.port} THIS-MACHINE; Ctrl-C ends this", flush=True)
        server.serve_forever()


def report(study: Path, *, open: bool = False) -> None:
    """Print a finished study's answer, and where its page and its model are.

    Args:
        study: the study's folder, results/{study}
        open: open the page in a browser
    """
    from tmelt.front.answer import answer
    from tmelt.text.safe import for_terminal

    print(for_terminal("\n".join(answer(study))))
    if open:
        import webbrowser

        webbrowser.open((study / "report" / "report.html").resolve().as_uri())
