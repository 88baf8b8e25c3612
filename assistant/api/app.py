"""The application: what every request goes through before its handler, and what becomes of errors.

In order: is the page it comes from, and the name it asks, ours; who is it; may they. Nothing of the body is read
before.
"""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Mounted
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.api.openapi import document
from assistant.api.problems import HttpError, problem
from assistant.api.requests import caller
from assistant.api.routes import ROUTES, Route
from assistant.api.services import Asked, Services
from assistant.domain.errors import AssistantError, trace
from assistant.gateway.auth import host_is_allowed, origin_is_allowed
from assistant.version import SERVER

log = logging.getLogger(__name__)
PREFLIGHT_SECONDS = 600
_ALWAYS = [
    (b"server", SERVER.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


def make_app(services: Services) -> Starlette:
    """The ASGI application. Pages of other origins than those that are set get no permission (CORS)."""
    described = document()

    async def openapi(_: Request) -> Response:
        return Response(described, media_type="application/json", headers={"Cache-Control": "no-cache"})

    paths: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = route
    mounted = [
        Mounted(path, _Endpoint(services, by_method), methods=list(by_method)) for path, by_method in paths.items()
    ]
    origins = services.door.origins
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=sorted({route.method for route in ROUTES}),
        allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
        expose_headers=["Content-Disposition", "Location", "Retry-After"],
        max_age=PREFLIGHT_SECONDS,
    )
    app = Starlette(
        routes=[*mounted, Mounted("/openapi.json", openapi, methods=["GET"])],
        middleware=[Middleware(_Headers), *([cors] if origins else [])],
        exception_handlers={HTTPException: _not_routed},
    )
    app.router.redirect_slashes = False
    return app


class _Endpoint:
    """One path as an ASGI application: asks who it is, runs the handler, tells of what went wrong."""

    def __init__(self, services: Services, routes: Mapping[str, Route]) -> None:
        self._services = services
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def sending(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, sending)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            if not isinstance(error, AssistantError):
                log.error("a request broke: %s", trace(error))
                error = HttpError("internal_error", "Something broke here. Try again.")
            if not began:  # else the connection is cut, which tells that something is missing
                await problem(error)(scope, receive, send)

    async def _answer(self, request: Request) -> ASGIApp:
        route = self._routes["GET" if request.method == "HEAD" else request.method]
        if route.scope is None:
            return await route.handler(self._services, Asked(request))
        door, who = self._services.door, caller(request)
        if not host_is_allowed(who.host, door.origins):
            raise HttpError("host_not_allowed", "This server does not answer to this name. Ask by its own.")
        if not origin_is_allowed(who.origin, who.host, door.origins):
            raise HttpError("origin_not_allowed", "Pages of other origins may not ask here.")
        connection = request.state.connection
        if wait := connection.delay():
            await asyncio.sleep(wait)
        identity = await door.identify(who.bearer, who)
        connection.known()
        identity.check(route.scope)
        return await route.handler(self._services, Asked(request, identity))


class _Headers:
    """Adds what every response has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_ALWAYS]
            await send(message)

        await self._app(scope, receive, sending)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem(HttpError("method_not_allowed", "This cannot be done here. See Allow."), error.headers)
    return problem(HttpError("route_not_found", "There is nothing here. /openapi.json lists what there is."))
