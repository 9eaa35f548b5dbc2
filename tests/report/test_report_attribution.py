"""Figures of where the gain came from: its parts, its source, and how changes act together."""

from dataclasses import replace

import polars as pl
import pytest

from tmelt.evidence.attribution import FRESH, SEARCH
from tmelt.evidence.make import TABLES
from tmelt.report.figures.attribution import (
    figure_attribution,
    figure_improvements,
    figure_interactions,
    split_gains,
)
from tmelt.report.render import svg_of
from tmelt.report.sections.attribution import interactions_table
from tmelt.storage.schema import as_frame


def _rows(*rows):
    """Rows of `attribution`: (source, gain, in_space, hyperparameters, structure, unknown)."""
    names = ("source", "gain", "in_space", "hyperparameters", "structure", "unknown")
    empty = dict.fromkeys(TABLES["attribution"].names)
    found = []
    for trajectory, values in enumerate(rows):
        row = dict(zip(names, values, strict=True))
        outside = row["gain"] - row["in_space"] - row["unknown"]
        found.append(empty | row | {"strategy": "ua", "trajectory": trajectory, "out_of_space": outside})
    return as_frame(found, TABLES["attribution"])


def test_the_parts_of_a_gain_add_up_and_what_is_not_divided_is_a_part():
    rows = _rows((FRESH, -1.0, -0.25, -0.25, -0.5, 0.0), (SEARCH, -2.0, -0.5, None, None, -0.5))
    parts = split_gains(rows)
    gains = {
        key[0]: dict(part.filter(pl.col("gain") != 0).select("kind", "gain").iter_rows())
        for key, part in parts.group_by("trajectory")
    }
    assert gains == {
        0: {"in space (knobs)": 0.25, "undiscovered hyperparameters": 0.25, "structural changes": 0.5},
        1: {"in space (knobs)": 0.5, "out of space, not divided": 1.0, "not split": 0.5},
    }
    assert parts["gain"].sum() == pytest.approx(-rows["gain"].sum())


def test_a_figure_says_how_much_of_it_was_trained_again(whole):
    study = whole.read()
    both = _rows((FRESH, -1.0, -0.25, -0.25, -0.5, 0.0), (SEARCH, -2.0, -0.5, -1.0, 0.0, -0.5))
    mixed = figure_attribution(replace(study, tables={**study.tables, "attribution": both}))
    assert "1 of 2 searches by training again on fresh seeds; pale:" in mixed.caption
    svg = svg_of(mixed)
    assert "undiscovered hyperparameters" in svg and "out of space, not divided" not in svg
    only = both.filter(source=SEARCH)
    searched = figure_attribution(replace(study, tables={**study.tables, "attribution": only}))
    assert "which chose the winner and are optimistic" in searched.caption and "pale" not in searched.caption
    assert "All by training again on fresh seeds." in figure_attribution(study).caption


def test_many_searches_are_drawn_as_means(whole):
    study = whole.read()
    many = _rows(*[(FRESH, -1.0, -0.5, -0.5, 0.0, 0.0)] * 20, *[(SEARCH, -2.0, -2.0, 0.0, 0.0, 0.0)] * 20)
    figure = figure_attribution(replace(study, tables={**study.tables, "attribution": many}))
    assert "ua · in space (knobs): 0.25 °C, fresh seeds" in svg_of(figure)
    assert "ua · in space (knobs): 1.00 °C, search" in svg_of(figure)
    assert "Mean over the searches of 1 strategies" in figure.caption


def test_shapley_values_and_a_pair_are_drawn(whole):
    study = whole.read()
    figure = figure_interactions(study)
    rows = study["interactions"].drop_nulls("effect")
    svg = svg_of(figure)
    assert "interaction of a pair" in svg and "Shapley value" in svg
    assert f"The {min(30, len(rows))} first of {len(rows)} rows" in figure.caption
    assert len(interactions_table(study).rows) == len(study["interactions"])
    assert "the next figure shares them out" in figure_improvements(study).caption


def test_without_interactions_leaving_one_out_says_what_is_not_known(whole):
    study = whole.read()
    without = replace(study, tables={**study.tables, "interactions": study["interactions"].clear()})
    assert figure_interactions(without) is None
    assert "it is not known what a change is worth among the others" in figure_improvements(without).caption


def test_sampled_orders_are_said(whole):
    study = whole.read()
    for complete, said in ((True, "All orders were trained."), (False, "orders were sampled, each with its mirror")):
        rows = study["interactions"].with_columns(complete=pl.lit(complete))
        figure = figure_interactions(replace(study, tables={**study.tables, "interactions": rows}))
        assert said in figure.caption
