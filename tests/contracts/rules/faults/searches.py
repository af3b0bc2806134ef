"""Faults of searches."""

from tests.standin.behaviour import Standin


class DeepSearchEndsWithTheFirstPage(Standin):
    """The link to the next page leaves out `deep_search`."""

    def list_runs(self, call, query):
        return super().list_runs(call, query.model_copy(update={"deep_search": False}) if query.skip else query)


class LargeNumbersAreNotSearched(Standin):
    """The index stores numbers as doubles."""

    def leaves(self, value):
        return super().leaves(float(value) if type(value) is int and abs(value) > 2**53 else value)
