"""The rules of ARCHITECTURE.md, read off the imports."""

import ast
import functools
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((*(ROOT / "mockserver").rglob("*.py"), *(ROOT / "contracts").rglob("*.py")))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
    return found


def importing(package: str, *forbidden: str, beside: tuple[str, ...] = ()) -> list[str]:
    """Modules under a package that import what is forbidden there, apart from those named."""
    return [
        f"{name_of(path)} imports {imported}"
        for path in MODULES
        if (name_of(path) + ".").startswith(package + ".") and name_of(path) not in beside
        for imported in sorted(imports(path))
        if any((imported + ".").startswith(each + ".") for each in forbidden)
    ]


def test_the_mock_and_the_suite_share_no_code():
    assert importing("mockserver", "contracts") == []
    assert importing("contracts", "mockserver") == []


def test_the_spec_package_knows_no_server_no_store_and_no_domain():
    allowed = {"mockserver.errors"}
    above = [
        line
        for line in importing("mockserver.spec", "mockserver", "starlette", "uvicorn")
        if ".spec" not in line.split()[-1]
    ]

    assert [line for line in above if line.split()[-1] not in allowed] == []


def test_the_store_knows_only_errors():
    above = [
        line for line in importing("mockserver.store", "mockserver", "starlette") if ".store" not in line.split()[-1]
    ]

    assert [line for line in above if line.split()[-1] != "mockserver.errors"] == []


def test_behaviours_know_no_http():
    assert importing("mockserver.behaviour", "starlette", "uvicorn", "mockserver.endpoint", "mockserver.app") == []


def test_starlette_stands_at_the_edge_only():
    modules = ("app", "bodies", "browsers", "downloads", "endpoint", "headers", "namespaces", "response", "server")
    admin = ("admin.application", "admin.context", "admin.events", "admin.guard")
    edge = (*modules, *admin, "answer_budget", "delays", "faults.effects", "faults.injector", "testing.control")

    assert importing("mockserver", "starlette", beside=tuple(f"mockserver.{name}" for name in edge)) == []


def test_the_http_protocol_knows_the_limits_and_the_keys_of_a_scope_and_nothing_else_of_the_mock():
    allowed = {"mockserver.settings", "mockserver.scope_keys"}
    above = [
        line.split()[-1] for line in importing("mockserver.http11", "mockserver") if ".http11" not in line.split()[-1]
    ]

    assert set(above) <= allowed


def test_nothing_but_the_command_imports_the_command_and_nothing_but_the_root_the_composition():
    assert importing("mockserver", "mockserver.cli", beside=("mockserver.__main__",)) == []
    assert (
        importing("mockserver", "mockserver.app", beside=("mockserver", "mockserver.cli", "mockserver.testing.server"))
        == []
    )


def test_time_and_chance_come_from_the_clock_and_the_seed():
    # `time_slice` times the work of the server, and no answer depends on it.
    beside = ("mockserver.clock", "mockserver.log", "mockserver.time_slice")

    assert importing("mockserver", "time", beside=beside) == []
    assert importing("mockserver.behaviour", "random", "secrets", "uuid", beside=("mockserver.behaviour.world",)) == []


BELOW = {
    "core": set(),
    "openapi": {"core"},
    "oracle": {"core", "openapi"},
    "data": {"core", "openapi"},
    "guard": {"core"},
    "report": {"core", "openapi"},
    "engine": {"core", "openapi", "oracle", "data", "guard"},
    "rules": {"core", "openapi", "oracle", "data", "guard", "engine"},
    "explore": {"core", "openapi", "oracle", "data", "guard", "engine", "rules"},
    "check": {"core", "openapi", "guard", "engine", "rules", "explore"},
    "replay": {"core", "guard", "engine", "rules", "explore"},
    "plan": {"core", "guard", "engine", "rules", "explore", "check"},
    "cli": {"core", "openapi", "guard", "report", "rules", "check", "plan", "replay"},
}


def test_the_packages_of_the_suite_import_only_those_below_them():
    outside = {"__init__", "__main__", "__pycache__", "pytest_plugin", "test_contract"}
    there = {path.stem for path in (ROOT / "contracts").iterdir() if path.suffix in {"", ".py"}}
    assert there - outside == set(BELOW)
    above = [
        line
        for package, below in BELOW.items()
        for line in importing(f"contracts.{package}", "contracts")
        if (imported := line.split()[-1].split("."))[1:] and imported[1] not in below | {package}
    ]
    assert above == []


