"""Everything mcp_hub promises, each with the tests that show it.

A promise is tied to its tests by `@pytest.mark.promise("A6")` on a test, or `pytestmark` on a file.
`tests/test_requirements.py` fails if a promise that is kept today has no test
or if a test shows no promise. `LATER` names what is not built yet; nothing else may be missing.

A to E: what it does. T: what an attacker tries. S: how fast it is (measured by `bench/run`, not by tests).
"""

from typing import Final

PROMISES: Final = {
    # A. Fronting many servers
    "A1": "One endpoint merges the tools, resources, resource templates, prompts and completions of all upstreams",
    "A2": "Upstreams are declared in YAML; a URL alone is enough",
    "A3": "Upstreams are reached over Streamable HTTP, HTTP+SSE or as commands; which, is found out or pinned",
    "A4": "Clients connect over Streamable HTTP in every revision, over HTTP+SSE, or start the hub as a command",
    "A5": "Both eras of the protocol on both sides, in every combination",
    "A6": "Names never collide, stay short, and never change because another upstream was added",
    "A7": "Lists are refreshed on list_changed, on a lifetime and on request; one broken tool loses only itself",
    "A8": "One dead, slow or unauthorised upstream never empties or delays the list of the others, and is named",
    "A9": "Presets: named selections with an address of their own",
    "A10": "An empty description is filled from the upstream's own",
    # B. Whose credentials
    "B11": "No credential: nothing is added",
    "B12": "Shared headers, the same for all callers",
    "B13": "An API key is sent as a bearer token and never shown again",
    "B14": "Headers of the caller's own; no inbound header reaches an upstream unless configured",
    "B15": "OAuth per user",
    "B16": "Which credential is used follows one table; a credential in the headers turns discovery off",
    "B17": "Registration at the upstream's authorization server",
    "B18": "Connected users stay connected when the client id changes",
    "B19": "A 401 during a call: refresh once, retry once, else a link",
    "B20": "A caller who has not connected gets the link from the call",
    "B21": "Machine callers",
    "B22": "One user's tokens, sessions, lists and results never reach another",
    # C. Who is calling
    "C23": "The hub protects itself as an OAuth resource server",
    "C24": "Login by account or identity provider, with roles",
    "C25": "Tenants: nothing crosses",
    # D. Running it
    "D26": "Checking an upstream gives exactly one of five verdicts, with its steps",
    "D27": "An upstream can be disabled, and may exist before it has a URL",
    "D28": "Only https to public addresses, checked when connecting; private ranges only where allowed",
    "D29": "Secrets never come back from an API, a log or an error",
    "D30": "Security classification",
    "D31": "Edge tunnel",
    "D32": "Audit: who, from which client, which upstream and tool, outcome, duration; no arguments",
    "D33": "Health, structured logs, graceful shutdown; starts with every upstream down",
    "D34": "SQLite by default, several replicas on PostgreSQL",
    "D35": "Changed tool definitions are shown and can be held back",
    "D36": "Search mode for large catalogs",
    # E. What people see
    "E37": "Pages that work without scripts",
    "E38": "A command line whose errors name the repair",
    "E39": "YAML errors all at once, with file, line, column and suggestion",
    "E40": "Snippets for common clients; import of their server lists",
    # F. How it is proven
    "F1": "The official conformance suite gives the same result directly and through the hub, in both revisions",
    "F2": "Clients and servers of other makers work through the hub",
    "F3": "Two commands from a clean checkout: one runs the hub with examples, one runs all tests",
    "F4": "Documentation is checked: settings, commands and the promises themselves",
    "F5": "The rooms of the code keep to their floors",
    # T. Attacks
    "T1": "Metadata of an upstream's 401 leads inside the network",
    "T2": "Authorization server endpoints lead inside the network",
    "T3": "A client's metadata document leads inside the network",
    "T4": "An upstream's URL leads inside the network",
    "T5": "A name resolves to something else between check and connect",
    "T6": "An address is spelled in an unusual way",
    "T7": "Transition and special-purpose ranges taken for public",
    "T8": "A redirect leads inside the network",
    "T9": "Proxy variables of the environment bypass the door",
    "T10": "Error texts and timing tell about the inside of a network",
    "T11": "Header injection by values",
    "T12": "Reserved headers smuggled through",
    "T13": "The caller's own token passed on to an upstream",
    "T14": "A token for another audience",
    "T15": "Lists of another user",
    "T16": "Results of another user through shared connections",
    "T17": "State of another user through a shared session",
    "T18": "Identity that bleeds between tasks",
    "T19": "A guessed or stolen session id",
    "T20": "A stolen event stream",
    "T21": "Forged or replayed request state",
    "T22": "DNS rebinding against a local hub",
    "T23": "An answer that never ends, or expands without end",
    "T24": "An upstream that drips",
    "T25": "Malformed messages in both directions",
    "T26": "Messages of an upstream for somebody else's request",
    "T27": "Tool poisoning and shadowing",
    "T28": "A definition that changes after approval",
    "T29": "Schemas that point outside or explode",
    "T30": "Markup of somebody else's on the hub's pages",
    "T31": "Secrets in logs, errors and traces",
    "T32": "Secrets at rest",
    **{f"T{row}": "sign-in, consent and token attacks" for row in (*range(33, 61), 62)},
    "T33": "A form that another site sends",
    "T34": "A connection that somebody begins for another",
    "T35": "A way back from signing in elsewhere, opened in a stranger's browser",
    "T36": "A code without a click",
    "T37": "A consent that somebody else, or another browser, gives",
    "T38": "A consent that is taken for given",
    "T39": "A page of the hub in a stranger's frame",
    "T40": "Markup in names, addresses and answers of others, on the hub's pages",
    "T51": "A program that poses as a client on the user's computer",
    "T52": "A client's document that changes once it was shown",
    "T53": "Registrations without end",
    "T61": "Path traversal by templates and URIs",
    "T63": "The hub's environment inherited by a child process",
    "T64": "Response splitting through event streams",
    "T65": "Calls that nobody can attribute",
    # S. Speed
    "S1": "A call costs at most three times what nginx costs",
    "S2": "At least five times the fastest other MCP proxy",
    "S3": "Little added latency",
    "S4": "Legacy and mixed calls cost little more",
    "S5": "Streams with progress",
    "S6": "Warm lists reach no upstream",
    "S7": "Cold lists cost the slowest upstream, not the sum",
    "S8": "Large results cost little memory",
    "S9": "Idle streams and sessions are small",
    "S10": "It starts at once",
    "S11": "A dead upstream leaves the others' latency alone",
    "S12": "The number of upstreams does not slow a call",
    "S13": "An hour at half load leaks nothing",
}

LATER: Final = frozenset(
    {
        "A9", "A10", "B21", "C25",
        "D29", "D30", "D31", "D34", "D35", "D36",
        "T28", "T54",
    }
)  # fmt: skip
"""Promises of which not all is built; tests may already show parts of them."""

MEASURED: Final = frozenset(each for each in PROMISES if each.startswith("S"))
"""Shown by `bench/run` and its table in docs/speed.md."""
