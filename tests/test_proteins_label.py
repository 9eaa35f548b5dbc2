"""Melting temperatures as tables write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmelt.proteins.label import LabelError, has_decimal_commas, parse_label


@pytest.mark.parametrize(
    "cell, kind, value",
    [
        ("51.2", "exact", 51.2), (" 51 ", "exact", 51.0), ("5.12e1", "exact", 51.2), ("-3", "exact", -3.0),
        ("−3", "exact", -3.0),
        (51, "exact", 51.0), (51.25, "exact", 51.25), ("51.2 °C", "exact", 51.2), ("51.2°C", "exact", 51.2),
        ("51.2 C", "exact", 51.2), ("51 ℃", "exact", 51.0), ("51 deg C", "exact", 51.0), ("51º C", "exact", 51.0),
        ("~51", "approximate", 51.0), ("ca. 51", "approximate", 51.0), ("≈ 51 °C", "approximate", 51.0),
        ("52.3±0.4", "uncertain", 52.3), ("52.3 ± 0.4 °C", "uncertain", 52.3), ("52.3 +/- 0.4", "uncertain", 52.3),
        ("44.3 (1.0)", "uncertain", 44.3), ("44.3(10)", "uncertain", 44.3), ("44.3 (± 1)", "uncertain", 44.3),
        ("52.3+-0.4", "uncertain", 52.3), ("52.3 °C ± 0.4 °C", "uncertain", 52.3),
        ("55-57", "ranged", 56.0), ("55 – 57", "ranged", 56.0), ("55.5—56.5 °C", "ranged", 56.0),
        ("55 to 57", "ranged", 56.0),
        ("55..57", "ranged", 56.0), ("55°C-57°C", "ranged", 56.0), ("55−57", "ranged", 56.0),
        ("> 95", "censored", 95.0), (">95°C", "censored", 95.0), (">=95", "censored", 95.0), ("≥ 95", "censored", 95.0),
        ("<40", "censored", 40.0), ("⩽ 40", "censored", 40.0), ("95+", "censored", 95.0),
    ],
)  # fmt: skip
def test_what_is_read(cell, kind, value):
    label = parse_label(cell)
    assert (label.kind, label.value) == (kind, pytest.approx(value))


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "null", "-", "--", "n.d.", "?", None, float("nan")])
def test_what_is_missing(cell):
    assert parse_label(cell) is None


@pytest.mark.parametrize(
    "cell, kind",
    [
        ("328 K", "unit"), ("328.15K", "unit"), ("131 °F", "unit"), ("57-55", "range"), ("55-55", "range"),
        ("55/57", "text"), ("55;57", "text"), ("55 57", "text"), ("55*", "text"), ("(55)", "text"), ("55 [3]", "text"),
        ("5 5", "text"), ("1_0", "text"), ("٥٥", "text"), ("inf", "text"), ("0x37", "text"), ("1e999", "finite"),
        (">", "text"), ("> 95 <", "text"), (">90-95", "text"), ("55±", "text"), ("±1", "text"), ("unfolded", "text"),
        ("55,2", "comma"), (True, "type"), ([55.0], "type"), (float("inf"), "finite"), ("no transition", "text"),
        ("55-57-59", "text"), ("1.2.3", "text"), ("2021-03-04", "text"), ("55 mM", "text"),
    ],
)  # fmt: skip
def test_what_is_a_fault(cell, kind):
    with pytest.raises(LabelError) as caught:
        parse_label(cell)
    assert caught.value.kind == kind and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "cells, comma",
    [
        (["51,2", "52"], True), (["51,2", "52.1"], False), (["51", "52"], False), (["51,2 ± 0,4", None], True),
        ([51.2, "51,2"], True), ([], False), (["55-57", "51,25"], True),
    ],
)  # fmt: skip
def test_decimal_commas_are_a_property_of_the_column(cells, comma):
    assert has_decimal_commas(cells) == comma


def test_decimal_commas_in_every_form():
    for cell, value in (("51,2", 51.2), ("51,2 ± 0,4", 51.2), ("> 95,5", 95.5), ("55,5-56,5", 56.0)):
        assert parse_label(cell, True).value == pytest.approx(value)


@given(st.text(max_size=12) | st.text("0123456789.,-+<>~±() °CKe", max_size=12))
def test_any_text_is_a_label_or_one_line(text):
    try:
        label = parse_label(text)
    except LabelError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert label is None or abs(label.value) < float("inf")
