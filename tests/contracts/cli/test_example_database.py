"""Where failing examples are kept: beside the local folder, in another one or in a Redis."""

import sys

import click
import fakeredis
import pytest
import redis
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase, InMemoryExampleDatabase, MultiplexedDatabase

from contracts.cli.example_database import use_example_database


@pytest.fixture(autouse=True)
def local(monkeypatch):
    """A local database of its own for each test; the profile in force before comes back after it."""
    before = settings.get_current_profile_name()
    usual = settings.get_profile("default")
    database = InMemoryExampleDatabase()
    settings.register_profile("default", usual, database=database)
    yield database
    settings.register_profile("default", usual)
    settings.load_profile(before)


def saved(database) -> set[bytes]:
    return set(database.fetch(b"a scenario"))


def test_a_redis_is_used_in_addition_to_the_local_database(monkeypatch, local):
    server = fakeredis.FakeServer()
    monkeypatch.setattr(redis.Redis, "from_url", lambda url: fakeredis.FakeRedis(server=server))
    use_example_database("redis://:hunter22@localhost:1/0")
    in_use = settings().database
    assert isinstance(in_use, MultiplexedDatabase)
    in_use.save(b"a scenario", b"an example")
    assert saved(local) == {b"an example"}
    use_example_database("redis://localhost:1/0")
    assert saved(settings().database) == {b"an example"}


def test_what_another_shard_found_is_found_here(monkeypatch, local):
    server = fakeredis.FakeServer()
    monkeypatch.setattr(redis.Redis, "from_url", lambda url: fakeredis.FakeRedis(server=server))
    use_example_database("redis://localhost:1/0")
    settings().database.save(b"a scenario", b"an example")
    local.delete(b"a scenario", b"an example")
    assert saved(settings().database) == {b"an example"}


def test_a_folder_is_used_in_addition_to_the_local_database(tmp_path, local):
    use_example_database(str(tmp_path / "examples"))
    settings().database.save(b"a scenario", b"an example")
    assert saved(DirectoryBasedExampleDatabase(tmp_path / "examples")) == {b"an example"}
    assert saved(local) == {b"an example"}


def test_a_folder_is_used_alone_where_there_is_no_local_one(tmp_path):
    settings.register_profile("default", settings.get_profile("default"), database=None)
    use_example_database(str(tmp_path / "examples"))
    assert isinstance(settings().database, DirectoryBasedExampleDatabase)


@pytest.mark.parametrize("url", ["redis://:hunter22@127.0.0.1:1/0", "redis://127.0.0.1:1/0", "redis://localhost:x"])
def test_a_redis_that_does_not_answer_is_reported_without_its_password(url):
    with pytest.raises(click.UsageError) as raised:
        use_example_database(url)
    assert "start it, or leave it out" in raised.value.message
    assert "hunter22" not in raised.value.message


def test_a_missing_client_is_reported_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(click.UsageError, match="pip install redis"):
        use_example_database("redis://localhost")


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1", "redis:/localhost://", "file.txt", "file.txt/below", "/proc/examples"]
)
def test_what_is_neither_a_directory_nor_a_redis_is_refused(tmp_path, monkeypatch, location):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(click.UsageError, match="give --example-database a directory, or a URL that begins with redis"):
        use_example_database(location)
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]
    assert (tmp_path / "file.txt").read_text() == "mine"
