"""Defects in sensitive values: answers that contain one, and their aliases."""

import json

from tests.standin.behaviour import MASK, Problem, Standin
from tests.standin.client import SECRET, Client, W
from tests.standin.defects.defect import plants
from tests.standin.defects.json_values import mapped
from tests.standin.models import Status
from tests.standin.store import Lifecycle

# -- SECRET-LEAK


class Unmasked(Standin):
    """Not a defect: shows `input` as it came where its subclass says so."""

    def is_open(self, error, call) -> bool:
        raise NotImplementedError

    def input_shown(self, error, call):
        if self.is_open(error, call):
            return mapped(error["input"], self.plain)
        return super().input_shown(error, call)


@plants(
    "SECRET-LEAK", what="A missing field's 422 repeats the whole body, secrets too.", rarity="an error in another field"
)
class MissingFieldShowsBody(Unmasked):
    def is_open(self, error, call):
        return error["type"] == "missing" and call.operation == "bulk_create_runs"

    @staticmethod
    def witness(c: Client) -> None:
        assert SECRET not in c.post("/v1/runs/bulk", {"count": 1, "sensitive_input_values": {"pin": SECRET}}).text


@plants(
    "SECRET-LEAK", what="A retry refused for its secrets repeats them.", rarity="retry only, secrets of a wrong type"
)
class RetryErrorShowsSecrets(Unmasked):
    def is_open(self, error, call):
        return call.operation == "retry_run"

    @staticmethod
    def witness(c: Client) -> None:
        assert SECRET not in c.retry(c.cancelled(), sensitive_input_values=[SECRET]).text


@plants(
    "SECRET-LEAK", what="A chain refused for a step repeats the step, its secrets too.", rarity="chain, one step wrong"
)
class ChainErrorShowsStep(Unmasked):
    def is_open(self, error, call):
        return call.operation == "create_run_chain" and "steps" in error["loc"]

    @staticmethod
    def witness(c: Client) -> None:
        assert SECRET not in c.post("/v1/runs/chain", {"steps": [{"sensitive_inputs": {"pin": SECRET}}]}).text


@plants(
    "SECRET-LEAK", what="Masking covers the top of the secrets, not a list inside.", rarity="nested secrets in an error"
)
class NestedSecretsUnmasked(Standin):
    def masked(self, value):
        if isinstance(value, dict) and isinstance(value.get("sensitive_input_values"), dict):
            secrets = {
                name: mapped(content, self.plain) if isinstance(content, list) else MASK
                for name, content in value["sensitive_input_values"].items()
            }
            return super().masked(value) | {"sensitive_input_values": secrets}
        return super().masked(value)

    @staticmethod
    def witness(c: Client) -> None:
        body = {"count": 1, "sensitive_input_values": {"pin": [SECRET]}}
        assert SECRET not in c.post("/v1/runs/bulk", body).text


@plants("SECRET-LEAK", what="A body that is a list of requests is repeated as it came.", rarity="one shape of body")
class ListBodyUnmasked(Unmasked):
    def is_open(self, error, call):
        return isinstance(error["input"], list) and tuple(error["loc"]) == ("body",)

    @staticmethod
    def witness(c: Client) -> None:
        assert SECRET not in c.post("/v1/runs/bulk", [{"sensitive_input_values": {"pin": SECRET}}]).text


@plants("SECRET-LEAK", what="A body that is not JSON is quoted in the refusal.", rarity="a body that breaks off")
class BrokenJsonQuoted(Standin):
    def violation(self, error, call):
        shown = super().violation(error, call)
        if error["type"] == "json_invalid":
            shown["input"] = call.body.decode("utf-8", "replace")
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        raw = json.dumps({"workflow_id": W, "sensitive_input_values": {"pin": SECRET}})[:-1].encode()
        assert SECRET not in c.post("/v1/runs/bulk", raw=raw).text


@plants("SECRET-LEAK", what="The alias of a secret that is an object holds its values.", rarity="nested secrets")
class AliasOfObjectHoldsIt(Standin):
    def alias(self, name, value):
        made = super().alias(name, value)
        return f"{made}:{json.dumps(value)}" if isinstance(value, dict) else made

    @staticmethod
    def witness(c: Client) -> None:
        assert SECRET not in c.try_bulk(sensitive_input_values={"pin": {"n": SECRET}}).text


