"""Defects in what the answer of a create repeats of the request."""

import json
import unicodedata
from typing import Any, ClassVar

from pydantic import model_validator

from tests.standin import models
from tests.standin.behaviour import Standin
from tests.standin.client import FILE, Client, M, P, W
from tests.standin.defects.defect import plants
from tests.standin.defects.json_values import mapped

# -- BULK-ECHO


@plants("BULK-ECHO", what="The last of several runs has another machine.", rarity="the last item only")
class LastItemHasOtherMachine(Standin):
    def machine_of(self, org, body, index, of):
        machine_id = super().machine_of(org, body, index, of)
        return next(iter(org.machines)) if machine_id and of > 1 and index == of - 1 else machine_id

    @staticmethod
    def witness(c: Client) -> None:
        assert {run["machine_id"] for run in c.bulk(3, machine_id=M)} == {M}


@plants("BULK-ECHO", what="Three or more pools come back sorted.", rarity="three pools that are not in order")
class PoolsSorted(Standin):
    def pools_of(self, body, index, of):
        pools = super().pools_of(body, index, of)
        return sorted(pools) if pools and len(pools) > 2 else pools

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(pool_ids=P[:4])[0]["pool_ids"] == P[:4]


@plants("BULK-ECHO", what="Of more than ten pools ten are kept.", rarity="many pools")
class PoolsCutAtTen(Standin):
    def pools_of(self, body, index, of):
        pools = super().pools_of(body, index, of)
        return pools[:10] if pools else pools

    @staticmethod
    def witness(c: Client) -> None:
        assert len(c.bulk(pool_ids=P[:11])[0]["pool_ids"]) == 11


