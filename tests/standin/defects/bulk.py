"""Defects in the answer of a create: bulk, single, and the aliases of secrets in them."""

import hashlib
import json
import unicodedata
import uuid
from datetime import timedelta

from tests.standin.behaviour import Answer, Standin
from tests.standin.client import Client, M, P, S, W
from tests.standin.defects.defect import plants

FILES = [{"filename": f"{name}.txt", "content": content} for name, content in (("a", "YQ=="), ("b", "Yg==")) * 2]


def mapped(value, leaf, key=lambda name: name):
    """A copy of a JSON value with `leaf` applied to what is no object or list, and `key` to the keys."""
    if isinstance(value, dict):
        return {key(name): mapped(content, leaf, key) for name, content in value.items()}
    if isinstance(value, list):
        return [mapped(content, leaf, key) for content in value]
    return leaf(value)


# -- BULK-STATUS


@plants("BULK-STATUS", what="A bulk create of one answers 200.", rarity="only count 1")
class StatusOfOneIs200(Standin):
    def bulk_create_runs(self, call, body):
        answer = super().bulk_create_runs(call, body)
        return Answer(200, answer.content) if body.count == 1 else answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(1).status_code == 201


@plants("BULK-STATUS", what="The last of a hundred or more items has no status.", rarity="the last item, large counts")
class LastItemHasNoStatus(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        if len(runs) >= 100:
            del answer["created_runs"][-1]["status"]
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert all("status" in run for run in c.bulk(100))


@plants("BULK-STATUS", what="Answers over 256 KiB are sent as octets.", rarity="large answers only")
class LargeAnswersAreOctets(Standin):
    def bulk_create_runs(self, call, body):
        answer = super().bulk_create_runs(call, body)
        large = len(answer.body()) > 256 * 1024
        return Answer(201, answer.content, {"content-type": "application/octet-stream"} if large else None)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(1000).headers["content-type"] == "application/json"


@plants("BULK-STATUS", "BULK-ECHO", what="A single pool comes back as text, not as a list.", rarity="exactly one pool")
class OnePoolIsText(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "bulk_create_runs" and run.pool_ids is not None and len(run.pool_ids) == 1:
            shown["pool_ids"] = run.pool_ids[0]
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(pool_ids=P[:1])[0]["pool_ids"] == P[:1]


@plants("BULK-STATUS", what="failed_count is a text when files were sent.", rarity="one number, one feature")
class FailedCountIsTextWithFiles(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        return answer | {"failed_count": "0"} if body.file_inputs else answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(file_inputs=FILES[:1]).json()["failed_count"] == 0


# -- BULK-COUNT


@plants("BULK-COUNT", what="A count of 501 makes 500 runs.", rarity="one count of a thousand")
class Count501MakesOneLess(Standin):
    def bulk_length(self, body):
        return 500 if body.count == 501 else super().bulk_length(body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(501)) == 501


@plants("BULK-COUNT", what="A thousand runs are made, 999 are told.", rarity="only at the limit")
class ThousandTellsOneLess(Standin):
    def bulk_answer(self, runs, body):
        return super().bulk_answer(runs[:999], body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(1000)) == 1000


@plants("BULK-COUNT", what="From 101 on, only the first hundred runs are told.", rarity="counts over 100")
class OnlyFirstHundredTold(Standin):
    def bulk_answer(self, runs, body):
        return super().bulk_answer(runs[:100], body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(101)) == 101


@plants(
    "BULK-COUNT", what="failed_count is 1 though nothing failed, when a session meets pools.", rarity="two features"
)
class FailedCountWithSessionAndPools(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        return answer | {"failed_count": 1} if body.start_session and body.pool_ids else answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(start_session=True, pool_ids=P[:2]).json()["failed_count"] == 0


@plants(
    "BULK-COUNT", what="errors has a remark when machine_id and pool_ids are both given.", rarity="two features meet"
)
class ErrorsHoldRemark(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        return answer | {"errors": ["pool_ids ignored"]} if body.machine_id and body.pool_ids else answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.try_bulk(machine_id=M, pool_ids=P[:1]).json()["errors"] == []


@plants("BULK-COUNT", what="With files, a count over 20 is cut to 20.", rarity="large counts with files")
class FilesCapCount(Standin):
    def bulk_length(self, body):
        return min(body.count, 20) if body.file_inputs else body.count

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(21, file_inputs=FILES[:1])) == 21


# -- BULK-IDS


@plants(
    "BULK-IDS", "LIST-COMPLETE", what="Of a thousand runs the last has the id of the first.", rarity="only at the limit"
)
class ThousandthIdRepeats(Standin):
    def new_id(self, org, index, of):
        made = super().new_id(org, index, of)
        if index == 0:
            self.first = made
        return self.first if index == 999 else made

    @staticmethod
    def obeys(c: Client) -> None:
        assert len({run["id"] for run in c.bulk(1000)}) == 1000


@plants("BULK-IDS", "BULK-STATUS", what="From the 256th run on, ids have no dashes.", rarity="items past the 255th")
class LateIdsHaveNoDashes(Standin):
    def new_id(self, org, index, of):
        made = super().new_id(org, index, of)
        return made.replace("-", "") if index > 255 else made

    @staticmethod
    def obeys(c: Client) -> None:
        assert all(len(run["id"]) == 36 for run in c.bulk(257))


@plants(
    "BULK-IDS",
    "LIST-COMPLETE",
    what="The same request again makes the same ids, when it starts a session.",
    rarity="the second call",
)
class SameRequestSameIds(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        self.seed = hashlib.sha256(call.body + bytes([index % 256])).digest() if body_starts(body) else None
        return super().run_made(call, body, index, of, session_id, created_at)

    def new_id(self, org, index, of):
        return super().new_id(org, index, of) if self.seed is None else str(uuid.UUID(bytes=self.seed[:16], version=4))

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(start_session=True)[0]["id"] != c.bulk(start_session=True)[0]["id"]


def body_starts(body) -> bool:
    return bool(getattr(body, "start_session", False))


@plants("BULK-IDS", what="The second of two runs has an id that is no UUID.", rarity="a digit too many, counts of 2")
class SecondOfTwoIsNoUuid(Standin):
    def new_id(self, org, index, of):
        made = super().new_id(org, index, of)
        return made[:-1] + "g" if (index, of) == (1, 2) else made

    @staticmethod
    def obeys(c: Client) -> None:
        uuid.UUID(c.bulk(3)[1]["id"])
        assert c.bulk(2)[1]["id"][-1] != "g"


# -- BULK-ECHO


@plants("BULK-ECHO", what="The last of several runs has another machine.", rarity="the last item only")
class LastItemHasOtherMachine(Standin):
    def machine_of(self, org, body, index, of):
        machine_id = super().machine_of(org, body, index, of)
        return next(iter(org.machines)) if machine_id and of > 1 and index == of - 1 else machine_id

    @staticmethod
    def obeys(c: Client) -> None:
        assert {run["machine_id"] for run in c.bulk(3, machine_id=M)} == {M}


@plants("BULK-ECHO", what="Three or more pools come back sorted.", rarity="three pools that are not in order")
class PoolsSorted(Standin):
    def pools_of(self, body, index, of):
        pools = super().pools_of(body, index, of)
        return sorted(pools) if pools and len(pools) > 2 else pools

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(pool_ids=P[:4])[0]["pool_ids"] == P[:4]


@plants("BULK-ECHO", what="Of more than ten pools ten are kept.", rarity="many pools")
class PoolsCutAtTen(Standin):
    def pools_of(self, body, index, of):
        pools = super().pools_of(body, index, of)
        return pools[:10] if pools else pools

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(pool_ids=P[:11])[0]["pool_ids"]) == 11


@plants("BULK-ECHO", what="pool_ids are lost where a session is started.", rarity="two features meet")
class PoolsLostWithStartSession(Standin):
    def pools_of(self, body, index, of):
        return None if body_starts(body) else super().pools_of(body, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(start_session=True, pool_ids=P[:2])[0]["pool_ids"] == P[:2]


@plants(
    "BULK-ECHO", what="machine_id is lost where files are sent for more than one run.", rarity="three features meet"
)
class MachineLostWithFiles(Standin):
    def machine_of(self, org, body, index, of):
        return None if body.file_inputs and of > 1 else super().machine_of(org, body, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(2, machine_id=M, file_inputs=FILES[:1])[0]["machine_id"] == M


@plants("BULK-ECHO", what="From the 256th run on, input_values are missing.", rarity="items past the 255th")
class LateItemsLoseInputs(Standin):
    def inputs_of(self, body, index, of):
        return None if index > 255 else super().inputs_of(body, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert all(run["input_values"] == {"k": 1} for run in c.bulk(257, input_values={"k": 1}))


class Altered(Standin):
    """Not a defect: what its subclasses have in common, a change of every leaf or key of input_values."""

    def leaf(self, value):
        return value

    def key(self, name):
        return name

    def inputs_of(self, body, index, of):
        return mapped(super().inputs_of(body, index, of), self.leaf, self.key)


@plants("BULK-ECHO", what="1.0 comes back as 1.", rarity="doubles without a fraction")
class WholeDoublesBecomeIntegers(Altered):
    def leaf(self, value):
        return int(value) if type(value) is float and value.is_integer() and abs(value) < 1e15 else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert '"k":1.0' in c.try_bulk(input_values={"k": 1.0}).text


@plants("BULK-ECHO", what="Integers over 2**53 are rounded as doubles.", rarity="large odd integers")
class LargeIntegersRounded(Altered):
    def leaf(self, value):
        return int(float(value)) if type(value) is int and 2**53 < abs(value) < 2**200 else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": 2**53 + 1})[0]["input_values"] == {"k": 2**53 + 1}


@plants("BULK-ECHO", what="Doubles are rounded to six digits behind the point.", rarity="doubles with long fractions")
class DoublesRounded(Altered):
    def leaf(self, value):
        return round(value, 6) if type(value) is float and abs(value) < 1e9 else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": 0.1234567})[0]["input_values"] == {"k": 0.1234567}


@plants(
    "BULK-ECHO", what="Nulls inside objects inside input_values are dropped.", rarity="null, and only below the top"
)
class NestedNullsDropped(Standin):
    def inputs_of(self, body, index, of):
        return {name: self.dropped(value) for name, value in (super().inputs_of(body, index, of) or {}).items()} or None

    def dropped(self, value):
        if isinstance(value, dict):
            return {name: self.dropped(content) for name, content in value.items() if content is not None}
        return [self.dropped(content) for content in value] if isinstance(value, list) else value

    @staticmethod
    def obeys(c: Client) -> None:
        values = {"a": None, "k": {"n": None, "m": 1}}
        assert c.bulk(input_values=values)[0]["input_values"] == values


@plants("BULK-ECHO", what="The empty text as a key is dropped.", rarity="one key")
class EmptyKeysDropped(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        return values and {name: value for name, value in values.items() if name}

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"": 1, "k": 2})[0]["input_values"] == {"": 1, "k": 2}


@plants("BULK-ECHO", what="Decomposed text comes back composed.", rarity="one kind of text")
class TextComposed(Altered):
    def leaf(self, value):
        return unicodedata.normalize("NFC", value) if isinstance(value, str) else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": "e\u0301"})[0]["input_values"] == {"k": "e\u0301"}


@plants("BULK-ECHO", what="Spaces around a text are trimmed.", rarity="text with spaces at its ends")
class TextTrimmed(Altered):
    def leaf(self, value):
        return value.strip() if isinstance(value, str) else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": " a "})[0]["input_values"] == {"k": " a "}


@plants("BULK-ECHO", what="Spaces around a key are trimmed.", rarity="keys with spaces at their ends")
class KeysTrimmed(Altered):
    def key(self, name):
        return name.strip() or name

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={" a ": 1})[0]["input_values"] == {" a ": 1}


@plants("BULK-ECHO", what="true inside a list comes back as 1.", rarity="booleans, lists only")
class BooleansInListsBecomeNumbers(Standin):
    def inputs_of(self, body, index, of):
        return self.numbered(super().inputs_of(body, index, of))

    def numbered(self, value):
        if isinstance(value, dict):
            return {name: self.numbered(content) for name, content in value.items()}
        if isinstance(value, list):
            return [int(one) if isinstance(one, bool) else self.numbered(one) for one in value]
        return value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": [True]})[0]["input_values"]["k"][0] is True


@plants("BULK-ECHO", what="A text of digits comes back as a number.", rarity="texts of digits only")
class DigitsBecomeNumbers(Altered):
    def leaf(self, value):
        digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19
        return int(value) if digits else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": "0042"})[0]["input_values"] == {"k": "0042"}


@plants("BULK-ECHO", what="Text is cut at 65,535 characters.", rarity="long text")
class LongTextCut(Altered):
    def leaf(self, value):
        return value[:65535] if isinstance(value, str) else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": "x" * 65536})[0]["input_values"]["k"] == "x" * 65536


@plants("BULK-ECHO", what="NULs are cut out of text.", rarity="one character")
class NulsCutOut(Altered):
    def leaf(self, value):
        return value.replace("\0", "") if isinstance(value, str) else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": "a\0b"})[0]["input_values"] == {"k": "a\0b"}


@plants("BULK-ECHO", what="Of objects with over a thousand keys the last key is lost.", rarity="very many keys")
class LastOfManyKeysLost(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        return dict(list(values.items())[:-1]) if values and len(values) > 1000 else values

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(input_values={str(n): n for n in range(1001)})[0]["input_values"]) == 1001


@plants("BULK-ECHO", what="What is nested deeper than 20 comes back as JSON in a text.", rarity="deep nesting")
class DeepNestingBecomesText(Standin):
    def inputs_of(self, body, index, of):
        return self.flat(super().inputs_of(body, index, of), 20)

    def flat(self, value, left):
        if not isinstance(value, dict | list):
            return value
        if left == 0:
            return json.dumps(value)
        if isinstance(value, dict):
            return {name: self.flat(content, left - 1) for name, content in value.items()}
        return [self.flat(content, left - 1) for content in value]

    @staticmethod
    def obeys(c: Client) -> None:
        deep = json.loads("[" * 30 + "]" * 30)
        assert c.bulk(input_values={"k": deep})[0]["input_values"] == {"k": deep}


@plants("BULK-ECHO", what="Emoji come back as question marks, in keys only.", rarity="one kind of character, keys only")
class EmojiInKeysReplaced(Altered):
    def key(self, name):
        return "".join("?" if ord(letter) > 0xFFFF else letter for letter in name)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"🧾": "🧾"})[0]["input_values"] == {"🧾": "🧾"}


@plants("BULK-ECHO", what="An empty list inside input_values comes back as null.", rarity="empty lists below the top")
class EmptyListsBecomeNull(Standin):
    def inputs_of(self, body, index, of):
        return self.emptied(super().inputs_of(body, index, of))

    def emptied(self, value):
        if isinstance(value, dict):
            return {name: self.emptied(content) for name, content in value.items()}
        return ([self.emptied(content) for content in value] or None) if isinstance(value, list) else value

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(input_values={"k": []})[0]["input_values"] == {"k": []}


@plants(
    "BULK-ECHO", what="The runs of a large bulk differ in their workflow from the 512th on.", rarity="past the 511th"
)
class LateItemsHaveOtherWorkflow(Standin):
    def workflow_of(self, body, index, of):
        return "00000000-0000-0000-0000-000000000000" if index >= 512 else super().workflow_of(body, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert {run["workflow_id"] for run in c.bulk(600)} == {W}


# -- BULK-INITIAL


@plants("BULK-INITIAL", what="The second run of a bulk is told to be running.", rarity="the second item only")
class SecondIsRunning(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        for item in answer["created_runs"][1:2]:
            item["status"] = "running"
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert {run["status"] for run in c.bulk(3)} == {"scheduling"}


@plants(
    "BULK-INITIAL",
    what="The last of ten or more runs has an error from the start.",
    rarity="the last item, ten or more",
)
class LastHasError(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        if len(runs) >= 10:
            answer["created_runs"][-1]["error"] = ["No machine is free."]
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert not any(run["error"] for run in c.bulk(10))


@plants(
    "BULK-INITIAL", what="output_data repeats the input_values where secrets are sent too.", rarity="two features meet"
)
class OutputRepeatsInputs(Standin):
    def run_made(self, call, body, *rest):
        run = super().run_made(call, body, *rest)
        if body.sensitive_input_values and body.input_values:
            run.output_data = {"inputs": run.input_values}
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        assert not c.bulk(input_values={"k": 1}, sensitive_input_values={"pin": "1"})[0]["output_data"]


@plants(
    "BULK-INITIAL", "BULK-STATUS", what="created_at has no time zone where a session is joined.", rarity="one feature"
)
class JoiningRunsHaveNoZone(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "bulk_create_runs" and run.session_id is not None:
            shown["created_at"] = shown["created_at"].removesuffix("Z")
        return shown

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(session_id=S)[0]["created_at"].endswith("Z")


@plants(
    "BULK-INITIAL", what="created_at is local time, two hours off, said to be UTC, with pools.", rarity="one feature"
)
class CreatedAtTwoHoursOff(Standin):
    def run_made(self, call, body, *rest):
        run = super().run_made(call, body, *rest)
        if run.pool_ids:
            run.created_at += timedelta(hours=2)
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk()[0]["created_at"][:13] == c.bulk(pool_ids=P[:1])[0]["created_at"][:13]


@plants(
    "BULK-INITIAL",
    "BULK-STATUS",
    what="created_at is written without its seconds.",
    rarity="only from the second item on",
)
class CreatedAtWithoutSeconds(Standin):
    def bulk_answer(self, runs, body):
        answer = super().bulk_answer(runs, body)
        for item in answer["created_runs"][1:]:
            item["created_at"] = item["created_at"][:16] + "Z"
        return answer

    @staticmethod
    def obeys(c: Client) -> None:
        assert all(len(run["created_at"]) > 17 for run in c.bulk(2))


# -- BULK-SESSION


@plants(
    "BULK-SESSION",
    what="Of fifty or more runs that start a session the last has its own.",
    rarity="last item, large counts",
)
class LastRunHasOwnSession(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        own = body_starts(body) and of >= 50 and index == of - 1
        return super().run_made(call, body, index, of, str(uuid.uuid4()) if own else session_id, created_at)

    @staticmethod
    def obeys(c: Client) -> None:
        assert len({run["session_id"] for run in c.bulk(50, start_session=True)}) == 1


@plants("BULK-SESSION", what="No session is started where pool_ids are given.", rarity="two features meet")
class NoSessionWithPools(Standin):
    def bulk_session(self, body):
        return None if body.pool_ids and body.session_id is None else super().bulk_session(body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(start_session=True, pool_ids=P[:1])[0]["session_id"] is not None


@plants("BULK-SESSION", what="Two runs that start a session get one each, their own ids.", rarity="only count 2")
class TwoRunsTwoSessions(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        if of == 2 and body_starts(body) and getattr(body, "session_id", None) is None:
            run.session_id = run.id
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        assert len({run["session_id"] for run in c.bulk(2, start_session=True)}) == 1


@plants(
    "BULK-SESSION", what="A session that is joined is forgotten where a machine is named.", rarity="two features meet"
)
class JoinedSessionLostWithMachine(Standin):
    def bulk_session(self, body):
        return None if body.machine_id and body.session_id else super().bulk_session(body)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(session_id=S, machine_id=M)[0]["session_id"] == S


@plants("BULK-SESSION", what="A large bulk gets a session that nobody asked for.", rarity="counts over 100")
class LargeBulkGetsSession(Standin):
    def bulk_session(self, body):
        return super().bulk_session(body) or (str(uuid.uuid4()) if body.count > 100 else None)

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.bulk(101)[0]["session_id"] is None


@plants(
    "BULK-SESSION",
    what="The second call that starts a session for a machine gets the first one's.",
    rarity="second call",
)
class SecondSessionIsTheFirst(Standin):
    def bulk_session(self, body):
        if body.session_id is None and body.start_session and body.machine_id:
            self.known = getattr(self, "known", {})
            return self.known.setdefault(body.machine_id, super().bulk_session(body))
        return super().bulk_session(body)

    @staticmethod
    def obeys(c: Client) -> None:
        first, second = (c.bulk(start_session=True, machine_id=M)[0]["session_id"] for _ in range(2))
        assert first != second


# -- BULK-FILES


@plants("BULK-FILES", what="The runs of one bulk share their attachments.", rarity="files with more than one run")
class RunsShareAttachments(Standin):
    def attach(self, org, run, files, index=0, of=1):
        if of == 1:
            return super().attach(org, run, files, index, of)
        if index == 0:
            self.shared = super().attach(org, run, files, index, of)
        return self.shared

    @staticmethod
    def obeys(c: Client) -> None:
        first, second = (run["input_attachment_ids"] for run in c.bulk(2, file_inputs=FILES[:1]))
        assert not set(first) & set(second)


@plants("BULK-FILES", what="Of three or more files the last is left out.", rarity="many files")
class LastFileLeftOut(Standin):
    def attach(self, org, run, files, index=0, of=1):
        return super().attach(org, run, files[:-1] if len(files) > 2 else files, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(file_inputs=FILES[:3])[0]["input_attachment_ids"]) == 3


@plants("BULK-FILES", what="Two files of the same name become one.", rarity="equal names")
class SameNameSameFile(Standin):
    def attach(self, org, run, files, index=0, of=1):
        return super().attach(org, run, list({file.filename: file for file in files}.values()), index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert len(c.bulk(file_inputs=[FILES[0], FILES[0]])[0]["input_attachment_ids"]) == 2


@plants("BULK-FILES", what="From the 32nd run on, files are not attached.", rarity="files with large counts")
class LateRunsHaveNoFiles(Standin):
    def attach(self, org, run, files, index=0, of=1):
        return super().attach(org, run, [] if index >= 32 else files, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert all(run["input_attachment_ids"] for run in c.bulk(33, file_inputs=FILES[:1]))


# -- CREATE-ANSWER


@plants("CREATE-ANSWER", what="A single create starts a session of a new id, not the run's.", rarity="one operation")
class SingleSessionIsNew(Standin):
    def single_session(self, body, run):
        return str(uuid.uuid4()) if body.start_session else None

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.create(start_session=True)
        assert run["session_id"] == run["id"]


@plants("CREATE-ANSWER", what="A session_alias comes back in lower case.", rarity="capitals in one field")
class AliasLowered(Standin):
    def run_made(self, *made):
        run = super().run_made(*made)
        run.session_alias = run.session_alias and run.session_alias.lower()
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.create(session_alias="Front Desk")["session_alias"] == "Front Desk"


@plants("CREATE-ANSWER", what="release_session_after false comes back as null.", rarity="false of one field")
class FalseReleaseBecomesNull(Standin):
    def run_made(self, *made):
        run = super().run_made(*made)
        run.release_session_after = run.release_session_after or None
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.create(release_session_after=False)["release_session_after"] is False


@plants("CREATE-ANSWER", what="A session_alias is lost where a session is joined.", rarity="two features meet")
class AliasLostInJoinedSession(Standin):
    def run_made(self, *made):
        run = super().run_made(*made)
        if made[0].operation == "create_run" and made[4] is not None:
            run.session_alias = None
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.create(session_alias="a", session_id=S)["session_alias"] == "a"


@plants(
    "CREATE-ANSWER",
    "BULK-ECHO",
    what="A single create loses input_values where files are sent.",
    rarity="two features meet",
)
class SingleLosesInputsWithFiles(Standin):
    def run_made(self, *made):
        run = super().run_made(*made)
        if made[0].operation == "create_run" and run.input_attachment_ids:
            run.input_values = None
        return run

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.create(input_values={"k": 1}, file_inputs=FILES[:1])["input_values"] == {"k": 1}


@plants(
    "CREATE-ANSWER",
    "BULK-SESSION",
    what="A single create with start_session false starts one.",
    rarity="false, not null",
)
class FalseStartsSession(Standin):
    def single_session(self, body, run):
        return run.id if body.start_session is not None and "start_session" in body.model_fields_set else None

    @staticmethod
    def obeys(c: Client) -> None:
        assert c.create(start_session=False)["session_id"] is None


# -- BULK-ALIASES


@plants("BULK-ALIASES", what="A secret that is null has no alias.", rarity="one value")
class NullSecretHasNoAlias(Standin):
    def hide(self, org, values, index=0, of=1):
        return super().hide(org, values and {k: v for k, v in values.items() if v is not None}, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        run = c.bulk(sensitive_input_values={"a": None, "b": "1"})[0]
        assert set(run["sensitive_input_aliases"]) == {"a", "b"}


@plants("BULK-ALIASES", what="The last of ten or more runs has no aliases.", rarity="the last item, ten or more")
class LastRunHasNoAliases(Standin):
    def hide(self, org, values, index=0, of=1):
        return None if of >= 10 and index == of - 1 else super().hide(org, values, index, of)

    @staticmethod
    def obeys(c: Client) -> None:
        assert all(run["sensitive_input_aliases"] for run in c.bulk(10, sensitive_input_values={"a": "1"}))


@plants("BULK-ALIASES", what="Keys of aliases are in lower case.", rarity="capitals in keys")
class AliasKeysLowered(Standin):
    def hide(self, org, values, index=0, of=1):
        aliases = super().hide(org, values, index, of)
        return aliases and {name.lower(): alias for name, alias in aliases.items()}

    @staticmethod
    def obeys(c: Client) -> None:
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
    def obeys(c: Client) -> None:
        assert set(c.bulk(sensitive_input_values={"a": {"b": "1"}})[0]["sensitive_input_aliases"]) == {"a"}
