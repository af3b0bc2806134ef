"""Keeps what the user has named as it is: on a deployment, desktops act on the workflow and the input values of a run.

A request that a server may accept must be of the workflow that the user named, and have all fields of the base request
that may not be varied. The scenarios see to most of that when they make their cases. But a case that fails is shrunk,
a case of a report may be any, and the second organisation may not have the workflow.
"""

from typing import Final

from contracts.core.target import Target
from contracts.guard.effect import Effect, canonical
from contracts.guard.refusals import NotAllowed

_FIELDS: Final = frozenset(
    {
        *("count", "machine_id", "pool_ids", "input_values", "sensitive_input_values", "file_inputs"),
        *("session_id", "start_session", "session_alias", "release_session_after"),
    }
)
"""The fields of a create or a retry that say what a run does, and where."""


def require_as_named(target: Target, what: str, effect: Effect) -> None:
    """Raises NotAllowed if the request starts another workflow, or changes a field that may not be varied.

    Call it only for requests that a server may accept: those that must be refused are wrong on purpose.
    """
    named = target.named_workflow
    if named is not None and any(canonical(each) != canonical(named) for each in effect.workflow_ids):
        raise NotAllowed(f"{what}: would start a workflow that was not named")
    if target.base_request is None:
        return
    base = target.base_request
    body = effect.body if isinstance(effect.body, dict) else {}
    for name in sorted(_FIELDS.union(base).difference(target.varied_fields, ("workflow_id",))):
        # A retry keeps what it does not name, and a single create has no count.
        may_be_left_out = not effect.creates or name == "count" or base.get(name) is None
        if body.get(name) != base.get(name) and not (body.get(name) is None and may_be_left_out):
            raise NotAllowed(f"{what}: {name} is not as in the base request (--vary {name} allows that)")
