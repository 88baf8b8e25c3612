"""Plain GET requests on the websocket port: the web client, its pictures, and health."""

import json

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from assistant.domain.errors import AssistantError, Unavailable
from assistant.gateway import auth
from assistant.gateway.assets import Assets, respond, respond_text
from assistant.ports.pictures import PictureStore
from assistant.ports.surroundings import Health
from assistant.version import SERVER

SOCKET_PATH = "/v1/ws"
IMAGES_PATH = "/v1/images/"


class HttpRequests:
    """Answers requests that are no handshake; lets allowed handshakes pass."""

    def __init__(self, assets: Assets, pictures: PictureStore, health: Health, anonymous: auth.Anonymous) -> None:
        self._assets = assets
        self._pictures = pictures
        self._health = health
        self._anonymous = anonymous

    async def __call__(self, socket: ServerConnection, request: Request) -> Response | None:
        """``process_request`` of websockets: a response, or None to go on with the handshake."""
        path = request.path.partition("?")[0]
        host = _only(request, "Host") or ""
        if path == "/healthz":
            return await self._healthz()
        if not auth.host_is_allowed(host, self._anonymous):
            return respond_text(421, "Misdirected Request", "This server answers to names of its own machine only.\n")
        if path == SOCKET_PATH:
            return self._handshake(request, host)
        if path.startswith(IMAGES_PATH):
            return await self._image(socket, path.removeprefix(IMAGES_PATH))
        return self._assets.get(path, request.headers.get("Accept-Encoding", "")) or respond_text(
            404, "Not Found", "There is nothing here.\n"
        )

    @staticmethod
    def _handshake(request: Request, host: str) -> Response | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return respond_text(426, "Upgrade Required", "This is a websocket: connect with a websocket client.\n")
        if not auth.origin_is_allowed(_only(request, "Origin"), host):
            return respond_text(403, "Forbidden", "Pages of other origins may not connect.\n")
        return None

    async def _image(self, socket: ServerConnection, image_id: str) -> Response:
        try:
            owner = auth.authenticate(None, socket.remote_address[0], self._anonymous)
            picture = await self._pictures.get(owner, image_id)
            data = await self._pictures.data(picture)
        except Unavailable as error:
            return respond_text(503, "Service Unavailable", f"{error.message}\n")
        except AssistantError as error:
            return respond_text(404, "Not Found", f"{error.message}\n")
        return respond(200, "OK", data, "image/jpeg", cache_control="private, max-age=31536000, immutable")

    async def _healthz(self) -> Response:
        problem = await self._health.problem()
        body = {"status": "ok" if problem is None else "unavailable", "server": SERVER, "problem": problem}
        return respond(
            200 if problem is None else 503,
            "OK" if problem is None else "Service Unavailable",
            json.dumps(body).encode(),
            "application/json",
            cache_control="no-store",
        )


def _only(request: Request, name: str) -> str | None:
    """A header that there may be one of; several count as an empty one, which fits nothing."""
    values = request.headers.get_all(name)
    return None if not values else values[0] if len(values) == 1 else ""
