"""Faults by which an organisation reaches what belongs to another one."""

import copy
from dataclasses import replace

from tests.standin.behaviour import Standin
from tests.standin.models import Status


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


class MachinesAreReadByIdAlone(Standin):
    """`SELECT … WHERE id = ?`, without the organisation."""

    def get_machine(self, call, machine_id):
        owners = [org for org in self.organisations.values() if machine_id in org.machines]
        return super().get_machine(replace(call, org=owners[0]) if owners else call, machine_id)


class WorkflowsAreJoinedByIdAlone(Standin):
    """`included` is a join without the organisation."""

    def included(self, org, runs, include):
        org = copy.copy(org)
        org.workflows = {name: one for each in self.organisations.values() for name, one in each.workflows.items()}
        return super().included(org, runs, include)


class PoolsOfAnyOrganisationGiveMachines(Standin):
    """The scheduler looks for a machine in the pools that the run names, whoever owns them."""

    def machine_of(self, org, body, index, of):
        wanted = {str(pool_id) for pool_id in body.pool_ids or ()}
        every = [one for each in self.organisations.values() if each is not org for one in each.machines.values()]
        found = next((one["id"] for one in every if wanted & set(one["pools"])), None)
        return found or super().machine_of(org, body, index, of)


class KeysOfDeletesAreOfAllOrganisations(Standin):
    """The keys of deletes are kept by key and path in one table, without the organisation."""

    def __init__(self, settings):
        super().__init__(settings)
        self.of_deletes = {}

    def keys_of(self, call):
        return self.of_deletes if call.method == "DELETE" else super().keys_of(call)

    def key_name(self, call):
        return f"{call.key} {call.path}" if call.method == "DELETE" else super().key_name(call)


class MachinesAreAddedByIdAlone(Standin):
    """`SELECT … WHERE id IN (…)`, without the organisation."""

    def add_machine_to_pool(self, call, pool_id, body):
        return super().add_machine_to_pool(replace(call, org=self.with_all_machines(call.org)), pool_id, body)

    def pool_shown(self, org, pool):
        return super().pool_shown(self.with_all_machines(org), pool)

    def machine_shown(self, org, machine):
        return super().machine_shown(org, machine | {"pools": [one for one in machine["pools"] if one in org.pools]})

    def with_all_machines(self, org):
        org = copy.copy(org)
        org.machines = {name: one for each in self.organisations.values() for name, one in each.machines.items()}
        return org


class SessionAndStatusFindRunsOfAnyOrganisation(Standin):
    """The query for the session's page forgot the organisation."""

    def list_runs(self, call, query):
        self.is_of_session = query.session_id is not None and query.status is not None
        return super().list_runs(call, query)

    def listed(self, call):
        orgs = self.organisations.values() if self.is_of_session else (call.org,)
        return [run for org in orgs for run in org.runs.values()]


class TotalsByStatusAreOfAllOrganisations(Standin):
    """The totals by status are kept in one table. A run moves on whenever runs are listed, so no two lists agree."""

    def list_runs(self, call, query):
        answer = super().list_runs(call, query)
        moves = {Status.SCHEDULING: Status.RUNNING, Status.RUNNING: Status.SUCCESS}
        run = next((run for run in call.org.runs.values() if run.status in moves), None)
        if run is not None:
            run.status = moves[run.status]
        return answer

    def total(self, call, found, query):
        if query.model_fields_set - {"limit", "skip"} == {"status"}:
            return sum(run.status == query.status for org in self.organisations.values() for run in org.runs.values())
        return super().total(call, found, query)


class AttachmentsOfNamedOutputsAreReadable(Standin):
    """An attachment may be read by whoever has a run that names it."""

    def get_run_attachment(self, call, attachment_id):
        if any(attachment_id in (run.output_attachment_ids or ()) for run in call.org.runs.values()):
            owners = [org for org in self.organisations.values() if attachment_id in org.attachments]
            call = replace(call, org=owners[0]) if owners else call
        return super().get_run_attachment(call, attachment_id)


class SessionsOfAllOrganisationsHaveOneMachine(Standin):
    """The machine of a session is kept by the id of the session alone."""

    def __init__(self, settings):
        super().__init__(settings)
        self.machine_of_session = {}

    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        if session_id is not None:
            run.machine_id = self.machine_of_session.setdefault(session_id, run.machine_id)
        return run


class RetriesRemoveNamedOutputsOfAnyOrganisation(Standin):
    def clear(self, org, run):
        for other in self.organisations.values():
            for attachment in run.output_attachment_ids or ():
                other.attachments.pop(attachment, None)
        super().clear(org, run)
