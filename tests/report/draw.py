"""Draw one figure of a small simulated study, or its whole page, to look at.

    python tests/report/draw.py trials      figure_trials of tmelt/report/figures, as SVG and PNG
    python tests/report/draw.py             the page with all figures

The study is made by the first call and kept in .pytest_cache/report; --new makes it again, after a change of a table.
"""

import argparse
import importlib
import pkgutil
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "evidence"), str(HERE.parent), str(ROOT)]

from small_studies import Made, make_study  # noqa: E402  (needs the path)

from tmelt.report import figures  # noqa: E402
from tmelt.report.page import draw_figure  # noqa: E402

CACHE = ROOT / ".pytest_cache" / "report"


def figure_functions() -> dict[str, Callable]:
    """`figure_x` of every module of tmelt/report/figures, by x."""
    modules = [
        importlib.import_module(f"{figures.__name__}.{part.name}") for part in pkgutil.iter_modules(figures.__path__)
    ]
    found = [(name, getattr(module, name)) for module in modules for name in vars(module) if name.startswith("figure_")]
    return {name.removeprefix("figure_"): function for name, function in found}


def kept_study(new: bool) -> Made:
    """The simulated study, made unless it is there."""
    done = CACHE / "study" / "complete"
    if new or not done.exists():
        shutil.rmtree(CACHE, ignore_errors=True)
        make_study(CACHE / "study")
        done.touch()
    results = CACHE / "study" / "results"
    return Made(results / "simulated", next((results / "data").iterdir()))


def main() -> None:
    functions = figure_functions()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "figure", nargs="?", choices=sorted(functions), metavar="FIGURE", help=", ".join(sorted(functions))
    )
    parser.add_argument("--new", action="store_true", help="make the study again")
    arguments = parser.parse_args()
    made = kept_study(arguments.new)
    if arguments.figure is None:
        print(made.report(CACHE / "page"))
        return
    figure = functions[arguments.figure](made.read())
    if figure is None:
        sys.exit(f"{arguments.figure}: the simulated study has no data for it")
    draw_figure(figure, CACHE / "figures")
    print(f"{figure.caption}\n{CACHE / 'figures' / figure.name}.png")


if __name__ == "__main__":
    main()
