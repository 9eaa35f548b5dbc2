"""How a model's server wants to be asked, and where its answers stand: what the probe finds out (tmelt.llm.probe)."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tmelt.errors import InputError, first_complaint
from tmelt.storage.files import read_json


class Dialect(BaseModel):
    """Of one model on one server; the defaults hold for a server that was not probed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    cap: Literal["default", "max_tokens"] = Field(
        "default",
        description="name of the cap on replies; `default` is the client's own (OpenAI's: max_completion_tokens)",
    )
    cap_obeyed: bool | None = Field(None, description="whether a reply ended at a small cap; null: not known")
    stream: bool = Field(False, description="whether the model answers only as a stream")
    stream_usage: bool = Field(True, description="whether a stream may be asked for its usage")
    answer: Literal["text", "reasoning"] = Field("text", description="the field that holds the answer")
    reasoning: str | None = Field(
        None, description="`field` of its own, or the delimiter that ends it; null: none seen"
    )
    usage: Literal["reported", "unknown"] = Field("unknown", description="whether plausible token counts are reported")
    tools: Literal["native", "text"] = Field("text", description="how the model calls tools (tmelt.llm.tools)")
    seen_tokens: int = Field(
        0, ge=0, description="a prompt that counts at least so many tokens was seen from its start"
    )


DEFAULT = Dialect()


def read_dialect(path: Path) -> Dialect:
    """Read what a probe found.

    Raises:
        InputError: missing, damaged, or of another version.
    """
    try:
        return Dialect.model_validate(read_json(path)["dialect"])
    except (ValidationError, KeyError, TypeError) as error:
        reason = first_complaint(error) if isinstance(error, ValidationError) else "no dialect in it"
        raise InputError(f"{path}: {reason}; delete it, and the model is probed again") from None
