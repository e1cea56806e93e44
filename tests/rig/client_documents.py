"""Client ID Metadata Documents on a web server of their own: https on loopback, under an authority of the tests.

A hub trusts it when `SSL_CERT_FILE` names the authority, and looks there when `client_documents` names its host and
`allow_private` its network: what strangers name, it fetches from public addresses only.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rig.authority import Authority

HOST = "localhost"


@dataclass
class ClientDocuments:
    """The web server. `asked` holds the path of every request so far."""

    origin: str
    authority: Path
    documents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, path: str, *redirect_uris: str, **more: Any) -> str:
        """Serve a document of a public client there, and give its address, which is the client's id."""
        url = f"{self.origin}{path}"
        self.documents[path] = {
            "client_id": url,
            "client_name": "A client with a document",
            "redirect_uris": redirect_uris,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            **more,
        }
        return url


@contextmanager
def serving(folder: Path) -> Iterator[ClientDocuments]:
    """A web server, from its start to the end of the block; its certificates are in `folder`."""
    authority = Authority.made(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = authority.server(HOST).wrap_socket(server.socket, server_side=True)
    documents = ClientDocuments(f"https://{HOST}:{server.server_port}", authority.file)
    server.kept = documents
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield documents
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kept: ClientDocuments = self.server.kept
        kept.asked.append(self.path)
        found = kept.documents.get(self.path)
        body = b"{}" if found is None else json.dumps(found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_said: Any) -> None:
        pass
