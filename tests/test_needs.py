"""A missing piece is a skip for a person and a failure where everything is installed."""

import pytest
from needs import need


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, pytest.skip.Exception),
        ({"CI": "", "TMELT_ALL": "0"}, pytest.skip.Exception),
        ({"CI": "true"}, pytest.fail.Exception),
        ({"TMELT_ALL": "1"}, pytest.fail.Exception),
    ],
)
def test_need(monkeypatch, environment, kind):
    for name in ("CI", "TMELT_ALL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    need(True, "nothing")
    with pytest.raises(kind, match="no such program: make packages"):
        need(None, "no such program: make packages")
