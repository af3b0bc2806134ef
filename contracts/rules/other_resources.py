"""Machines, pools, workflows and health: their answers, and pools and workflows that the check creates."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from contracts.core.counting import counted
from contracts.core.exchange import SECOND_TOKEN
from contracts.core.findings import Rule
from contracts.data import value_packs, write_bodies
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Inconclusive, Scenario, assume
from contracts.openapi.schemas import MAX_TEXT
from contracts.oracle import Query
from contracts.oracle.answer_schema import SCHEMA_RULE
from contracts.oracle.included import pool_ids_of, pools_of
from contracts.oracle.run import changed_field, item_difference
from contracts.rules.list_reads import WHOLE_PAGE, find_item, is_last_page, items_of, listed_item, resource_pages
from contracts.rules.writes import LISTED_BY, add_machines, create_resource, created_ids

_READ_ONE: Final = {"list_machines": "get_machine", "list_pools": "get_pool", "list_workflows": "get_workflow"}
RULES = (
    Rule(
        SCHEMA_RULE,
        "api",
        "minor",
        "Answers about machines, pools, workflows and health have the documented schema",
        "An accepted request to machines, pools, workflows or health has the documented status, application/json, and "
        "each field of the documented type and form, also in every item of a list. Further properties are allowed.",
        "HTTP",
        needs_one_of=tuple(_READ_ONE),
    ),
)

_SCHEMAS: Final = ("input_schema", "output_schema")
_KEPT: Final = ("id", "name", "description", "main_prompt", "is_webhooks_enabled")
"""The fields that must be as sent."""
_KEPT_IF_SHOWN: Final = ("pool_parameters", *_SCHEMAS, "created_at", "user_id", "organization_id")
"""Those that a server may leave out. Schemas may come back as a text or as an object, with more members."""


@dataclass(frozen=True)
class CreatedCase(Case):
    operation: str
    body: Mapping[str, Any] = field(default_factory=dict)
    is_brief: bool = False
    """Whether it is only created, read and listed: with a body that a server may refuse."""


def run_created(context: CaseContext, case: CreatedCase) -> None:
    sent = context.fill(case.body)
    listing = LISTED_BY[case.operation]
    get = _READ_ONE[listing]
    if context.check.offers(listing):
        next(resource_pages(context, listing), None)  # a server that caches this page will not list what follows
    created = create_resource(context, case.operation, **sent)
    _require_same(context, sent, created.body, created, expected="as sent")
    if case.operation == "create_pool":
        _require_machine_count(context, 0, created.resource, created)
    if context.check.offers(get):
        _read(context, get, created.body["id"], created.body, created)
    if context.check.offers(listing):
        _find(context, listing, created)
    if case.is_brief:
        return
    _require_another(context, case.operation, sent, created)
    if context.check.has_second:
        _require_hidden(context, get, listing, created)
        _require_same_name_allowed(context, case.operation, sent, created)
    if case.operation == "create_pool":
        machines = context.check.machines.known[:3]
        if machines and _add_unknown_machine(context, created, machines[0]):
            created = create_resource(context, case.operation, name=context.placeholder("marker:2"))
        _add_machines(context, created, machines)


def _read(context: CaseContext, get: str, identity: str, before: Mapping[str, Any], *after: CallResult) -> CallResult:
    read = context.call(get, identity)
    cause, expected = f"{get} does not find what was created", "200, since it was created"
    if context.require(read.accepted, "READ-BACK", cause, expected, *after, read):
        _require_same(context, before, read.body, *after, read)
    return read


def _require_same(
    context: CaseContext,
    before: Mapping[str, Any],
    after: Any,
    *evidence: CallResult,
    expected: str = "as an earlier answer showed it",
) -> None:
    if not isinstance(after, dict):
        return  # judged with its answer
    fields = (*_KEPT, *(name for name in _KEPT_IF_SHOWN if name in after))
    changed = changed_field(_with_schemas(before), _with_schemas(after, before), fields)
    name, problem = changed or ("", "")
    cause = f"{evidence[-1].operation} shows another {name}"
    context.require(changed is None, "READ-BACK", cause, f"{name} {expected}", *evidence, got=problem)


def _with_schemas(resource: Mapping[str, Any], of: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return the resource with its schemas as objects, with only those members that the schemas `of` another have."""
    schemas = {name: _object_in(resource[name]) for name in _SCHEMAS if name in resource}
    if of is not None:
        for name, wanted in _with_schemas(of).items():
            if name in schemas and isinstance(wanted, dict) and isinstance(schemas[name], dict):
                schemas[name] = {key: value for key, value in schemas[name].items() if key in wanted}
    return {**resource, **schemas}


