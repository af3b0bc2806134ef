"""Defects that change values of one class: texts, names of members, numbers or lists, each in one place.

Each is what a store, a language or a library is known to do.
"""

import unicodedata
from typing import Any

from tests.standin.behaviour import Standin
from tests.standin.client import Client
from tests.standin.defects.defect import plants
from tests.standin.defects.json_values import mapped


def each_object(value: Any, change: Any) -> Any:
    """A copy of a JSON value with `change` applied to each object, inner ones first."""
    if isinstance(value, dict):
        return change({name: each_object(content, change) for name, content in value.items()})
    return [each_object(content, change) for content in value] if isinstance(value, list) else value


def each_list(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {name: each_list(content, change) for name, content in value.items()}
    return change([each_list(content, change) for content in value]) if isinstance(value, list) else value


# -- input_values of a create


@plants("BULK-ECHO", what="Members whose name begins with $ are dropped.", rarity="one character in names")
class DollarNamesDropped(Standin):
    def inputs_of(self, body, index, of):
        def kept(members):
            return {name: value for name, value in members.items() if not name.startswith("$")}

        return each_object(super().inputs_of(body, index, of), kept)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": {"$set": 1}})[0]["input_values"] == {"k": {"$set": 1}}


@plants("BULK-ECHO", what="Lists of texts are sorted.", rarity="lists of several texts, not in order")
class TextsInListsSorted(Standin):
    def inputs_of(self, body, index, of):
        def ordered(items):
            return sorted(items) if all(isinstance(item, str) for item in items) else items

        return each_list(super().inputs_of(body, index, of), ordered)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": ["b", "a"]})[0]["input_values"] == {"k": ["b", "a"]}


@plants("BULK-ECHO", what="Numbers that stand twice in a list are kept once.", rarity="repeats of numbers in lists")
class RepeatedNumbersKeptOnce(Standin):
    def inputs_of(self, body, index, of):
        def unique(items):
            return list(dict.fromkeys(items)) if all(type(item) is int for item in items) else items

        return each_list(super().inputs_of(body, index, of), unique)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": [1, 1]})[0]["input_values"] == {"k": [1, 1]}


@plants("BULK-ECHO", what="Below the top, names of members are in small letters.", rarity="capitals in inner names")
class InnerNamesInSmallLetters(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        return values and {name: mapped(value, lambda leaf: leaf, str.lower) for name, value in values.items()}

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"K": {"camelCase": 1}})[0]["input_values"] == {"K": {"camelCase": 1}}


@plants("BULK-ECHO", what="Members named __proto__ are dropped.", rarity="one name")
class ProtoDropped(Standin):
    def inputs_of(self, body, index, of):
        values = super().inputs_of(body, index, of)
        return each_object(values, lambda members: {k: v for k, v in members.items() if k != "__proto__"})

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"__proto__": 1, "k": 2})[0]["input_values"] == {"__proto__": 1, "k": 2}


@plants("BULK-ECHO", what="A text like 1e3 comes back as a number.", rarity="texts with an exponent")
class ExponentsBecomeNumbers(Standin):
    def inputs_of(self, body, index, of):
        return mapped(super().inputs_of(body, index, of), self.number)

    def number(self, value):
        mantissa, e, exponent = value.partition("e") if isinstance(value, str) else ("", "", "")
        return float(value) if mantissa.isascii() and mantissa.isdigit() and e and exponent.isdigit() else value

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(input_values={"k": "1e3"})[0]["input_values"] == {"k": "1e3"}


@plants("BULK-ECHO", what="-0.0 loses its sign.", rarity="one number")
class NegativeZeroLosesItsSign(Standin):
    def inputs_of(self, body, index, of):
        return mapped(
            super().inputs_of(body, index, of), lambda leaf: 0.0 if type(leaf) is float and not leaf else leaf
        )

    @staticmethod
    def witness(c: Client) -> None:
        assert '"k":-0.0' in c.try_bulk(input_values={"k": -0.0}).text


