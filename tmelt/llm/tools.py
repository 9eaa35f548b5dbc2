"""Tools that a model may use before it answers: their description, their limits, and the two ways to call them.

native  the provider's own tool calls, through LangChain, where a probe has seen the model use them
text    a fenced block in the reply, which any model can write:

            ```tool
            {"name": "trial", "arguments": {"n": 3}}
            ```
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from tmelt.llm.errors import ReplyError
from tmelt.llm.reasoning import split_reasoning

_BLOCK = re.compile(r"^ {0,3}(`{3,})[ \t]*tool\b[^\n]*\n(.*?)^ {0,3}\1[ \t]*$", re.MULTILINE | re.DOTALL)
_TAGGED = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)  # as many open models are trained to


class ToolLimits(BaseModel):
    """What the tools of one proposal may use together."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    calls: int = Field(12, ge=1, description="uses of tools")
    tokens: int = Field(20_000, ge=1000, description="length of all results together")
    device_s: float = Field(60, ge=0, description="seconds of `check` and `try_out`, by the clock of the time budget")


@dataclass(frozen=True)
class ToolSpec:
    """Description of a tool for a model.

    Attributes:
        name: what it is called by.
        description: what it does, and when to use it.
        properties: its arguments as properties of a JSON schema.
        required: names of those that cannot be left out.
    """

    name: str
    description: str
    properties: Mapping[str, Mapping[str, Any]]
    required: Sequence[str] = ()

    def native(self) -> dict[str, Any]:
        """The form that chat APIs take."""
        schema = {"type": "object", "properties": dict(self.properties), "required": list(self.required)}
        function = {"name": self.name, "description": self.description, "parameters": schema}
        return {"type": "function", "function": function}

    def line(self) -> str:
        """One line for a prompt."""
        names = ", ".join(name if name in self.required else f"{name}?" for name in self.properties)
        return f"- `{self.name}({names})`: {self.description}"


@dataclass(frozen=True)
class ToolResult:
    """Result of a tool, and what it used."""

    text: str
    ok: bool = True
    seconds: float = 0.0  # by the clock of the time budget
    cpu_s: float = 0.0
    device_s: float = 0.0


@dataclass(frozen=True)
class ToolCall:
    """A tool that a reply calls.

    Attributes:
        name: of the tool.
        arguments: as written, an object.
        id: the provider's; empty in the text protocol.
        fault: why it cannot be run; empty where nothing is wrong with its form.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    fault: str = ""


class Toolbox(Protocol):
    """The tools of one proposal."""

    @property
    def limits(self) -> ToolLimits:
        """What they may use."""

    @property
    def specs(self) -> Sequence[ToolSpec]:
        """What they are called by."""

    def run(self, call: ToolCall, text: str) -> ToolResult:
        """Run one of them; `text` is the reply that calls it. A fault of the call is a result that says so."""

    def note(self, call: ToolCall, text: str, result: ToolResult) -> None:
        """Take notice of a result, be it fresh or recorded."""


def calls_of(reply: Mapping[str, Any]) -> list[ToolCall]:
    """The tools that a recorded reply calls, in order; none in a reply that is not complete.

    A model that was offered native tools may still write a call in its text, and is understood.
    """
    if reply["truncated"] or reply.get("refusal") or reply.get("error"):
        return []
    native = [_native(call) for call in reply["raw"]["tool_calls"] if isinstance(call, dict)]
    if native:
        return native
    try:
        visible = split_reasoning(reply["text"]).answer
    except ReplyError:
        return []
    return [_written(text) for text in [match[2] for match in _BLOCK.finditer(visible)] or _TAGGED.findall(visible)]


def without_calls(text: str) -> str:
    """A reply's text without the blocks that call tools."""
    return _TAGGED.sub("", _BLOCK.sub("", text))


def _native(call: Mapping[str, Any]) -> ToolCall:
    name, identity, arguments = str(call.get("name") or "unnamed"), str(call.get("id") or ""), call.get("args")
    if isinstance(arguments, dict):
        return ToolCall(name, arguments, identity)
    return ToolCall(name, {}, identity, f"its arguments are no JSON object ({call.get('error') or 'not readable'})")


def _written(text: str) -> ToolCall:
    try:
        call = json.loads(text)
    except (ValueError, RecursionError) as error:
        return ToolCall("unnamed", {}, fault=f"the block is not JSON ({error})")
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return ToolCall("unnamed", {}, fault='the block needs {"name": …, "arguments": {…}}')
    arguments = call.get("arguments", {})
    if not isinstance(arguments, dict):
        return ToolCall(call["name"], {}, fault="`arguments` is no JSON object")
    return ToolCall(call["name"], arguments)
