"""Kinds of strategies are found by name, here and in installed packages."""

import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Space
from tmelt.strategies import Context, propose, registry
from tmelt.strategies.check_options import check_options
from tmelt.strategies.kind import Kind
from tmelt.strategies.registry import agent_kinds, built_in_kinds, kind_of, kinds

FORGETFUL = """
    from pydantic import BaseModel, ConfigDict
    from tmelt.search.history import Proposal
    from tmelt.strategies.kind import Kind

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")

    def propose(history, context):
        return Proposal(knobs=context.space.defaults(), script=context.reference, origin="guess")

    KIND = Kind("forgetful", "forgetful search", propose, Options, order=25)
    OTHER = Kind("another", "another", propose, Options, order=25)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Function: make a package with an entry point importable, as pip does."""

    def make(name: str, value: str, package: str = "forgetful_search") -> None:
        folder = tmp_path / package
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(textwrap.dedent(FORGETFUL))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = {value}\n")
        monkeypatch.syspath_prepend(folder)
        forget()

    yield make
    forget()


def forget() -> None:
    for function in (kind_of, kinds, built_in_kinds, registry.origins):
        function.cache_clear()


def test_every_kind_of_this_package_is_a_module_that_declares_itself():
    folder = Path(registry.__file__).parent
    declared = {path.stem for path in folder.glob("*.py") if "\nKIND = Kind(" in path.read_text()}
    assert set(built_in_kinds()) == declared and len(declared) >= 11
    orders = [kind.order for kind in built_in_kinds().values()]
    assert orders == sorted(set(orders)), "two kinds have one place in figures"
    assert {"random", "bo", "local"} & agent_kinds() == set()


@pytest.mark.parametrize("name", ["bogus", "agent", "options", "cma", "../bo", "bo.x", "", "prompts"])
def test_a_name_of_no_kind_is_refused(name):
    with pytest.raises(InputError, match=r"unknown kind of strategy .*expected one of random, .*local, bo"):
        kind_of(name)


def test_an_installed_package_joins(install):
    install("forgetful", "forgetful_search:KIND")
    assert kind_of("forgetful").title == "forgetful search"
    shown = list(kinds())
    assert shown.index("local") < shown.index("forgetful") < shown.index("bo")
    assert registry.package_of("forgetful") == "forgetful_search 1.0" and registry.package_of("bo") is None
    with pytest.raises(InputError, match=r"extent\.strategies\.mine\.depth"):
        check_options("mine", "forgetful", {"depth": 1})


def test_an_undeclared_origin_is_an_error_of_the_kind(install):
    install("forgetful", "forgetful_search:KIND")
    context = Context(
        study="s", strategy="mine", kind="forgetful", options={}, trajectory=0, iteration=1, space=Space(),
        reference="", folder=Path("/nonexistent"),
    )  # fmt: skip
    with pytest.raises(InputError, match="mine: its kind forgetful proposed with an undeclared origin, 'guess'"):
        propose(History(), context)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("forgetful_search:MISSING", "forgetful of the package forgetful_search: cannot be loaded"),
        ("missing_module:KIND", "cannot be loaded"),
        ("forgetful_search:Options", "gives a ModelMetaclass; expected a tmelt.strategies.kind.Kind named 'forgetful'"),
        ("forgetful_search:OTHER", "gives the kind 'another'; expected a tmelt.strategies.kind.Kind named 'forgetful'"),
    ],
)
def test_a_package_whose_kind_cannot_be_used_is_named(install, value, message):
    install("forgetful", value)
    with pytest.raises(InputError, match=message):
        kind_of("forgetful")


def test_one_name_belongs_to_one_package(install):
    install("forgetful", "forgetful_search:KIND")
    install("forgetful", "second_search:KIND", package="second_search")
    assert len({point.dist.name for point in entry_points(group=registry.GROUP)}) == 2
    with pytest.raises(InputError, match="declared by the packages forgetful_search and second_search; uninstall one"):
        kind_of("forgetful")


def test_a_package_cannot_take_a_name_of_ours(install):
    install("bo", "forgetful_search:KIND")
    with pytest.raises(InputError, match=r"bo of the package forgetful_search: a reserved name"):
        kinds()


def test_a_kind_says_what_it_is():
    kind = kind_of("ra_bo")
    assert isinstance(kind, Kind) and (kind.agent, kind.sampler, kind.writes_scripts) == (True, "inner", False)
    assert Proposal(knobs={}, script="").origin in kind.origins
