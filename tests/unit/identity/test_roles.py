"""What somebody may do, and where it is said."""

import pytest

from mcp_hub.config.model import DeclaredUser
from mcp_hub.identity.roles import declared_roles, group_roles, groups_of, roles_from

pytestmark = pytest.mark.promise("C24")


def test_everybody_has_one_role_and_what_is_unknown_gives_none():
    assert roles_from(frozenset({"admin", "user"})) == {"admin"}
    assert roles_from(frozenset({"root"})) == roles_from(frozenset()) == {"user"}


def test_the_file_speaks_of_an_address_however_it_is_spelled_and_of_no_other():
    declared = {"Ada@example.com": DeclaredUser("Ada@example.com", frozenset({"admin"}))}
    assert declared_roles(declared, "ada@EXAMPLE.com") == {"admin"}
    assert declared_roles(declared, "ada@example.com.evil.example") is None
    assert declared_roles(declared, "") is None


def test_groups_say_nothing_where_none_of_them_makes_an_admin():
    assert group_roles(frozenset({"ops"}), ()) is None
    assert group_roles(frozenset({"ops"}), ("ops",)) == {"admin"}
    assert group_roles(frozenset({"dev"}), ("ops",)) == {"user"}


def test_groups_may_be_inside_an_object_or_a_single_text():
    assert groups_of({"realm_access": {"roles": ["a", 1, "", "b"]}}, "realm_access.roles") == {"a", "b"}
    assert groups_of({"https://x.example/roles": ["a"]}, "https://x.example/roles") == {"a"}
    assert groups_of({"groups": "a"}, "groups") == {"a"}
    for odd in ({}, {"groups": 5}, {"groups": {"a": 1}}, {"a": {"b": None}}, {"a": []}):
        assert groups_of(odd, "groups") == groups_of(odd, "a.b") == set()
    assert len(groups_of({"groups": [f"g{number}" for number in range(5000)]}, "groups")) == 1000
