"""The HTTP client under a chat model: it refuses redirects and notes what the model's library drops or chokes on.

LangChain's OpenAI client drops `reasoning_content` and errors of single choices, and all clients raise an exception for
a usage that is no whole number, which would lose a reply that was paid for. So the body of each reply is read here
first: such a usage is taken out of it, and kept, as it came, in `Wire.noted`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

_MOST_DIGITS = 18
_LONGEST_BODY = 64 << 20  # bytes


class Wire:
    """Makes HTTP clients and remembers what the last reply held besides its text."""

    def __init__(self) -> None:
        self.noted: dict[str, Any] = {}

    def client(self, base: type, **arguments: Any) -> Any:
        """Return an HTTP client of the class `base`, which is a library's own (`openai.DefaultHttpxClient`)."""
        wire = self

        class Client(base):  # type: ignore[misc]
            def send(self, request: Any, **options: Any) -> Any:
                wire.noted = {}
                response = super().send(request, **{**options, "follow_redirects": False})
                if response.status_code != 200:
                    return response
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    if len(body) > _LONGEST_BODY:
                        response.close()
                        raise ValueError(f"the reply is longer than {_LONGEST_BODY >> 20} MB")
                wire.noted, plain = examine(bytes(body))
                headers = {
                    name: value
                    for name, value in response.headers.items()
                    if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
                }
                read = type(response)(200, headers=headers, content=plain, request=request)
                read.elapsed = response.elapsed
                return read

        return Client(**arguments)


def examine(body: bytes) -> tuple[dict[str, Any], bytes]:
    """Note what a reply holds besides its text.

    Args:
        body: JSON in the format of OpenAI's or Anthropic's chat, or a stream of events that hold such JSON.

    Returns:
        `usage` as it came, `reasoning`, `refusal` and `error`, each only where there is one; and the body without a
        usage that a client could not read.
    """
    notes: dict[str, Any] = {}
    if body.lstrip()[:1] == b"{":
        value = _read(body)
        return (notes, _noted(value, notes) or body) if value is not None else (notes, body)
    lines = body.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(b"data:") and (value := _read(line[5:])) is not None:
            changed = _noted(value, notes)
            if changed is not None:
                lines[number] = b"data: " + changed
    return notes, b"\n".join(lines)


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits[:40]


def _noted(value: dict[str, Any], notes: dict[str, Any]) -> bytes | None:
    """Add to the notes; return the JSON to pass on where it must be another."""
    for choice in _parts(value.get("choices")):
        if choice.get("error"):
            notes["error"] = choice["error"]
        for message in (choice.get("message"), choice.get("delta")):
            if isinstance(message, dict):
                for name, keys in (("reasoning", ("reasoning_content", "reasoning")), ("refusal", ("refusal",))):
                    text = next((message[key] for key in keys if isinstance(message.get(key), str)), "")
                    if text:
                        notes[name] = notes.get(name, "") + text
    holders = [
        value,
        *(part for part in (value.get("message"),) if isinstance(part, dict)),
    ]
    changed = False
    for holder in holders:
        if holder.get("usage") is not None:
            notes["usage"] = holder["usage"]
            if not _readable(holder["usage"]):
                openai = "choices" in holder
                holder["usage"] = None if openai else {"input_tokens": 0, "output_tokens": 0}
                changed = True
    return json.dumps(value).encode() if changed else None


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (part for part in value if isinstance(part, dict))


def _readable(usage: Any) -> bool:
    """Whether a usage is an object whose numbers are whole and not negative, at any depth; text is no usage."""
    if not isinstance(usage, dict):
        return False
    for name, value in usage.items():
        if name.endswith("tokens"):
            if value is not None and (type(value) is not int or value < 0):
                return False
        elif isinstance(value, dict) and not _readable(value):
            return False
    return True
