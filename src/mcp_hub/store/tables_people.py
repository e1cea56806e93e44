"""The tables of accounts, grants and events, as migration 0004 makes them.

Rule: what an account or a family owns goes with it, by the engine (`ON DELETE CASCADE`), so nothing can be forgotten.
"""

from typing import Final

# `email_key` is the address without regard to case. Lists of words are JSON.
_USERS: Final = (
    """
    CREATE TABLE users (
        id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL,
        email TEXT NOT NULL, email_key TEXT NOT NULL, name TEXT NOT NULL, roles TEXT NOT NULL, member_of TEXT NOT NULL,
        password TEXT, disabled INTEGER NOT NULL, created_at REAL NOT NULL, seen_at REAL,
        UNIQUE (tenant, issuer, subject)
    )
    """,
    "CREATE UNIQUE INDEX one_local_email ON users (tenant, email_key) WHERE issuer = 'local'",
    "CREATE INDEX users_by_email ON users (tenant, email_key)",
)
_ACCESS: Final = (
    "CREATE TABLE access (tenant TEXT NOT NULL PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO access (tenant, generation) VALUES ('', 0)",
)
_BROWSER_SESSIONS: Final = (
    """
    CREATE TABLE browser_sessions (
        digest BLOB NOT NULL PRIMARY KEY, tenant TEXT NOT NULL,
        user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        created_at REAL NOT NULL, used_at REAL NOT NULL, expires_at REAL NOT NULL, agent TEXT NOT NULL
    )
    """,
    "CREATE INDEX browser_sessions_by_user ON browser_sessions (user)",
    "CREATE INDEX browser_sessions_by_end ON browser_sessions (expires_at)",
)
_PERSONAL_TOKENS: Final = (
    """
    CREATE TABLE personal_tokens (
        id TEXT NOT NULL PRIMARY KEY, digest BLOB NOT NULL UNIQUE, tenant TEXT NOT NULL,
        user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        name TEXT NOT NULL, prefix TEXT NOT NULL, scopes TEXT NOT NULL,
        created_at REAL NOT NULL, expires_at REAL, used_at REAL
    )
    """,
    "CREATE INDEX personal_tokens_by_user ON personal_tokens (user)",
    "CREATE INDEX personal_tokens_by_tenant ON personal_tokens (tenant)",
)
_CLIENTS: Final = (
    """
    CREATE TABLE clients (
        id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, secret BLOB, metadata BLOB NOT NULL,
        created_at REAL NOT NULL, used_at REAL, expires_at REAL NOT NULL
    )
    """,
    "CREATE INDEX clients_by_tenant ON clients (tenant)",
    "CREATE INDEX clients_by_end ON clients (expires_at)",
)
_CODES: Final = (
    """
    CREATE TABLE codes (
        digest BLOB NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, client TEXT NOT NULL, client_name TEXT NOT NULL,
        user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        redirect_uri TEXT NOT NULL, challenge TEXT NOT NULL, resource TEXT NOT NULL, scopes TEXT NOT NULL,
        browser BLOB NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL, family TEXT
    )
    """,
    "CREATE INDEX codes_by_user ON codes (user)",
    "CREATE INDEX codes_by_client ON codes (client)",
    "CREATE INDEX codes_by_end ON codes (expires_at)",
)
# A family without a user is that of a client which acts for itself.
_FAMILIES: Final = (
    """
    CREATE TABLE families (
        id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, user TEXT REFERENCES users (id) ON DELETE CASCADE,
        client TEXT NOT NULL, client_name TEXT NOT NULL, resource TEXT NOT NULL, scopes TEXT NOT NULL,
        created_at REAL NOT NULL, used_at REAL NOT NULL, expires_at REAL NOT NULL
    )
    """,
    "CREATE INDEX families_by_user ON families (user)",
    "CREATE INDEX families_by_client ON families (client)",
    "CREATE INDEX families_by_tenant ON families (tenant)",
)
_TOKENS: Final = (
    """
    CREATE TABLE access_tokens (
        digest BLOB NOT NULL PRIMARY KEY, tenant TEXT NOT NULL,
        family TEXT NOT NULL REFERENCES families (id) ON DELETE CASCADE,
        scopes TEXT NOT NULL, expires_at REAL NOT NULL
    )
    """,
    "CREATE INDEX access_tokens_by_family ON access_tokens (family, expires_at)",
    "CREATE INDEX access_tokens_by_end ON access_tokens (expires_at)",
    """
    CREATE TABLE refresh_tokens (
        digest BLOB NOT NULL PRIMARY KEY, tenant TEXT NOT NULL,
        family TEXT NOT NULL REFERENCES families (id) ON DELETE CASCADE,
        scopes TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL, superseded_at REAL
    )
    """,
    "CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family, superseded_at)",
    "CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at)",
)
_ONCE: Final = (
    """
    CREATE TABLE pending (
        tenant TEXT NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL, payload BLOB NOT NULL, expires_at REAL NOT NULL,
        PRIMARY KEY (kind, digest)
    )
    """,
    "CREATE INDEX pending_by_end ON pending (expires_at)",
    """
    CREATE TABLE used_once (
        tenant TEXT NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL, expires_at REAL NOT NULL,
        PRIMARY KEY (kind, digest)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX used_once_by_end ON used_once (expires_at)",
)
# `seq` as in `calls`.
_EVENTS: Final = (
    """
    CREATE TABLE events (
        tenant TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL,
        client TEXT NOT NULL, kind TEXT NOT NULL, subject_of TEXT NOT NULL, outcome TEXT NOT NULL,
        address TEXT NOT NULL,
        PRIMARY KEY (tenant, seq)
    ) WITHOUT ROWID
    """,
)

STATEMENTS: Final = (
    *_USERS, *_ACCESS, *_BROWSER_SESSIONS, *_PERSONAL_TOKENS, *_CLIENTS, *_CODES, *_FAMILIES, *_TOKENS, *_ONCE,
    *_EVENTS,
)  # fmt: skip
"""In this order."""
