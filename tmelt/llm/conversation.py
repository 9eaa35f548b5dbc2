"""All LLM calls of one proposal: asked, checked, asked again, recorded, paid for once, replayed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from tmelt.errors import InputError, first_complaint
from tmelt.llm.arrival import Answer, interpret
from tmelt.llm.budget import Spent, check_budget, reserve
from tmelt.llm.call_price import cost_usd, price_of
from tmelt.llm.dialect import DEFAULT, Dialect
from tmelt.llm.errors import NoUsableReply, ReplyError
from tmelt.llm.replay import reusable, strictly_recorded, unused
from tmelt.llm.retry import Failure, call_with_retries
from tmelt.llm.settings import LLMSettings
from tmelt.llm.taken_over import missing, taken_over
from tmelt.llm.tool_record import ToolUsage, recorded_or_run, tool_usage_of, tools_name
from tmelt.llm.tools import Toolbox, ToolCall, ToolResult, calls_of
from tmelt.llm.transcript import (
    charge_of,
    earlier_attempts,
    locked,
    pending_name,
    read_record,
    record_name,
    supersede,
    usage_of,
    write_record,
)
from tmelt.llm.usable import usable_text
from tmelt.llm.usage import least_tokens
from tmelt.storage.files import canonical_json, sha256_json

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from tmelt.llm.chat import Chat
    from tmelt.search.history import Trial

T = TypeVar("T")
Scripted = Callable[[int], "BaseChatModel"]
_REASK = Path(__file__).with_name("reask.md")
_FORMAT = 1  # of the transcript files


class Conversation:
    """All LLM calls of one proposal."""

    def __init__(
        self,
        settings: LLMSettings,
        folder: Path,
        spent: Spent,
        replay: Literal["off", "fill", "strict"] = "fill",
        model: "BaseChatModel | None" = None,
        search_seed: int = 0,
        dialect: Dialect = DEFAULT,
        scripted: Scripted | None = None,
        source: Path | None = None,
    ):
        """Nothing is imported, built or sent before the first call that no record answers.

        Args:
            settings: the model and its limits.
            folder: where the transcripts lie, …/i{iteration}/llm.
            spent: what earlier trials of the trajectory used up of the budget.
            replay: see tmelt.llm.replay.
            model: a LangChain chat model instead of the one that the settings name.
            search_seed: what the playbook varies by between searches; an LLM is not told it.
            dialect: how the server wants to be asked, found by a probe (tmelt.llm.probe).
            scripted: makes the scripted model of a search from its seed, if the settings ask for one.
            source: the other study whose records were copied into `folder` (tmelt.llm.taken_over); no model is asked.
        """
        if replay not in ("off", "fill", "strict"):
            raise InputError(f"replay: {replay!r}: one of off, fill, strict")
        self.settings = settings
        self.folder = Path(folder)
        self.replay = replay if source is None else "strict"
        self._source = None if source is None else str(source)
        self._spent = spent
        self._given = model
        self._search_seed = search_seed
        self._scripted = scripted
        self._dialect = dialect
        self._chat: Chat | None = None
        self._transcripts: list[str] = []
        self._request_hash = ""  # of the latest call
        self._uses = 0  # of tools, for its reply

    @property
    def calls(self) -> int:
        """Requests that were, or may have been, billed; moved-aside and lost ones included."""
        return usage_of(self.folder).calls

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens sent with these calls; None when that of at least one is unknown."""
        return usage_of(self.folder).prompt_tokens

    @property
    def completion_tokens(self) -> int | None:
        """Tokens received; None when unknown."""
        return usage_of(self.folder).completion_tokens

    @property
    def cost_usd(self) -> float | None:
        """Price of these calls; None when unknown."""
        return usage_of(self.folder).cost_usd

    @property
    def tools_used(self) -> ToolUsage:
        """What the tools of this proposal used, those of superseded calls included."""
        return tool_usage_of(self.folder)

    @property
    def native_tools(self) -> bool:
        """Whether tools are called through the provider's API, and not by blocks of text."""
        return self._dialect.tools == "native"

    @property
    def transcripts(self) -> list[str]:
        """File names of the calls that this conversation used, in order."""
        return list(self._transcripts)

    def left(self) -> list[str]:
        """What is left of each limit of the trajectory's budget, in words; nothing without a budget."""
        limits, spent = self.settings.budget, self._spent
        if limits is None:
            return []
        amounts = []
        if limits.usd is not None:
            amounts.append(f"${max(0.0, limits.usd - spent.usd):.2f} of ${limits.usd:.2f}")
        if limits.tokens is not None:
            amounts.append(f"{max(0, limits.tokens - spent.tokens)} of {limits.tokens} tokens")
        if limits.calls is not None:
            amounts.append(f"{max(0, limits.calls - spent.calls)} of {limits.calls} calls")
        return [f"{amount} is" if amount.startswith("$") else f"{amount} are" for amount in amounts]

    def use(self, name: str, arguments: Mapping[str, Any], run: Callable[[], ToolResult]) -> ToolResult:
        """The result of a tool for the latest reply: recorded, or run now and recorded.

        Raises:
            InputError: strict replay found a difference.
        """
        path = self.folder / tools_name(len(self._transcripts))
        result = recorded_or_run(path, self._uses, self._request_hash, name, arguments, run, self.replay)
        self._uses += 1
        return result

    def ask(
        self,
        *,
        system: str,
        user: str,
        parse: Callable[[str], T],
        purpose: str,
        briefing: Callable[[], Mapping[str, Any]] | None = None,
        toolbox: Toolbox | None = None,
    ) -> T:
        """What `parse` makes of the model's reply; after a ReplyError the model is told and asked again.

        With a toolbox the model may call tools first, as often as its limits allow. A reply that calls one when none
        are left counts as one that could not be used.

        Args:
            system: the standing instructions.
            user: the question.
            parse: turns a reply's text into the wanted value, or raises ReplyError.
            purpose: a word for people who read the transcripts.
            briefing: what the messages say, as JSON, for a scripted model; an LLM is not given it.
            toolbox: the tools that it may call.

        Raises:
            NoUsableReply: `max_asks` replies could not be used.
            BudgetSpent: the next call might exceed the trajectory's budget.
            InputError: the provider refuses the request or key, or has cut the prompt; or strict replay found a
                difference.
            InfrastructureError: no reply in spite of retries.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        told = briefing() if briefing is not None and self.settings.scripted else None
        errors: list[str] = []
        offered = [spec.native() for spec in toolbox.specs] if toolbox is not None and self.native_tools else []
        left = toolbox.limits.calls if toolbox is not None else 0
        while len(errors) < self.settings.max_asks:
            record = self._call(messages, purpose, offered, told)
            reply = record["reply"]
            self._refuse_cut_prompt(record)
            if toolbox is not None and (calls := calls_of(reply)):
                results = [
                    self._run_tool(toolbox, call, reply["text"], place < left) for place, call in enumerate(calls)
                ]
                if left <= 0:
                    errors.append("it calls a tool, but no calls are left")
                left = max(0, left - len(calls))
                messages = [*messages, *_turn(reply, calls, results, left)]
                continue
            try:
                return parse(usable_text(reply, self.settings.max_tokens, record["usage"]["completion_tokens"]))
            except ReplyError as error:
                errors.append(str(error))
            again = _REASK.read_text(encoding="utf-8").strip().replace("{error}", errors[-1])
            messages = [
                *messages,
                {"role": "assistant", "content": reply["text"] or "(empty)"},  # no provider takes an empty turn
                {"role": "user", "content": again},
            ]
        raise NoUsableReply(errors)

    def _run_tool(self, toolbox: Toolbox, call: ToolCall, text: str, allowed: bool) -> str:
        """The text of a tool's result; nothing is run for a call whose form is wrong or that is one too many."""
        if not allowed:
            return "no calls are left; reply with your proposal"
        if call.fault:
            return f"not run: {call.fault}"
        result = self.use(call.name, call.arguments, lambda: toolbox.run(call, text))
        toolbox.note(call, text, result)
        return result.text

    def exchange(
        self, *, system: str, user: str, purpose: str, offered: Sequence[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        """Return the record of one call, whatever its reply is worth; exceptions as `ask`, but NoUsableReply.

        Args:
            offered: native tools, as `ToolSpec.native` gives them.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        return self._call(messages, purpose, offered)

    def finish(self) -> None:
        """Say that no further call follows, once the proposal is made.

        Records beyond the calls that were made are a drift: an error in strict replay, else they move aside.

        Raises:
            InputError: strict replay, and more calls are recorded than were asked for.
        """
        for path in list(unused(self.folder, len(self._transcripts))):
            if self.replay == "strict":
                if not path.name.endswith(".pending.json"):
                    raise InputError(f"{path}: strict replay: this recorded call was not asked for any more")
            else:
                supersede(path)

    def _refuse_cut_prompt(self, record: Mapping[str, Any]) -> None:
        """Raise InputError where the server cannot have seen the whole prompt."""
        messages, seen = record["request"]["messages"], record["usage"]["prompt_tokens"]
        least = least_tokens(messages)
        if seen is None or seen >= least or least <= self._dialect.seen_tokens:
            return
        length = sum(len(message["content"]) for message in messages)
        raise InputError(
            f"llm: {self.settings.model}: the server has cut the prompt: it counts {seen} tokens in {length} characters"
            f" (at least {least}); raise the server's context length (Ollama: num_ctx, llama.cpp: n_ctx) above"
            f" {record['reserved']['prompt_tokens'] + self.settings.max_tokens}, or lower memory_tokens, then run once"
            " with runtime.replay: off"
        )

    def _call(
        self,
        messages: Sequence[Mapping[str, Any]],
        purpose: str,
        offered: Sequence[Mapping[str, Any]] = (),
        briefing: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The record of the next call: found or made."""
        number = len(self._transcripts) + 1
        request = {
            "model": self.settings.model,
            "parameters": self.settings.parameters
            | ({"search_seed": self._search_seed} if self.settings.scripted else {}),
            "messages": [dict(message) for message in messages],
            **({"briefing": briefing} if briefing is not None else {}),
            **({"tools": [dict(tool) for tool in offered]} if offered else {}),
        }
        request_hash = sha256_json(request)
        if self.replay == "strict":
            if self._source is None:
                record = strictly_recorded(self.folder, number, request_hash, request)
            else:
                record = taken_over(self.folder, number, request_hash, request, self._source)
            if record is None:
                self._check_budget(request)  # a trajectory that ended for its budget ends there again
                if self._source is not None:
                    raise missing(self.folder / record_name(number), purpose, self._source)
                raise InputError(
                    f"{self.folder / record_name(number)}: strict replay: this call ({purpose}) is not recorded"
                )
        else:
            with locked(self.folder, self.settings.max_wait_s + self.settings.timeout_s):
                record = None
                if self.replay == "fill":
                    record = reusable(self.folder, number, request_hash)
                elif (path := self.folder / record_name(number)).exists():
                    supersede(path)
                if record is None:
                    record = self._fresh(number, request, request_hash, purpose)
        self._transcripts.append(record_name(number))
        self._request_hash, self._uses = request_hash, 0
        return record

    def _check_budget(self, request: Mapping[str, Any]) -> None:
        price, _ = price_of(self.settings)
        check_budget(
            self.settings.budget,
            self._spent + charge_of(self.folder),
            reserve(_sent(request), self.settings.max_tokens, price),
            price,
            self.settings.model,
        )

    def _fresh(self, number: int, request: dict[str, Any], request_hash: str, purpose: str) -> dict[str, Any]:
        """Ask the model, keeping the journal: what may have been paid is on disk before it is, and stays."""
        from tmelt.llm.chat import Chat, library_versions

        price, price_source = price_of(self.settings)
        pending = self.folder / pending_name(number)
        attempts = earlier_attempts(pending, request_hash)
        record: dict[str, Any] = {
            "format": _FORMAT,
            "number": number,
            "purpose": purpose,
            "request_hash": request_hash,
            "request": request,
            "base_url": self.settings.base_url,
            "price": price.model_dump() if price else None,
            "price_source": price_source,
            "reserved": asdict(reserve(_sent(request), self.settings.max_tokens, price)),
            "attempts": attempts,
            "reply": None,
            "usage": None,
            "cost_usd": None,
        }
        raw = _received(pending, request_hash)
        if raw is None:
            self._check_budget(request)
            self._chat = self._chat or Chat(self.settings, self._model(), self._dialect)
            raw = self._send(self._chat, request, pending, record)
        answer = interpret(raw, _sent(request), self.settings.max_tokens, self._dialect.answer)
        usage = answer.usage
        record |= {
            **_what_came_back(answer, raw),
            "cost_usd": cost_usd(price, usage.prompt, usage.completion, usage.cached),
            "latency_s": attempts[-1]["latency_s"],
            "time": _now(),
            "versions": library_versions(),
            "dialect": self._dialect.model_dump(),
        }
        uses_tools = "tools" in request and bool(calls_of(record["reply"]))
        record["unusable"] = None if uses_tools else _fault(record, self.settings.max_tokens)
        sealed = write_record(self.folder / record_name(number), record)
        pending.unlink(missing_ok=True)
        return sealed

    def _model(self) -> "BaseChatModel | None":
        """The model that the caller gave, or its scripted one; None for the one that the settings name."""
        if self._given is None and self._scripted is not None and self.settings.scripted:
            return self._scripted(self._search_seed)
        return self._given

    def _send(
        self, chat: "Chat", request: Mapping[str, Any], pending: Path, record: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What came back, as JSON. Each try is noted in `record["attempts"]` and, before it may cost anything, on disk.

        So is the reply, before anything is made of it.
        """
        attempts, messages, offered = record["attempts"], request["messages"], request.get("tools", [])
        if not chat.remote:  # the playbook: nothing is paid, so there is no journal to keep
            raw = chat.send(messages, offered, request.get("briefing"))
            attempts.append({"time": _now(), "outcome": "replied", "latency_s": 0.0, "error": None})
            return raw

        def before() -> None:
            self._check_budget(request)
            attempts.append({"time": _now(), "outcome": "in flight", "latency_s": None, "error": None})
            write_record(pending, record)

        def after(failure: Failure | None, seconds: float) -> None:
            attempts[-1]["latency_s"] = round(seconds, 3)
            attempts[-1]["outcome"] = "replied"
            if failure is not None:
                attempts[-1]["outcome"] = "lost" if failure.maybe_billed else "rejected"
                attempts[-1]["error"] = failure.message
                write_record(pending, record)

        raw = call_with_retries(
            lambda: chat.send(messages, offered),
            max_retries=self.settings.max_retries,
            max_wait_s=self.settings.max_wait_s,
            backoff_s=self.settings.backoff_s,
            before=before,
            after=after,
            what=f"llm: {self.settings.model}",
            scrub=chat.scrub,
        )
        write_record(pending, {**record, "received": raw})
        return raw


def conversation_for(
    options: Mapping[str, Any],
    folder: Path,
    history: Iterable["Trial"],
    replay: str,
    search_seed: int = 0,
    dialect: Dialect = DEFAULT,
    scripted: Scripted | None = None,
    source: Path | None = None,
) -> Conversation:
    """The conversation of one proposal, from its strategy's options.

    Args:
        options: of the strategy; those that are not LLMSettings are its own business.
        folder: results/{study}/{strategy}/t{trajectory}/i{iteration}/llm.
        history: all earlier trials of the trajectory, which draw on the same budget.
        replay: off, fill or strict.
        search_seed: of the whole search, for the playbook.
        dialect: of the model's server.
        scripted: makes the scripted model, if the options ask for one.
        source: the other study whose records were copied into `folder`; None without one.

    Raises:
        InputError: an illegal setting.
    """
    trajectory = folder.absolute().parent.parent
    chosen = {key: value for key, value in options.items() if key in LLMSettings.model_fields}
    try:
        settings = LLMSettings.model_validate(chosen)
    except ValidationError as error:
        strategy = trajectory.parent.name
        raise InputError(f"config: {first_complaint(error, 'extent', 'strategies', strategy)}") from None
    spent = Spent.before(history, trajectory) if settings.budget else Spent()
    return Conversation(settings, folder, spent, replay, None, search_seed, dialect, scripted, source)


def _turn(
    reply: Mapping[str, Any], calls: Sequence[ToolCall], results: Sequence[str], left: int
) -> list[dict[str, Any]]:
    """The messages that follow a reply that calls tools: the reply itself, and what came of the calls."""
    more = f"({left} calls of tools are left.)" if left else "(No calls of tools are left. Reply with your proposal.)"
    if not all(call.id for call in calls):
        text = "\n\n".join(f"Result of {call.name}:\n{result}" for call, result in zip(calls, results, strict=True))
        return [
            {"role": "assistant", "content": reply["text"] or "(empty)"},
            {"role": "user", "content": f"{text}\n\n{more}"},
        ]
    asked = {
        "role": "assistant",
        "content": reply["text"],
        "tool_calls": [{"id": call.id, "name": call.name, "args": dict(call.arguments)} for call in calls],
    }
    if isinstance(reply["raw"]["content"], list):  # some providers want their thoughts back, signed as they were
        asked["blocks"] = reply["raw"]["content"]
    answers = [
        {"role": "tool", "content": result, "tool_call_id": call.id, "name": call.name}
        for call, result in zip(calls, results, strict=True)
    ]
    answers[-1]["content"] += f"\n\n{more}"
    return [asked, *answers]


def _sent(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All messages of a request as text, calls and descriptions of tools included: what its tokens are counted by."""
    messages = [
        {**message, "content": message["content"] + canonical_json(message["tool_calls"])}
        if "tool_calls" in message
        else message
        for message in request["messages"]
    ]
    if "tools" in request:
        messages.append({"role": "system", "content": canonical_json(request["tools"])})
    return messages


def _what_came_back(answer: Answer, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The record's part about an answer."""
    return {
        "reply": {
            "text": answer.text,
            "reasoning": answer.reasoning,
            "reasoning_tokens": answer.reasoning_tokens,
            "refusal": answer.refusal,
            "tool_calls": list(answer.tool_calls),
            "error": answer.error,
            "finish_reason": answer.finish_reason,
            "truncated": answer.truncated,
            "raw": raw,
        },
        "usage": {
            "prompt_tokens": answer.usage.prompt,
            "completion_tokens": answer.usage.completion,
            "cached_tokens": answer.usage.cached,
        },
    }


def _fault(record: Mapping[str, Any], max_tokens: int) -> str | None:
    """Why a reply cannot be used, whatever is asked for; None where nothing is wrong with it by itself."""
    try:
        usable_text(record["reply"], max_tokens, record["usage"]["completion_tokens"])
    except ReplyError as error:
        return str(error)
    return None


def _received(pending: Path, request_hash: str) -> dict[str, Any] | None:
    """The reply that a process recorded before it ended, without having interpreted it."""
    if not pending.exists():
        return None
    record = read_record(pending)
    return record.get("received") if record["request_hash"] == request_hash else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
