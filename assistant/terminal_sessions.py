"""What the terminal does with conversations as a whole. Knows nothing of how answers are shown."""

from pathlib import Path

from assistant.client import Client, Session
from assistant.domain.errors import InvalidRequest

DELETE_WORD = "yes"


async def carry_out(client: Client, session: Session, command: str, said: str) -> list[str] | None:
    """Carry out a command; the lines to print. None: it is no command of conversations.

    Raises:
        InvalidRequest: something is missing, or a file cannot be written.
        ServerRefused: the server said no.
    """
    match command:
        case "/sessions":
            return [
                f"{info.session_id}  {info.updated_at:%Y-%m-%d %H:%M}  {info.title}" async for info in client.sessions()
            ] or ["There are no conversations yet."]
        case "/rename":
            return [f"Renamed: {await client.rename(session.session_id, said)}"]
        case "/delete":
            if said.strip() != DELETE_WORD:
                raise InvalidRequest(
                    "not_confirmed",
                    f"This deletes the conversation and its pictures for good. If that is meant: /delete {DELETE_WORD}",
                )
            await client.delete(session.session_id)
            return ["Deleted."]
        case "/export":
            return [f"Written: {await _export(client, session.session_id, said.strip())}"]
    return None


async def _export(client: Client, session_id: str, name: str) -> Path:
    """Write a conversation to a new file: Markdown where it is called ``.md``, else JSON."""
    if not name:
        raise InvalidRequest(
            "file_missing", "Name a file: /export talk.md to read it, /export talk.json for everything."
        )
    readable = name.lower().endswith((".md", ".markdown"))
    return _written(name, await client.export(session_id, "markdown" if readable else "json"))


def _written(name: str, text: str) -> Path:
    path = Path(name).expanduser()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InvalidRequest("file_exists", f"{path} is there already. Give another name.") from error
    except OSError as error:
        raise InvalidRequest("file_unwritable", f"Cannot write {path}: {error.strerror}.") from error
    return path
