"""As whom the command line checks upstreams: whoever is named, the one user of a private hub, else nobody.

Rule: what users have given the hub is read from its store in this process, whether a hub runs or not. A store that is
not there is not made, and one that is not needed is not opened; what opens it is loaded only then.
"""

import os
from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from mcp_hub.checking import Checking, Owners
from mcp_hub.config.model import Config
from mcp_hub.config.places import is_kept, store_path
from mcp_hub.credentials.decide import SignIn, decide_declared
from mcp_hub.errors import BadRequest, HubFault
from mcp_hub.principal import LOCAL, Principal


@asynccontextmanager
async def checking_as(
    config: Config, who: str, names: Collection[str]
) -> AsyncGenerator[tuple[Checking, Principal | None]]:
    """What checks these upstreams, and as whom; an empty `who` names nobody.

    Raises:
        CallerError: nobody is called like this, or nobody can be.
        HubFault: the store is needed, and cannot be opened.
    """
    async with AsyncExitStack() as stack:
        caller = await _caller(config, who)
        owners = None if caller is None else await _owners(config, names, stack)
        checking = Checking(config, owners=owners)
        stack.push_async_callback(checking.aclose)
        yield checking, caller


async def _caller(config: Config, who: str) -> Principal | None:
    if config.login.type == "none":
        if who:
            raise BadRequest("With login none there is one user, who need not be named. Leave out --as.")
        return LOCAL
    if not who:
        return None
    if not config.login.issues_tokens:
        raise BadRequest(
            f"With login {config.login.type} the hub keeps no accounts. Check from a client, with a token of its user:"
            " POST /api/v1/upstreams/NAME/check."
        )
    if not _has_store(config):
        raise BadRequest("There are no accounts yet: the hub of this configuration has not run here.")
    from mcp_hub.cli.people import people_of  # noqa: PLC0415 - see the rule
    from mcp_hub.identity.principals import principal_of  # noqa: PLC0415

    async with people_of(config) as people:
        user = await people.accounts.find(who)
    if user.disabled:
        raise BadRequest(f"{user.email} is disabled, and can use nothing. To undo that: mcp-hub user enable {who}")
    return principal_of(user)


async def _owners(config: Config, names: Collection[str], stack: AsyncExitStack) -> Owners | None:
    sign_ins = {decide_declared(config.upstreams[name]).sign_in for name in names}
    needed = any(each.is_own for each in sign_ins)
    if not _has_store(config) or not (needed or SignIn.UNDECIDED in sign_ins):
        return None
    from mcp_hub.assembly import unlocked  # noqa: PLC0415 - see the rule
    from mcp_hub.connecting import open_connections  # noqa: PLC0415

    try:
        store, vault = await unlocked(config, stack)
        return (await open_connections(config, store, vault, stack)).connections
    except HubFault:
        if needed:
            raise
        return None  # nothing may be known of it either way, and it is asked anew


def _has_store(config: Config) -> bool:
    return is_kept(config.store) and store_path(config.store, os.environ).exists()
