"""Ask a model three or four questions before its first paid trial, to learn how it and its server want to be asked.

    answer  which field holds the answer, how reasoning is marked, whether the server only streams
    cap     whether a reply ends at a small cap, and under which name the server knows the cap
    long    whether a prompt as long as a search's longest is seen from its beginning
    tools   whether it calls a tool that it is offered, where an agent is to have tools

All calls are recorded and replayed like those of a search (tmelt.llm.replay), each in a folder of its own. What cannot
work stops here, in one line, before a trial has cost anything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tmelt.errors import InputError
from tmelt.llm.budget import Spent
from tmelt.llm.conversation import Conversation
from tmelt.llm.dialect import Dialect
from tmelt.llm.errors import ReplyError
from tmelt.llm.reasoning import split_reasoning
from tmelt.llm.settings import LLMSettings
from tmelt.llm.tools import ToolSpec, calls_of
from tmelt.llm.transcript import usage_of
from tmelt.llm.usage import least_tokens
from tmelt.storage.files import write_json
from tmelt.strategies.tokens import estimate_tokens

CAP = 64  # tokens
_SYSTEM = "You follow instructions to the letter."
_WORD = "heliotrope"
_ANSWER = (
    f'Reply with this JSON object in a ```json block, and with nothing else:\n\n```json\n{{"word": "{_WORD}"}}\n```'
)
_CAPPED = "Count from 1 to 500 in digits, one number per line. Write nothing else."
_LONG = "Which code word stands in the first line of your instructions? Reply with that word alone."
_CODE = "marigold"
_NOTE = ToolSpec("note", "Notes a word.", {"word": {"type": "string", "description": "the word"}}, ("word",))
_CALL = f"Call the tool `note` with the word {_WORD}. Do nothing else."
_ROW = "| {} | ok | 8.31 | 0.12 | 7.95 | 8.02 | keep | agent | 0 | learning_rate=0.001, dropout=0.1 |"
# The server does not take the request as it is; another form of it may do.
_FORM = re.compile(r"HTTP (400|405|406|415|422)\b|the request was refused|is not in the API's format")


def probe_model(
    settings: LLMSettings, longest: int, folder: Path, replay: Literal["off", "fill", "strict"] = "fill"
) -> Dialect:
    """Ask the questions and write `dialect.json`.

    Args:
        settings: of the strategies that use the model.
        longest: tokens of the longest prompt of a search (tmelt.llm.model_id).
        folder: for `dialect.json` and the transcripts.
        replay: see tmelt.llm.replay.

    Raises:
        InputError: the model cannot be used like this; the message says why and what to do.
        InfrastructureError: no reply in spite of retries.
    """
    probe = _Probe(settings, folder, replay)
    dialect = probe.answer()
    dialect = probe.cap(dialect)
    dialect = probe.long(dialect, longest)
    if settings.tools is not None:
        dialect = probe.tools(dialect)
    usages = [usage_of(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    costs = [usage.cost_usd for usage in usages]
    write_json(
        folder / "dialect.json",
        {
            "model": settings.model,
            "base_url": settings.base_url,
            "dialect": dialect.model_dump(),
            "calls": sum(usage.calls for usage in usages),
            "cost_usd": None if None in costs else round(sum(costs), 9),
        },
    )
    return dialect


class _Probe:
    def __init__(self, settings: LLMSettings, folder: Path, replay: Literal["off", "fill", "strict"]):
        self._settings = settings.model_copy(update={"budget": None})
        self._budget = settings.budget
        self._folder = folder
        self._replay = replay
        self._openai = settings.model.startswith("openai:")

    def answer(self) -> Dialect:
        """The form of a request that brings a complete answer, and where that stands."""
        fault, refused = "", None
        for dialect in self._forms():
            try:
                record = self._exchange("answer", dialect, self._settings, _SYSTEM, _ANSWER)
            except InputError as error:
                if self._replay != "strict" and not _FORM.search(str(error)):
                    raise
                refused = refused or error
                continue
            reply, unusable = record["reply"], record["unusable"]
            if reply["truncated"] and (_cut_early(record, self._settings.max_tokens) or not reply["text"].strip()):
                fault = fault or unusable  # the server may know the cap by its other name
                continue
            found = {"usage": "reported" if record["usage"]["prompt_tokens"] is not None else "unknown"}
            if unusable and not reply["truncated"]:
                answers = not reply["text"].strip() and _WORD in reply["reasoning"] and _ended_well(reply)
                if not answers:
                    raise self._stop(f"its answer to a simple question is of no use: {unusable}")
                return dialect.model_copy(update={**found, "answer": "reasoning"})
            return dialect.model_copy(update={**found, "reasoning": self._marker(reply)})
        if fault:
            raise self._stop(f"its answer to a simple question is of no use: {fault}")
        assert refused is not None
        raise refused

    def cap(self, dialect: Dialect) -> Dialect:
        """The name under which the server knows the cap on replies."""
        small = self._settings.model_copy(update={"max_tokens": CAP})
        names = ["default", "max_tokens"] if self._openai and dialect.cap == "default" else [dialect.cap]
        verdicts: list[bool | None] = []
        for name in names:
            candidate = dialect.model_copy(update={"cap": name})
            try:
                record = self._exchange("cap", candidate, small, _SYSTEM, _CAPPED)
            except InputError as error:
                if self._replay != "strict" and not _FORM.search(str(error)):
                    raise
                verdicts.append(None)
                continue
            verdicts.append(_obeyed(record))
            if verdicts[-1]:
                return candidate.model_copy(update={"cap_obeyed": True})
            if verdicts[-1] is None and name == dialect.cap:
                break  # nothing speaks against the first name
        if verdicts[0] is False and self._budget is not None and (self._budget.usd or self._budget.tokens):
            raise self._stop(
                f"a reply that was capped at {CAP} tokens did not end there, so a budget could not be kept;"
                " take a server that obeys max_tokens, or remove the budget (or set it in calls)"
            )
        return dialect.model_copy(update={"cap_obeyed": verdicts[0]})

    def long(self, dialect: Dialect, longest: int) -> Dialect:
        """Whether the beginning of a prompt as long as the longest of a search is seen."""
        system = f"The code word is {_CODE}.\n{_SYSTEM}"
        user = f"{filler(longest)}\n\n{_LONG}"
        try:
            record = self._exchange("long", dialect, self._settings, system, user)
        except InputError as error:
            if not _FORM.search(str(error)):
                raise
            raise self._stop(
                f"a prompt of about {longest} tokens, which memory_tokens needs, is refused ({error}); lower that,"
                " or raise the server's context length"
            ) from None
        reply, seen = record["reply"], record["usage"]["prompt_tokens"]
        least = least_tokens(record["request"]["messages"])
        fewest = max(least, estimate_tokens(user) // 4)  # the estimate is high, but not so high for such rows
        named = _CODE in f"{reply['text']} {reply['reasoning']}".lower()
        if not named and (seen is None or seen < fewest):
            counted = (
                "and reports no token count" if seen is None else f"and counts {seen} tokens, of at least {fewest}"
            )
            raise self._stop(
                f"it does not see the beginning of a prompt of about {longest} tokens, which memory_tokens needs"
                f" (it cannot repeat a word from there, {counted}); raise the server's context length (Ollama: num_ctx,"
                " llama.cpp: n_ctx), or lower memory_tokens"
            )
        return dialect.model_copy(update={"seen_tokens": least})

    def tools(self, dialect: Dialect) -> Dialect:
        """Whether the model calls tools through the API; otherwise it is taught to write blocks of text."""
        try:
            record = self._exchange("tools", dialect, self._settings, _SYSTEM, _CALL, offered=[_NOTE.native()])
        except InputError as error:
            if self._replay != "strict" and not _FORM.search(str(error)):
                raise
            return dialect
        calls = calls_of(record["reply"])
        native = any(call.id and call.name == _NOTE.name and call.arguments.get("word") == _WORD for call in calls)
        return dialect.model_copy(update={"tools": "native" if native else "text"})

    def _forms(self) -> Iterator[Dialect]:
        caps: tuple[Literal["default", "max_tokens"], ...] = ("default", "max_tokens") if self._openai else ("default",)
        for stream in (False, True):
            for cap in caps:
                yield Dialect(cap=cap, stream=stream)
        if self._openai:
            yield from (Dialect(cap=cap, stream=True, stream_usage=False) for cap in caps)

    def _exchange(
        self, step: str, dialect: Dialect, settings: LLMSettings, system: str, user: str, offered: Sequence[Any] = ()
    ) -> dict[str, Any]:
        form = "-".join([step, dialect.cap, *(["stream"] if dialect.stream else [])])
        form += "-no-usage" if dialect.stream and not dialect.stream_usage else ""
        conversation = Conversation(settings, self._folder / form, Spent(), self._replay, dialect=dialect)
        record = conversation.exchange(system=system, user=user, purpose=f"probe: {step}", offered=offered)
        conversation.finish()
        return record

    def _marker(self, reply: Mapping[str, Any]) -> str | None:
        if reply["reasoning"].strip():
            return "field"
        try:
            return split_reasoning(reply["text"]).marker
        except ReplyError as error:
            if reply["truncated"]:
                return None
            raise self._stop(f"its answer to a simple question is of no use: {error}") from None

    def _stop(self, reason: str) -> InputError:
        return InputError(f"llm: {self._settings.model}: {reason}")


def filler(tokens: int) -> str:
    """Return rows like those of a history, of about so many tokens by the count that bounds prompts."""
    per_row = estimate_tokens(_ROW.format(10_000) + "\n")
    return "\n".join(_ROW.format(10_000 + number) for number in range(-(-tokens // per_row)))


def _ended_well(reply: Mapping[str, Any]) -> bool:
    return not (reply["truncated"] or reply["refusal"] or reply["tool_calls"] or reply["error"])


def _cut_early(record: Mapping[str, Any], cap: int) -> bool:
    """Whether a reply ended far below its cap: at a limit of the server's own."""
    used = record["usage"]["completion_tokens"]
    return bool(record["reply"]["truncated"] and used is not None and used < cap // 2)


def _obeyed(record: Mapping[str, Any]) -> bool | None:
    """Whether a reply that should be longer than its cap ended there; None when that cannot be told."""
    reply = record["reply"]
    reported = (reply["raw"]["usage_metadata"] or {}).get("output_tokens")
    if isinstance(reported, int) and reported > CAP:
        return False
    if least_tokens([{"content": reply["text"]}, {"content": reply["reasoning"]}]) > CAP:
        return False
    if _cut_early(record, CAP):
        return False
    return True if reply["truncated"] else None
