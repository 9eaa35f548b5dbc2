"""Try a call again where that can help: exponential pauses with jitter, the server's Retry-After, a bounded total wait.

Told apart are failures that the user must fix (key, model name, request), those that pass (429, 5xx, time-outs,
dropped connections), and everything else, which is our own mistake and is not caught.
"""

import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from tmelt.errors import InfrastructureError, InputError
from tmelt.text.safe import one_line

T = TypeVar("T")
_log = logging.getLogger(__name__)
_PASSING = {408, 409, 425, 429}
# A proxy gave up waiting: the model may have answered, and the answer may have been billed.
_MAYBE_BILLED = {408, 504, 524}
_NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol")
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class Failure:
    """Why a try brought no reply."""

    message: str
    passing: bool  # whether another try can help; otherwise the user must act
    maybe_billed: bool  # whether the provider may have produced, and billed, a reply that did not arrive
    retry_after_s: float | None = None


def failure_of(error: Exception) -> Failure | None:
    """What an exception from a chat model's `invoke` means; None for a mistake of our own."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    if status is None and error.args and isinstance(error.args[0], dict):  # an error sent with status 200
        code = error.args[0].get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
    if isinstance(status, int) and status >= 400:
        return _of_status(status, error, getattr(response, "headers", None) or {})
    if isinstance(status, int) and 300 <= status < 400:
        where = one_line((getattr(response, "headers", None) or {}).get("location") or "no address")
        reason = f"HTTP {status}: the server redirects to {where}, and prompts are not sent on; is base_url right?"
        return Failure(reason, passing=False, maybe_billed=False)
    causes = list(_causes(error))
    names = [type(link).__name__ for link in causes]
    if any(isinstance(link, TimeoutError) or "Timeout" in type(link).__name__ for link in causes):
        sent = not any(name in _NEVER_SENT for name in names)
        return Failure(f"timed out ({_brief(error)})", passing=True, maybe_billed=sent)
    if any(map(_is_connection, causes)):
        sent = not any(name in _NEVER_SENT or name == "ConnectionRefusedError" for name in names)
        return Failure(f"the connection failed ({_brief(causes[-1])})", passing=True, maybe_billed=sent)
    if "unexpected keyword argument" in str(error):
        return Failure(f"a parameter is not known ({_brief(error)}); see `extra`", passing=False, maybe_billed=False)
    garbled = isinstance(error, json.JSONDecodeError | UnicodeDecodeError | LookupError | TypeError | AttributeError)
    if garbled or type(error).__name__ == "ValidationError" or "response type" in str(error):
        reason = f"the reply is not in the API's format; is base_url right? ({_brief(error)})"
        return Failure(reason, passing=True, maybe_billed=True)
    if isinstance(error, ValueError):
        return Failure(f"the request was refused ({_brief(error)})", passing=False, maybe_billed=False)
    return None


def call_with_retries(
    send: Callable[[], T],
    *,
    max_retries: int,
    max_wait_s: float,
    backoff_s: float,
    before: Callable[[], None],
    after: Callable[[Failure | None, float], None],
    what: str,
    scrub: Callable[[str], str],
) -> T:
    """The outcome of `send`, tried at most 1 + `max_retries` times within `max_wait_s` seconds.

    Args:
        before: called before each try; it may refuse the try by raising.
        after: called after each try with its failure (None for success) and its seconds.
        what: names the service in messages.
        scrub: takes keys out of messages.

    Raises:
        InputError: a failure that the user must fix.
        InfrastructureError: the tries or the time are used up.
    """
    started = time.monotonic()
    for tries in range(1, max_retries + 2):
        before()
        began = time.monotonic()
        try:
            outcome = send()
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            failure = Failure(scrub(failure.message), failure.passing, failure.maybe_billed, failure.retry_after_s)
        else:
            after(None, time.monotonic() - began)
            return outcome
        after(failure, time.monotonic() - began)
        if not failure.passing:
            raise InputError(f"{what}: {failure.message}")
        pause = pause_s(tries, backoff_s, failure.retry_after_s)
        waited = time.monotonic() - started
        if tries > max_retries or waited + pause > max_wait_s:
            asked = f"; the server asks to wait {failure.retry_after_s:.0f} s" if failure.retry_after_s else ""
            if asked and waited + pause > max_wait_s:
                asked += f", max_wait_s allows {max_wait_s:g} s in all: start again after that time"
            raise InfrastructureError(
                f"{what}: no reply after {tries} {'try' if tries == 1 else 'tries'} in {waited:.0f} s; "
                f"the last one: {failure.message}{asked}"
            )
        _log.warning("%s: %s; trying again in %.1f s", what, failure.message, pause)
        time.sleep(pause)
    raise AssertionError("unreachable")


def pause_s(tries: int, backoff_s: float, retry_after_s: float | None) -> float:
    """Seconds to wait after so many tries: at least what the server asks for, else doubling up to a minute.

    Jitter keeps trajectories that were turned away together from coming back together.
    """
    jitter = random.random()
    if retry_after_s is not None:
        return retry_after_s + jitter * min(backoff_s, 1.0)
    return min(backoff_s * 2 ** min(tries - 1, 30), _LONGEST_PAUSE_S) * (0.5 + 0.5 * jitter)


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the server asks to wait (RFC 9110, 10.2.3: seconds or an HTTP date); None when it does not say.

    A date is compared with the server's own clock where it sends one.
    """
    milliseconds = headers.get("retry-after-ms")
    value = headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        if value is None:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
            return float(value)
        clock = parsedate_to_datetime(headers["date"]) if "date" in headers else now or datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(value) - clock).total_seconds())
    except (ValueError, TypeError):
        return None


def _of_status(status: int, error: Exception, headers: Mapping[str, str]) -> Failure:
    if status == 401:  # its text often quotes the key
        return Failure("HTTP 401: the server refused the API key", passing=False, maybe_billed=False)
    message = f"HTTP {status}: {_server_text(error)}"
    if status == 429 and (getattr(error, "code", None) or "") == "insufficient_quota":
        return Failure(f"{message} (the account has no credit left)", passing=False, maybe_billed=False)
    passing = status in _PASSING or status >= 500
    return Failure(message, passing, status in _MAYBE_BILLED, retry_after_s(headers) if passing else None)


def _server_text(error: Exception) -> str:
    """The server's own words, short and without HTML."""
    body = getattr(error, "body", None)
    if body is None and error.args and isinstance(error.args[0], dict):
        body = error.args[0]
    if isinstance(body, dict):
        inner: Any = body.get("error", body)
        text = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(text, str) and text.strip():
            return _plain(text)
    return _plain(body if isinstance(body, str) and body.strip() else str(error))


def _plain(text: str) -> str:
    """The title of a page, or a text without its tags, as one line."""
    title = re.search(r"<title[^>]*>([^<]*)</title>", text, re.IGNORECASE)
    return one_line(re.sub(r"<[^<>]*>", " ", title[1] if title else text[:10_000])) or "no text"


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {_plain(str(error))}" if str(error).strip() else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from, outermost first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _is_connection(error: BaseException) -> bool:
    kinds = ("APIConnectionError", "TransportError", "NetworkError", "ProtocolError", "ConnectionError")
    return isinstance(error, ConnectionError) or any(kind.__name__ in kinds for kind in type(error).__mro__)
