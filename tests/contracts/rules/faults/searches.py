"""Faults of searches, and of filters together with them."""

from collections import Counter, defaultdict

from tests.standin.behaviour import Problem, Standin
from tests.standin.store import Lifecycle
from tests.standin.variations import UnknownMachineRefused, UnknownWorkflowRefused


class DeepSearchEndsWithTheFirstPage(Standin):
    """The link to the next page leaves out `deep_search`."""

    def list_runs(self, call, query):
        return super().list_runs(call, query.model_copy(update={"deep_search": False}) if query.skip else query)


class LargeNumbersAreNotSearched(Standin):
    """The index stores numbers as doubles."""

    def leaves(self, value):
        return super().leaves(float(value) if type(value) is int and abs(value) > 2**53 else value)


class TotalsOfSearchesOnAMachineAreOfThePage(Standin):
    def total(self, call, found, query):
        is_of_page = query.search and query.machine_id
        return len(self.page(found, query)) if is_of_page else super().total(call, found, query)


class ReplacedAliasesAreFound(Standin):
    """The index keeps the alias of the create. Those of retries are looked up in the run."""

    def __init__(self, settings):
        super().__init__(settings)
        self.aliases = defaultdict(list)

    def take_over(self, org, run, body):
        self.aliases[run.id][:] = self.aliases[run.id] or [run.session_alias or ""]
        super().take_over(org, run, body)

    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield from self.aliases[run.id]


class SessionsAreIndexedOnce(UnknownWorkflowRefused):
    """The index of workflow and session is written when a run is created. Workflows must exist, so that the check finds
    its runs by a search, and not by a workflow of their own.
    """

    def __init__(self, settings):
        super().__init__(settings)
        self.sessions = {}

    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        self.sessions[run.id] = session_id
        return run

    def matches(self, run, query):
        if query.session_id and query.workflow_id and self.sessions.get(run.id) == query.session_id:
            query = query.model_copy(update={"session_id": run.session_id})
        return super().matches(run, query)


class SkipIsDoubledByMachineAndStatus(Standin):
    """The query of the index skips, and the page is cut once more."""

    def page(self, found, query):
        if query.skip and getattr(query, "machine_id", None) and query.status:
            query = query.model_copy(update={"skip": 2 * query.skip})
        return super().page(found, query)


class RefusedCreatesCount(UnknownWorkflowRefused, UnknownMachineRefused):
    """The counter of a workflow's runs is raised before the machine is looked up.

    No run starts: one that moves on while the totals are read may be counted twice, which would hide the difference.
    """

    class Lifecycle(Lifecycle):
        def wait_s(self, run):
            return 3600.0

    def __init__(self, settings):
        super().__init__(settings)
        self.refused_creates = Counter()

    def check_exists(self, org, body):
        try:
            super().check_exists(org, body)
        except Problem as problem:
            if problem.status == 403:
                self.refused_creates[str(getattr(body, "workflow_id", None))] += 1
            raise

    def total(self, call, found, query):
        only_workflow = getattr(query, "workflow_id", None) and not query.status and not query.search
        return super().total(call, found, query) + (
            self.refused_creates[str(query.workflow_id)] if only_workflow else 0
        )


class LateRunsAreNotIndexed(UnknownWorkflowRefused):
    """A create is indexed by workflow in batches, and the index takes the first one only. Workflows must exist, so that
    the check finds its runs by a search, and not by a workflow of their own.
    """

    def __init__(self, settings):
        super().__init__(settings)
        self.late = set()

    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        if index >= 256:
            self.late.add(run.id)
        return run

    def matches(self, run, query):
        return super().matches(run, query) and not (query.workflow_id and run.id in self.late)
