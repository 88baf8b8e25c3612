"""Text in and out of tokens: the chat template, and decoding that never splits a character.

It knows the tokenizer and nothing of the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from vlbm.engine.request import Message

PICTURE_QUESTION = "What is in this picture?"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Tokens before those that are decoded, at least and at most.
CONTEXT, MOST_CONTEXT = 8, 16


def render(processor: Any, messages: Sequence[Message], prefix: str = "", *, pictured: bool = False) -> list[int]:
    """Token ids of a conversation, up to and with the header of the answer and what it begins with.

    A user message that has pictures and no text asks `PICTURE_QUESTION`: an empty message would ask nothing.

    Args:
        processor: the model's.
        messages: the conversation.
        prefix: what the answer begins with.
        pictured: pictures take part in this turn (some fusions have tokens for them).
    """
    chat = [{"role": message.role, "content": _content(message)} for message in messages]
    text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    text = processor.pictured(text) if pictured else text
    ids: list[int] = processor.tokenizer(text + prefix, add_special_tokens=False)["input_ids"]
    return ids


_ABOUT_A_PICTURE = re.compile(
    r"\b(pictures?|images?|photos?|photographs?|caption|describe|identify|shown?|shows|look|you see)\b"
    r"|\bwhat(?:'s| is| are| was|) (this|that|it|these|those|they|in)\b|\b(is|are) (this|that|it|these|those|they) ",
    re.IGNORECASE,
)


def asks_about_a_picture(text: str) -> bool:
    """Whether a question that came without a picture is about one that was sent before: a guess from its words."""
    return _ABOUT_A_PICTURE.search(text) is not None


def _content(message: Message) -> str:
    if message.role == "user" and message.images and not message.text.strip():
        return PICTURE_QUESTION
    return message.text


class Detokenizer:
    """Decodes one answer piece by piece: the pieces joined are the decoded whole.

    Bytes of an incomplete character are held back until it is complete, and text that may be the beginning of a stop
    string until it is clear that it is not.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self.tokenizer = tokenizer
        self.stop = tuple(stop)
        self.stopped = False
        self._pending: list[int] = []
        self._context: list[int] = []
        self._before = ""  # the context's text
        self._held = ""

    def push(self, token: int) -> str:
        """Take a token; return the text that is now certain."""
        self._pending.append(token)
        text = self._new_text()
        if text.endswith(REPLACEMENT):  # an incomplete character, or a broken one: `finish` tells
            return ""
        self._go_on(text)
        return self._release(text)

    def finish(self) -> str:
        """What was still held back, at the end of the answer."""
        text = self._new_text() if self._pending else ""
        self._pending = []
        released = self._release(text)
        rest, self._held = self._held, ""
        return released if self.stopped else released + rest

    def _new_text(self) -> str:
        """Text of the pending tokens, decoded after a few earlier ones: some tokenizers space by context."""
        return self._decode([*self._context, *self._pending])[len(self._before) :]

    def _go_on(self, text: str) -> None:
        """What was pending, with this text, is context from now on; of that only the end is kept, now and then."""
        self._context += self._pending
        self._pending, self._before = [], self._before + text
        if len(self._context) > MOST_CONTEXT:
            self._context = self._context[-CONTEXT:]
            self._before = self._decode(self._context)

    def _decode(self, tokens: Sequence[int]) -> str:
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:  # the same without transformers' care for other kinds of lists, a third of the time
            text: str = backend.decode(tokens, skip_special_tokens=True)
        else:
            text = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _release(self, text: str) -> str:
        self._held += text
        found = [place for place in (self._held.find(word) for word in self.stop) if place >= 0]
        if found:
            self.stopped = True
            released, self._held = self._held[: min(found)], ""
            return released
        keep = max((_overlap(self._held, word) for word in self.stop), default=0)
        cut = len(self._held) - keep
        released, self._held = self._held[:cut], self._held[cut:]
        return released


def _overlap(text: str, word: str) -> int:
    """Length of the longest end of `text` that begins `word`, short of all of it."""
    return next((n for n in range(min(len(text), len(word) - 1), 0, -1) if text.endswith(word[:n])), 0)
