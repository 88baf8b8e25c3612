"""Settings: each is a command-line option and an environment variable ``ASSISTANT_...``; the command line wins.

An ``ASSISTANT_...`` variable that no setting has is an error, so that a typo is not a setting that does nothing.
"""

import difflib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import click

from assistant.domain.access import ALGORITHMS
from assistant.domain.errors import InvalidRequest

Command = TypeVar("Command", bound=Callable[..., Any])
PREFIX = "ASSISTANT_"
URL_VARIABLE = "ASSISTANT_URL"
"""Where clients find the server: no setting of the service."""
TOKEN_VARIABLE = "ASSISTANT_TOKEN"  # noqa: S105  the name of a variable, not what is in it
"""The key or token of a client, likewise."""
REDIS_EXAMPLE = "redis://127.0.0.1:6379/0"


def _data_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "vlbm-assistant"


class _Finite(click.FloatRange):
    """A range of numbers. ``nan`` is in none: click's own check, which compares, lets it through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def url(text: str) -> str:
    """A URL that redis-py takes. What is wrong is not repeated, for a password may be in it.

    Raises:
        click.BadParameter: it is none.
    """
    from redis import ConnectionPool

    try:
        ConnectionPool.from_url(text).make_connection()  # connects at its first command, of which there is none
    except (ValueError, TypeError) as error:
        raise click.BadParameter(f"This is not the URL of a Redis: give one such as {REDIS_EXAMPLE}.") from error
    return text


_COUNT = click.IntRange(0, 10**9)
LIMITS = (
    "turns_per_minute",
    "turns_at_once",
    "tokens_per_hour",
    "megapixels_per_hour",
    "megabytes_per_day",
    "sockets_per_owner",
    "sockets_per_address",
    "unknown_per_address",
    "frames_per_second",
)
"""The settings of a gateway that bound how much."""


class _Folder(click.Path):
    """A folder that is there, or can be made for all that is there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        folder = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        except OSError as error:
            self.fail(f"{str(folder)!r} cannot be made: {error.strerror}.", param, ctx)
        if not there.is_dir():
            self.fail(f"{str(folder)!r} cannot be made: {str(there)!r} is not a folder.", param, ctx)
        return folder


class _Words(click.ParamType[tuple[str, ...]]):
    """Words between commas, each of which is checked; a setting has them as a tuple."""

    name = "words"

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
        try:
            return tuple(self._check(word) for word in words if word)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _origin(text: str) -> str:
    wrong = ValueError(f"{text!r} is no origin: give those such as https://chat.example, without a path.")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise wrong from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or f"{parts.scheme}://{parts.netloc}".lower() != text.lower()
    ):
        raise wrong
    return text.lower()


def _algorithm(text: str) -> str:
    if text not in ALGORITHMS:
        raise ValueError(f"{text!r} is not an algorithm that may be set: there are {', '.join(ALGORITHMS)}.")
    return text


def _option(help_text: str, default: Any = None, *, kind: Any = None, env: tuple[str, ...] = ()) -> Any:
    metadata = {"help": help_text, "kind": kind, "env": env}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the service, with their defaults."""

    host: str = _option("Address to listen on.", "127.0.0.1")
    port: int = _option("Port of the web client and the websocket.", 8000, kind=click.IntRange(0, 65535))
    api_port: int = _option(
        "Port of the HTTP API; `assistant serve` has one where this is given.", 8001, kind=click.IntRange(0, 65535)
    )
    data: Path = _option(
        "Folder of what is kept of conversations and pictures.", _data_folder, kind=_Folder(file_okay=False)
    )
    redis_url: str | None = _option("Redis to use instead of a private one.", kind=url, env=("REDIS_URL",))
    engine: Literal["vlbm", "scripted"] = _option(
        "What answers: the model, or a script for trying everything else.",
        "vlbm",
        kind=click.Choice(["vlbm", "scripted"]),
    )
    model: str = _option("Model of the engine: 'packaged', or a folder.", "packaged")
    scripted_delay_ms: float = _option("Time between words of the script.", 20.0, kind=_Finite(0, 60_000))
    anonymous: Literal["loopback", "anywhere", "never"] = _option(
        "From where clients without a token are let in.",
        "loopback",
        kind=click.Choice(["loopback", "anywhere", "never"]),
    )
    origins: tuple[str, ...] = _option(
        "Pages of these origins may connect, with commas between; without, those of the host that is asked.",
        (),
        kind=_Words(_origin),
    )
    jwt_issuer: str | None = _option("Take JSON Web Tokens of this issuer, exactly as it names itself.")
    jwt_audience: str | None = _option("Take JSON Web Tokens for this audience only.")
    jwt_keys: str | None = _option("Keys that sign JSON Web Tokens: a JWKS file, or its https:// URL.")
    jwt_algorithms: tuple[str, ...] = _option(
        "How JSON Web Tokens may be signed.", ("RS256", "ES256"), kind=_Words(_algorithm)
    )
    turns_per_minute: int = _option("Messages an owner may send in a minute; 0 is any number.", 600, kind=_COUNT)
    turns_at_once: int = _option("Messages of an owner being answered at once; 0 is any number.", 512, kind=_COUNT)
    tokens_per_hour: int = _option(
        "Tokens generated for an owner in an hour; 0 is any number.", 10_000_000, kind=_COUNT
    )
    megapixels_per_hour: int = _option(
        "Millions of pixels of pictures taken in for an owner in an hour; 0 is any number.", 20_000, kind=_COUNT
    )
    megabytes_per_day: int = _option(
        "Millions of bytes of pictures an owner may send in a day; 0 is any number.", 20_000, kind=_COUNT
    )
    sockets_per_owner: int = _option("Connections of an owner, at all gateways; 0 is any number.", 1000, kind=_COUNT)
    sockets_per_address: int = _option(
        "Connections from one address, at each gateway; 0 is any number.", 1000, kind=_COUNT
    )
    unknown_per_address: int = _option(
        "Of them connections that have not authenticated yet; 0 is any number.", 200, kind=_COUNT
    )
    frames_per_second: int = _option(
        "Frames read from one connection in a second, twice as many at once; 0 is any number.", 200, kind=_COUNT
    )
    picture_quota_mb: int = _option(
        "Megabytes of pictures that are kept for one owner.", 1024, kind=click.IntRange(1, 1024**2)
    )
    log_level: str = _option("How much is logged.", "warning", kind=click.Choice(["debug", "info", "warning", "error"]))


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def check_environment(environment: Mapping[str, str]) -> None:
    """Raises ``InvalidRequest`` for an ``ASSISTANT_...`` variable that is no setting, with the nearest that is."""
    known = [*(variable(item.name) for item in fields(Settings)), URL_VARIABLE, TOKEN_VARIABLE]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise InvalidRequest("unknown_setting", f"Unknown setting {name}: {hint}")


def options(*names: str) -> Callable[[Command], Command]:
    """Decorator: the named settings as options of a click command; it gets them as keyword arguments."""
    chosen = [item for item in fields(Settings) if item.name in names]

    def decorate(command: Command) -> Command:
        for item in reversed(chosen):
            default = item.default if item.default_factory is MISSING else item.default_factory()
            command = click.option(
                f"--{item.name.replace('_', '-')}",
                type=item.metadata["kind"],
                default=default,
                envvar=[variable(item.name), *item.metadata["env"]],
                show_default=default not in (None, ()),
                help=item.metadata["help"],
            )(command)
        return command

    return decorate
