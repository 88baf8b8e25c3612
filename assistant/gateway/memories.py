"""Carries out the commands of an owner's memory, and answers them."""

from assistant.gateway.wire.answers import MemoryAddAck, MemoryItem, MemoryListAck, MemoryRemoveAck
from assistant.gateway.wire.commands import MemoryAdd, MemoryCommand, MemoryList, MemoryRemove
from assistant.gateway.wire.frame import Frame
from assistant.service.memories import Memories


async def answer(memories: Memories, owner: str, command: MemoryCommand) -> Frame:
    """The ack of a command. Raises what ``Memories`` raises."""
    match command:
        case MemoryAdd():
            memory, count = await memories.add(owner, command.image_id, command.text, command.language)
            return MemoryAddAck(id=command.id, memory=MemoryItem.of(memory), count=count)
        case MemoryList():
            kept = await memories.all(owner)
            return MemoryListAck(id=command.id, memories=tuple(map(MemoryItem.of, kept)))
        case MemoryRemove():
            gone = await memories.remove(owner, command.memory)
            return MemoryRemoveAck(id=command.id, removed=tuple(map(MemoryItem.of, gone)))
