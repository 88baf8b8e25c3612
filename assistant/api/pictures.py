"""Requests about pictures: send one, have one back."""

import hashlib

from starlette.responses import Response

from assistant.api.answers import told
from assistant.api.problems import HttpError
from assistant.api.requests import announced_size, body, media_type, named
from assistant.api.services import Asked, Services
from assistant.gateway.pictures import ready

_BYTES = "application/octet-stream"


async def upload(services: Services, asked: Asked) -> Response:
    """Send a picture."""
    kind = media_type(asked.request)
    if not (kind.startswith("image/") or kind == _BYTES):
        raise HttpError(
            "media_type_unsupported",
            "Send the bytes of the picture themselves, no form: `Content-Type: image/jpeg`, or what it is.",
        )
    intake, owner = services.intake, asked.owner
    limits = intake.decoders.limits
    announced = announced_size(asked.request)
    if announced is not None:
        limits.check_bytes(announced)
        await intake.store.check_room(owner, announced)
        await services.limits.begin_picture(owner, announced)
    data = await body(asked.request, limits.bytes)
    if announced is None:  # in chunks: how many are coming, nobody knew
        limits.check_bytes(len(data))
        await intake.store.check_room(owner, len(data))
        await services.limits.begin_picture(owner, len(data))
    sha256 = hashlib.sha256(data).hexdigest()
    known = await intake.store.find(owner, sha256)
    picture = known or await intake.take(owner, data, sha256)
    return told(ready("http", picture), 200 if known else 201, {"Location": f"/v1/images/{picture.image_id}"})


async def download(services: Services, asked: Asked) -> Response:
    """Have a picture back."""
    store = services.intake.store
    data = await store.data(await store.get(asked.owner, named(asked.request, "image_id")))
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Authorization"}
    return Response(data, headers=headers, media_type="image/jpeg")
