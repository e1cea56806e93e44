"""Which tasks each principal has made: for upstreams that cannot tell one caller of the hub from another.

Rule: bounded, and only ever a reason to show less. Where a credential is shared, an upstream lists the tasks of all who
share it, and a caller is shown those that the hub saw made by the caller itself.
"""

from collections import OrderedDict
from typing import Final, final

PER_PRINCIPAL: Final = 1_000
TOTAL: Final = 10_000

Principal = tuple[str, ...]
Task = tuple[str, str]
"""An upstream and its own id of a task."""


@final
class Created:
    """The latest tasks of this process's callers. The oldest are forgotten first, of whoever has most."""

    def __init__(self, *, per_principal: int = PER_PRINCIPAL, total: int = TOTAL) -> None:
        self._per_principal = per_principal
        self._total = total
        self._tasks: dict[Principal, OrderedDict[Task, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def note(self, principal: Principal, task: Task) -> None:
        """This principal has made this task."""
        mine = self._tasks.setdefault(principal, OrderedDict())
        if task in mine:
            return
        mine[task] = None
        self._count += 1
        if len(mine) > self._per_principal:
            self._forget_oldest(principal)
        elif self._count > self._total:
            self._forget_oldest(max(self._tasks, key=lambda each: len(self._tasks[each])))

    def has(self, principal: Principal, task: Task) -> bool:
        """Whether it is known that this principal has made this task."""
        return task in self._tasks.get(principal, ())

    def _forget_oldest(self, principal: Principal) -> None:
        mine = self._tasks[principal]
        mine.popitem(last=False)
        self._count -= 1
        if not mine:
            del self._tasks[principal]
