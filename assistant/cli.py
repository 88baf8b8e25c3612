"""The ``assistant`` command: serve, talk, check, and the tools for a terminal.

Imports of weight are inside the commands that need them.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from assistant.client.errors import ClientError
from assistant.domain.access import SCOPES, Scope
from assistant.domain.errors import AssistantError
from assistant.settings import LIMITS, TOKEN_VARIABLE, URL_VARIABLE, Settings, check_environment, options

_ENGINE = ("engine", "model", "scripted_delay_ms", "log_level")
_ACCESS = ("anonymous", "origins", "jwt_issuer", "jwt_audience", "jwt_keys", "jwt_algorithms")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vlbm-assistant")
def cli() -> None:
    """A multimodal chat assistant: send a message with a picture, get a streamed answer that used it."""


@cli.command()
@options("host", "port", "api_port", "data", "redis_url", *_ACCESS, *LIMITS, "picture_quota_mb", *_ENGINE)
def serve(**values: Any) -> None:
    """Run everything; the model computes in a process of its own."""
    from assistant import run

    said = click.get_current_context().get_parameter_source("api_port")
    with_api = said is not click.core.ParameterSource.DEFAULT
    asyncio.run(run.serve(Settings(**values), click.echo, with_api=with_api))


@cli.command()
@options("host", "port", "redis_url", *_ACCESS, *LIMITS, "picture_quota_mb", "log_level")
def gateway(**values: Any) -> None:
    """Run only the gateway; workers answer."""
    from assistant import run

    asyncio.run(run.gateway(Settings(**values), click.echo))


@cli.command()
@options("host", "api_port", "redis_url", *_ACCESS, *LIMITS, "picture_quota_mb", "log_level")
def api(**values: Any) -> None:
    """Run only the HTTP API; workers answer."""
    from assistant import run

    asyncio.run(run.api(Settings(**values), click.echo))


@cli.command()
@options("data", "redis_url", *_ENGINE)
def worker(**values: Any) -> None:
    """Run only a worker."""
    from assistant import run

    asyncio.run(run.worker(Settings(**values), click.echo))


@cli.command()
@options("data", "redis_url", "host", "port", *_ACCESS)
def doctor(**values: Any) -> None:
    """Say what is found and what is missing."""
    from assistant.doctor import examine, show

    findings = asyncio.run(examine(Settings(**values)))
    show(findings)
    sys.exit(0 if all(finding.ok or not finding.needed for finding in findings) else 1)


@cli.command()
@click.argument("text", nargs=-1)
@click.option("--image", "images", type=click.Path(path_type=Path), multiple=True, help="A picture to ask about.")
@click.option("--url", default="ws://127.0.0.1:8000/v1/ws", envvar=URL_VARIABLE, show_default=True)
@click.option(
    "--token", envvar=TOKEN_VARIABLE, help="API key or token. Others at this machine see an option; not the variable."
)
@click.option("--session", "session_id", help="Go on with a conversation.")
def chat(text: tuple[str, ...], images: tuple[Path, ...], url: str, token: str | None, session_id: str | None) -> None:
    """Talk to a running assistant. With TEXT: one question; without: a conversation. Ctrl-C stops the answer."""
    from assistant.terminal import talk

    asyncio.run(talk(url, " ".join(text), list(images), session_id, token))


@cli.group()
def keys() -> None:
    """API keys: who may connect from elsewhere, and as whom."""


@keys.command("create")
@click.option(
    "--owner", required=True, help="Whose conversations the key opens: any name, the same for all their keys."
)
@click.option("--name", default="key", show_default=True, help="What the key is for, such as a machine.")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, help="read, or chat (everything).  [default: chat]"
)
@click.option("--days", type=click.IntRange(1, 36500), help="Expire after so many days.")
@options("data", "redis_url")
def create_key(owner: str, name: str, scopes: tuple[Scope, ...], days: int | None, **values: Any) -> None:
    """Make a key and show it, this once."""
    from assistant.keys import create

    asyncio.run(create(Settings(**values), owner, name, scopes, days))


@keys.command("list")
@options("data", "redis_url")
def list_keys(**values: Any) -> None:
    """List the keys, without their secrets."""
    from assistant.keys import show

    asyncio.run(show(Settings(**values)))


@keys.command("revoke")
@click.argument("key")
@options("data", "redis_url")
def revoke_key(key: str, **values: Any) -> None:
    """Revoke KEY: its id, its name, or the key itself. What is open under it is closed within seconds."""
    from assistant.keys import revoke

    asyncio.run(revoke(Settings(**values), key))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--style", default="short", show_default=True, help="short, detailed or alt.")
@click.option("--language", default="en", show_default=True, help="Of the caption: en, es, fr, de, it, pt.")
@options(*_ENGINE)
def caption(file: Path, style: str, language: str, **values: Any) -> None:
    """Say what the picture FILE shows."""
    _tool("caption", {"images": [str(file)], "style": style, "language": language}, values)


@cli.command()
@click.argument("text", nargs=-1)
@click.option("--to", required=True, help="Language to translate into: en, es, fr, de, it, pt.")
@click.option("--from", "source", default="en", show_default=True, help="Language of the text.")
@click.option(
    "--image",
    "images",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A picture of what it is about, or of text.",
)
@options(*_ENGINE)
def translate(text: tuple[str, ...], to: str, source: str, images: tuple[Path, ...], **values: Any) -> None:
    """Translate TEXT, or what is written in --image."""
    asked = {"text": " ".join(text), "to": to, "source": source, "images": [str(path) for path in images]}
    _tool("translate", asked, values)


@cli.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--length", default="medium", show_default=True, help="short, medium or long.")
@click.option(
    "--image", "images", type=click.Path(path_type=Path), multiple=True, help="A picture of it, or of a page."
)
@options(*_ENGINE)
def summarise(file: Path | None, length: str, images: tuple[Path, ...], **values: Any) -> None:
    """Summarise the text FILE ('-' is standard input), or what is written in --image."""
    from assistant.terminal import read_text

    asked = {"text": read_text(file) if file else "", "length": length, "images": [str(path) for path in images]}
    _tool("summarise", asked, values)


@cli.command()
@click.argument("form", metavar="FORMAT", type=click.Choice(["json-schema", "asyncapi", "typescript"]))
def protocol(form: str) -> None:
    """Print the websocket protocol: as FORMAT json-schema, asyncapi or typescript."""
    from assistant.protocol.files import FORMATS

    click.echo(FORMATS[form](), nl=False)


def _tool(name: str, arguments: dict[str, Any], values: dict[str, Any]) -> None:
    from assistant.terminal import run_tool

    asyncio.run(run_tool(name, arguments, Settings(**values)))


def main() -> None:
    """Entry point of the console script: an error is one line on standard error and exit status 2."""
    try:
        check_environment(os.environ)
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        _fail(error.format_message())
    except (AssistantError, ClientError) as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except OSError as error:  # of the system: a folder that is not ours, a disk that is full
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")


def _fail(message: str) -> NoReturn:
    click.echo(f"assistant: {' '.join(message.splitlines())}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
