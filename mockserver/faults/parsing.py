"""Makes a fault from JSON. Errors say what is wrong and what would be right."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from mockserver.clock import FOREVER, SECOND, Clock
from mockserver.errors import Unprocessable
from mockserver.faults import effects
from mockserver.faults.effects import READS, Delay, Delayed, DelegatedFault, Effect
from mockserver.faults.fault import Conditions, Fault, Faults, Frequency
from mockserver.faults.presets import PRESETS
from mockserver.faults.schema_breaks import HOWS
from mockserver.matching import RequestMatch
from mockserver.reply import RATE_LIMITED, WITHOUT_CONTENT, phrase
from mockserver.scope_keys import FAILED_KEY, FAILED_SHARE_KEY
from mockserver.spec import Operation, is_number, render_json
from mockserver.suggestions import NearPaths, suggestion

_MAX_FAULTS = 1_000
_MAX_BYTES = 4_194_304
"""The JSON of all faults of a namespace together."""
_MAX_CONDITIONS = 32
_MAX_TEXT_LENGTH = 1_000
_MAX_SECONDS = 1_000_000.0
_BULK = "bulk_create_runs"
_MATCH_KEYS = ("match", "headers", "body", "times", "nth", "cycle", "probability", "for_s")
_EFFECT_KEYS = (
    "answer",
    "retry_after",
    "fault",
    "how",
    "after_bytes",
    "delay_s",
    "delay",
    "failed",
    "share",
    "stale_s",
)


class FaultError(Unprocessable):
    """`place` is the path of the problem inside the fault, such as `answer/status`."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


_OF_SOME_FAULTS = ("how", "after_bytes", "failed", "share", "stale_s")
"""Parameters that only some kinds of faults have."""
_BREAK_CONNECTIONS = frozenset({"hang", "reset", "cut", "garbage", "slow"})