def _object_in(schema: Any) -> Any:
    try:
        return json.loads(schema) if isinstance(schema, str) else schema
    except ValueError:
        return schema


def _require_machine_count(
    context: CaseContext, machines: int, pool: Mapping[str, Any] | None, *evidence: CallResult
) -> None:
    """Require that a pool, as an answer or a list shows it, has as many machines as were added."""
    count = (pool or {}).get("machine_count")
    cause, expected = "machine_count of a pool", f"a machine_count of {machines}, as many as were added"
    context.require(count in (None, machines), "READ-BACK", cause, expected, *evidence, got=f"machine_count {count}")


def _find(context: CaseContext, listing: str, created: CallResult) -> None:
    """Look for the resource in all pages of the list, whose order is not determined."""
    found, listed = find_item(context, listing, created.body["id"])
    if found is None and not is_last_page(listed):
        raise Inconclusive(f"{listing} cannot be read to its end")
    cause, expected = f"{listing} does not have what was created", "an item with the id of the create"
    if context.require(found, "READ-BACK", cause, expected, created, listed, got="no such item"):
        _require_same(context, created.body, found, created, listed)


def _require_hidden(context: CaseContext, get: str, listing: str, created: CallResult) -> None:
    """Require that another organisation cannot read the resource, and does not find it in its list."""
    cause, expected = "another organisation finds what was created", "404 and no such item, as for any unknown id"
    if context.check.offers(get):
        read = context.call(get, created.body["id"], token=SECOND_TOKEN)
        context.require(not read.accepted, "AUTH-TENANT", cause, expected, created, read)
    queries: list[Query] = [()]
    if listing == "list_workflows":
        queries.append([("search", str(context.placeholder("marker")))])
    for query in queries if context.check.offers(listing) else ():
        listed = context.call(listing, query=[*query, WHOLE_PAGE], token=SECOND_TOKEN)
        found = listed_item(listed, created.body["id"])
        context.require(found is None, "AUTH-TENANT", cause, expected, created, listed, got="a list with the item")
    if listing == "list_pools" and context.check.offers("list_machines", "add_machine_to_pool"):
        machines = context.call("list_machines", query=[("limit", "1")], token=SECOND_TOKEN)
        body = {"machine_ids": [item["id"] for item in items_of(machines)]}
        added = context.call("add_machine_to_pool", created.body["id"], body=body, token=SECOND_TOKEN)
        cause, expected = "another organisation adds machines to a pool", "404, as for any unknown id"
        context.require(not added.accepted, "AUTH-TENANT", cause, expected, created, machines, added)


def _require_another(context: CaseContext, operation: str, sent: Mapping[str, Any], created: CallResult) -> None:
    """Require that a second create of the same name makes another resource, if it is not refused."""
    again = context.call(operation, body=write_bodies.minimal(operation) | dict(sent))
    cause, expected = "a create answers with what was there before", "another id, since it is another create"
    holds = again.resource is None or again.resource.get("id") != created.body["id"]
    context.require(holds, "READ-BACK", cause, expected, created, again, got=f"id {created.body['id']} again")


