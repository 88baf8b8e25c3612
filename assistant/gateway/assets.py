"""The built web client, held in memory with its headers. Files with a hash in their name never change."""

import gzip
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from websockets.datastructures import Headers
from websockets.http11 import Response

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; style-src 'self'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
_NOT_BUILT = "The web client is not built. Run `make run`, or `npm ci && npm run build` in assistant/web.\n"


def respond(status: int, reason: str, body: bytes, content_type: str, **headers: str) -> Response:
    """A response with the headers that every response has; ``cache_control="..."`` adds ``Cache-Control``."""
    all_headers = Headers(
        {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Content-Security-Policy": _POLICY,
        }
    )
    for name, value in headers.items():
        all_headers[name.replace("_", "-").title()] = value
    return Response(status, reason, all_headers, body)


def respond_text(status: int, reason: str, text: str) -> Response:
    """A plain text response that nobody keeps."""
    return respond(status, reason, text.encode(), "text/plain; charset=utf-8", cache_control="no-store")


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    zipped: bytes | None
    content_type: str
    cache_control: str


class Assets:
    """Files of a folder by URL path, read once."""

    def __init__(self, folder: Path) -> None:
        self._assets = {
            f"/{path.relative_to(folder).as_posix()}": _load(path, folder)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    @property
    def is_built(self) -> bool:
        return "/index.html" in self._assets

    def get(self, path: str, accept_encoding: str) -> Response | None:
        """The file for a path, or None. ``/`` is ``/index.html``."""
        if path == "/":
            if not self.is_built:
                return respond_text(503, "Service Unavailable", _NOT_BUILT)
            path = "/index.html"
        asset = self._assets.get(path)
        if asset is None:
            return None
        if asset.zipped is not None and _takes_gzip(accept_encoding):
            return respond(
                200,
                "OK",
                asset.zipped,
                asset.content_type,
                cache_control=asset.cache_control,
                content_encoding="gzip",
                vary="Accept-Encoding",
            )
        return respond(
            200, "OK", asset.body, asset.content_type, cache_control=asset.cache_control, vary="Accept-Encoding"
        )


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip (RFC 9110, 12.5.3): named, and not with a weight of nothing."""
    for coding in accept_encoding.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return weight.strip() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _load(path: Path, folder: Path) -> _Asset:
    body = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    is_text = kind.startswith("text/") or kind in ("application/javascript", "application/json", "image/svg+xml")
    hashed = path.relative_to(folder).parts[0] == "assets"
    return _Asset(
        body=body,
        zipped=gzip.compress(body, mtime=0) if is_text else None,
        content_type=f"{kind}; charset=utf-8" if is_text else kind,
        cache_control="public, max-age=31536000, immutable" if hashed else "no-cache",
    )