class FaultParser:
    """`operations` are those of the API by operationId; `seed` determines the random draws."""

    def __init__(self, operations: Mapping[str, Operation], near_paths: NearPaths, seed: int) -> None:
        self._operations = operations
        self._near_paths = near_paths
        self._seed = seed

    def add(self, faults: Faults, source: Mapping[str, Any], clock: Clock) -> list[Fault]:
        """Add one fault, or those of a preset, and return them. Raises Unprocessable, and then adds none."""
        sources = [source]
        if "preset" in source:
            sources = self._preset(source)
        if len(faults) + len(sources) > _MAX_FAULTS:
            raise Unprocessable(f"There are {_MAX_FAULTS} faults already; DELETE /__admin/faults removes them")
        made = [self._fault(each, f"f{faults.made + place}", clock) for place, each in enumerate(sources, 1)]
        _check_size((*faults, *made))
        faults.made += len(made)
        for fault in made:
            faults.add(fault)
        return made

    def state(self, faults: Faults) -> dict[str, Any]:
        """Return the faults as JSON."""
        items = [
            {
                "id": fault.id,
                "source": fault.source,
                "seed": fault.seed,
                "until": fault.frequency.until,
                "matched": fault.matched,
                "applied": fault.applied,
            }
            for fault in faults
        ]
        return {"made": faults.made, "items": items}

    def restore(self, faults: Faults, state: Mapping[str, Any], clock: Clock) -> None:
        """Raises KeyError, TypeError, ValueError or Unprocessable for a value that `state` did not return."""
        faults.made = _stored_integer(state["made"])
        if len(state["items"]) > _MAX_FAULTS:
            raise ValueError(f"there are more than {_MAX_FAULTS} faults")
        for item in state["items"]:
            if not isinstance(item["source"], dict):
                raise TypeError("the source of a fault is not an object")
            fault = self._fault(item["source"], _stored_text(item["id"]), clock)
            until = item["until"]
            fault.frequency = replace(fault.frequency, until=None if until is None else _stored_integer(until))
            fault.seed = _stored_text(item["seed"])
            fault.matched, fault.applied = _stored_integer(item["matched"]), _stored_integer(item["applied"])
            faults.add(fault)
        _check_size(tuple(faults))

    def _preset(self, source: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """All keys except those of effects can be given in addition to a preset, to narrow it."""
        name = source["preset"]
        preset = PRESETS.get(name) if isinstance(name, str) else None
        if preset is None:
            raise FaultError("preset", f"{name!r} is not one of {', '.join(PRESETS)}")
        beside = {key: value for key, value in source.items() if key != "preset"}
        _allow(beside, _MATCH_KEYS, "beside a preset")
        return [{**each, **beside} for each in preset.faults]

    def _fault(self, source: Mapping[str, Any], id_: str, clock: Clock) -> Fault:
        _allow(source, (*_MATCH_KEYS, *_EFFECT_KEYS), "in a fault")
        if not isinstance(source.get("match"), str):
            raise FaultError("match", "say which requests are meant: 'POST /v1/runs/bulk', an operationId, or '*'")
        try:
            match = RequestMatch.from_text(source["match"], self._operations)
        except ValueError as error:
            raise FaultError("match", f"{error}") from None
        if match.method == "OPTIONS":
            what = "no fault applies to OPTIONS: match the request that a browser sends after its preflight"
            raise FaultError("match", what)
        # A path that resembles none is accepted: the fault may be for `/docs`, or a path that clients should not use.
        problem = None if match.path is None else self._near_paths.problem(match.method, match.path.text)
        if problem is not None:
            raise FaultError("match", problem)
        can_change = _CAN_CHANGE.get(str(source.get("fault")), _any_request)
        self._check_can_change(source, match)
        now = clock.now()
        return Fault(
            id=id_,
            match=match,
            conditions=_conditions(source),
            frequency=_frequency(source, now),
            effect=_effect(source),
            source=dict(source),
            size=len(render_json(source)),
            seed=f"{self._seed} {id_}",
            can_change=can_change,
        )

    def _check_can_change(self, source: Mapping[str, Any], match: RequestMatch) -> None:
        """Raises FaultError if the effect can change the answer to no request that matches."""
        bulk = self._operations.get(_BULK)
        name = source.get("fault")
        if name == "partial-failure" and bulk and not match.matches(bulk.method, bulk.path, _BULK):
            raise FaultError("match", f"partial-failure applies to bulk creates only: write 'POST {bulk.path}'")
        method = match.method if match.operation_id is None else self._operations[match.operation_id].method
        if name == "stale-read" and method not in (None, *READS):
            raise FaultError("match", "stale-read applies to reads only: match a GET, or '*'")


def _check_size(faults: Iterable[Fault]) -> None:
    """Raises Unprocessable if they are too large together: each request looks at all, and a list shows all at once."""
    if sum(fault.size for fault in faults) > _MAX_BYTES:
        what = f"The faults of a namespace have {_MAX_BYTES} bytes together at most"
        raise Unprocessable(f"{what}; DELETE /__admin/faults removes them")


def _allow(source: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for name in source:
        if name not in known:
            if name == "status" and "answer" in known:
                raise Unprocessable(f'\'status\' belongs in the answer: "answer": {{"status": {_shown(source[name])}}}')
            raise Unprocessable(f"unknown key {name[:100]!r} {where}; {suggestion(name, known)}")


# --- Matching


def _conditions(source: Mapping[str, Any]) -> Conditions:
    headers, body = source.get("headers", {}), source.get("body", {})
    if not isinstance(headers, dict) or not all(
        _is_header_name(name) and isinstance(value, str) for name, value in headers.items()
    ):
        raise FaultError("headers", 'a mapping of names to values, such as {"Idempotency-Key": "abc"}')
    if not isinstance(body, dict) or not all(_is_pointer(name) for name in body):
        raise FaultError("body", 'a mapping of JSON pointers to values, such as {"/count": 5}')
    for name, conditions in (("headers", headers), ("body", body)):
        if len(conditions) > _MAX_CONDITIONS:
            raise FaultError(name, f"{_MAX_CONDITIONS} values at most, not {len(conditions)}")
    return Conditions({name.lower(): value for name, value in headers.items()}, body)


def _is_pointer(name: Any) -> bool:
    return isinstance(name, str) and (name.startswith("/") or not name) and len(name) <= _MAX_TEXT_LENGTH


def _frequency(source: Mapping[str, Any], now: int) -> Frequency:
    first, last = 1, None
    if "nth" in source:
        nth = source["nth"]
        limits = nth if isinstance(nth, list) else [nth, nth]
        if len(limits) != 2 or not all(_is_integer(each) and each >= 1 for each in limits) or limits[0] > limits[1]:
            raise FaultError("nth", f"a number from 1, or [from, to], not {_shown(nth)}")
        first, last = limits
    cycle = _count(source, "cycle")
    if cycle is not None and first > cycle:
        raise FaultError("nth", f"in a cycle of {cycle} there is no request {first}")
    probability = _number(source, "probability", 1.0, most=1.0)
    for_s = _number(source, "for_s", None, most=_MAX_SECONDS)
    return Frequency(
        times=_count(source, "times"),
        first=first,
        last=last,
        cycle=cycle,
        probability=1.0 if probability is None else probability,
        until=None if for_s is None else now + round(for_s * SECOND),
    )


# --- Effects


def _effect(source: Mapping[str, Any]) -> Effect:
    name = source.get("fault")
    if "answer" in source or "retry_after" in source:
        if name is not None:
            given = " and ".join(each for each in ("answer", "retry_after") if each in source)
            raise Unprocessable(f"a fault has one effect: give {given} or fault, not both")
        _refuse_beside(source, "answer", _OF_SOME_FAULTS)
        return _delayed(source, _answer(source))
    if name is None:
        _refuse_beside(source, "delay", _OF_SOME_FAULTS)
        delay = _delay(source)
        if delay is None:
            effects = f"answer, retry_after, delay_s, delay, or fault with one of {', '.join(_MAKERS)}"
            raise Unprocessable(f"say what happens: {effects}")
        return Delayed(delay, None)
    make = _MAKERS.get(name) if isinstance(name, str) else None
    if make is None:
        raise FaultError("fault", f"unknown fault {_shown(name)}; {suggestion(str(name), _MAKERS)}")
    effect, used = make(source)
    # Each fault that breaks the connection accepts `after_bytes`, though only some use it: one call fits all of them.
    taken = (*used, "after_bytes") if name in _BREAK_CONNECTIONS else used
    _refuse_beside(source, name, [each for each in _OF_SOME_FAULTS if each not in taken])
    if "delay_s" in used:  # by the effect itself: only a `delay` comes before it
        source = {key: value for key, value in source.items() if key != "delay_s"}
    return _delayed(source, effect)


def _refuse_beside(source: Mapping[str, Any], what: str, names: Collection[str]) -> None:
    for name in names:
        if name in source:
            raise Unprocessable(f"{name!r} does not apply to {what}")


def _answer(source: Mapping[str, Any]) -> Effect:
    answer = source.get("answer", {})
    if not isinstance(answer, dict):
        raise FaultError("answer", 'a mapping, such as {"status": 500, "headers": {}, "body": {}}')
    _allow(answer, ("status", "headers", "body"), "in an answer")
    status = answer.get("status", 429 if "retry_after" in source else None)
    if not _is_integer(status) or not 200 <= status <= 599:
        raise FaultError("answer/status", f"from 200 to 599, not {_shown(status)}")
    headers = answer.get("headers", {})
    if isinstance(headers, dict):
        framing = next((name for name in headers if str(name).lower() in _FRAMING_HEADERS), None)
        if framing is not None:
            raise FaultError("answer/headers", f"{framing} is set by the mock")
    if not isinstance(headers, dict) or not all(_is_header(*header) for header in headers.items()):
        raise FaultError("answer/headers", "a mapping of names to texts without control characters")
    if "retry_after" in source:
        retry_after = source["retry_after"]
        if not isinstance(retry_after, str):
            retry_after = f"{_number(source, 'retry_after', 0, most=_MAX_SECONDS):.15g}"
        if not _is_header("Retry-After", retry_after):
            raise FaultError("retry_after", "seconds, or a text such as 'Wed, 21 Oct 2026 07:28:00 GMT'")
        headers = {"Retry-After": retry_after, **headers}
    body = answer.get("body", {"detail": RATE_LIMITED if status == 429 else phrase(status)})
    content = body.encode("utf-8", "replace") if isinstance(body, str) else render_json(body)
    return effects.Answer(status, headers, b"" if status in WITHOUT_CONTENT else content)


_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


def _is_header(name: Any, value: Any) -> bool:
    return (
        _is_header_name(name)
        and isinstance(value, str)
        and all(" " <= char <= "\xff" and char != "\x7f" for char in value)
    )


def _is_header_name(name: Any) -> bool:
    return (
        isinstance(name, str)
        and name.isascii()
        and bool(name)
        and all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in name)
    )


def _delayed(source: Mapping[str, Any], effect: Effect) -> Effect:
    delay = _delay(source)
    return effect if delay is None else Delayed(delay, effect)


def _delay(source: Mapping[str, Any]) -> Delay | None:
    if "delay" in source and "delay_s" in source:
        raise Unprocessable("delay_s is a fixed delay, delay one that is drawn: give one of them")
    if "delay_s" in source:
        seconds = _number(source, "delay_s", None, most=_MAX_SECONDS)
        assert seconds is not None
        return lambda random: seconds
    if "delay" not in source:
        return None
    drawn = source["delay"]
    if isinstance(drawn, dict) and len(drawn) == 1:
        ((kind, parameters),) = drawn.items()
        if kind == "uniform" and _is_pair(parameters) and parameters[0] <= parameters[1]:
            low, high = parameters
            return lambda random: random.uniform(low, high)
        if kind == "lognormal" and _is_pair(parameters) and parameters[0] > 0 and parameters[1] <= 5:
            median, sigma = parameters
            return lambda random: min(_MAX_SECONDS, random.lognormvariate(math.log(median), sigma))
    drawn_from = '{"uniform": [from, to]} or {"lognormal": [median, sigma]}, in seconds'
    raise FaultError("delay", f"{drawn_from}; a fixed delay is delay_s")


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(is_number(each) and 0 <= each <= _MAX_SECONDS for each in value)
    )


