"""Hostile and careless clients, and surroundings that fail. `make hostile` is the long run."""
