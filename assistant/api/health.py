"""Requests about the server itself, and about what an owner has left."""

from starlette.responses import Response

from assistant.api.answers import HealthDetail, LimitsDetail, VersionDetail, told
from assistant.api.services import Asked, Services
from assistant.gateway.wire.answers import Limits as Announced
from assistant.gateway.wire.frame import PROTOCOL
from assistant.service.submissions import MOST_CHARACTERS, MOST_PICTURES
from assistant.version import SERVER


async def live(services: Services, asked: Asked) -> Response:
    """Whether this process answers."""
    return told(HealthDetail(status="ok"))


async def ready(services: Services, asked: Asked) -> Response:
    """Whether requests can be served."""
    problem = await services.health.problem()
    if problem is None:
        detail = HealthDetail(status="ok", workers=await services.health.workers())
    else:
        detail = HealthDetail(status="unavailable", problem=problem)
    return told(detail, 200 if problem is None else 503)


async def version(services: Services, asked: Asked) -> Response:
    """What answers."""
    return told(VersionDetail(server=SERVER, protocol=PROTOCOL))


async def limits(services: Services, asked: Asked) -> Response:
    """What is left of the limits."""
    standing = await services.limits.standing(asked.owner)
    bounds = services.intake.decoders.limits
    announced = Announced(
        image_bytes=bounds.bytes, image_pixels=bounds.pixels, images=MOST_PICTURES, text_chars=MOST_CHARACTERS
    )
    return told(LimitsDetail(remaining=standing.remaining, reset=standing.reset, limits=announced))
