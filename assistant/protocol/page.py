"""The tables of ``docs/protocol.md``: between two markers each is written from the models, the prose is by hand."""

import re
from collections.abc import Iterable

from assistant.domain import events
from assistant.protocol import frames
from assistant.protocol.codes import CLOSES, ERRORS
from assistant.protocol.frames import Model, frame_type
from assistant.protocol.schema import REFERENCE, Schema, json_schema, plain_words

_BLOCK = re.compile(r"(<!-- made by make protocol: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ADVICE = "what the client should do"
_PLACE = frozenset(events.Place.model_fields)


def filled(text: str) -> str:
    """The page with its tables made anew.

    Raises:
        ValueError: a table has no place in the page, or a place no table.
    """
    tables = {
        "commands": _commands(),
        "notices": _frames(frames.notices()),
        "events": _frames(frames.session_events()),
        "errors": _table(("code", _ADVICE), ((f"`{code}`", advice) for code, advice in ERRORS.items())),
        "closes": _table(("close code", _ADVICE), ((str(code), advice) for code, advice in CLOSES.items())),
    }
    places = [found[2] for found in _BLOCK.finditer(text)]
    if sorted(places) != sorted(tables):
        raise ValueError(f"the page has places for {places}, and there are tables for {list(tables)}")
    return _BLOCK.sub(lambda found: f"{found[1]}{tables[found[2]]}{found[3]}", text)


def _commands() -> str:
    definitions = json_schema()["$defs"]
    rows = [
        (
            f"`{frame_type(command)}{_fields(definitions, command.__name__)}`",
            " or ".join(f"`{frame_type(answer)}{_fields(definitions, answer.__name__)}`" for answer in answers),
            _words(command),
        )
        for command, answers in frames.commands().items()
    ]
    return _table(("command", "answer", "what to know"), rows)


def _frames(models: list[Model]) -> str:
    definitions = json_schema()["$defs"]
    rows = [(f"`{frame_type(model)}{_fields(definitions, model.__name__)}`", _words(model)) for model in models]
    return _table(("frame", "what to know"), rows)


def _fields(definitions: Schema, name: str, depth: int = 0) -> str:
    """The fields of a frame in braces, with ``?`` where one may be left out; ``id``, ``type`` and places go without."""
    schema = definitions[name]
    hidden = _PLACE | {"type", "id"} if depth == 0 and schema["properties"].keys() >= _PLACE else {"type", "id"}
    told = [
        f"{key}{'' if key in schema.get('required', ()) else '?'}{_inner(definitions, field, depth)}"
        for key, field in schema["properties"].items()
        if key not in hidden
    ]
    return f"{{{', '.join(told)}}}" if told else ""


def _inner(definitions: Schema, field: Schema, depth: int) -> str:
    """The fields within a field, of one level; a message is described beside the tables."""
    kinds = field.get("anyOf", [field.get("items", field)])
    names = [kind["$ref"].removeprefix(REFERENCE) for kind in kinds if "$ref" in kind]
    if len(names) != 1 or depth > 0 or names[0] == "Message":
        return ""
    inner = _fields(definitions, names[0], depth + 1)
    return f"[{inner}]" if field.get("type") == "array" else inner


def _words(model: Model) -> str:
    return plain_words(model.__doc__ or "")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join(f"|{'|'.join(f' {cell} ' if cell != '---' else cell for cell in line)}|\n" for line in lines)
