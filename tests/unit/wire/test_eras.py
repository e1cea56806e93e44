"""The protocol's constants are the SDK's, and negotiation never agrees to what the hub does not speak."""

import mcp_types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared import inbound
from mcp_types import methods, version

from mcp_hub.wire import eras

pytestmark = pytest.mark.promise("A5")


def test_the_revisions_of_both_eras_are_the_sdks():
    assert eras.LEGACY_REVISIONS == version.HANDSHAKE_PROTOCOL_VERSIONS
    assert eras.MODERN_REVISIONS == version.MODERN_PROTOCOL_VERSIONS
    assert eras.REVISIONS == version.KNOWN_PROTOCOL_VERSIONS
    assert eras.LATEST_LEGACY == version.LATEST_HANDSHAKE_VERSION
    assert eras.LATEST_MODERN == version.LATEST_MODERN_VERSION
    assert {eras.ASSUMED_LEGACY, eras.BATCH_REVISION} <= set(eras.LEGACY_REVISIONS)


def test_the_keys_of_meta_are_the_sdks():
    assert eras.META_VERSION == mcp_types.PROTOCOL_VERSION_META_KEY
    assert eras.META_CLIENT_INFO == mcp_types.CLIENT_INFO_META_KEY
    assert eras.META_CLIENT_CAPABILITIES == mcp_types.CLIENT_CAPABILITIES_META_KEY
    assert eras.META_LOG_LEVEL == mcp_types.LOG_LEVEL_META_KEY
    assert eras.META_SERVER_INFO == mcp_types.SERVER_INFO_META_KEY


def test_the_methods_with_a_mirrored_name_and_with_cache_hints_are_the_sdks():
    of_tasks = {f"tasks/{verb}": "taskId" for verb in ("get", "update", "cancel")}
    assert dict(inbound.NAME_BEARING_METHODS) | of_tasks == eras.NAME_BEARING
    assert methods.CACHEABLE_METHODS == eras.CACHEABLE


def test_a_known_legacy_revision_is_agreed_to():
    assert [eras.negotiate(offered) for offered in eras.LEGACY_REVISIONS] == list(eras.LEGACY_REVISIONS)


@given(st.one_of(st.none(), st.integers(), st.text(), st.sampled_from(eras.MODERN_REVISIONS), st.just([])))
def test_any_other_offer_is_answered_with_the_newest_legacy_revision(offered):
    assert eras.negotiate(offered) in eras.LEGACY_REVISIONS
    if offered not in eras.LEGACY_REVISIONS:
        assert eras.negotiate(offered) == eras.LATEST_LEGACY
