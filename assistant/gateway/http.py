"""Plain GET requests on the websocket port: the web client, its pictures, its cookie, and health."""

import json
import re
from collections.abc import Awaitable, Callable

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from assistant.domain.access import Identity
from assistant.domain.errors import AssistantError, InvalidRequest, Unavailable
from assistant.gateway import auth
from assistant.gateway.assets import Assets, respond, respond_text
from assistant.gateway.auth import Authenticator, Caller
from assistant.ports.pictures import PictureStore
from assistant.ports.surroundings import Clock, Health
from assistant.version import SERVER

SOCKET_PATH = "/v1/ws"
IMAGES_PATH = "/v1/images/"
LOGIN_PATH = "/v1/login"
LOGOUT_PATH = "/v1/logout"
PAGE_HEADER = "X-Requested-With"
"""A page of another origin cannot send it without being asked first, which it is not let (Fetch, CORS preflight)."""
COOKIE_SECONDS = 30 * 86400
MOST_COOKIE_CHARACTERS = 3800
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")

Route = Callable[[Caller, Request], Awaitable[Response | None]]


class HttpRequests:
    """Answers requests that are no handshake; lets allowed handshakes pass.

    Attributes:
        routes: what is answered, by path; one that ends with a slash stands for all paths that begin with it. The files
            of the web client are beside them.
    """

    def __init__(
        self, assets: Assets, pictures: PictureStore, health: Health, clock: Clock, door: Authenticator
    ) -> None:
        self._assets = assets
        self._pictures = pictures
        self._health = health
        self._clock = clock
        self._door = door
        self.routes: dict[str, Route] = {
            "/healthz": self._healthz,
            SOCKET_PATH: self._handshake,
            LOGIN_PATH: self._login,
            LOGOUT_PATH: self._logout,
            IMAGES_PATH: self._image,
        }

    async def __call__(self, socket: ServerConnection, request: Request) -> Response | None:
        """``process_request`` of websockets: a response, or None to go on with the handshake."""
        path = _path(request)
        caller = Caller.of(socket, request)
        if path != "/healthz" and not auth.host_is_allowed(caller.host, self._door.origins):
            return respond_text(421, "Misdirected Request", "This server does not answer to this name.\n")
        route = self.routes.get(path) or self.routes.get(f"{path.rpartition('/')[0]}/")
        if route is not None:
            return await route(caller, request)
        return self._assets.get(path, request.headers.get("Accept-Encoding", "")) or respond_text(
            404, "Not Found", "There is nothing here.\n"
        )

    async def _handshake(self, caller: Caller, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return respond_text(426, "Upgrade Required", "This is a websocket: connect with a websocket client.\n")
        if not self._is_of_our_pages(caller):
            return respond_text(403, "Forbidden", "Pages of other origins may not connect.\n")
        return None

    async def _login(self, caller: Caller, request: Request) -> Response:
        """Keep the token of the request in the browser, where no script can read it."""
        token = caller.bearer
        if PAGE_HEADER not in request.headers or not self._is_of_our_pages(caller):
            return respond_text(403, "Forbidden", "Pages of other origins may not log in.\n")
        if token is None or not _TOKEN.fullmatch(token):
            return respond_text(401, "Unauthorized", "Send the key as `Authorization: Bearer`.\n")
        if len(token) > MOST_COOKIE_CHARACTERS:
            return respond_text(400, "Bad Request", "This token is too long for a cookie.\n")
        try:
            identity = await self._door.identify(token, caller)
        except InvalidRequest as error:
            return respond_text(401, "Unauthorized", f"{error.message}\n")
        except Unavailable as error:
            return respond_text(503, "Service Unavailable", f"{error.message}\n")
        return self._set_cookie(caller, token, self._seconds(identity))

    async def _logout(self, caller: Caller, request: Request) -> Response:
        if PAGE_HEADER not in request.headers or not self._is_of_our_pages(caller):
            return respond_text(403, "Forbidden", "Pages of other origins may not log out.\n")
        return self._set_cookie(caller, "", 0)

    def _set_cookie(self, caller: Caller, token: str, seconds: int) -> Response:
        """A response with the cookie (RFC 6265); of nothing, for no seconds, it is taken away."""
        secure = caller.secure or f"https://{caller.host.lower()}" in self._door.origins
        cookie = f"{auth.cookie_name(caller.host)}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        return respond(
            200,
            "OK",
            b"{}",
            "application/json",
            cache_control="no-store",
            set_cookie=f"{cookie}; Secure" if secure else cookie,
        )

    def _seconds(self, identity: Identity) -> int:
        if identity.expires_at is None:
            return COOKIE_SECONDS
        return min(COOKIE_SECONDS, int((identity.expires_at - self._clock.now()).total_seconds()))

    def _is_of_our_pages(self, caller: Caller) -> bool:
        return auth.origin_is_allowed(caller.origin, caller.host, self._door.origins)

    async def _image(self, caller: Caller, request: Request) -> Response:
        try:
            owner = (await self._door.identify(caller.token, caller)).owner
            picture = await self._pictures.get(owner, _path(request).removeprefix(IMAGES_PATH))
            data = await self._pictures.data(picture)
        except Unavailable as error:
            return respond_text(503, "Service Unavailable", f"{error.message}\n")
        except AssistantError as error:
            return respond_text(404, "Not Found", f"{error.message}\n")
        return respond(
            200,
            "OK",
            data,
            "image/jpeg",
            cache_control="private, max-age=31536000, immutable",
            vary="Authorization, Cookie",
        )

    async def _healthz(self, caller: Caller, request: Request) -> Response:
        problem = await self._health.problem()
        body = {
            "status": "ok" if problem is None else "unavailable",
            "server": SERVER,
            "problem": problem,
            "workers": await self._health.workers() if problem is None else None,
        }
        return respond(
            200 if problem is None else 503,
            "OK" if problem is None else "Service Unavailable",
            json.dumps(body).encode(),
            "application/json",
            cache_control="no-store",
        )


def _path(request: Request) -> str:
    return request.path.partition("?")[0]
