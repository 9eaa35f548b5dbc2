"""Hill climbing keeps the contract of all strategies, and climbs."""

from tmelt.search.knobs import Space
from tmelt.search.notes import Own
from tmelt.testing.contract import StrategyContract
from tmelt.testing.simulation import Landscape, simulate


class TestHillClimb(StrategyContract):
    kind = "hill_climb"
    iterations = 30


def test_it_improves_and_its_step_gets_shorter():
    searched = simulate("hill_climb", 60, landscape=Landscape(Space(), seed=1), options={"patience": 3})
    steps = [trial.note(Own).values["step"] for trial in searched[1:]]
    assert steps == sorted(steps, reverse=True) and steps[0] == 0.25 and steps[-1] < 0.25
    assert searched.incumbent.val_mae < searched[0].val_mae - 0.2
