"""Defects in the answer of a single create."""

import uuid

from tests.standin.behaviour import Standin
from tests.standin.client import FILE, Client, S
from tests.standin.defects.defect import plants

# -- CREATE-ANSWER


@plants("CREATE-ANSWER", what="A single create starts a session of a new id, not the run's.", rarity="one operation")
class SingleSessionIsNew(Standin):
    def single_session(self, body, run):
        return str(uuid.uuid4()) if body.start_session else None

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(start_session=True)
        assert run["session_id"] == run["id"]


@plants("CREATE-ANSWER", what="A session_alias comes back in lower case.", rarity="capitals in one field")
class AliasLowered(Standin):
    def run_made(self, *made):
        run = super().run_made(*made)
        run.session_alias = run.session_alias and run.session_alias.lower()
        return run

    @staticmethod
    def witness(c: Client) -> None:
        assert c.create(session_alias="Front Desk")["session_alias"] == "Front Desk"


@plants("CREATE-ANSWER", what="release_session_after false comes back as null.", rarity="false of one field")
class FalseReleaseBecomesNull(Standin):
    def run_made(self, *made):
        run = super().run_made(*made)
        run.release_session_after = run.release_session_after or None
        return run

    @staticmethod
    def witness(c: Client) -> None:
        assert c.create(release_session_after=False)["release_session_after"] is False


@plants("CREATE-ANSWER", what="A session_alias is lost where a session is joined.", rarity="two features meet")
class AliasLostInJoinedSession(Standin):
    def run_made(self, *made):
        run = super().run_made(*made)
        if made[0].operation == "create_run" and made[4] is not None:
            run.session_alias = None
        return run

    @staticmethod
    def witness(c: Client) -> None:
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
    def witness(c: Client) -> None:
        assert c.create(input_values={"k": 1}, file_inputs=[FILE])["input_values"] == {"k": 1}


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
    def witness(c: Client) -> None:
        assert c.create(start_session=False)["session_id"] is None
