"""What an owner has taught, made ready for an answer.

Pictures that were taught since are looked at here, by the engine that answers, and what it made of them is kept. So
teaching needs no model and no worker, nothing is lost when either dies, and it is done once.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from assistant.domain.errors import AssistantError, Unavailable
from assistant.domain.memories import Memory
from assistant.ports.engine import Engine, Taught
from assistant.ports.memories import MemoryStore, Style
from assistant.ports.pictures import PictureStore
from assistant.service.context import load_picture

MOST_NAMES = 3
"""So many memories that cannot be used are named in a note."""
Tell = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an answer may use, and notes for the reader about what it may not."""

    taught: tuple[Taught, ...] = ()
    notes: tuple[str, ...] = ()


async def recall(engine: Engine, store: MemoryStore, pictures: PictureStore, owner: str, tell: Tell) -> Recalled:
    """The memory of an owner for this engine.

    Args:
        tell: is told pictures looked at, and how many there are to look at.

    Raises:
        Unavailable: the store is away.
    """
    known = await store.memories(owner)
    if not known:
        return Recalled()
    if not engine.info.encoder:
        return Recalled(notes=(_unused(known, "this model learns no pictures"),))
    styles = await store.styles(owner)
    fresh, gone = [memory for memory in known if memory.memory_id not in styles], list[Memory]()
    for done, memory in enumerate(fresh):
        await tell(done, len(fresh))
        try:
            picture = await load_picture(pictures, owner, memory.image_id)
            style = Style(engine.info.encoder, await engine.look_at(picture))
        except Unavailable:
            raise
        except AssistantError:
            gone.append(memory)
            continue
        await store.learn(owner, memory.memory_id, style)
        styles[memory.memory_id] = style
    others = [memory for memory in known if _encoder(memory, styles) not in (None, engine.info.encoder)]
    taught = tuple(
        Taught(memory.sha256, memory.text, memory.language, styles[memory.memory_id].data)
        for memory in known
        if _encoder(memory, styles) == engine.info.encoder
    )
    reasons = ((others, "another model was taught them"), (gone, "their pictures are gone"))
    return Recalled(taught, tuple(_unused(which, f"{why}; teach them again") for which, why in reasons if which))


def _encoder(memory: Memory, styles: dict[str, Style]) -> str | None:
    found = styles.get(memory.memory_id)
    return found.encoder if found else None


def _unused(memories: Iterable[Memory], why: str) -> str:
    """A sentence that names what is not used."""
    names = list(dict.fromkeys(f'"{memory.text}"' for memory in memories))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"Not remembered in this answer: {', '.join(names[:MOST_NAMES])}{more} ({why})."
