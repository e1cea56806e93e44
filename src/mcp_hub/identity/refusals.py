"""Why somebody is not let in, or something about an account is not done: a sentence for them, a word for the record."""

from mcp_hub.errors import BadRequest, CallerError


class NotSignedIn(CallerError):
    """Somebody tried to sign in, and did not.

    `reason` is a word of ours for the record of events; `wait` are the seconds after which to try again, if that is
    what helps. `public` says nothing about which accounts there are, unless the password was right.
    """

    def __init__(self, public: str, reason: str, *, wait: float | None = None) -> None:
        super().__init__(public)
        self.reason = reason
        self.wait = wait


class NotDone(BadRequest):
    """What was asked for an account was not done, and nothing changed; the sentence says why and what would help.

    `field` is the field of a form it is about, empty for none.
    """

    def __init__(self, public: str, field: str = "") -> None:
        super().__init__(public)
        self.field = field