def _require_same_name_allowed(
    context: CaseContext, operation: str, sent: Mapping[str, Any], created: CallResult
) -> None:
    """Require that another organisation may use the same name: a 409 would tell it that the resource is there."""
    body = write_bodies.minimal(operation) | dict(sent)
    other = context.call(operation, body=body, token=SECOND_TOKEN)
    cause = "another organisation learns what was created"
    expected = "a success, since the resource does not exist there"
    context.require(other.status != 409, "AUTH-TENANT", cause, expected, created, other)


def _add_unknown_machine(context: CaseContext, created: CallResult, machine: str) -> bool:
    """Add a machine and an unknown one. If refused, the pool must stay empty. Return whether it has machines now."""
    pool, unknown = created.body["id"], context.placeholder("uuid")
    if not context.check.offers("add_machine_to_pool", "get_pool"):
        return False
    added = context.call("add_machine_to_pool", pool, body={"machine_ids": [machine, unknown]})
    read = _read(context, "get_pool", pool, created.body, created, added)
    count = read.shown("machine_count")
    cause, expected = "a refused add_machine_to_pool adds machines", "an empty pool, as before the refused request"
    holds = not added.refused or count in (None, 0)
    context.require(holds, "REQ-ATOMIC", cause, expected, created, added, read, got=f"machine_count {count}")
    return count not in (None, 0)


def _add_machines(context: CaseContext, created: CallResult, machines: Sequence[str]) -> None:
    """Add one machine to a new pool, then all others. The pool must read the same, and the machines must show it."""
    pool, offers = created.body["id"], context.check.offers
    if not machines or not offers("add_machine_to_pool", "get_machine"):
        return
    evidence = [created]
    before = {machine: pool_ids_of(context.call("get_machine", machine).body) or set() for machine in machines}
    for number, some in ((1, machines[:1]), (len(machines), machines[1:])):
        if not some:
            break
        added = add_machines(context, pool, some)
        evidence.append(added)
        shown = {each.get("id") for each in added.shown("machines") or ()}
        cause, expected = "a pool does not show its machines", f"the {counted(number, 'machine')} that were added"
        got = f"a pool with {len(shown & set(machines))} of them"
        holds = not shown or shown >= set(machines[:number])
        context.require(holds, "READ-BACK", cause, expected, *evidence, got=got)
        if number == 1:  # it is there already
            evidence.append(context.call("add_machine_to_pool", pool, body={"machine_ids": list(some)}))
        pool_read = _read(context, "get_pool", pool, created.body, *evidence) if offers("get_pool") else added
        _require_machine_count(context, number, pool_read.resource, *evidence, pool_read)
    if offers("list_pools"):
        item, listed = find_item(context, "list_pools", pool)
        _require_machine_count(context, len(machines), item, *evidence, listed)
    for machine in machines:
        _require_in_pools(context, machine, pool, before[machine], evidence)


def _require_in_pools(
    context: CaseContext, machine: str, pool: str, others: set[str], evidence: Sequence[CallResult]
) -> None:
    """Require that a machine shows the pool that it was added to, once, and the others that it had before."""
    read = context.call("get_machine", machine)
    shown, pools = pools_of(read.body), pool_ids_of(read.body)
    if shown and pools:  # a server may leave them out
        cause, expected = "a machine does not show its new pool", "a machine with the pool that it was added to"
        got = counted(len(pools), "other pool")
        context.require(pool in pools, "READ-BACK", cause, expected, *evidence, read, got=got)
        cause, expected = "a machine loses its other pools", "a machine with the pools that it had before, too"
        got = f"{counted(len(others - pools), 'pool')} less"
        context.require(others <= pools, "READ-BACK", cause, expected, *evidence, read, got=got)
        cause, expected, got = "a machine shows a pool twice", "each pool once", counted(len(shown), "pool")
        context.require(len(shown) == len(pools), "READ-BACK", cause, expected, *evidence, read, got=got)


