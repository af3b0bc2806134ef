"""Faults that a port to another language, database or gateway brings."""

from tests.contracts.rules.faults.combinations import ResultWindow
from tests.standin.behaviour import Standin


class TotalOfASearchForgetsStatus(Standin):
    """The query that counts was written without the status."""

    def total(self, call, found, query):
        if query.search and query.status:
            wider = query.model_copy(update={"status": None})
            return sum(self.matches(run, wider) for run in self.listed(call))
        return super().total(call, found, query)


class SearchFindsAliasesOfAnyOrganisation(Standin):
    """`org = ? AND id LIKE ? OR session_alias LIKE ?`, without brackets."""

    searched = ""

    def list_runs(self, call, query):
        self.searched = (query.search or "").lower()
        return super().list_runs(call, query)

    def listed(self, call):
        others = [run for org in self.organisations.values() if org is not call.org for run in org.runs.values()]
        found = [run for run in others if self.searched and self.searched in (run.session_alias or "").lower()]
        return [*super().listed(call), *found]


class SearchBeyondTheWindowIsRefused(ResultWindow):
    status = 400


class RunsOfManyNamesAreNotSearched(Standin):
    """An index of documents has a limited number of fields."""

    def has_text(self, run, query):
        return len(run.input_values or ()) <= 1000 and super().has_text(run, query)
