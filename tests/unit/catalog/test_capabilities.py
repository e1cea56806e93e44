"""What the hub says it can do is what works for this client, and nothing else."""

import pytest

from mcp_hub.catalog.capabilities import APPS, Said, advertised, extender, listing_tasks, with_tasks
from mcp_hub.wire.eras import TASKS, Era

pytestmark = pytest.mark.promise("A5")
MODERN, LEGACY, OLDER = "2026-07-28", "2025-11-25", "2025-06-18"
LISTS = {kind: {"listChanged": True} for kind in ("tools", "prompts", "resources")}
LEGACY_TASKS = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}


def said(name, era, **capabilities) -> Said:
    return Said(name, era, capabilities)


def new(name="new", **extensions) -> Said:
    return said(name, Era.MODERN, extensions=extensions)


def test_without_upstreams_only_the_lists_are_offered():
    for revision in (MODERN, LEGACY, OLDER):
        assert advertised([], revision) == LISTS


def test_tasks_are_offered_to_clients_of_the_era_that_has_them():
    all_said = [new(**{TASKS: {}}), said("old", Era.LEGACY, tasks=LEGACY_TASKS)]
    assert advertised(all_said, MODERN) == {**LISTS, "extensions": {TASKS: {}}}
    assert advertised(all_said, LEGACY) == {**LISTS, "tasks": LEGACY_TASKS}
    assert advertised(all_said, OLDER) == LISTS
    assert with_tasks(all_said, Era.MODERN) == {"new"}
    assert with_tasks(all_said, Era.LEGACY) == {"old"}


@pytest.mark.parametrize("era", [Era.MODERN, None])
def test_tasks_of_the_other_era_are_not_offered(era):
    all_said = [said("x", era, tasks=LEGACY_TASKS), said("y", Era.LEGACY, extensions={TASKS: {}})]
    for revision in (MODERN, LEGACY):
        assert TASKS not in advertised(all_said, revision).get("extensions", {})
        assert "tasks" not in advertised(all_said, revision)


def test_what_legacy_upstreams_can_do_with_tasks_is_put_together():
    makes = {"requests": {"tools": {"call": {}}}}
    all_said = [said("a", Era.LEGACY, tasks=makes), said("b", Era.LEGACY, tasks={**makes, "cancel": {}})]
    assert advertised(all_said, LEGACY)["tasks"] == {**makes, "cancel": {}}
    assert listing_tasks(all_said) == frozenset()
    assert listing_tasks([*all_said, said("c", Era.LEGACY, tasks=LEGACY_TASKS)]) == {"c"}


def test_an_upstream_that_makes_no_tasks_of_calls_adds_nothing():
    assert "tasks" not in advertised([said("a", Era.LEGACY, tasks={"list": {}})], LEGACY)


@pytest.mark.parametrize("revision", [MODERN, LEGACY, OLDER])
def test_apps_are_offered_if_any_upstream_has_them(revision):
    all_said = [new("a", **{APPS: {"x": 1}}), said("b", Era.LEGACY, extensions={APPS: {}}), new("c")]
    assert advertised(all_said, revision)["extensions"] == {APPS: {"x": 1}}


def test_any_other_extension_is_offered_to_its_own_era_while_one_upstream_alone_has_any():
    alone = [new("a", **{"com.example/x": {"y": 1}}), new("b", **{TASKS: {}, APPS: {}}), said("c", Era.LEGACY)]
    assert advertised(alone, MODERN)["extensions"] == {APPS: {}, TASKS: {}, "com.example/x": {"y": 1}}
    assert advertised(alone, LEGACY)["extensions"] == {APPS: {}}
    assert extender(alone, Era.MODERN) == "a"
    assert extender(alone, Era.LEGACY) is None
    several = [*alone, new("d", **{"com.example/z": {}})]
    assert advertised(several, MODERN)["extensions"] == {APPS: {}, TASKS: {}}
    assert extender(several, Era.MODERN) is None


def test_what_is_experimental_is_offered_by_the_same_rule():
    one = said("a", Era.LEGACY, experimental={"x": {}})
    assert advertised([one], LEGACY)["experimental"] == {"x": {}}
    assert "experimental" not in advertised([one], MODERN)
    assert "experimental" not in advertised([one, said("b", Era.LEGACY, experimental={"y": {}})], LEGACY)


@pytest.mark.promise("T25")
@pytest.mark.parametrize("nonsense", [None, 5, [], "x", {"tools": []}, {TASKS: None}])
def test_nonsense_declares_nothing(nonsense):
    for era in Era:
        for member in ("extensions", "experimental", "tasks", "resources"):
            for revision in (MODERN, LEGACY):
                assert LISTS.keys() <= advertised([Said("a", era, {member: nonsense})], revision).keys()
