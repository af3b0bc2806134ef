"""The world file: what it lays over the built-in world, and how it says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockserver.behaviour.world import RunProfile, World
from mockserver.clock import SECOND
from mockserver.errors import StartError, WorldError
from tests.mockserver.inprocess import ENDS_AT_ONCE, FRONT_DESK_1, FRONT_DESKS, SUCCEEDS, Mock, unknown_id, world_file

_ID = "aaaaaaaa-0000-4000-8000-000000000001"
_W = f"workflows: [{{id: {_ID}, name: w, "
_M = f"machines: [{{id: {_ID}, name: m"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "#: should be a mapping, not a list"),
        ("hello", "#: should be a mapping, not text"),
        ("7", "#: should be a mapping, not 7"),
        ("robots: []", "#/robots: unknown key 'robots'; there are builtin, defaults, machines, pools, workflows"),
        ("builtin: maybe", "#/builtin: should be true or false, not text"),
        ("defaults: []", "#/defaults: should be a mapping, not a list"),
        ("defaults: {speed: 1}", "#/defaults/speed: unknown key"),
        ("defaults: {outcomes: {cancelled: 1}}", "#/defaults/outcomes/cancelled: unknown key"),
        ("defaults: {outcomes: {success: 0}}", "#/defaults/outcomes: at least one outcome needs odds above 0"),
        (
            "defaults: {outcomes: {success: -1}}",
            "#/defaults/outcomes/success: should be a number from 0 to 1,000,000,000",
        ),
        ("defaults: {outcomes: {success: true}}", "#/defaults/outcomes/success: should be a number"),
        ("defaults: {outcomes: {success: .nan}}", "#/defaults/outcomes/success: should be a number"),
        ("defaults: {outcomes: [success]}", "#/defaults/outcomes: should be a mapping, not a list"),
        ("defaults: {running_s: soon}", "#/defaults/running_s: should be seconds: a number, [from, to] or never"),
        ("defaults: {running_s: [3, 1]}", "#/defaults/running_s: should be seconds"),
        ("defaults: {running_s: [1, 2, 3]}", "#/defaults/running_s: should be seconds"),
        ("defaults: {running_s: [true, 2]}", "#/defaults/running_s: should be seconds"),
        ("defaults: {scheduling_s: -1}", "#/defaults/scheduling_s: should be seconds"),
        ("defaults: {scheduling_s: .inf}", "#/defaults/scheduling_s: should be seconds"),
        ("defaults: {errors: []}", "#/defaults/errors: should be a list of at least one text"),
        ("defaults: {errors: [1]}", "#/defaults/errors: should be a list of at least one text"),
        ("defaults: {output_data: [1]}", "#/defaults/output_data: should be a mapping, not a list"),
        ("defaults: {output_data: {a: .nan}}", "#/defaults/output_data: cannot be written as JSON"),
        ("defaults: {output_data: {a: 2026-01-01}}", "#/defaults/output_data: cannot be written as JSON"),
        ("machines: {}", "#/machines: should be a list, not a mapping"),
        ("machines: [1]", "#/machines/0: should be a mapping, not 1"),
        ("machines: [{name: m}]", "#/machines/0/id: is missing"),
        ("machines: [{id: x, name: m}]", "#/machines/0/id: 'x' is not a UUID"),
        ("machines: [{id: 7, name: m}]", "#/machines/0/id: 7 is not a UUID"),
        (f"machines: [{{id: {_ID}}}]", "#/machines/0/name: is missing"),
        (f"machines: [{{id: {_ID}, name: 1}}]", "#/machines/0/name: should be text, not 1"),
        (_M + ", hostname: [a]}]", "#/machines/0/hostname: should be text, not a list"),
        (_M + ", status: busy}]", "#/machines/0/status: 'busy' is not one of connected, disconnected, error"),
        (_M + ", color: red}]", "#/machines/0/color: unknown key"),
        (f"pools: [{{id: {_ID}, name: p, machine_ids: x}}]", "#/pools/0/machine_ids: should be a list of UUIDs"),
        (f"pools: [{{id: {_ID}, name: p, machine_ids: [x]}}]", "#/pools/0/machine_ids/0: 'x' is not a UUID"),
        (
            f"pools: [{{id: {_ID}, name: p, machine_ids: [{_ID}]}}]",
            f"#/pools/0/machine_ids/0: machine {_ID} is not in this world",
        ),
        (f"pools: [{{id: {_ID}, name: p, size: 2}}]", "#/pools/0/size: unknown key"),
        (f"{_M}}}, {{id: {_ID.upper()}, name: n}}]", f"#/machines/1/id: 'n' has the id of 'm': {_ID}"),
        (f"pools: [{{id: {_ID}, name: p}}, {{id: {_ID}, name: q}}]", "#/pools/1/id: 'q' has the id of 'p'"),
        (f"workflows: [{{id: {_ID}, name: v}}, {{id: {_ID}, name: w}}]", "#/workflows/1/id: 'w' has the id of 'v'"),
        (_W + "speed: 1}]", "#/workflows/0/speed: unknown key"),
        (_W + "bulk_failures: 1.5}]", "#/workflows/0/bulk_failures: should be a number from 0 to 1, not 1.5"),
        (_W + "input_schema: '{'}]", "#/workflows/0/input_schema: is not JSON"),
        (_W + f"input_schema: '{'[' * 200_000}'}}]", "#/workflows/0/input_schema: is not JSON"),
        (_W + 'outputs: [{filename: a, file: "a\\0b"}]}]', "#/workflows/0/outputs/0/file: cannot read"),
        (_W + "input_schema: [1]}]", "#/workflows/0/input_schema: should be a JSON schema, not a list"),
        (_W + "output_schema: true}]", "#/workflows/0/output_schema: should be a JSON schema, not true or false"),
        (_W + "main_prompt: 1}]", "#/workflows/0/main_prompt: should be text, not 1"),
        (_W + "outcomes: {error: 0}}]", "#/workflows/0/outcomes: at least one outcome needs odds above 0"),
        ("a: [", "not YAML at line"),
        ("a: 2026-99-99", "cannot read the YAML"),
        ("[" * 5000, "not YAML"),
        ("a: \x01", "not YAML"),
    ],
)
def test_whatever_is_wrong_is_said_in_one_line_with_file_and_pointer(tmp_path: Path, text: str, said: str):
    path = world_file(tmp_path, text)
    with pytest.raises(StartError) as error:
        World.from_files(path)
    assert str(error.value).startswith(f"{path}: {said}")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_text_is_told(tmp_path: Path):
    path = tmp_path / "world.yaml"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(StartError, match="it is not UTF-8 text"):
        World.from_files(path)


def test_an_empty_file_changes_nothing(tmp_path: Path):
    assert World.from_files(world_file(tmp_path, "")) == World.from_files(None)
    assert World.from_files(world_file(tmp_path, "machines:\npools:\nworkflows:\n")) == World.from_files(None)


def test_a_file_is_laid_over_the_built_in_world(tmp_path: Path):
    text = f"""
        defaults: {{running_s: 7}}
        machines: [{{id: {FRONT_DESK_1}, name: renamed}}, {{id: {_ID}, name: added, status: error}}]
        pools: [{{id: {_ID}, name: all, machine_ids: [{FRONT_DESK_1}, {_ID}]}}]
        workflows: [{{id: {_ID.upper()}, name: w, input_schema: '{{"type": "object"}}', output_data: null}}]
    """
    built_in, world = World.from_files(None), World.from_files(world_file(tmp_path, text))
    assert [*world.machines] == [*built_in.machines, _ID]
    assert world.machines[FRONT_DESK_1].name == "renamed"
    assert _ID not in {machine.id for machine in world.connected}
    assert world.pools[_ID].machine_ids == (FRONT_DESK_1, _ID)
    assert world.pools[FRONT_DESKS] == built_in.pools[FRONT_DESKS]
    assert world.workflows[SUCCEEDS] == built_in.workflows[SUCCEEDS]
    added = world.workflows[_ID]
    assert added.profile.running == world.default_profile.running == (7 * SECOND, 7 * SECOND)
    assert added.profile.scheduling == built_in.default_profile.scheduling
    assert added.profile.output_data == b"null"
    assert added.input_schema == {"type": "object"}


def test_without_the_built_in_world_only_its_defaults_stay(tmp_path: Path):
    world = World.from_files(world_file(tmp_path, f"builtin: false\nmachines: [{{id: {_ID}, name: only}}]"))
    assert [*world.machines] == [_ID]
    assert not world.pools
    assert not world.workflows
    assert world.default_profile == World.from_files(None).default_profile


def test_the_mock_serves_the_world_it_was_given(tmp_path: Path):
    path = world_file(tmp_path, f"builtin: false\nmachines: [{{id: {_ID}, name: only}}]")
    mock = Mock(world=path)
    assert [each["name"] for each in mock.get("/v1/machines").json()["items"]] == ["only"]
    assert mock.get("/v1/workflows").json()["total"] == 0
    assert mock.create()["machine_id"] in (None, _ID)


def test_a_mock_that_knows_only_its_world_refuses_what_is_not_in_it():
    mock = Mock(known_only=True)
    assert mock.post("/v1/runs", {"workflow_id": unknown_id()}).status_code == 404
    assert mock.create(ENDS_AT_ONCE)["workflow_id"] == ENDS_AT_ONCE


def test_outcomes_are_drawn_by_their_odds_over_the_whole_range_of_numbers():
    profile = RunProfile(None, (0, 1), (("success", 1.0), ("task_failed", 0.0), ("error", 1.0)), b"{}", ("x",))
    top = (1 << 32) - 1
    drawn = [profile.outcome(number) for number in (0, top // 4, top // 2 + 1, top)]
    assert drawn == ["success", "success", "error", "error"]
    none_first = RunProfile((1, 2), (3, 4), (("success", 0.0), ("error", 0.1)), b"{}", ("x",))
    assert {none_first.outcome(number) for number in (0, 1, top)} == {"error"}


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path):
    workflow = f"{{id: {_ID}, name: w, running_s: soon, outcomes: {{success: -1}}, outputs: [{{filename: a}}]}}"
    path = world_file(
        tmp_path,
        "robots: []\n"
        "machines: [{id: x, status: gone}, {id: y, name: n}]\n"
        f"pools: [{{id: {_ID}, name: p, machine_ids: [x, {_ID}]}}]\n"
        f"workflows: [{workflow}, 5]",
    )

    with pytest.raises(WorldError) as error:
        World.from_files(path)

    assert [line.removeprefix(f"{path}: ").partition("; ")[0] for line in str(error.value).splitlines()] == [
        "#/robots: unknown key 'robots'",
        "#/machines/0/status: 'gone' is not one of connected, disconnected, error",
        "#/machines/0/id: 'x' is not a UUID",
        "#/machines/0/name: is missing",
        "#/machines/1/id: 'y' is not a UUID",
        "#/pools/0/machine_ids/0: 'x' is not a UUID",
        f"#/pools/0/machine_ids/1: machine {_ID} is not in this world",
        "#/workflows/1: should be a mapping, not 5",
        "#/workflows/0/outcomes/success: should be a number from 0 to 1,000,000,000, not -1",
        "#/workflows/0/running_s: should be seconds: a number, [from, to] or never, not 'soon'",
        "#/workflows/0/outputs/0: an output has its content here, or in a file: give one of content and file",
    ]


def test_of_very_many_problems_the_first_are_told_and_the_others_counted(tmp_path: Path):
    path = world_file(tmp_path, "machines: [" + "x, " * 100 + "]")

    with pytest.raises(WorldError) as error:
        World.from_files(path)

    *told, last = str(error.value).splitlines()
    assert (len(told), last) == (50, "and 50 more problems")
