"""The AsyncAPI 3.0 document: one channel, an operation for each command with its reply, and what comes unasked.

Written from the server's side, as AsyncAPI is: it *receives* commands and *sends* events.
Source of the format: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from typing import Any

from assistant.gateway.http import SOCKET_PATH
from assistant.gateway.wire.frame import CHUNK_BYTES, PROTOCOL, SUBPROTOCOL
from assistant.protocol import frames
from assistant.protocol.codes import CLOSES, ERRORS
from assistant.protocol.frames import Model, frame_type
from assistant.protocol.schema import REFERENCE, Schema, json_schema

_CHUNK = "ImageChunk"


def asyncapi() -> Schema:
    """The document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "vlbm-assistant websocket protocol",
            "version": str(PROTOCOL),
            "description": "Send a message with a picture, get a streamed answer. docs/protocol.md tells how it plays.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"local": {"host": "127.0.0.1:8000", "protocol": "ws"}},
        "channels": {
            "session": {
                "address": SOCKET_PATH,
                "description": f"One websocket, subprotocol {SUBPROTOCOL}. The first command is `auth`.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages()},
                "x-close-codes": {str(code): advice for code, advice in CLOSES.items()},
                "x-error-codes": ERRORS,
            }
        },
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _moved(json_schema()["$defs"])},
    }


def _operations() -> Schema:
    operations: Schema = {
        frame_type(command): {
            "action": "receive",
            "channel": {"$ref": "#/channels/session"},
            "messages": [_in_channel(command.__name__)],
            "reply": {
                "channel": {"$ref": "#/channels/session"},
                "messages": [_in_channel(name) for name in (*(answer.__name__ for answer in answers), "Error")],
            },
        }
        for command, answers in frames.commands().items()
    }
    operations["image.chunk"] = {
        "action": "receive",
        "channel": {"$ref": "#/channels/session"},
        "messages": [_in_channel(_CHUNK)],
    }
    for model in _unasked():
        operations[frame_type(model)] = {
            "action": "send",
            "channel": {"$ref": "#/channels/session"},
            "messages": [_in_channel(model.__name__)],
        }
    return operations


def _unasked() -> list[Model]:
    """What comes without being an answer to one command."""
    answers = {answer for found in frames.commands().values() for answer in found}
    return [model for model in [*frames.notices(), *frames.session_events()] if model not in answers]


def _messages() -> Schema:
    models = [*frames.commands(), *frames.sent_by_servers()]
    messages: Schema = {
        model.__name__: {
            "name": frame_type(model),
            "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        }
        for model in models
    }
    messages[_CHUNK] = {
        "name": "image.chunk",
        "contentType": "application/octet-stream",
        "summary": "A binary frame: a piece of a picture that `image.begin` announced; only a wrong one is answered.",
        "payload": {
            "type": "string",
            "format": "binary",
            "description": f"16 bytes upload id (UUID), 8 bytes offset (big-endian), 1 to {CHUNK_BYTES} bytes of data.",
        },
    }
    return messages


def _in_channel(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/session/messages/{name}"}


def _moved(schema: Any) -> Any:
    """The schema with its references into ``components``."""
    if isinstance(schema, list):
        return [_moved(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace(REFERENCE, "#/components/schemas/") if key == "$ref" else _moved(value)
        for key, value in schema.items()
    }