_SIGNS: Final = """é & <b> "x" 'y' \\ %41 {z}"""
_TEXT: Final = f"  {value_packs.TEXT_OF_EVERY_CLASS} "
_LONG_TEXT: Final = (_TEXT + "x" * MAX_TEXT)[:MAX_TEXT]
_UNUSUAL_SCHEMA: Final = {
    "type": "object",
    "properties": {"é": {"type": "integer", "maximum": 1.5, "description": _TEXT}},
}
_UNUSUAL: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "create_pool": (
        {"name": _TEXT, "description": _LONG_TEXT, "pool_parameters": value_packs.EVERY_CLASS},
        {"pool_parameters": value_packs.EVERY_REFUSED_CLASS},
        {"description": "", "pool_parameters": {}},
    ),
    "create_workflow": (
        {"name": _TEXT, "main_prompt": _LONG_TEXT},
        {
            "input_schema": json.dumps(_UNUSUAL_SCHEMA, ensure_ascii=False),
            "output_schema": '{"type": "object", "required": ["z", "a"]}',
        },
        {"name": "", "input_schema": "{}", "output_schema": "{}"},
    ),
}


_SCHEMA: Final = '{"type": "object"}'
_OPTIONAL: Final[dict[str, dict[str, tuple[Any, ...]]]] = {
    "create_pool": {"description": ("«marker:1»",), "pool_parameters": ({"a": 1},)},
    "create_workflow": {
        "name": ("«marker:1»",),
        "input_schema": (_SCHEMA,),
        "output_schema": (_SCHEMA,),
        "is_webhooks_enabled": (True,),
    },
}
"""Per create: its optional fields. A server may store one of them only with another one."""


def created_cases(check: CheckContext) -> Iterator[CreatedCase]:
    bodies: dict[str, dict[str, Any]] = {
        "create_pool": {"name": "«marker»", "description": f"«marker:1» {_SIGNS}"},
        "create_workflow": {
            "main_prompt": f"«marker»\n{_SIGNS}",
            "name": f"«marker:1» {_SIGNS}",
            "is_webhooks_enabled": True,
        },
    }
    for operation, body in bodies.items():
        if check.offers(operation):
            yield CreatedCase(operation, body)
            optional = write_bodies.absent_or_first(_OPTIONAL[operation])
            yield from (CreatedCase(operation, row, is_brief=True) for row in write_bodies.pairs(optional) if row)
            yield from (CreatedCase(operation, more, is_brief=True) for more in _UNUSUAL[operation])


# Reads of machines, pools, workflows and health


@dataclass(frozen=True)
class AnswerCase(Case):
    """`reads` is the number of listed items that are also read one by one."""

    operation: str
    reads: int = 0


def run_answers(context: CaseContext, case: AnswerCase) -> None:
    """Read a list, or health. `CaseContext.send` judges each answer. What is also read by its id must be the same."""
    result = context.call(case.operation)
    assume(result.accepted, f"{case.operation} answers {result.status}")
    for item in items_of(result)[: case.reads]:
        get = _READ_ONE[case.operation]
        if context.check.offers(get) and (read := context.call(get, str(item.get("id")))).resource is not None:
            changed = item_difference(_with_schemas(item), _with_schemas(read.resource, item), get)
            name, got = changed or ("", "")
            cause, expected = f"{get} shows another {name} than the list", f"{name} as in the list"
            context.require(changed is None, "READ-BACK", cause, expected, result, read, got=got, may_be_by_others=True)


def answer_cases(check: CheckContext, reads: int = 3) -> Iterator[AnswerCase]:
    yield from (AnswerCase(operation, reads=reads) for operation in _READ_ONE if check.offers(operation))
    if check.offers("health_check"):
        yield AnswerCase("health_check")


# Machines, pools and workflows of another organisation


@dataclass(frozen=True)
class ForeignCase(Case):
    """A machine, pool or workflow that only the second organisation lists."""

    listing: str
    expected_runs: ClassVar[int] = 1


