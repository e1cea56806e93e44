"""What every mapping with known keys has in common.

Rule: a key that a later version brings stands in `later`, one that is written otherwise in `elsewhere`; neither is
ever ignored.
"""

from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from mcp_hub.config.fields import Json


class Part(BaseModel):
    """A mapping with known keys; a key without a value says nothing."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    later: ClassVar[frozenset[str]] = frozenset()
    elsewhere: ClassVar[dict[str, str]] = {}
    """The next step where somebody writes a key here that is written otherwise."""

    @model_validator(mode="before")
    @classmethod
    def _without_the_unsaid(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return {} if data is None else data
        said = cast("dict[str, Any]", data)
        return {key: value for key, value in said.items() if value is not None}


def keys_of(part: type[Part]) -> dict[str, FieldInfo]:
    """What may stand in it, as it is written in the file."""
    return {info.alias or name: info for name, info in part.model_fields.items()}


def spelled_out(raw: Any) -> Any:
    """A word alone is short for `{type: word}`."""
    short: Json = {"type": raw}
    return short if isinstance(raw, str) else raw
