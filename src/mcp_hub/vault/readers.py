"""Who may open a file.

Rule: what cannot be read for certain counts as open to others.

systemd gives a credential to a service with `User=` by an access control list on a file of root's, and shows the mask
of that list where the group's rights would stand (mode 0440, systemd issue 29435). Only the list tells that it is
nobody's but the service's. Its form: linux/posix_acl_xattr.h.
"""

import os
import struct
from typing import Final

_OTHERS: Final = 0o077
_LIST: Final = "system.posix_acl_access"
_VERSION: Final = struct.pack("<I", 2)
_ENTRY: Final = struct.Struct("<HHI")
_OWNER, _USER, _MASK = 0x01, 0x02, 0x10


def is_open_to_others(descriptor: int, mode: int) -> bool:
    """Whether an open file of this mode may be opened by anybody but its owner, this user and root."""
    if os.name != "posix" or not mode & _OTHERS:
        return False
    try:
        entries = os.getxattr(descriptor, _LIST)
    except (AttributeError, OSError):  # no such lists on this system, or none on this file
        return True
    return lets_others(entries, os.geteuid())


def lets_others(entries: bytes, me: int) -> bool:
    """Whether an access control list lets in anybody but the owner, `me` and root. Pure."""
    body = entries[len(_VERSION) :]
    if not entries.startswith(_VERSION) or not body or len(body) % _ENTRY.size:
        return True
    return any(
        rights and tag not in {_OWNER, _MASK} and (tag != _USER or who not in {0, me})
        for tag, rights, who in _ENTRY.iter_unpack(body)
    )
