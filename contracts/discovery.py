"""Finds out what a target is before it is judged: which ids it knows or takes, and which operations it offers."""

from __future__ import annotations

from contracts.conversation import Ids, World
from contracts.guard import Guard
from contracts.target import Target


def discover(target: Target, guard: Guard, *, deadline: float) -> World:
    """Raises CouldNotCheck where nothing could be judged at all."""
    world = World(target, guard, deadline)
    world.workflows = Ids(invented=True)
    world.machines = Ids(invented=True)
    world.pools = Ids(invented=True)
    world.sessions = Ids(invented=True)
    return world
