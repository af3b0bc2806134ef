"""Defects that show only later, or after many: of old runs and keys, pages beyond the first ones, many changes."""

from tests.standin.behaviour import Answer, Problem, Standin
from tests.standin.client import FILE, Client
from tests.standin.defects.defect import plants

# -- keys


class LastKeysKept(Standin):
    """Not a defect: what its subclasses have in common, a store of the last keys."""

    keys_kept = 20

    async def once(self, call, handle):
        try:
            return await super().once(call, handle)
        finally:
            keys = self.keys_of(call)
            while len(keys) > self.keys_kept:
                del keys[next(iter(keys))]


@plants("IDEM-REPLAY", what="Only the last 20 idempotency keys are known.", rarity="20 other keys in between")
class TwentyKeysKept(LastKeysKept):
    @staticmethod
    def witness(c: Client) -> None:
        keys_stay(c, 20)


@plants("IDEM-REPLAY", what="Only the last 1,000 idempotency keys are known.", rarity="1,000 other keys in between")
class ThousandKeysKept(LastKeysKept):
    keys_kept = 1000

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk()  # without a key
        keys_stay(c, 1000)


def keys_stay(c: Client, others: int) -> None:
    body = {"workflow_id": "3f0a5c1e-5b0e-4a52-8a3e-0d6a2f0b9c11"}
    first = c.post("/v1/runs", body, key="first").json()
    for number in range(others):
        c.call("PATCH", f"/v1/runs/{first['id']}", {}, key=f"other {number}")
    assert c.post("/v1/runs", body, key="first").json()["id"] == first["id"]


# -- lists


def many(c: Client) -> None:
    for _ in range(5):
        c.bulk(1000)


@plants("LIST-PAGE", "LIST-COMPLETE", what="Pages beyond the first 1,000 runs are empty.", rarity="over 1,000 runs")
class PagesEndAtThousand(Standin):
    def page(self, found, query):
        return super().page(found, query) if query.skip < 1000 else []

    @staticmethod
    def witness(c: Client) -> None:
        c.bulk(1000)
        c.bulk(1)
        assert len(c.ids("skip=1000&limit=10")) == 1


@plants("LIST-PAGE", what="skip is never over 2,048.", rarity="over 2,048 runs")
class SkipEndsAt2048(Standin):
    def page(self, found, query):
        skip = min(query.skip, 2048)
        return found[skip : skip + query.limit]

    @staticmethod
    def witness(c: Client) -> None:
        for _ in range(3):
            c.bulk(1000)
        assert c.ids("skip=2500&limit=1") != c.ids("skip=2048&limit=1")


@plants("LIST-COMPLETE", what="A run is not listed once 4,000 others were created.", rarity="old runs")
class OldRunsUnlisted(Standin):
    def listed(self, call):
        return [run for run in super().listed(call) if call.org.created - run.number < 4000]

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(session_id="5e551011-0000-4000-8000-000000000009")
        many(c)
        assert c.ids(f"session_id={run['session_id']}") == [run["id"]]


# -- runs


@plants("READ-BACK", what="A run is gone once 4,000 others were created.", rarity="old runs")
class OldRunsGone(Standin):
    def get_run(self, call, run_id, include):
        if call.org.created - self.find(call, run_id).number > 4000:
            raise self.unknown("Run")
        return super().get_run(call, run_id, include)

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk()
        many(c)
        c.read(run)


@plants("ATTACHMENTS", what="Files of a run are gone once 4,000 runs were created.", rarity="old files")
class OldFilesGone(Standin):
    def download_run_attachment(self, call, attachment_id):
        run = call.org.runs.get(self.find_attachment(call, attachment_id).run_id)
        if run is not None and call.org.created - run.number > 4000:
            raise self.unknown("Attachment")
        return super().download_run_attachment(call, attachment_id)

    @staticmethod
    def witness(c: Client) -> None:
        (run,) = c.bulk(file_inputs=[FILE])
        many(c)
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").status_code == 200


@plants("UPDATE-PARTIAL", what="From the 101st update on, a run stays as it is.", rarity="100 updates of one run")
class HundredUpdatesOfARun(Standin):
    def update_run(self, call, run_id, body):
        run = self.find(call, run_id)
        counts = self.__dict__.setdefault("updates", {})
        counts[run] = counts.get(run, 0) + 1
        return (
            Answer(200, self.show(run, "update_run")) if counts[run] > 100 else super().update_run(call, run_id, body)
        )

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create()
        for number in range(101):
            assert c.patch(run, output_data={"n": number}).json()["output_data"] == {"n": number}


@plants("RETRY-RULES", what="A run is retried 50 times, not more.", rarity="50 retries of one run")
class FiftyRetriesOfARun(Standin):
    def retry_run(self, call, run_id, body):
        if self.find(call, run_id).epoch > 100:
            raise Problem(409, "The run was retried too often.")
        return super().retry_run(call, run_id, body)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled()
        for _ in range(51):
            assert c.retry(run).status_code == 200
            c.patch(run, status="cancelled")
