"""TypeScript types of the frames, written from the JSON Schema. What none of them uses raises."""

import json

from assistant.protocol import frames
from assistant.protocol.frames import frame_type
from assistant.protocol.schema import ACK, REFERENCE, Schema, json_schema

_HEAD = """\
/**
 * Frames of the websocket protocol, version 1. Written by `make protocol` from the server's models: do not edit.
 *
 * In a command an absent field and a null are the same. A later server may send more fields than these.
 */
"""
_PRIMITIVES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_WIDTH = 120


def typescript() -> str:
    """The module's text."""
    definitions = json_schema()["$defs"]
    written = [_HEAD, *(_declaration(name, schema) for name, schema in definitions.items()), _answers()]
    return "\n".join(written)


def _declaration(name: str, schema: Schema) -> str:
    if "properties" not in schema:
        return f"{_comment(schema)}export type {name} = {_type(schema)};\n"
    required = schema.get("required", ())
    lines = [
        f"{_comment(field, '  ')}  {key}{'' if key in required else '?'}: {_type(field)};\n"
        for key, field in sorted(schema["properties"].items(), key=lambda item: item[0] != "type")
    ]
    return f"{_comment(schema)}export interface {name} {{\n{''.join(lines)}}}\n"


def _answers() -> str:
    """The ack of each command, for functions that send one and wait."""
    lines = [
        f'  "{frame_type(command)}": {" | ".join(answer.__name__ for answer in answers)};\n'
        for command, answers in frames.commands().items()
    ]
    acks = " | ".join(model.__name__ for model in frames.acks())
    return (
        f"/** Any {ACK.lower()}. */\nexport type AnyAck = {acks};\n\n"
        f"/** What answers a command, if not an error. */\nexport interface Answers {{\n{''.join(lines)}}}\n"
    )


def _type(schema: Schema) -> str:
    match schema:
        case {"$ref": reference}:
            return str(reference).removeprefix(REFERENCE)
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"anyOf": kinds} | {"oneOf": kinds}:
            return " | ".join(dict.fromkeys(map(_type, kinds)))
        case {"type": "array", "items": items}:
            inner = _type(items)
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        case {"type": "object", "additionalProperties": True}:
            return "Record<string, unknown>"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"Record<string, {_type(values)}>"
        case {"type": str(kind)} if kind in _PRIMITIVES:
            return _PRIMITIVES[kind]
    raise NotImplementedError(f"no TypeScript is known for {schema}")


def _comment(schema: Schema, indent: str = "") -> str:
    if not (text := schema.get("description")):
        return ""
    if len(line := f"{indent}/** {text} */") <= _WIDTH:
        return f"{line}\n"
    lines, current = [], ""
    for word in text.split():
        if len(f"{indent} *{current} {word}") > _WIDTH:
            lines.append(current)
            current = ""
        current += f" {word}"
    return f"{indent}/**\n" + "".join(f"{indent} *{line}\n" for line in [*lines, current]) + f"{indent} */\n"