_Made = tuple[Effect, tuple[str, ...]]
"""An effect, and the keys of the source that it uses."""


def _hang(source: Mapping[str, Any]) -> _Made:
    return effects.Hang(_number(source, "delay_s", None, most=_MAX_SECONDS)), ("delay_s",)


def _cut(source: Mapping[str, Any]) -> _Made:
    return effects.Cut(_count(source, "after_bytes", fewest=0) or 0), ("after_bytes",)


def _slow(source: Mapping[str, Any]) -> _Made:
    return effects.Slow(_number(source, "delay_s", 2.0, most=_MAX_SECONDS) or 0.0), ("delay_s",)


def _truncated(source: Mapping[str, Any]) -> _Made:
    size = _count(source, "after_bytes", fewest=0)
    return effects.NotJSON(40 if size is None else size), ("after_bytes",)


def _break_schema(source: Mapping[str, Any]) -> _Made:
    how = source.get("how", "missing-field")
    if how not in HOWS:
        raise FaultError("how", f"{_shown(how)} is not one of {', '.join(HOWS)}")
    return effects.BreakSchema(how), ("how",)


def _partial(source: Mapping[str, Any]) -> _Made:
    failed = _count(source, "failed")
    if failed is not None and "share" in source:
        raise Unprocessable("failed is a number of runs, share a part of them: give one of them")
    share = _number(source, "share", 0.5, most=1.0)
    if failed is not None:
        return DelegatedFault(FAILED_KEY, failed), ("failed", "share")
    return DelegatedFault(FAILED_SHARE_KEY, share or 0.0), ("failed", "share")


