"""Carries out the commands that ask for an answer, and says from where on a session's events are followed.

It knows commands and acks, not how they come.
"""

from assistant.domain.messages import ToolCallPart
from assistant.gateway.wire.answers import SessionSnapshot, TurnSubmitAck
from assistant.gateway.wire.commands import TurnRegenerate, TurnSubmit
from assistant.ports.conversations import ConversationStore, Cursor
from assistant.service.submissions import Submissions


async def answer(submissions: Submissions, owner: str, command: TurnSubmit | TurnRegenerate) -> TurnSubmitAck:
    """The ack of a command. Raises what ``Submissions`` raises."""
    match command:
        case TurnSubmit():
            tool = command.tool
            accepted = await submissions.accept(
                owner,
                command.session_id,
                client_message_id=command.client_message_id,
                text=command.text,
                image_ids=command.images,
                tool=ToolCallPart(name=tool.name, arguments=tool.arguments) if tool else None,
                options=command.options,
                parent=command.parent,
            )
        case TurnRegenerate():
            accepted = await submissions.regenerate(
                owner,
                command.session_id,
                command.message_id,
                client_message_id=command.client_message_id,
                options=command.options,
            )
    return TurnSubmitAck(
        id=command.id, turn_id=accepted.turn_id, message_id=accepted.message_id, duplicate=accepted.duplicate
    )


async def start_of(
    conversations: ConversationStore, session_id: str, head: Cursor, wanted: Cursor | None
) -> tuple[Cursor, SessionSnapshot | None]:
    """From where on a session's events are sent.

    Args:
        head: of the session.
        wanted: what the reader has; None: nothing.

    Returns:
        The cursor, and where ``wanted`` means nothing here any more, what is sent first instead.
    """
    start = wanted or Cursor(head.epoch, 0)
    if start.epoch == head.epoch and start.seq <= head.seq:
        return start, None
    messages = tuple(await conversations.messages(session_id))
    return head, SessionSnapshot(session_id=session_id, epoch=head.epoch, seq=head.seq, messages=messages)