@plants("BULK-ECHO", what="pool_ids are lost where a session is started.", rarity="two features meet")
class PoolsLostWithStartSession(Standin):
    def pools_of(self, body, index, of):
        return None if getattr(body, "start_session", False) else super().pools_of(body, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(start_session=True, pool_ids=P[:2])[0]["pool_ids"] == P[:2]


@plants(
    "BULK-ECHO", what="machine_id is lost where files are sent for more than one run.", rarity="three features meet"
)
class MachineLostWithFiles(Standin):
    def machine_of(self, org, body, index, of):
        return None if body.file_inputs and of > 1 else super().machine_of(org, body, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(2, machine_id=M, file_inputs=[FILE])[0]["machine_id"] == M


@plants("BULK-ECHO", what="From the 256th run on, input_values are missing.", rarity="items past the 255th")
class LateItemsLoseInputs(Standin):
    def inputs_of(self, body, index, of):
        return None if index > 255 else super().inputs_of(body, index, of)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert '"k":1.0' in c.try_bulk(input_values={"k": 1.0}).text


@plants("BULK-ECHO", what="Integers over 2**53 are rounded as doubles.", rarity="large odd integers")
class LargeIntegersRounded(Altered):
    def leaf(self, value):
        return int(float(value)) if type(value) is int and 2**53 < abs(value) < 2**200 else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": 2**53 + 1})[0]["input_values"] == {"k": 2**53 + 1}


@plants("BULK-ECHO", what="Doubles are rounded to six digits behind the point.", rarity="doubles with long fractions")
class DoublesRounded(Altered):
    def leaf(self, value):
        return round(value, 6) if type(value) is float and abs(value) < 1e9 else value

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        values = {"a": None, "k": {"n": None, "m": 1}}
        assert c.bulk(input_values=values)[0]["input_values"] == values


@plants("BULK-ECHO", what="The empty text as a key is dropped.", rarity="one key")
class EmptyKeysDropped(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        return values and {name: value for name, value in values.items() if name}

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"": 1, "k": 2})[0]["input_values"] == {"": 1, "k": 2}


@plants("BULK-ECHO", what="Decomposed text comes back composed.", rarity="one kind of text")
class TextComposed(Altered):
    def leaf(self, value):
        return unicodedata.normalize("NFC", value) if isinstance(value, str) else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": "e\u0301"})[0]["input_values"] == {"k": "e\u0301"}


@plants("BULK-ECHO", what="Spaces around a text are trimmed.", rarity="text with spaces at its ends")
class TextTrimmed(Altered):
    def leaf(self, value):
        return value.strip() if isinstance(value, str) else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": " a "})[0]["input_values"] == {"k": " a "}


@plants("BULK-ECHO", what="Spaces around a key are trimmed.", rarity="keys with spaces at their ends")
class KeysTrimmed(Altered):
    def key(self, name):
        return name.strip() or name

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": [True]})[0]["input_values"]["k"][0] is True


@plants("BULK-ECHO", what="A text of digits comes back as a number.", rarity="texts of digits only")
class DigitsBecomeNumbers(Altered):
    def leaf(self, value):
        digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19
        return int(value) if digits else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": "0042"})[0]["input_values"] == {"k": "0042"}


@plants("BULK-ECHO", what="Text is cut at 65,535 characters.", rarity="long text")
class LongTextCut(Altered):
    def leaf(self, value):
        return value[:65535] if isinstance(value, str) else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": "x" * 65536})[0]["input_values"]["k"] == "x" * 65536


@plants("BULK-ECHO", what="NULs are cut out of text.", rarity="one character")
class NulsCutOut(Altered):
    def leaf(self, value):
        return value.replace("\0", "") if isinstance(value, str) else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": "a\0b"})[0]["input_values"] == {"k": "a\0b"}


@plants("BULK-ECHO", what="Of objects with over a thousand keys the last key is lost.", rarity="very many keys")
class LastOfManyKeysLost(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        return dict(list(values.items())[:-1]) if values and len(values) > 1000 else values

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        deep = json.loads("[" * 30 + "]" * 30)
        assert c.bulk(input_values={"k": deep})[0]["input_values"] == {"k": deep}


@plants("BULK-ECHO", what="Emoji come back as question marks, in keys only.", rarity="one kind of character, keys only")
class EmojiInKeysReplaced(Altered):
    def key(self, name):
        return "".join("?" if ord(letter) > 0xFFFF else letter for letter in name)

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": []})[0]["input_values"] == {"k": []}


@plants(
    "BULK-ECHO", what="The runs of a large bulk differ in their workflow from the 512th on.", rarity="past the 511th"
)
class LateItemsHaveOtherWorkflow(Standin):
    def workflow_of(self, body, index, of):
        return "00000000-0000-0000-0000-000000000000" if index >= 512 else super().workflow_of(body, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        assert {run["workflow_id"] for run in c.bulk(600)} == {W}


@plants("BULK-ECHO", what="Texts in lists are stripped.", rarity="inside lists only")
class TextsInListsStripped(Standin):
    def inputs_of(self, body, index, of):
        return self.stripped(super().inputs_of(body, index, of))

    def stripped(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.stripped(one) for name, one in value.items()}
        if isinstance(value, list):
            return [one.strip() if isinstance(one, str) else self.stripped(one) for one in value]
        return value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"a": [" x "]})[0]["input_values"] == {"a": [" x "]}


@plants("BULK-ECHO", what="A machine of the pool is taken, whichever is asked for.", rarity="real pools")
class PoolsMachineInsteadOfTheOneAsked(Standin):
    def machine_of(self, org, body, index, of):
        for pool_id in map(str, body.pool_ids or ()):
            for machine in org.machines.values():
                if pool_id in machine["pools"]:
                    return machine["id"]
        return super().machine_of(org, body, index, of)

    @staticmethod
    def witness(c: Client) -> None:
        pool = c.get("/v1/machines").json()["items"][0]["pools"][0]["id"]
        assert c.bulk(machine_id=M, pool_ids=[pool])[0]["machine_id"] == M


@plants("BULK-ECHO", "REQ-TYPES", "BULK-STATUS", what="Later pools come back as written.", rarity="two pools")
class LaterPoolsAsWritten(Standin):
    class RunBulkCreate(models.RunBulkCreate):
        @model_validator(mode="before")
        @classmethod
        def noted(cls, value: Any) -> Any:
            cls.pools_written = value.get("pool_ids") if isinstance(value, dict) else None
            return value

        pools_written: ClassVar[Any] = None

    def pools_of(self, body, index, of):
        pools = super().pools_of(body, index, of)
        return pools and [pools[0], *(str(one) for one in self.RunBulkCreate.pools_written or pools)][: len(pools)]

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(pool_ids=[P[0], P[1].upper()])[0]["pool_ids"] == P[:2]
