"""Defects in filters and searches of lists."""

from datetime import timedelta

from tests.standin.behaviour import Standin
from tests.standin.client import W2, Client, M, S
from tests.standin.defects.defect import plants
from tests.standin.models import Status
from tests.standin.store import TERMINAL

# -- LIST-FILTER


@plants("LIST-FILTER", what="created_at_to leaves out its own moment.", rarity="one filter, at its edge")
class UntilIsExclusive(Standin):
    def in_window(self, run, query):
        return super().in_window(run, query) and run.created_at != self.aware(query.created_at_to)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        assert c.ids(f"created_at_to={run['created_at']}") == [run["id"]]


@plants("LIST-FILTER", what="created_at_from lets in the second before it.", rarity="one filter, near its edge")
class SinceIsEarly(Standin):
    def in_window(self, run, query):
        since = self.aware(query.created_at_from)
        if since is not None and query.created_at_to is None:
            return since.replace(microsecond=0) - timedelta(seconds=1) <= run.created_at
        return super().in_window(run, query)

    @staticmethod
    def witness(c: Client) -> None:
        c.create()
        c.wait(0.5)
        new = c.create()
        assert c.ids(f"created_at_from={new['created_at']}") == [new["id"]]


@plants("LIST-FILTER", what="The search minds capitals in session_alias, and only there.", rarity="one field, capitals")
class SearchMindsCapitalsInAlias(Standin):
    def has_text(self, run, query):
        if query.search is not None and run.session_alias and query.search not in run.session_alias:
            alias, run.session_alias = run.session_alias, None
            try:
                return super().has_text(run, query)
            finally:
                run.session_alias = alias
        return super().has_text(run, query)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(session_alias="FrontDesk7")
        assert c.ids("search=frontdesk7") == [run["id"]]


@plants(
    "LIST-FILTER", what="The search does not look deeper than three levels into input_values.", rarity="deep values"
)
class SearchIsShallow(Standin):
    def leaves(self, value, left=3):
        if isinstance(value, dict | list):
            for content in value.values() if isinstance(value, dict) else value:
                if left > 0:
                    yield from self.leaves(content, left - 1)
        else:
            yield from super().leaves(value)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(input_values={"a": {"b": {"c": {"d": "marker"}}}})
        assert c.ids("search=marker") == [run["id"]]


@plants("LIST-FILTER", what="The search passes lists by.", rarity="values inside lists")
class SearchPassesLists(Standin):
    def leaves(self, value):
        if isinstance(value, list) and not all(isinstance(one, str) for one in value):
            return
        yield from super().leaves(value)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(input_values={"a": [{"b": "marker"}]})
        assert c.ids("search=marker") == [run["id"]]


@plants("LIST-FILTER", what="The search finds error only by its first item.", rarity="one field, the second item")
class SearchFindsFirstErrorOnly(Standin):
    def texts(self, run, *, deep):
        error, run.error = run.error, run.error and run.error[:1]
        texts = list(super().texts(run, deep=deep))
        run.error = error
        yield from texts

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, error=["one", "marker"])
        assert c.ids("search=marker") == [run["id"]]


@plants("LIST-FILTER", what="The search looks at output_data only in a deep search.", rarity="one field")
class SearchSkipsOutput(Standin):
    def texts(self, run, *, deep):
        output, run.output_data = run.output_data, run.output_data if deep else None
        texts = list(super().texts(run, deep=deep))
        run.output_data = output
        yield from texts

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, output_data={"k": "marker"})
        assert c.ids("search=marker") == [run["id"]]


@plants("LIST-FILTER", what="A plain search looks into run_message_history too.", rarity="one parameter's default")
class PlainSearchIsDeep(Standin):
    def texts(self, run, *, deep):
        return super().texts(run, deep=True)

    @staticmethod
    def witness(c: Client) -> None:
        c.patch(c.create(), run_message_history=[{"content": "marker"}])
        assert c.ids("search=marker") == []


@plants("LIST-FILTER", what="The search finds runs by a key of input_values.", rarity="keys, not values")
class SearchFindsKeys(Standin):
    def texts(self, run, *, deep):
        yield from super().texts(run, deep=deep)
        yield from run.input_values or ()

    @staticmethod
    def witness(c: Client) -> None:
        c.create(input_values={"marker": 1})
        assert c.ids("search=marker") == []


@plants("LIST-FILTER", what="With a session_id the workflow_id is not looked at.", rarity="two filters together")
class SessionHidesWorkflow(Standin):
    def matches(self, run, query):
        if query.session_id is not None and query.workflow_id is not None:
            query = query.model_copy(update={"workflow_id": None})
        return super().matches(run, query)

    @staticmethod
    def witness(c: Client) -> None:
        c.create(session_id=S)
        assert c.ids(f"session_id={S}&workflow_id={W2}") == []


@plants("LIST-FILTER", what="A status and a search find what fits either.", rarity="two filters together")
class StatusOrSearch(Standin):
    def matches(self, run, query):
        if query.status is not None and query.search:
            return any(
                super(StatusOrSearch, self).matches(run, query.model_copy(update={name: None}))
                for name in ("status", "search")
            )
        return super().matches(run, query)

    @staticmethod
    def witness(c: Client) -> None:
        c.cancelled(input_values={"k": "marker"})
        assert c.ids("status=scheduling&search=marker") == []


