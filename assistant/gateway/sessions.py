"""Carries out the commands about an owner's conversations as a whole, and answers them."""

from assistant.gateway.wire.answers import Ack, SessionExportAck, SessionListAck, SessionRenameAck
from assistant.gateway.wire.commands import SessionCommand, SessionDelete, SessionExport, SessionList, SessionRename
from assistant.gateway.wire.frame import Frame
from assistant.service.sessions import Sessions


async def answer(sessions: Sessions, owner: str, command: SessionCommand) -> Frame:
    """The ack of a command. Raises what ``Sessions`` raises."""
    match command:
        case SessionList():
            page = await sessions.page(owner, command.before, command.limit)
            return SessionListAck(id=command.id, sessions=page.sessions, before=page.before)
        case SessionRename():
            title = await sessions.rename(owner, command.session_id, command.title)
            return SessionRenameAck(id=command.id, title=title)
        case SessionDelete():
            await sessions.delete(owner, command.session_id)
            return Ack(id=command.id)
        case SessionExport():
            part = await sessions.export(owner, command.session_id, command.format, command.part)
            return SessionExportAck(id=command.id, text=part.text, next=part.next)