@plants("SECRET-LEAK", what="A search finds a run by its secret.", rarity="nothing is shown, only found")
class SearchFindsSecrets(Standin):
    def matches(self, run, query):
        if query.search is not None and len(query.search) > 5:
            vault = next(org.vault for org in self.organisations.values() if run.id in org.runs)
            secrets = [vault.get(alias) for alias in (run.sensitive_input_aliases or {}).values()]
            if any(query.search in text for text in self.leaves(secrets)):
                return True
        return super().matches(run, query)

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(sensitive_input_values={"pin": SECRET})
        assert c.ids(f"search={SECRET}") == []


@plants("SECRET-LEAK", what="A retry that brings secrets answers with them for aliases.", rarity="two features meet")
class RetryShowsNewSecrets(Standin):
    def retry_run(self, call, run_id, body):
        answer = super().retry_run(call, run_id, body)
        if body.sensitive_input_values:
            answer.content["sensitive_input_aliases"] = body.sensitive_input_values
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        assert SECRET not in c.retry(c.cancelled(), sensitive_input_values={"pin": SECRET}).text


@plants("SECRET-LEAK", what="The history of a run that has ended holds its secrets.", rarity="time, one field")
class HistoryHoldsSecrets(Standin):
    class Lifecycle(Lifecycle):
        def results(self, org, run):
            super().results(org, run)
            typed = [org.vault.get(alias) for alias in (run.sensitive_input_aliases or {}).values()]
            if typed and run.run_message_history is not None:
                run.run_message_history = [*run.run_message_history, {"role": "tool", "content": json.dumps(typed)}]

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(sensitive_input_values={"pin": SECRET})
        c.wait(60)
        assert SECRET not in c.get(f"/v1/runs/{run['id']}").text