@plants(
    "LIST-FILTER", what="A machine's runs that have ended are not found by it.", rarity="one filter, one kind of run"
)
class MachineFindsActiveOnly(Standin):
    def matches(self, run, query):
        return super().matches(run, query) and not (query.machine_id is not None and run.status in TERMINAL)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled(machine_id=M)
        assert c.ids(f"machine_id={M}") == [run["id"]]


@plants("LIST-FILTER", what="The offset of a time window is ignored.", rarity="offsets, one filter")
class OffsetsIgnored(Standin):
    def aware(self, at):
        return super().aware(at if at is None else at.replace(tzinfo=None))

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        until = run["created_at"].replace("Z", "%2B00:00")
        assert c.ids(f"created_at_to={until}") == [run["id"]]
        assert c.ids("created_at_from=2000-01-01T00:00:00-23:59") == [run["id"]]
        assert c.ids(f"created_at_to={run['created_at'][:-1]}-05:00") == [run["id"]]
        assert c.ids(f"created_at_to={run['created_at'][:-1]}%2B05:00") == []


@plants("LIST-FILTER", what="A search for digits finds no number.", rarity="numbers among the values")
class SearchFindsNoNumbers(Standin):
    def leaves(self, value):
        return (text for text in super().leaves(value) if isinstance(value, dict | list | str))

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(input_values={"k": 8172635495})
        assert c.ids("search=8172635495") == [run["id"]]


@plants("LIST-FILTER", what="Runs of a chain are not found by their session.", rarity="one filter, one kind of run")
class ChainNotFoundBySession(Standin):
    def create_run_chain(self, call, body):
        answer = super().create_run_chain(call, body)
        self.steps = getattr(self, "steps", set()) | set(answer.content["run_ids"][1:])
        return answer

    def matches(self, run, query):
        hidden = query.session_id is not None and run.id in getattr(self, "steps", ())
        return super().matches(run, query) and not hidden

    @staticmethod
    def witness(c: Client) -> None:
        made = c.chain(2)
        assert set(c.ids(f"session_id={made['session_id']}")) == set(made["run_ids"])


@plants("LIST-FILTER", what="status=running gives those being checked too.", rarity="one status")
class RunningMeansCheckedToo(Standin):
    def matches(self, run, query):
        if query.status == Status.RUNNING and run.status == Status.RUNNING_CHECKS:
            query = query.model_copy(update={"status": None})
        return super().matches(run, query)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        c.patch(run, status="running")
        c.patch(run, status="running_checks")
        assert c.ids("status=running") == []


@plants("LIST-FILTER", what="An alias is found only where it is in small letters.", rarity="capitals in an alias")
class AliasInCapitalsNotFound(Standin):
    def has_text(self, run, query):
        alias, run.session_alias = run.session_alias, None
        try:
            return super().has_text(run, query) or query.search.lower() in (alias or "")
        finally:
            run.session_alias = alias

    @staticmethod
    def witness(c: Client) -> None:
        c.create(session_alias="FrontDesk")
        assert len(c.ids("search=frontdesk")) == 1


@plants("LIST-FILTER", what="A search looks only at the fields that are asked for.", rarity="search with fields")
class SearchInFieldsAskedFor(Standin):
    def has_text(self, run, query):
        return super().has_text(run, query) and (query.fields_ is None or "input_values" in self.kept_fields(query))

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(input_values={"a": "needle4711"})
        assert c.ids("search=needle4711&fields=session_id") == [run["id"]]


@plants("LIST-FILTER", what="created_at_to without a fraction is the whole second.", rarity="whole seconds")
class ToIsTheWholeSecond(Standin):
    def in_window(self, run, query):
        to = self.aware(query.created_at_to)
        if to is not None and not to.microsecond:
            query = query.model_copy(update={"created_at_to": to.replace(microsecond=999_999)})
        return super().in_window(run, query)

    @staticmethod
    def witness(c: Client) -> None:
        made = [c.create() for _ in range(3)]
        odd = next(run for run in made if "." in run["created_at"])
        assert odd["id"] not in c.ids(f"created_at_to={odd['created_at'].partition('.')[0]}Z")


@plants("LIST-FILTER", what="deep_search looks at the last message only.", rarity="words of earlier messages")
class DeepSearchOfTheLastMessage(Standin):
    def texts(self, run, *, deep):
        yield from super().texts(run, deep=False)
        if deep and run.run_message_history:
            yield from self.leaves(run.run_message_history[-1])

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled()
        c.patch(run, run_message_history=[{"a": "needle4711"}, {"b": "x"}])
        assert c.ids("search=needle4711&deep_search=true") == [run["id"]]


@plants("LIST-FILTER", what="A search of workflows finds those without a name by None.", rarity="names that are null")
class SearchOfWorkflowsFindsNull(Standin):
    def having(self, items, text, *names):
        return [
            one for one in items if any(text.lower() in str(one.get(name)).lower() for name in names if name in one)
        ]

    @staticmethod
    def witness(c: Client) -> None:
        assert c.post("/v1/workflows", {"main_prompt": "x"}).status_code == 201
        assert c.get("/v1/workflows?search=none").json()["items"] == []
