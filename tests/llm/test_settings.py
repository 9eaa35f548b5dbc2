"""Settings that could leak a key or change what is recorded are refused."""

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from tmelt.errors import InputError
from tmelt.llm import LLMSettings, conversation_for


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "gpt"}, "provider:name"),
        ({"base_url": "http://user:pass@host/v1"}, "no user name"),
        ({"base_url": "https://host/v1?key=abc"}, "query"),
        ({"base_url": "host:80"}, "write http"),
        ({"extra": {"api_key": "abc"}}, "may hold a key"),
        ({"extra": {"default_headers": {"X": "abc"}}}, "may hold a key"),
        ({"extra": {"model_kwargs": {"extra_headers": {}}}}, "may hold a key"),
        ({"extra": {"azure_ad_token": "abc"}}, "may hold a key"),
        ({"extra": {"aws_session_token": "abc"}}, "may hold a key"),
        ({"extra": {"extra_body": {"accessToken": "abc"}}}, "may hold a key"),
        ({"extra": {"max_retries": 9}}, "cannot be set here"),
        ({"extra": {"cache": True}}, "cannot be set here"),
        ({"extra": {"max_tokens_to_sample": 100_000}}, "cannot be set here"),  # beyond what is reserved of the budget
        ({"extra": {"model_kwargs": {"n": 9}}}, "n cannot be set here"),
        ({"extra": {"extra_body": {"max_tokens": 100_000}}}, "max_tokens cannot be set here"),
        ({"extra": {"x": float("nan")}}, "JSON"),
        ({"api_key_env": "sk-not-a-name"}, "match"),
        ({"surprise": 1}, "not permitted"),
        ({"budget": {"usd": 0}}, "greater than 0"),
    ],
)
def test_refused(changes, reason):
    with pytest.raises(ValidationError, match=reason):
        LLMSettings(**{"model": "openai:x", **changes})


@pytest.mark.parametrize(
    "extra",
    [
        {"top_p": 0.9, "reasoning_effort": "low", "seed": 7},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        {
            "extra_body": {
                "top_k": 20,
                "chat_template_kwargs": {"enable_thinking": False},
                "eos_token": "</s>",
                "pad_token": "_",
            }
        },
    ],
)
def test_what_shapes_a_reply_may_be_set(extra):
    assert LLMSettings(model="openai:x", extra=extra).parameters["max_tokens"] == 8192


def test_conversation_for_names_the_config_key(tmp_path):
    folder = tmp_path / "study" / "ra_gpt" / "t0" / "i1" / "llm"
    with pytest.raises(InputError, match=r"config: extent\.strategies\.ra_gpt\.max_tokens: "):
        conversation_for({"model": "openai:x", "max_tokens": 0, "memory_tokens": 9}, folder, [], "fill")
    with pytest.raises(InputError, match=r"extent\.strategies\.ra_gpt\.model: Field required"):
        conversation_for({}, folder, [], "fill")
    assert conversation_for({"model": "openai:x", "memory_tokens": 9}, folder, [], "fill").settings.max_asks == 3


def test_importing_the_package_is_cheap():
    code = (
        "import sys, tmelt.llm\n"
        "heavy = {'langchain', 'langchain_core', 'langsmith', 'openai', 'anthropic', 'pydantic', 'yaml', 'httpx'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "from tmelt.llm import Conversation, LLMSettings, Spent\n"
        "Conversation(LLMSettings(model='openai:x'), 'nowhere', Spent())\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "[]\n['pydantic']\n"