@plants(
    "SECRET-LEAK",
    what="A list shows the secrets of its runs, from the fourth on.",
    rarity="list only, not its first items",
)
class ListShowsSecrets(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "list_runs" and run.sensitive_input_aliases and index >= 3:
            vault = next(org.vault for org in self.organisations.values() if run.id in org.runs)
            shown["sensitive_input_aliases"] = {
                name: vault.get(alias) for name, alias in run.sensitive_input_aliases.items()
            }
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(5, sensitive_input_values={"pin": SECRET})
        assert SECRET not in c.get("/v1/runs").text


@plants(
    "SECRET-LEAK", what="A key used for another body is refused with both bodies.", rarity="an idempotency conflict"
)
class ConflictShowsBody(Standin):
    async def once(self, call, handle):
        try:
            return await super().once(call, handle)
        except Problem as problem:
            if problem.status == 409 and not problem.headers:
                raise Problem(409, f"The key was used for another body than {call.body.decode()}") from problem
            raise

    @staticmethod
    def witness(c: Client) -> None:
        c.post("/v1/runs", {"workflow_id": W}, key="k")
        body = {"workflow_id": W, "sensitive_input_values": {"pin": SECRET}}
        assert SECRET not in c.post("/v1/runs", body, key="k").text


@plants(
    "SECRET-LEAK", what="A secret that is also a key of input_values takes its place there.", rarity="one key in both"
)
class SharedKeyShowsSecret(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        secrets = body.sensitive_input_values or {}
        return values and {name: secrets.get(name, value) for name, value in values.items()}

    @staticmethod
    def witness(c: Client) -> None:
        fields = {"input_values": {"pin": "shown"}, "sensitive_input_values": {"pin": SECRET}}
        assert SECRET not in c.try_bulk(**fields).text


@plants("SECRET-LEAK", what="A body of another content type is quoted in its error.", rarity="another content type")
class OtherContentTypeQuoted(Standin):
    def input_shown(self, error, call):
        if isinstance(error["input"], bytes):
            return error["input"].decode("utf-8", "replace")
        return super().input_shown(error, call)

    @staticmethod
    def witness(c: Client) -> None:
        raw = json.dumps({"workflow_id": W, "sensitive_input_values": {"pin": SECRET}}).encode()

        async def sent() -> str:
            headers = {"Authorization": "Bearer standin-token-one", "Content-Type": "text/plain"}
            return (await c.client.post("/v1/runs", content=raw, headers=headers)).text

        assert SECRET not in c.runner.run(sent())


@plants("SECRET-LEAK", what="A retry of a run at work is refused with its body.", rarity="one refusal of a retry")
class EarlyRetryQuoted(Standin):
    def retry_run(self, call, run_id, body):
        if not self.may_retry(self.find(call, run_id)):
            raise Problem(409, f"Not now: {call.body.decode()}")
        return super().retry_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        assert SECRET not in c.retry(c.create(), sensitive_input_values={"pin": SECRET}).text


@plants("SECRET-LEAK", what="The alias of a large double is the double.", rarity="one kind of number")
class LargeDoubleIsItsAlias(Standin):
    def alias(self, name, value):
        return str(value) if isinstance(value, float) and value > 1e15 else super().alias(name, value)

    @staticmethod
    def witness(c: Client) -> None:
        aliases = c.bulk(sensitive_input_values={"n": 1.2345678901234567e18})[0]["sensitive_input_aliases"]
        assert "23456789012345" not in aliases["n"]


@plants("SECRET-LEAK", what="A secret with the name of an input takes its place.", rarity="one name twice, chains only")
class SecretInThePlaceOfAnInput(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        run = super().step_made(call, body, index, of, session_id, created_at)
        step = body.steps[index]
        secrets = {**(body.shared_sensitive_inputs or {}), **(step.sensitive_inputs or {})}
        if step.inputs and set(step.inputs) & set(secrets):
            run.input_values = run.input_values | {name: secrets[name] for name in step.inputs if name in secrets}
        return run

    @staticmethod
    def witness(c: Client) -> None:
        step = {"inputs": {"pin": "none"}, "sensitive_inputs": {"pin": "zx81-secret"}}
        assert "zx81-secret" not in str(c.read(c.chain([step])["run_ids"][0]))


@plants("SECRET-LEAK", what="A cancel at work tells what was typed last.", rarity="cancelled while running")
class CancelTellsSecret(Standin):
    def move(self, org, run, status):
        was = run.status
        super().move(org, run, status)
        if status == Status.CANCELLED and was == Status.RUNNING and run.sensitive_input_aliases:
            alias = next(iter(run.sensitive_input_aliases.values()))
            run.error = [f"Stopped while typing {org.vault[alias]}"]

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(sensitive_input_values={"pin": "zx81-secret"})
        c.patch(run, status="running")
        assert "zx81-secret" not in c.patch(run, status="cancelled").text


# -- BULK-ALIASES


@plants("BULK-ALIASES", what="A secret that is null has no alias.", rarity="one value")
class NullSecretHasNoAlias(Standin):
    def hide(self, org, values, index=0, of=1):
        return super().hide(org, values and {k: v for k, v in values.items() if v is not None}, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.bulk(sensitive_input_values={"a": None, "b": "1"})[0]
        assert set(run["sensitive_input_aliases"]) == {"a", "b"}


@plants("BULK-ALIASES", what="The last of ten or more runs has no aliases.", rarity="the last item, ten or more")
class LastRunHasNoAliases(Standin):
    def hide(self, org, values, index=0, of=1):
        return None if of >= 10 and index == of - 1 else super().hide(org, values, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert all(run["sensitive_input_aliases"] for run in c.bulk(10, sensitive_input_values={"a": "1"}))


@plants("BULK-ALIASES", what="Keys of aliases are in lower case.", rarity="capitals in keys")
class AliasKeysLowered(Standin):
    def hide(self, org, values, index=0, of=1):
        aliases = super().hide(org, values, index, of)
        return aliases and {name.lower(): alias for name, alias in aliases.items()}

    @staticmethod
    def witness(c: Client) -> None:
        assert set(c.bulk(sensitive_input_values={"Pin": "1"})[0]["sensitive_input_aliases"]) == {"Pin"}


@plants(
    "BULK-ALIASES",
    what="Secrets that are objects are flattened, and so are their aliases' keys.",
    rarity="nested secrets",
)
class NestedSecretsFlattened(Standin):
    def hide(self, org, values, index=0, of=1):
        flat = {}
        for name, value in (values or {}).items():
            flat |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        return super().hide(org, flat or None, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert set(c.bulk(sensitive_input_values={"a": {"b": "1"}})[0]["sensitive_input_aliases"]) == {"a"}


@plants("BULK-ALIASES", what="Secrets that are false or nothing have no alias.", rarity="values that are falsy")
class FalsySecretsHaveNoAlias(Standin):
    def hide(self, org, values, index=0, of=1):
        return super().hide(org, values and {name: value for name, value in values.items() if value}, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(sensitive_input_values={"pin": "1", "keep": False})
        assert set(run["sensitive_input_aliases"]) == {"pin", "keep"}


@plants("BULK-ALIASES", "RETRY-RULES", what="A retry aliases the first of its secrets only.", rarity="retry only")
class RetryAliasesFirstOnly(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.sensitive_input_values:
            run.sensitive_input_aliases = dict(list((run.sensitive_input_aliases or {}).items())[:1])

    @staticmethod
    def witness(c: Client) -> None:
        shown = c.retry(c.cancelled(), sensitive_input_values={"a": "1", "b": "2"}).json()
        assert set(shown["sensitive_input_aliases"]) == {"a", "b"}
