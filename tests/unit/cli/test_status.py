"""The table of upstreams, and what is said below it."""

import pytest

from mcp_hub.cli.status import show

pytestmark = pytest.mark.promise("E37")

LINK = "https://hub.example.com/connect/docs"


def _shown(state: str, reason: str, capsys: pytest.CaptureFixture[str]) -> str:
    show([{"name": "docs", "state": state, "reason": reason}])
    return capsys.readouterr().out


def test_what_does_not_answer_is_to_be_checked(capsys: pytest.CaptureFixture[str]):
    shown = _shown("unreachable", "docs does not answer.", capsys)
    assert "\ndocs: docs does not answer.\n  ↳ check from here:  mcp-hub upstream check docs\n" in shown


@pytest.mark.parametrize("state", ["not_connected", "reconnect_needed"])
def test_what_waits_for_its_user_is_told_by_the_link_alone(state: str, capsys: pytest.CaptureFixture[str]):
    reason = f"docs is not connected for you. Open {LINK}, then try again."
    shown = _shown(state, reason, capsys)
    assert shown.endswith(f"\ndocs: {reason}\n")


def test_what_is_switched_off_needs_nothing(capsys: pytest.CaptureFixture[str]):
    assert "Disabled" not in _shown("disabled", "Disabled in the configuration", capsys)
