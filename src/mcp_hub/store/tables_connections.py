"""The tables of connections, as migration 0005 makes them.

Rule: there is one registration in use per upstream and authorization server, and one grant and one pasted key per
principal and upstream, by the engine's own indexes, so whoever comes second is told so in whatever process.
"""

from typing import Final

# `issuer` is the authorization server's here, and the principal's in the tables below.
_REGISTRATIONS: Final = (
    """
    CREATE TABLE registrations (
        id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, upstream TEXT NOT NULL, issuer TEXT NOT NULL,
        client_id TEXT NOT NULL, auth_method TEXT NOT NULL, redirect_uri TEXT NOT NULL, source TEXT NOT NULL,
        secret BLOB, previous_secret BLOB, management BLOB,
        secret_expires_at REAL, created_at REAL NOT NULL, retired_at REAL
    )
    """,
    "CREATE UNIQUE INDEX one_registration ON registrations (tenant, upstream, issuer) WHERE retired_at IS NULL",
    "CREATE INDEX registrations_by_upstream ON registrations (tenant, upstream)",
)
_GRANTS: Final = (
    """
    CREATE TABLE grants (
        id TEXT NOT NULL PRIMARY KEY,
        tenant TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, upstream TEXT NOT NULL,
        registration TEXT NOT NULL REFERENCES registrations (id),
        authorization_server TEXT NOT NULL, token_endpoint TEXT NOT NULL, revocation_endpoint TEXT, resource TEXT,
        scopes TEXT NOT NULL, wanted TEXT NOT NULL, access_token BLOB NOT NULL, refresh_token BLOB, expires_at REAL,
        state TEXT NOT NULL CHECK (state IN ('ready', 'reconnect_needed')), reason TEXT NOT NULL,
        account TEXT NOT NULL, version INTEGER NOT NULL, created_at REAL NOT NULL, refreshed_at REAL NOT NULL,
        used_at REAL, marked_at REAL, place TEXT NOT NULL, lease_owner TEXT, lease_until REAL,
        UNIQUE (tenant, issuer, subject, upstream)
    )
    """,
    "CREATE INDEX grants_by_upstream ON grants (tenant, upstream)",
    "CREATE INDEX grants_by_registration ON grants (registration)",
)
_KEYS: Final = (
    """
    CREATE TABLE pasted_keys (
        id TEXT NOT NULL PRIMARY KEY,
        tenant TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, upstream TEXT NOT NULL,
        key BLOB NOT NULL, hint TEXT NOT NULL, created_at REAL NOT NULL, used_at REAL, place TEXT NOT NULL,
        UNIQUE (tenant, issuer, subject, upstream)
    )
    """,
)
# The newest `seq` is the generation: the newest row is never deleted.
_CHANGES: Final = (
    """
    CREATE TABLE connection_changes (
        seq INTEGER NOT NULL PRIMARY KEY,
        tenant TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, upstream TEXT NOT NULL
    )
    """,
)

# Who signed in before this was kept is asked again at the next sign-in.
_ADDRESSES: Final = ("ALTER TABLE users ADD COLUMN email_verified INTEGER NOT NULL DEFAULT 0",)

STATEMENTS: Final = (*_REGISTRATIONS, *_GRANTS, *_KEYS, *_CHANGES, *_ADDRESSES)
"""In this order."""