@plants("BULK-ECHO", what="Of two members whose names are equal once composed, one is kept.", rarity="names that fold")
class NamesThatFoldKeptOnce(Standin):
    def inputs_of(self, body, index, of):
        def folded(members):
            last = {unicodedata.normalize("NFC", name): name for name in members}
            return {name: value for name, value in members.items() if name in last.values()}

        return each_object(super().inputs_of(body, index, of), folded)

    @staticmethod
    def witness(c: Client) -> None:
        values = {"é": 1, "e\u0301": 2}
        assert c.bulk(input_values=values)[0]["input_values"] == values


@plants("BULK-ALIASES", what="A sensitive value under a name with a dot has no alias.", rarity="one character in names")
class DottedNamesHaveNoAlias(Standin):
    def hide(self, org, values, index=0, of=1):
        aliases = super().hide(org, values, index, of)
        return aliases and {name: alias for name, alias in aliases.items() if "." not in name}

    @staticmethod
    def witness(c: Client) -> None:
        assert c.bulk(sensitive_input_values={"a.b": "x"})[0]["sensitive_input_aliases"].keys() == {"a.b"}


@plants("CREATE-ANSWER", what="An empty session_alias comes back as null.", rarity="one text, single creates")
class EmptyAliasBecomesNull(Standin):
    def run_made(self, call, body, index, of, session_id, created_at):
        run = super().run_made(call, body, index, of, session_id, created_at)
        run.session_alias = run.session_alias or None
        return run

    @staticmethod
    def witness(c: Client) -> None:
        assert c.create(session_alias="")["session_alias"] == ""


# -- updates


@plants("UPDATE-PARTIAL", what="In output_data CRLF becomes LF.", rarity="one field, texts with CRLF")
class OutputLosesCarriageReturns(Standin):
    def change(self, run, name, value):
        if name == "output_data":
            value = mapped(value, lambda leaf: leaf.replace("\r\n", "\n") if isinstance(leaf, str) else leaf)
        super().change(run, name, value)

    @staticmethod
    def witness(c: Client) -> None:
        output = {"k": "a\r\nb"}
        assert c.patch(c.create(), output_data=output).json()["output_data"] == output


@plants("UPDATE-PARTIAL", what='In usage_metadata the text "null" becomes null.', rarity="one text in one field")
class TextNullBecomesNull(Standin):
    def change(self, run, name, value):
        if name == "usage_metadata":
            value = mapped(value, lambda leaf: None if leaf == "null" else leaf)
        super().change(run, name, value)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), usage_metadata={"k": "null"}).json()["usage_metadata"] == {"k": "null"}


@plants("UPDATE-PARTIAL", what="In messages a member with an empty name is dropped.", rarity="one name in one field")
class MessagesLoseEmptyNames(Standin):
    def change(self, run, name, value):
        if name == "run_message_history":
            value = each_object(value, lambda members: {k: v for k, v in members.items() if k})
        super().change(run, name, value)

    @staticmethod
    def witness(c: Client) -> None:
        history = [{"content": {"": 1}}]
        assert c.patch(c.create(), run_message_history=history).json()["run_message_history"] == history


@plants("UPDATE-PARTIAL", what="A line of error is cut at 4,096 characters.", rarity="long lines of error")
class LongErrorsCut(Standin):
    def change(self, run, name, value):
        super().change(run, name, [line[:4096] for line in value] if name == "error" and value else value)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), error=["x" * 4097]).json()["error"] == ["x" * 4097]


@plants("UPDATE-PARTIAL", what="A denormal in usage_metadata becomes 0.", rarity="the smallest doubles")
class DenormalsBecomeZero(Standin):
    def change(self, run, name, value):
        if name == "usage_metadata":
            value = mapped(value, lambda leaf: 0.0 if type(leaf) is float and abs(leaf) < 2.3e-308 else leaf)
        super().change(run, name, value)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.patch(c.create(), usage_metadata={"k": 5e-324}).json()["usage_metadata"] == {"k": 5e-324}