def _stale(source: Mapping[str, Any]) -> _Made:
    return effects.StaleRead(_number(source, "stale_s", 10.0, most=_MAX_SECONDS) or 0.0), ("stale_s",)


_MAKERS: dict[str, Callable[[Mapping[str, Any]], _Made]] = {
    "hang": _hang,
    "reset": lambda source: (effects.Reset(), ()),
    "cut": _cut,
    "garbage": lambda source: (effects.Garbage(), ()),
    "slow": _slow,
    "lost-answer": lambda source: (effects.LostAnswer(), ()),
    "not-json": lambda source: (effects.NotJSON(None), ()),
    "truncated-json": _truncated,
    "break-schema": _break_schema,
    "partial-failure": _partial,
    "stale-read": _stale,
}


def _any_request(method: str, operation_id: str | None) -> bool:
    return True


_CAN_CHANGE: Mapping[str, Callable[[str, str | None], bool]] = {
    "partial-failure": lambda method, operation_id: operation_id == _BULK,
    "stale-read": lambda method, operation_id: method in READS,
}
"""The requests that a fault is for, if it is not for all."""


# --- Values


def _is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value < 1 << 53


def _count(source: Mapping[str, Any], name: str, *, fewest: int = 1) -> int | None:
    if name not in source:
        return None
    value = source[name]
    if not _is_integer(value) or value < fewest:
        raise FaultError(name, f"a whole number from {fewest}, not {_shown(value)}")
    return value


def _number(source: Mapping[str, Any], name: str, default: float | None, *, most: float) -> float | None:
    if name not in source:
        return default
    value = source[name]
    if not is_number(value) or not 0 <= value <= most:
        raise FaultError(name, f"a number from 0 to {most:,.15g}, not {_shown(value)}")
    return float(value)


def _stored_text(value: Any) -> str:
    """Raises ValueError, also for a lone surrogate: random draws are made from the UTF-8 of the text."""
    text = str(value)
    if len(text) > _MAX_TEXT_LENGTH:
        raise ValueError(f"a text has more than {_MAX_TEXT_LENGTH} characters")
    text.encode()
    return text


def _stored_integer(value: Any) -> int:
    if not isinstance(value, int) or abs(value) >= FOREVER:
        raise ValueError("a number is not an integer of 62 bits")
    return value


def _shown(value: Any) -> str:
    return repr(value)[:100]