def run_foreign(context: CaseContext, case: ForeignCase) -> None:
    """Require that the first organisation can neither read it, nor get it by a run that names it."""
    theirs = context.call(case.listing, query=[WHOLE_PAGE], token=SECOND_TOKEN)
    others = _only_theirs(context, case.listing, theirs)
    assume(others, f"{case.listing} shows both organisations the same")
    foreign, get, offers = others[0], _READ_ONE[case.listing], context.check.offers
    if offers(get):
        read = context.call(get, foreign)
        cause, expected = "another organisation's resource can be read", "404, as for any unknown id"
        context.require(not read.accepted, "AUTH-TENANT", cause, expected, theirs, read)
    match case.listing:
        case "list_pools" if offers("list_machines"):
            machines = context.call("list_machines", query=[WHOLE_PAGE], token=SECOND_TOKEN)
            created = _create_with(context, {"pool_ids": [foreign]})
            picked = {run.get("machine_id") for run in created.shown("created_runs") or ()}
            cause, expected = "a run gets a machine of another organisation", "no machine, or one of its own"
            got = "a machine that only the other organisation lists"
            right = picked.isdisjoint(_only_theirs(context, "list_machines", machines))
            context.require(right, "AUTH-TENANT", cause, expected, theirs, machines, created, got=got)
        case "list_machines":
            _require_not_added(context, foreign, theirs)
            _require_not_included(context, foreign, {"machine_id": foreign}, theirs)
        case "list_workflows":
            _require_not_included(context, foreign, {"workflow_id": foreign}, theirs)


def _only_theirs(context: CaseContext, listing: str, theirs: CallResult) -> list[str]:
    """Return the ids in a list of the second organisation that are not in the list of the first one."""
    own = {item.get("id") for listed in resource_pages(context, listing) for item in items_of(listed)}
    return [item["id"] for item in items_of(theirs) if item.get("id") not in {None, *own}]


def _create_with(context: CaseContext, fields: Mapping[str, Any]) -> CallResult:
    """Create a run that names a resource of another organisation. The target may refuse it, as any unknown id."""
    return context.call("bulk_create_runs", body=context.fill(write_bodies.minimal("bulk_create_runs")) | dict(fields))


def _require_not_added(context: CaseContext, machine: str, theirs: CallResult) -> None:
    if not context.check.offers("create_pool", "add_machine_to_pool", "get_pool"):
        return
    created = create_resource(context, "create_pool")
    added = context.call("add_machine_to_pool", created.body["id"], body={"machine_ids": [machine]})
    read = context.call("get_pool", created.body["id"])
    count = read.shown("machine_count")
    cause, expected = "another organisation's machine is added to a pool", "an empty pool, as with any unknown id"
    got = f"machine_count {count}"
    context.require(count in (None, 0), "AUTH-TENANT", cause, expected, theirs, created, added, read, got=got)


def _require_not_included(context: CaseContext, foreign: str, fields: Mapping[str, Any], theirs: CallResult) -> None:
    created = _create_with(context, fields)
    for run_id in created_ids(created) if context.check.offers("get_run") else ():
        read = context.call("get_run", run_id, query=[("include", "workflow,machine")])
        included = read.body.get("included") if isinstance(read.body, dict) else None
        shown = {item.get("id") for item in included or () if isinstance(item, dict)}
        cause, expected = "another organisation's resource is included", "a run without it, as with any unknown id"
        got = f"{foreign} in included"
        context.require(foreign not in shown, "AUTH-TENANT", cause, expected, theirs, created, read, got=got)


def foreign_cases(check: CheckContext) -> Iterator[ForeignCase]:
    if check.has_second:
        yield from (ForeignCase(listing) for listing in _READ_ONE if check.offers(listing))


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario("answers of other reads", (SCHEMA_RULE, "READ-BACK"), run_answers, answer_cases, creates_runs=False),
    Scenario(
        "created pools and workflows",
        ("READ-BACK", "REQ-ATOMIC", "AUTH-TENANT", SCHEMA_RULE),
        run_created,
        created_cases,
        order=2,
    ),
    Scenario("resources of another organisation", ("AUTH-TENANT",), run_foreign, foreign_cases),
)