RETIRED = {
    "Talk", "Heard", "World", "Shown", "Unjudged", "Written", "Stumble", "STUMBLES", "SecretMarks",
    "kin", "telling", "Course", "Courses", "Temper", "tempers", "lived", "Recalled", "Tally",
    "Sights", "Corner", "Person", "Wishes", "Asker", "Pace", "misfit", "trespass", "overheard",
    "retold", "untold", "ladder", "ladders", "on_and_off", "Surprise", "tell_kinds", "REVEALING_COUNTS",
    "others_run", "is_missed", "look_into", "UnknownCase", "Lives", "BatchLives", "LivesCache",
    "accepts_made_up", "run_mark", "WatchedRuns", "ListFault", "rule_of_fault", "LOWEST_PRIORITY",
}  # fmt: skip
"""Names that new readers did not understand (reviews of 2026-11-26, 28 and 29) and that were replaced."""
STILL = {"mockserver": {"World"}}
"""`--world` is an option of the mock; in the suite the word was a second thing."""


def test_retired_names_do_not_come_back():
    found = []
    word = re.compile(rf"\b(?:{'|'.join(RETIRED)})\b")
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        # Parsed only where a comment or a text may be meant instead of a name.
        for node in ast.walk(ast.parse(text)) if word.search(text) else ():
            names = (getattr(node, field, None) for field in ("id", "attr", "arg", "name"))
            used = {name for name in names if isinstance(name, str)} & RETIRED
            found += [f"{name_of(path)}: {name}" for name in used - STILL.get(name_of(path).split(".")[0], set())]
    assert found == []


def test_the_glossary_is_short():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    glossary = text.partition("## Glossary")[2].partition("\n## ")[0]
    assert 20 <= sum(line.startswith("| ") for line in glossary.splitlines()) - 1 <= 30


def test_no_modules_import_each_other_in_a_circle():
    names = {name_of(path) for path in MODULES}
    reached = {}
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = set()
        for node in tree.body:  # what is imported within a function, or for types only, is loaded later or never
            if isinstance(node, ast.ImportFrom) and node.module in names:
                found |= {f"{node.module}.{alias.name}" for alias in node.names} & names or {node.module}
        reached[name_of(path)] = found
    for _ in names:
        further = {name: each.union(*(reached[one] for one in each)) for name, each in reached.items()}
        if further == reached:
            break
        reached = further
    assert [name for name, each in reached.items() if name in each] == []


def test_a_module_of_over_500_lines_says_why_at_its_top():
    texts = {name_of(path): path.read_text(encoding="utf-8") for path in MODULES}
    long = {name: ast.get_docstring(ast.parse(text)) for name, text in texts.items() if text.count("\n") > 500}
    assert [name for name, said in long.items() if "Over 500 lines" not in (said or "")] == []


BESIDE_THE_PACKAGES = {"mockserver/external", "contracts/matrix", "contracts/mutation", "contracts/rules/faults"}
"""Tests of a whole package (against other software, by whole checks, by mutants), and servers with faults."""


def test_the_folders_of_tests_are_those_of_the_packages():
    def folders(root):
        inits = (*root.glob("mockserver/**/__init__.py"), *root.glob("contracts/**/__init__.py"))
        return {init.parent.relative_to(root).as_posix() for init in inits}

    pages = {"mockserver/admin/page"}  # files for a browser, no package
    assert folders(ROOT / "tests") - BESIDE_THE_PACKAGES == folders(ROOT) | pages


def test_no_module_is_called_by_a_name_that_says_nothing():
    idle = {"utils", "helpers", "common", "base", "constants", "interfaces", "managers", "services", "factories"}

    assert [name for path in MODULES if (name := name_of(path)).rpartition(".")[2] in idle] == []


@pytest.mark.parametrize(
    "package",
    ["mockserver", "mockserver.spec", "mockserver.store", "mockserver.testing", "contracts.guard", "contracts.rules"],
)
def test_every_exported_name_is_there(package):
    module = importlib.import_module(package)

    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_schemathesis_is_known_in_one_place_and_by_its_public_name():
    assert importing("contracts", "schemathesis", beside=("contracts.explore.schema_hooks",)) == []
    hooks = imports(ROOT / "contracts" / "explore" / "schema_hooks.py")
    assert {name for name in hooks if name.startswith("schemathesis")} == {"schemathesis"}
