"""Text that must not be seen. Rule: a secret is wrapped where it is read and opened only where it is sent."""

from typing import Final, final

_MASK: Final = "***"


@final
class Secret:
    """A secret text. `str()`, `repr()`, formatting and logging all give `***`; only `open()` gives the text.

    Compares equal to another `Secret` with the same text; hashable; neither iterable nor picklable.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def open(self) -> str:
        """The text itself. Call it only where the secret leaves for the place it belongs to."""
        return self._text

    def __repr__(self) -> str:
        return _MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret cannot be pickled")
