"""Accept a turn: everything a client can do wrong is found here, before anything is promised."""

from collections.abc import Mapping
from typing import Any

from assistant.domain.errors import AssistantError, InvalidRequest, LimitReached, Unavailable
from assistant.domain.messages import ImagePart, ToolCallPart
from assistant.domain.turns import Submission, TurnOptions, new_turn_id, question_id
from assistant.ports.conversations import Accepted, ConversationStore
from assistant.ports.pictures import PictureStore
from assistant.ports.tools import Tool
from assistant.service.commands import check_call, parse_command
from assistant.service.limits import Limits

MOST_CHARACTERS = 100_000
MOST_PICTURES = 8


class Submissions:
    """Checks what a client sends and hands it to the store."""

    def __init__(
        self, conversations: ConversationStore, pictures: PictureStore, tools: Mapping[str, Tool], limits: Limits
    ) -> None:
        self._limits = limits
        self._conversations = conversations
        self._pictures = pictures
        self._tools = tools

    async def accept(
        self,
        owner: str,
        session_id: str,
        *,
        client_message_id: str,
        text: str,
        image_ids: tuple[str, ...],
        tool: ToolCallPart | None,
        options: TurnOptions,
        parent: str | None = None,
    ) -> Accepted:
        """Queue a turn; after ``parent``, which may be an answer that is on its way, or where the conversation is.

        Raises:
            InvalidRequest: nothing was said, or the tool is unknown or called wrongly.
            LimitReached: too long a text, too many pictures, too many turns waiting, or nothing left of what the owner
                is allowed. A message that was accepted before is not refused for that.
            NotFound: the session or a picture is not this owner's, or the parent is no message of it.
            Conflict: the client message id stands for another message.
        """
        call = self._call(text, tool)
        image_ids = tuple(dict.fromkeys((*image_ids, *_argument(call, "images", ()))))
        _check_size(max(text, str(_argument(call, "text", "")), key=len), image_ids)
        if not text.strip() and not image_ids and call is None:
            raise InvalidRequest("message_empty", "Write something or add a picture.")
        if call is not None:
            tool_called = self._tools[call.name]
            tool_called.check(tool_called.arguments.model_validate(call.arguments), pictured=bool(image_ids))
        if image_ids:
            await self._conversations.head(owner, session_id)  # before its pictures become part of it
        stored = await self._pictures.use(owner, session_id, image_ids)
        images = tuple(ImagePart(image_id=part.image_id, width=part.width, height=part.height) for part in stored)
        submission = Submission(
            client_message_id=client_message_id, text=text, images=images, tool=call, options=options, parent=parent
        )
        return await self._within_limits(owner, session_id, submission)

    async def _within_limits(self, owner: str, session_id: str, submission: Submission) -> Accepted:
        """Take what the turn costs, then promise it. Nothing is taken of a turn that is not new."""
        turn_id = new_turn_id()
        try:
            await self._limits.begin_turn(owner, turn_id, submission.options.max_tokens)
        except LimitReached:
            before = await self._conversations.accepted(owner, session_id, submission)
            if before is None:
                raise
            return before
        try:
            accepted = await self._conversations.submit(owner, session_id, submission, turn_id=turn_id)
        except Unavailable:
            raise  # it may have been accepted all the same; what nobody settles comes back by itself
        except AssistantError:
            await self._limits.undo_turn(owner, turn_id)
            raise
        if accepted.duplicate:
            await self._limits.undo_turn(owner, turn_id)
        return accepted

    async def regenerate(
        self, owner: str, session_id: str, message_id: str, *, client_message_id: str, options: TurnOptions
    ) -> Accepted:
        """Queue a turn that answers a message again; ``message_id`` is the message's, or that of an answer to it.

        Raises:
            NotFound: the session is not this owner's, or there is no such message in it.
            LimitReached: too many turns wait, or nothing is left of what the owner is allowed.
            Conflict: the client message id stands for something else.
        """
        question = question_id(message_id)
        submission = Submission(client_message_id=client_message_id, text="", options=options, regenerates=question)
        return await self._within_limits(owner, session_id, submission)

    def _call(self, text: str, tool: ToolCallPart | None) -> ToolCallPart | None:
        if tool is None:
            return parse_command(text, self._tools)
        if tool.name not in self._tools:
            known = ", ".join(sorted(self._tools))
            raise InvalidRequest("unknown_tool", f"There is no tool of this name. There are: {known}.")
        return check_call(self._tools[tool.name], tool.arguments)


def _argument(call: ToolCallPart | None, name: str, default: Any) -> Any:
    return call.arguments.get(name, default) if call else default


def _check_size(text: str, image_ids: tuple[str, ...]) -> None:
    if len(text) > MOST_CHARACTERS:
        raise LimitReached(
            "text_too_long", f"The text has {len(text)} characters; at most {MOST_CHARACTERS} are taken. Shorten it."
        )
    if len(image_ids) > MOST_PICTURES:
        raise LimitReached(
            "too_many_images", f"{len(image_ids)} pictures in one message; at most {MOST_PICTURES} are taken."
        )
