"""What is wrong with the data of a document, in plain words and at its place.

Rule: no sentence of the validation library reaches people, and no value of the file stands in a sentence.
"""

from difflib import get_close_matches
from typing import Any, Final, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mcp_hub.config.document import Document, Path, shown, within
from mcp_hub.config.part import Part, keys_of
from mcp_hub.config.shape import Root

_SENTENCES: Final = {
    "missing": "is needed here",
    "model_type": "must be a mapping: lines of 'key: value'",
    "dict_type": "must be a mapping: lines of 'key: value'",
    "list_type": "must be a list: [one, two], or lines that start with '- '",
}
_OTHERWISE: Final = "is not valid here"


def checked(document: Document) -> Root | None:
    """The shape of the document's data; problems are reported on the document.

    A part with a problem is taken out and the rest is looked at again, so that what is left can be judged as a whole.
    `None` if it is no mapping at all. The document's data is used up.
    """
    data: object = document.data
    if data is not None and not isinstance(data, dict):
        document.report((), "the file must be a mapping: lines of 'key: value' such as 'version: 1'")
        return None
    while True:
        try:
            return Root.model_validate(document.data)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        # A mapping cannot be wrong as a whole, so every round takes at least one part out of it, and this ends.
        _take_out(document, found)


def _take_out(document: Document, found: list[ErrorDetails]) -> None:
    known = set(document.broken)
    paths = [_path(error) for error in found]
    for path, error in zip(paths, found, strict=True):
        if not any(within(path, other) or within(other, path) for other in known):
            _report(document, path, error)
    targets = {_judged_as_one(path) for path in paths}
    # From the back, so that a part goes before the one around it, and an item's number holds until it is used.
    for target in sorted(targets, key=_order, reverse=True):
        holder: Any = document.data
        for step in target[:-1]:
            holder = holder[step]
        del holder[target[-1]]


def _judged_as_one(path: Path) -> Path:
    # Without its type nothing in a mapping can be judged, so the whole of it goes.
    part = part_at(path[:-1])
    return path[:-1] if path[-1] == "type" and part is not None and "type" in keys_of(part) else path


def _order(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple((part, "") if isinstance(part, int) else (0, part) for part in path)


def _path(error: ErrorDetails) -> Path:
    # A fault in a mapping's key comes as (…, key, "[key]").
    location = error["loc"]
    return location[:-1] if location and location[-1] == "[key]" else location


def _report(document: Document, path: Path, error: ErrorDetails) -> None:
    if error["type"] == "extra_forbidden":
        document.report(path, *_unknown(path), at_key=True)
    elif error["type"] == "rule":
        context = error.get("ctx", {})
        at_key = context["at_key"] or error["loc"][-1:] == ("[key]",)
        document.report(path, context["sentence"], context["hint"], at_key=at_key)
    else:
        document.report(path, _SENTENCES.get(error["type"], _OTHERWISE))


def _unknown(path: Path) -> tuple[str, str]:
    # Only a part refuses a key for being unknown, so there always is one.
    part, key = part_at(path[:-1]) or Root, str(path[-1])
    if key in part.later:
        return "not supported yet", "remove it; a later version of the hub brings it"
    close = get_close_matches(key, keys_of(part), n=1)
    return "unknown key", _elsewhere(part, key) or (f"did you mean '{close[0]}'?" if close else "")


def _elsewhere(part: type[Part], key: str) -> str:
    if key in part.elsewhere:
        return part.elsewhere[key]
    if key in Root.model_fields and part is not Root:
        return f"'{shown(key)}' belongs at the top level; check the indentation"
    for name, info in Root.model_fields.items():
        section = part_in(info.annotation)
        if section and key in keys_of(section):
            return f"'{shown(key)}' belongs under '{name}'"
    return ""


def part_at(path: Path) -> type[Part] | None:
    """The part of the shape at `path`, or `None` where the keys are free."""
    part: type[Part] | None = Root
    free = False
    for step in path:
        if free:
            free = False
            continue
        known = keys_of(part) if part is not None else {}
        if step not in known:
            return None
        annotation = known[str(step)].annotation
        part, free = part_in(annotation), get_origin(annotation) is dict
    return None if free else part


def part_in(annotation: Any) -> type[Part] | None:
    """The part that an annotation holds, alone, optional or as the values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((part for part in map(part_in, get_args(annotation)) if part), None)
