"""Faults of properties that a request does not have, of ids in other forms, and of parameters or fields that are right
alone and wrong together.
"""

import asyncio
import contextlib
import json
import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator

from tests.contracts.rules.faults.lifecycles import WorksLong
from tests.standin import models
from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.defects.json_values import mapped
from tests.standin.models import Status


def raw_body(call) -> dict[str, Any]:
    try:
        parsed = json.loads(call.body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _full_id(text: str | None) -> str | None:
    try:
        return str(uuid.UUID(text or ""))
    except ValueError:
        return None


class TooManyParameters(Standin):
    """One row a run and pool, in one statement: over 32,767 parameters are too many for the driver."""

    def bulk_create_runs(self, call, body):
        if body.count * len(body.pool_ids or []) > 32767:
            raise Problem(500, "the number of query arguments cannot exceed 32767")
        return super().bulk_create_runs(call, body)


class StatusFoundInInputs(Standin):
    """The filter status looks for its text in input_values as well."""

    def matches(self, run, query):
        if super().matches(run, query):
            return True
        inner = (run.input_values or {}).get("status")
        without = query.model_copy(update={"status": None})
        return inner is not None and inner == query.status and super().matches(run, without)


class IdSearchIgnoresFilters(Standin):
    """A search for a whole id finds its run whatever the other filters say."""

    def matches(self, run, query):
        wanted = _full_id(query.search)
        return super().matches(run, query) if wanted is None else run.id == wanted


class SearchLeavesOutCommonWords(Standin):
    def has_text(self, run, query):
        return query.search.lower() not in {"a", "and", "are", "in", "not", "the"} and super().has_text(run, query)


class SearchTakesPluralForSingular(Standin):
    def has_text(self, run, query):
        return super().has_text(run, query.model_copy(update={"search": query.search.removesuffix("s")}))


class SearchFindsAliasesOfSecrets(Standin):
    def texts(self, run, *, deep):
        return (*super().texts(run, deep=deep), *self.leaves(run.sensitive_input_aliases))


class SearchReadsOperators(Standin):
    def has_text(self, run, query):
        if query.search.strip() in {"AND", "OR", "NOT"}:
            raise Problem(500, "Failed to parse the query")
        return super().has_text(run, query)


class SearchMustBeUtf8(Standin):
    def has_text(self, run, query):
        if "\ufffd" in query.search:
            raise Problem(500, "invalid byte sequence for encoding UTF8")
        return super().has_text(run, query)


class RepeatedFieldFails(Standin):
    def list_runs(self, call, query):
        if query.fields and len(set(query.fields)) < len(query.fields):
            raise Problem(500, "duplicate key")
        return super().list_runs(call, query)


class TimeFiltersAreComparedWithoutZone(Standin):
    def list_runs(self, call, query):
        since, until = query.created_at_from, query.created_at_to
        if since and until and (since.tzinfo is None) != (until.tzinfo is None):
            raise Problem(500, "can't compare offset-naive and offset-aware datetimes")
        return super().list_runs(call, query)


class LongTextsAreCountedInUtf16(Standin):
    def run_made(self, call, body, *more):
        for text in (body.input_values or {}).values():
            if isinstance(text, str) and len(text.encode("utf-16-le")) > 200_000:
                raise Problem(422, [{"type": "string_too_long", "loc": ["body"], "msg": "The text is too long."}])
        return super().run_made(call, body, *more)


class TimeFilterIsNanoseconds(Standin):
    """A moment that 64 bits of nanoseconds cannot hold becomes a negative one."""

    def in_window(self, run, query):
        until = query.created_at_to
        return (until is None or until.year < 2263) and super().in_window(run, query)


class HexSearchIsForIds(Standin):
    """A search for 32 hexadecimal digits is taken for an id, and looks at ids only."""

    def has_text(self, run, query):
        wanted = _full_id(query.search)
        return super().has_text(run, query) if wanted is None else run.id == wanted


class FieldsForgetStatus(Standin):
    """The query for selected fields is built anew, and forgets the status."""

    def matches(self, run, query):
        if query.fields_ is not None:
            query = query.model_copy(update={"status": None})
        return super().matches(run, query)


class IncludeForgetsUntil(Standin):
    """With include, created_at_to is not looked at."""

    def matches(self, run, query):
        if query.include is not None:
            query = query.model_copy(update={"created_at_to": None})
        return super().matches(run, query)


class MachineOutsidePoolsRefused(Standin):
    """A machine that is not in one of the pools is refused, though pools are ignored beside it."""

    def machine_of(self, org, body, index, of):
        machine = org.machines.get(str(body.machine_id))
        for pool_id in body.pool_ids or []:
            if machine is not None and str(pool_id) in org.pools and str(pool_id) not in machine["pools"]:
                raise Problem(422, [{"type": "value_error", "loc": ["body", "machine_id"], "msg": "Not in the pool"}])
        return super().machine_of(org, body, index, of)


class CancelWithErrorDropsOutput(Standin):
    """A cancel that brings both error and output_data keeps the error only."""

    def update_run(self, call, run_id, body):
        given = body.model_fields_set
        if body.status == Status.CANCELLED and {"error", "output_data"} <= given:
            body = models.RunUpdate.model_validate({k: getattr(body, k) for k in given - {"output_data"}})
        return super().update_run(call, run_id, body)


class CreateTakesCreatedAt(Standin):
    """A create takes a created_at from its body, which no create has."""

    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        with contextlib.suppress(KeyError, TypeError, ValueError):
            run.created_at = self.aware(datetime.fromisoformat(raw_body(call)["created_at"]))
        return run


class SingleTakesCount(Standin):
    """A single create with a count, which it does not know, makes so many runs and tells one."""

    def create_run(self, call, body):
        count = raw_body(call).get("count")
        for _ in range(count - 1 if type(count) is int and 1 < count <= 10 else 0):
            super().create_run(call, body)
        return super().create_run(call, body)


class UpdateMovesOrganisation(Standin):
    """An update takes an organization_id: the run is another organisation's then."""

    def update_run(self, call, run_id, body):
        answer = super().update_run(call, run_id, body)
        wanted = raw_body(call).get("organization_id")
        for org in self.organisations.values():
            if org.id == wanted and org is not call.org:
                org.runs[run_id] = call.org.runs.pop(run_id)
                org.runs[run_id].organization_id = org.id
        return answer


class UpdateTakesMachine(Standin):
    """An update takes a session_alias and a machine_id, which no update has."""

    def update_run(self, call, run_id, body):
        super().update_run(call, run_id, body)
        run, raw = self.find(call, run_id), raw_body(call)
        run.machine_id = raw["machine_id"] if isinstance(raw.get("machine_id"), str) else run.machine_id
        run.session_alias = raw["session_alias"] if isinstance(raw.get("session_alias"), str) else run.session_alias
        return Answer(200, self.show(run, "update_run"))


class RetryTakesOutput(Standin):
    """A retry takes output_data from its body, which no retry has."""

    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        if isinstance(raw_body(call).get("output_data"), dict):
            self.find(call, run_id).output_data = raw_body(call)["output_data"]
            return Answer(200, self.show(self.find(call, run_id), "retry_run"))
        return answer


class ReadInCapitalsEchoes(Standin):
    """A run that is read by its id in capitals is shown with that id."""

    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        return Answer(200, answer.content | {"id": call.path.rpartition("/")[2]})


class DeleteInCapitalsDoesNothing(Standin):
    """A delete by an id in capitals says 204 and does nothing."""

    def forget(self, org, run):
        if self.path.rpartition("/")[2] == run.id:
            super().forget(org, run)

    def delete_run(self, call, run_id):
        self.path = call.path
        return super().delete_run(call, run_id)


class EndedAtOverflows(Standin):
    """An ended_at that is no moment in UTC overflows in an update."""

    def change(self, run, name, value):
        if isinstance(value, datetime):
            try:
                value = self.aware(value).astimezone(UTC)
            except OverflowError:
                raise Problem(500, "date value out of range") from None
        super().change(run, name, value)


class BracesFilledIn(Standin):
    """A secret's name in double braces in an input is replaced by the secret."""

    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        secrets = getattr(body, "sensitive_input_values", None) or {}
        if not secrets or "{{" not in json.dumps(values):
            return values

        def filled(leaf):
            if not isinstance(leaf, str):
                return leaf
            return re.sub(r"\{\{(.+?)\}\}", lambda m: str(secrets[m[1]]) if m[1] in secrets else m[0], leaf)

        return mapped(values, filled)


class RetriesAtOnceShareInputs(Standin):
    """Of two runs that are retried at once both get the inputs of the later retry."""

    async def admit(self, call):
        await super().admit(call)
        if call.operation == "retry_run":
            try:
                self.latest = json.loads(call.body).get("input_values")
            except ValueError:
                self.latest = None
            await asyncio.sleep(0.005)

    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.input_values is not None and isinstance(getattr(self, "latest", None), dict):
            run.input_values = self.latest


class UnknownIncludeFails(Standin):
    """An include that nobody knows is a 500 in a read of one run."""

    def get_run(self, call, run_id, include):
        answer = super().get_run(call, run_id, include)
        known = {"", "workflow", "machine", "machine.pools"}
        if include is not None and not {name.strip() for name in include.split(",")} <= known:
            raise Problem(500, "KeyError")
        return answer


class RetryAliasResetsRelease(Standin):
    """A retry that names a session_alias resets release_session_after."""

    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.session_alias is not None:
            run.release_session_after = body.release_session_after


class ThreeFiltersForgetMachine(Standin):
    """Where workflow, machine and session are all given, the machine is not looked at."""

    def matches(self, run, query):
        if None not in (query.workflow_id, query.machine_id, query.session_id):
            query = query.model_copy(update={"machine_id": None})
        return super().matches(run, query)


class BraceInSecretNameFails(Standin):
    """A brace in the name of a secret breaks the template of its alias."""

    def alias(self, name, value):
        try:
            return (f"alias_{name}_" + "{0}").format(uuid.uuid4().hex)
        except (ValueError, IndexError, KeyError):
            raise Problem(500, "KeyError") from None


class AttachmentsByName(Standin):
    """Attachments are sorted by name alone: those of one name change places between pages."""

    def page(self, found, query):
        if isinstance(query, models.AttachmentQuery):
            found = sorted(found[::-1] if query.skip else found, key=lambda one: one.filename)
        return super().page(found, query)


class AttachmentRunIdAsWritten(Standin):
    """An attachment's run_id is compared as it is written: without dashes it finds nothing."""

    class AttachmentQuery(models.AttachmentQuery):
        run_id: Annotated[str, AfterValidator(lambda text: (uuid.UUID(text), text)[1])] | None = None


class DigitsLoseZeros(Standin):
    """A search for digits is read as a number: zeros at its beginning are lost."""

    def has_text(self, run, query):
        if query.search.isascii() and query.search.isdigit() and len(query.search) < 300:
            query = query.model_copy(update={"search": str(int(query.search))})
        return super().has_text(run, query)


class PoolsBeforeMachine(Standin):
    """machine.pools before machine: the machine is not included."""

    def included(self, org, runs, include):
        names = [name.strip() for name in include.split(",")]
        if "machine" in names and "machine.pools" in names and names.index("machine.pools") < names.index("machine"):
            names.remove("machine")
        return super().included(org, runs, ",".join(names))


class ChainsAtOnce(Standin):
    """Two chains at once that start a session get the same one."""

    async def admit(self, call):
        await super().admit(call)
        if call.operation == "create_run_chain":
            self.session = str(uuid.uuid4())
            await asyncio.sleep(0.02)

    def chain_session(self, body):
        return self.session if body.session_id is None else super().chain_session(body)


class ReuseFalseBeatsSession(WorksLong):
    """reuse_session false drops the session_id that the retry names beside it."""

    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.reuse_session is False and not body.start_session:
            run.session_id = None


class LargeInputsWrittenOnce(WorksLong):
    """Inputs over 8 kB go to a bucket, under the run's id, unless they are there: a retry keeps the old."""

    def take_over(self, org, run, body):
        old = run.input_values
        super().take_over(org, run, body)
        if len(json.dumps(old)) > 8192 and len(json.dumps(run.input_values)) > 8192:
            run.input_values = old


class SameStatusReturnsEarly(WorksLong):
    """An update that names the status that the run has returns early, without its other fields."""

    def update_run(self, call, run_id, body):
        run = self.find(call, run_id)
        if body.status == run.status:
            return Answer(200, self.show(run, "update_run"))
        return super().update_run(call, run_id, body)


class KeyEndsAtComma(Standin):
    """A key ends at its first comma, as if several headers had been joined."""

    def key_name(self, call):
        return super().key_name(call).partition(",")[0]


class ReplayRoundsIntegers(Standin):
    """The stored answer went through a JSON of doubles: in a repeat large integers are rounded."""

    def replayed(self, known):
        answer = super().replayed(known)
        try:
            value = json.loads(answer.body(), parse_int=lambda t: int(float(t)) if len(t) > 15 else int(t))
        except (ValueError, OverflowError):
            return answer
        headers = {name: text for name, text in (answer.headers or {}).items() if name.lower() != "content-length"}
        return Answer(answer.status, headers=headers, raw=json.dumps(value).encode())


class LaterPagesFromSnapshot(Standin):
    """Later pages come from what the first page of the query found: deleted runs among it stay."""

    def page(self, found, query):
        if isinstance(query, models.RunQuery):
            self.snaps = getattr(self, "snaps", {})
            key = repr(query.model_copy(update={"skip": 0}))
            if query.skip == 0:
                self.snaps[key] = found
            found = self.snaps.get(key, found)
        return super().page(found, query)


class ResultWindow(Standin):
    """With a search, skip and limit together over 10,000 are more than the index gives."""

    status = 500

    def list_runs(self, call, query):
        if query.search and query.skip + query.limit > 10_000:
            raise Problem(self.status, "Result window is too large")
        return super().list_runs(call, query)


class UnsignedJwt(Standin):
    """What looks like a JWT passes, its signature unseen."""

    def owner_of(self, token):
        if token.startswith("eyJ") and token.count(".") == 2:
            return next(iter(self.organisations.values()))
        return super().owner_of(token)


class RetryMovesToSessionsOwner(Standin):
    """A retry that joins another organisation's session makes the run that organisation's."""

    def again(self, org, run):
        super().again(org, run)
        for one in self.organisations.values():
            if one is not org and run.session_id and run.session_id in one.sessions:
                one.runs[run.id] = run


class TargetPathTemplate(Standin):
    """A secret's name in double braces in a target_path is replaced by the secret."""

    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        for one in run.input_attachment_ids:
            found = call.org.attachments[one]
            for name, value in (body.sensitive_input_values or {}).items():
                if found.target_path and isinstance(value, str):
                    found.target_path = found.target_path.replace("{{" + name + "}}", value)
        return run
