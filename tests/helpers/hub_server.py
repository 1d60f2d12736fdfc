"""A Hugging Face Hub of one's own: the few addresses that the client asks for, over HTTP.

It keeps files in memory. ``HF_ENDPOINT`` makes the real client talk to it.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import yaml


class Hub(ThreadingHTTPServer):
    """The server; ``repositories`` maps ``owner/name`` to files, ``asked`` lists requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.cards: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def _send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: object, status: int = 200, **headers: str) -> None:
        self._send(json.dumps(value).encode(), status, Content_Type="application/json", **headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self) -> None:
        path = unquote(self.path.split("?")[0])
        self.server.asked.append(f"POST {path}")
        body = self._body()
        if self.headers.get("Authorization") != "Bearer hf_test":
            self._json({"error": "Invalid username or password."}, 401)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            self.server.repositories.setdefault(name, {})
            self._json({"url": f"{self.server.address}/{name}", "name": name, "id": name})
        elif path == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
        elif path.endswith("/preupload/main"):
            files = [
                {"path": entry["path"], "uploadMode": "regular", "shouldIgnore": False}
                for entry in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif path.endswith("/commit/main"):
            name = path.removeprefix("/api/models/").removesuffix("/commit/main")
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    content = base64.b64decode(entry["value"]["content"])
                    self.server.repositories[name][entry["value"]["path"]] = content
            address = f"{self.server.address}/{name}/commit/{'1' * 40}"
            self._json({"success": True, "commitUrl": address, "commitOid": "1" * 40})
        else:
            self._json({"error": f"nothing at {path}"}, 404)

    def _validate(self, text: str) -> None:
        """The rules for the header of a model card that matter here."""
        errors = []
        parts = text.split("---\n")
        data = yaml.safe_load(parts[1]) if len(parts) > 2 and parts[0] == "" else None
        if not isinstance(data, dict):
            errors.append("there is no YAML header")
        else:
            self.server.cards.append(data)
            if not isinstance(data.get("license"), str):
                errors.append("license is no word")
            if data.get("license") == "other" and not data.get("license_name"):
                errors.append("license 'other' needs license_name")
            if not all(isinstance(tag, str) for tag in data.get("tags", [])):
                errors.append("tags are no words")
        self._json({"errors": [{"message": error} for error in errors], "warnings": []})

    def do_GET(self) -> None:
        path = unquote(self.path.split("?")[0])
        self.server.asked.append(f"{self.command} {path}")
        if "/resolve/" in path:
            name, _, rest = path[1:].partition("/resolve/")
            files = self.server.repositories.get(name)
            if files is None:
                self._json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
                return
            content = files.get(rest.partition("/")[2])
            if content is None:
                self._json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
                return
            self._send(
                content,
                ETag=f'"{hashlib.sha1(content).hexdigest()}"',
                X_Repo_Commit="1" * 40,
                Content_Type="application/octet-stream",
            )
        elif path.startswith("/api/models/"):
            name = path.removeprefix("/api/models/").partition("/revision/")[0]
            files = self.server.repositories.get(name)
            if files is None:
                self._json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
                return
            siblings = [{"rfilename": file} for file in files]
            self._json({"id": name, "modelId": name, "sha": "1" * 40, "siblings": siblings})
        else:
            self._json({"error": f"nothing at {path}"}, 404)

    do_HEAD = do_GET


@contextmanager
def hub() -> Iterator[Hub]:
    """Serve while the block runs."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
