"""The Hypothesis example database: the local directory, and a second database that CI shards can share."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase

_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


def use_example_database(location: str) -> None:
    """Make Hypothesis use the database at `location` (a Redis URL or a directory) in addition to its default one.

    Raises click.UsageError if it is neither, the directory cannot be written, the Redis client is not installed, or the
    Redis does not answer.
    """
    from hypothesis import settings
    from hypothesis.database import DirectoryBasedExampleDatabase, MultiplexedDatabase

    if location.startswith(_REDIS_SCHEMES):
        other = _redis(location)
    else:
        other = DirectoryBasedExampleDatabase(_writable_directory(location))
    usual = settings.get_profile("default")
    both = other if usual.database is None else MultiplexedDatabase(usual.database, other)
    settings.register_profile("contracts", usual, database=both)
    settings.load_profile("contracts")


def _writable_directory(location: str) -> Path:
    """Make the directory if it does not exist. Hypothesis would report no error, and keep nothing."""
    step = f"give --example-database a directory, or a URL that begins with {' or '.join(_REDIS_SCHEMES)}"
    if "://" in location:
        raise click.UsageError(f"{_without_password(location)} is not the URL of a Redis: {step}.")
    path = Path(location)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".contracts-"):
            pass
    except FileExistsError as error:
        raise click.UsageError(f"{location} is a file: {step}.") from error
    except OSError as error:
        raise click.UsageError(f"{location} cannot be written ({error.strerror}): {step}.") from error
    return path


def _redis(url: str) -> ExampleDatabase:
    try:
        import redis
        from hypothesis.extra.redis import RedisExampleDatabase
    except ModuleNotFoundError as error:
        raise click.UsageError("A Redis needs its client: run  pip install redis") from error
    shown = _without_password(url)
    try:
        client = redis.Redis.from_url(url)
        client.ping()
    except (redis.RedisError, ValueError) as error:
        raise click.UsageError(f"No Redis answers at {shown} for --example-database: start it, or leave it out.") from (
            error
        )
    return RedisExampleDatabase(client)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.password is None else url.replace(f":{parts.password}@", ":***@")