# -- chains and retries


@plants("CHAIN-RULES", what="Inputs of a step are folded to NFKC.", rarity="compatibility forms, inputs of steps")
class StepInputsFolded(Standin):
    def merged(self, shared, own):
        def folded(leaf):
            return unicodedata.normalize("NFKC", leaf) if isinstance(leaf, str) else leaf

        return super().merged(shared, mapped(own, folded))

    @staticmethod
    def witness(c: Client) -> None:
        made = c.chain([{"inputs": {"k": "ﬁ"}}])
        assert c.read(made["run_ids"][0])["input_values"] == {"k": "ﬁ"}


@plants("CHAIN-RULES", what="The session_alias of a step is cut at 255 characters.", rarity="long aliases of steps")
class StepAliasCut(Standin):
    def step_made(self, call, body, index, of, session_id, created_at):
        run = super().step_made(call, body, index, of, session_id, created_at)
        run.session_alias = run.session_alias and run.session_alias[:255]
        return run

    @staticmethod
    def witness(c: Client) -> None:
        made = c.chain([{"session_alias": "x" * 256}])
        assert c.read(made["run_ids"][0])["session_alias"] == "x" * 256


@plants("CHAIN-RULES", what="shared_inputs lose inner members that are null.", rarity="null, shared inputs of chains")
class SharedInputsLoseNull(Standin):
    def merged(self, shared, own):
        def kept(members):
            return {name: value for name, value in members.items() if value is not None}

        return super().merged(each_object(shared, kept), own)

    @staticmethod
    def witness(c: Client) -> None:
        made = c.chain(1, shared_inputs={"k": {"a": None}})
        assert c.read(made["run_ids"][0])["input_values"] == {"k": {"a": None}}


@plants("RETRY-RULES", what='In the inputs of a retry the text "true" becomes true.', rarity="one text, retries")
class RetryReadsTrue(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.input_values is not None:
            run.input_values = mapped(run.input_values, lambda leaf: True if leaf == "true" else leaf)

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), input_values={"k": "true"}).json()["input_values"] == {"k": "true"}


@plants("RETRY-RULES", what="Names with a dot become objects in a retry.", rarity="dots in names, retries")
class RetryNestsDottedNames(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        if body.input_values is not None:
            run.input_values = dict(map(self.nested, (run.input_values or {}).items()))

    def nested(self, member):
        name, dot, inner = member[0].partition(".")
        return (name, {inner: member[1]}) if dot else member

    @staticmethod
    def witness(c: Client) -> None:
        assert c.retry(c.cancelled(), input_values={"a.b": 1}).json()["input_values"] == {"a.b": 1}


# -- what is stored and shown


@plants("READ-BACK", what="A list shows long texts cut at 65,535 characters.", rarity="long texts in lists of runs")
class ListCutsLongTexts(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "list_runs":
            cut = mapped(shown["input_values"], lambda leaf: leaf[:65535] if isinstance(leaf, str) else leaf)
            return shown | {"input_values": cut}
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(input_values={"k": "x" * 65536})
        assert c.listed("limit=1")["items"][0]["input_values"] == {"k": "x" * 65536}


@plants("READ-BACK", what="Read alone, a list with one item is that item.", rarity="lists of one in inputs")
class ReadUnwrapsSingleItems(Standin):
    def show(self, run, where, index=0, of=1):
        shown = super().show(run, where, index, of)
        if where == "get_run":
            unwrapped = each_list(shown["input_values"], lambda items: items[0] if len(items) == 1 else items)
            return shown | {"input_values": unwrapped}
        return shown

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(input_values={"k": [1]})
        assert c.read(run)["input_values"] == {"k": [1]}
