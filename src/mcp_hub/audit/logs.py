"""Where log lines go and what they may hold: standard error, one line each, no secrets.

Rule: every line passes `_fit_to_print` last, after all values, exceptions and messages of libraries have become text.
"""

import logging
import logging.config
import re
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from mcp_hub.audit.clean import one_line
from mcp_hub.secret import Secret

_ORDER: Final = ("timestamp", "level", "logger", "event")
_WORD: Final = r"[A-Za-z0-9._~+/=\-]+"
# `Bearer` and `Basic` with something long enough to be a credential, and the members of forms, queries and JSON that
# hold one. The value ends where a quote, a separator or white space would end it.
_CREDENTIAL: Final = re.compile(
    rf"(?i)\b(bearer\s+|basic\s+(?={_WORD}[0-9=+/]))(?!\*){_WORD}"
    r"|\b((?:access_token|refresh_token|id_token|client_secret|code_verifier|api[_-]?key|password)"
    r"[\\\"']*\s*[=:]\s*[\\\"']*|[?&]code=)(?!\*)[^\s\\\"'&,;}]+"
)
_NAMED_SECRET: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "password", "token", "secret"}
)


def configure(*, json: bool, level: str) -> None:
    """Set up logging for the process: this code's and every library's, to standard error.

    `json`: JSON lines, otherwise `key=value`. `level`: a name of the standard library, such as `INFO`. Call it before
    a logger is used. The server's access log is off: the call log says who did what, and holds no addresses.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask_named,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(json=json), _fit_to_print],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level.upper()},
            "loggers": {
                **{name: {"handlers": [], "propagate": True} for name in ("uvicorn", "uvicorn.error")},
                "uvicorn.access": {"handlers": [], "propagate": False},
                # At INFO they write every address they ask, with its query.
                **{name: {"level": "WARNING"} for name in ("httpx2", "httpcore2")},
            },
        }
    )


def _renderer(*, json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(default=_as_text)
    return structlog.processors.LogfmtRenderer(key_order=_ORDER, drop_missing=True, bool_as_flag=False)


def _as_text(value: object) -> str:
    return str(value) if isinstance(value, Secret) else repr(value)


def _mask_named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key in event:
        if key.lower() in _NAMED_SECRET:
            event[key] = "***"
    return event


def _fit_to_print(_logger: WrappedLogger, _method: str, line: Any) -> str:
    return one_line(_CREDENTIAL.sub(lambda found: f"{found[1] or found[2]}***", line))
