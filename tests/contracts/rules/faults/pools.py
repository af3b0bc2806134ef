"""Faults of pools, their machines, and the machines that are picked from them."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.variations import PickedMachine


class MachinesOfAllOrganisationsPicked(Standin):
    known: tuple[str, ...] = ()

    def machine_of(self, org, body, index, of):
        self.known = tuple(dict.fromkeys((*self.known, *org.machines)))
        return super().machine_of(org, body, index, of) or (self.known[0] if body.pool_ids else None)


class AnyMachinePicked(Standin):
    def machine_of(self, org, body, index, of):
        return super().machine_of(org, body, index, of) or (list(org.machines)[-1] if body.pool_ids else None)


class NewPoolsUnlisted(Standin):
    def list_pools(self, call, query):
        pools = call.org.pools
        call.org.pools = dict(list(pools.items())[:2])
        try:
            return super().list_pools(call, query)
        finally:
            call.org.pools = pools


class DescriptionOfPoolsLost(Standin):
    def get_pool(self, call, pool_id):
        answer = super().get_pool(call, pool_id)
        answer.content["description"] = None
        return answer


class MachinesNotAdded(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        return super().add_machine_to_pool(call, pool_id, body.model_copy(update={"machine_ids": []}))


class MachineCountNotKept(Standin):
    def pool_shown(self, org, pool):
        return super().pool_shown(org, pool) | {"machine_count": 0}


class RetryKeepsThePickedMachine(Standin):
    def machine_of(self, org, body, index, of):
        wanted = set(map(str, body.pool_ids or ()))
        fits = [name for name, machine in org.machines.items() if wanted and wanted <= set(machine["pools"])]
        return super().machine_of(org, body, index, of) or (fits[-1] if fits else None)


class NewPoolsHaveAllMachines(Standin):
    def create_pool(self, call, body):
        answer = super().create_pool(call, body)
        answer.content["machine_count"] = len(call.org.machines)
        return answer


class MachinesAreAddedOneByOne(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        for machine in body.machine_ids:
            answer = super().add_machine_to_pool(call, pool_id, body.model_copy(update={"machine_ids": [machine]}))
        return answer


class MachinesLoseTheirOtherPools(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        for machine in map(call.org.machines.get, map(str, body.machine_ids)):
            if machine:
                machine["pools"].clear()
        return super().add_machine_to_pool(call, pool_id, body)


class AddedMachinesReplaceOthers(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        for machine in call.org.machines.values():
            machine["pools"] = [one for one in machine["pools"] if one != pool_id]
        return super().add_machine_to_pool(call, pool_id, body)


class PickedFromTheFirstPool(PickedMachine):
    """If no machine is in all pools, one of the first pool is picked."""

    def machine_of(self, org, body, index, of):
        picked = super().machine_of(org, body, index, of)
        first = body.pool_ids and str(body.pool_ids[0])
        return picked or next((one["id"] for one in org.machines.values() if first in one["pools"]), None)


class PickedFromTwoOfThreePools(PickedMachine):
    """A machine that is in two of three pools is picked."""

    def machine_of(self, org, body, index, of):
        pools = [str(pool) for pool in body.pool_ids or ()]
        in_two = (one["id"] for one in org.machines.values() if len({*pools} & {*one["pools"]}) >= 2)
        return super().machine_of(org, body, index, of) or (next(in_two, None) if len(pools) > 2 else None)


class PoolsOfAllOrganisationsRead(Standin):
    def get_pool(self, call, pool_id):
        owners = [org for org in self.organisations.values() if pool_id in org.pools]
        return super().get_pool(replace(call, org=owners[0]) if owners else call, pool_id)


class NamesOfPoolsAreUniqueOverAll(Standin):
    def create_pool(self, call, body):
        if any(one["name"] == body.name for org in self.organisations.values() for one in org.pools.values()):
            raise Problem(409, "There is a pool with this name.")
        return super().create_pool(call, body)


class PoolGetsTheFirstMachine(Standin):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        for org in self.organisations.values():
            known = next(iter(org.machines.values()))
            third = str(uuid.uuid4())
            org.machines[third] = known | {"id": third, "pools": []}

    def add_machine_to_pool(self, call, pool_id, body):
        return super().add_machine_to_pool(call, pool_id, body.model_copy(update={"machine_ids": body.machine_ids[:1]}))


class PoolIsReadAsCreatedNow(Standin):
    def get_pool(self, call, pool_id):
        answer = super().get_pool(call, pool_id)
        return replace(answer, content={**answer.content, "created_at": self.written(datetime.now(UTC))})


class KeysOfAdditionsAreIgnored(Standin):
    async def once(self, call, handle):
        return await super().once(replace(call, key=None) if call.path.endswith("/machines") else call, handle)


class PoolOfANameIsFound(Standin):
    """The create of a pool whose name is taken answers with the pool that has it."""

    def create_pool(self, call, body):
        found = [one for one in call.org.pools.values() if one["name"] == body.name]
        return Answer(201, self.pool_shown(call.org, found[0])) if found else super().create_pool(call, body)


class PoolShowsNewMachinesOnly(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        answer = super().add_machine_to_pool(call, pool_id, body)
        added = [call.org.machines[str(one)] for one in body.machine_ids]
        answer.content["machines"] = [self.machine_shown(call.org, one) for one in added]
        return answer


class NumbersAreNamesOfPools(Standin):
    def parse(self, body):
        parsed = super().parse(body)
        is_pool = isinstance(parsed, dict) and "workflow_id" not in parsed and isinstance(parsed.get("name"), int)
        return parsed | {"name": str(parsed["name"])} if is_pool else parsed


class AnyMachineIdsAreNone(Standin):
    def parse(self, body):
        parsed = super().parse(body)
        is_wrong = isinstance(parsed, dict) and not isinstance(parsed.get("machine_ids", []), list)
        return parsed | {"machine_ids": []} if is_wrong else parsed


class TheFirstTenPoolsCount(PickedMachine):
    """The query has ten placeholders for ids of pools."""

    def machine_of(self, org, body, index, of):
        pools = body.pool_ids and body.pool_ids[:10]
        return super().machine_of(org, body.model_copy(update={"pool_ids": pools}), index, of)


class PoolsOfAnyOrganisationTakeMachines(Standin):
    def add_machine_to_pool(self, call, pool_id, body):
        owner = next((org for org in self.organisations.values() if pool_id in org.pools), call.org)
        pools = {**call.org.pools, **owner.pools}
        return super().add_machine_to_pool(replace(call, org=replace(call.org, pools=pools)), pool_id, body)


class ListedPoolsKeepTheirCount(Standin):
    """The list of pools is kept until a pool is created."""

    def list_pools(self, call, query):
        answer = super().list_pools(call, query)
        for item in answer.content["items"]:
            counts = self.__dict__.setdefault("counts", {})
            item["machine_count"] = counts.setdefault(item["id"], item["machine_count"])
        return answer


class PoolsOfTheFirst512Runs(Standin):
    def pools_of(self, body, index, of):
        return super().pools_of(body, index, of) if index < 512 else None


class NullPoolsOfARetryClear(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if "pool_ids" in body.model_fields_set and body.pool_ids is None:
            run.pool_ids = None


class EmptyDescriptionsAreNone(Standin):
    def create_pool(self, call, body):
        return super().create_pool(call, body.model_copy(update={"description": body.description or None}))


class MachinesAreListedByNameOnly(PickedMachine):
    """Runs get a machine all the same."""

    def list_machines(self, call, query):
        answer = super().list_machines(call, query)
        if query.name is None:
            answer.content.update(items=[], total=0)
        return answer
