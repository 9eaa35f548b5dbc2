"""Prices, cautious token counts, reservations, and budgets that are never exceeded."""

import re
from types import SimpleNamespace

import pytest
import yaml

from tmelt.errors import InputError
from tmelt.llm import BudgetSpent, LLMSettings, Spent
from tmelt.llm.budget import cautious_token_count
from tmelt.llm.call_price import cost_usd, price_of
from tmelt.llm.settings import Price
from tmelt.prices.listed import TOKEN_FILE

from .server import Reply


def test_price_file_is_sound():
    content = yaml.safe_load(TOKEN_FILE.read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", content["version"])
    for model, row in content["models"].items():
        assert ":" in model
        assert set(row) <= {"input", "output", "cached_input", "as_of", "source"}
        assert 0 < row.get("cached_input", row["input"]) <= row["input"] < row["output"]
        assert row["source"].startswith("https://")
        assert str(row["as_of"]) <= content["version"]


def test_price_lookup():
    known = next(iter(yaml.safe_load(TOKEN_FILE.read_text())["models"]))
    assert price_of(LLMSettings(model=known))[0] is not None
    assert price_of(LLMSettings(model=known, base_url="http://gateway/v1")) == (None, "unknown")
    assert price_of(LLMSettings(model="openai:never-heard-of")) == (None, "unknown")
    assert price_of(LLMSettings(model="playbook"))[0] == Price(input=0, output=0)
    own = Price(input=1, output=2)
    assert price_of(LLMSettings(model=known, price=own)) == (own, "settings")


def test_cost():
    price = Price(input=2, output=10, cached_input=0.5)
    assert cost_usd(price, 1_000_000, 100_000) == pytest.approx(3.0)
    assert cost_usd(price, 1_000_000, 100_000, cached_tokens=400_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 1)
    assert cost_usd(None, 1, 1) is None
    assert cost_usd(price, None, 1) is None
    assert cost_usd(Price(input=0, output=0), None, None) == 0.0


def test_estimate_counts_what_tokenizers_cannot_shorten():
    def count(text):
        return cautious_token_count([{"role": "user", "content": text}])

    assert count("") == 16
    assert count("MKTAYIAKQR") - 16 == 10
    assert count("0.1234") - 16 == 6
    assert count("°C") - 16 == 3
    assert count("melting temperature") - 16 == 10


@pytest.mark.parametrize(
    ("budget", "what"),
    [({"calls": 2}, "calls"), ({"tokens": 1400}, "tokens"), ({"usd": 0.0110}, "dollars")],
)
def test_budget_is_refused_before_the_call(talk, server, budget, what):
    conversation = talk(budget=budget)
    server.will(Reply("one"))
    done = 0
    with pytest.raises(BudgetSpent, match=what) as caught:
        for _ in range(5):
            conversation.ask(system="s", user="u", parse=str, purpose="test")
            done += 1
    assert caught.value.what == what
    assert server.paid == done == conversation.calls >= 1
    # settled with the real usage: 120 tokens and 0.0004 USD a call, not the 1,033 tokens that were reserved
    assert conversation.prompt_tokens == 100 * done
    assert conversation.cost_usd == pytest.approx(0.0004 * done)


def test_budget_counts_earlier_trials_and_can_be_raised(talk, server):
    server.will(Reply("fine"))
    with pytest.raises(BudgetSpent):
        talk(budget={"calls": 3}, spent=Spent(calls=3)).ask(system="s", user="u", parse=str, purpose="test")
    assert server.requests == []
    raised = talk(budget={"calls": 4}, spent=Spent(calls=3))
    assert raised.ask(system="s", user="u", parse=str, purpose="test") == "fine"


def test_dollar_budget_needs_a_price(talk, server):
    with pytest.raises(InputError, match="set price"):
        talk(price=None, budget={"usd": 1}).ask(system="s", user="u", parse=str, purpose="test")
    assert server.requests == []


def test_unknown_usage_stays_unknown_and_holds_its_reservation(talk, server):
    server.will(Reply("one", usage=None))
    conversation = talk(budget={"tokens": 2000})
    conversation.ask(system="s", user="u", parse=str, purpose="test")
    assert (conversation.prompt_tokens, conversation.completion_tokens, conversation.cost_usd) == (None, None, None)
    with pytest.raises(BudgetSpent, match="1034 spent"):
        conversation.ask(system="s", user="u", parse=str, purpose="test")


def test_zero_usage_is_unknown(talk, server):
    server.will(Reply("one", usage={"prompt": 0, "completion": 0}))
    conversation = talk()
    conversation.ask(system="s", user="u", parse=str, purpose="test")
    assert (conversation.prompt_tokens, conversation.completion_tokens, conversation.cost_usd) == (None, None, None)


def test_spent_before_looks_up_only_what_is_unknown(talk, server, tmp_path):
    server.will(Reply("one", usage=None))
    conversation = talk()
    conversation.ask(system="s", user="u", parse=str, purpose="test")
    (tmp_path / "i2").mkdir()
    conversation.folder.rename(tmp_path / "i2" / "llm")

    def trial(iteration, calls, prompt, completion, cost):
        return SimpleNamespace(
            iteration=iteration, llm_calls=calls, prompt_tokens=prompt, completion_tokens=completion, cost_usd=cost
        )

    history = [trial(0, 0, 0, 0, 0.0), trial(1, 2, 50, 5, 0.01), trial(2, 1, None, None, None)]
    spent = Spent.before(history, tmp_path)
    assert (spent.calls, spent.tokens) == (3, 55 + 1034)
    assert spent.usd == pytest.approx(0.01 + (34 * 2 + 1000 * 10) / 1e6)


def test_calls_that_had_no_price_count_at_the_dearer_one(talk, server):
    server.will(Reply("one"))
    spent = Spent(tokens=1000, calls=1, unpriced_tokens=1000)
    assert talk(budget={"usd": 0.0302}, spent=spent).ask(system="s", user="u", parse=str, purpose="test") == "one"
    with pytest.raises(BudgetSpent):
        talk(budget={"usd": 0.0199}, spent=spent, replay="off").ask(system="s", user="u", parse=str, purpose="test")
