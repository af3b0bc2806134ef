"""The clock of a namespace: freeze, advance, scale, resume."""

from __future__ import annotations

from typing import Any

from mockserver.admin.context import AdminContext, clock_json
from mockserver.clock import FIRST_MOMENT, LAST_MOMENT, moment_from, seconds_from
from mockserver.errors import Unprocessable
from mockserver.reply import JSONContent, Reply
from mockserver.spec import Call


async def get_clock(call: Call, context: AdminContext) -> Reply:
    return Reply(200, JSONContent(clock_json(context.namespace.clock)))


async def set_clock(call: Call, context: AdminContext) -> Reply:
    if not call.sent_fields:
        raise Unprocessable("Say what the clock should do: freeze, advance, scale or resume")
    change: dict[str, Any] = call.body
    for name, opposite in (("freeze", "resume"), ("resume", "freeze")):
        if change.get(name) is False:
            raise Unprocessable(f'"{name}": false changes nothing: write "{opposite}": true, or leave it out')
    clock = context.namespace.clock
    # Validate the whole change before applying any of it.
    freeze = change.get("freeze", False)
    moment = clock.now() if isinstance(freeze, bool) else moment_from(freeze)
    if not FIRST_MOMENT <= moment <= LAST_MOMENT:
        if isinstance(freeze, bool):
            raise Unprocessable("The clock is past the year 9999: freeze it at an earlier one, or reset the namespace")
        raise Unprocessable("freeze: in UTC, the year has to be one from 1 to 9999")
    seconds = duration_s(change["advance"]) if "advance" in change else None
    if seconds is not None:
        try:
            clock.check_step(seconds, moment)
        except ValueError as error:
            raise Unprocessable(f"advance: {error}") from None
    if "scale" in change:
        clock.rescale(change["scale"])
    if freeze is not False:
        clock.freeze(None if freeze is True else moment)
    if seconds is not None:
        clock.advance(seconds)
    if change.get("resume"):
        clock.resume()
    await context.dependencies.namespaces.save(context.namespace)
    shown = clock_json(clock)
    context.namespace.events.publish("clock", shown)
    return Reply(200, JSONContent(shown))


def duration_s(value: float | str) -> float:
    """Return seconds, also from text such as `20m`, `1h30m`, `250ms`. Raises Unprocessable."""
    if not isinstance(value, str):
        return float(value)
    try:
        return seconds_from(value)
    except ValueError as error:
        raise Unprocessable(str(error)) from None
