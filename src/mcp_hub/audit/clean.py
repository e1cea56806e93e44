"""Text from outside, made fit for one line of a log.

Rule: what a client or an upstream named itself can neither start a line of its own, nor reorder or hide what a reader
sees, nor send commands to a terminal.
"""

import re
from typing import Final

REPLACEMENT: Final = "\ufffd"

# C0 with DEL, C1, zero-width and directional marks, line and paragraph separators, directional embeddings and
# isolates, byte order mark, interlinear marks, lone surrogates (which no UTF-8 stream or file can take), tags.
_UNFIT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def one_line(text: str) -> str:
    """`text` with every control, invisible or directional character shown as U+FFFD. Idempotent, same length."""
    # Every unfit character is unprintable to Python too, and asking that is twenty times cheaper.
    return text if text.isprintable() else _UNFIT.sub(REPLACEMENT, text)
