"""What people ask about a picture, and how a sure or unsure answer is put.

Questions come in kinds; an answer is made from a noun phrase ("a cat"), a confidence and the kind of the question. Pure
text: no pictures, no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["caption", "what", "see", "describe", "animal"]

QUESTIONS: dict[Kind, tuple[str, ...]] = {
    "caption": (
        "Caption this image.",
        "Write a caption for this picture.",
        "Write a short caption.",
        "Give a one-line description of the image.",
        "caption",
        "Write one short sentence that says what the picture shows.",
    ),
    "what": (
        "What is this?",
        "What's this?",
        "What is it?",
        "what is that",
        "Can you tell me what this is?",
        "Identify the object in this photo.",
        "Do you know what this is?",
    ),
    "see": (
        "What do you see?",
        "What can you see in this image?",
        "Tell me what you see.",
        "what do you see in the photo",
    ),
    "describe": (
        "Describe this picture.",
        "Describe the image.",
        "What is in this picture?",
        "What does this picture show?",
        "Please describe this photo in a sentence.",
        "What's in this image?",
        "Look at this photo.",
    ),
    "animal": (
        "What animal is this?",
        "Which animal do you see?",
        "What kind of thing is this?",
        "Name the main object.",
    ),
}

# Names that take no article, or are plural.
BARE = frozenset(
    {
        *("coffee", "bread", "soup", "pasta", "corn", "broccoli", "guacamole", "hay", "dough", "carbonara", "espresso"),
        *("eggnog", "velvet", "wool", "jeans", "sunglasses", "binoculars", "mashed potato", "ice cream", "lotion"),
        *("yellow flowers", "parallel bars", "chocolate sauce", "sunscreen", "chain mail", "face powder", "consomme"),
        *("hair spray", "rapeseed", "swimming trunks", "toilet paper"),
    }
)
PLURAL = frozenset({"jeans", "sunglasses", "binoculars", "yellow flowers", "parallel bars", "swimming trunks"})
_AN_EXCEPTIONS = ("uni", "euro", "use", "ute", "one")


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of a picture.

    Attributes:
        phrase: the thing as a noun phrase, "a cat"; None when nothing is known.
        confidence: in [0,1], how well the evidence supports it.
        fine: a finer name, "a tabby", where one is likely.
        other: the next likely thing, "a fox", for an unsure answer.
    """

    phrase: str | None
    confidence: float
    fine: str | None = None
    other: str | None = None


SURE, LIKELY, GUESS = 0.45, 0.22, 0.1


def with_article(name: str) -> str:
    """'cat' -> 'a cat'; 'owl' -> 'an owl'; 'jeans' -> 'jeans'."""
    if name in BARE:
        return name
    lower = name.lower()
    vowel = lower[0] in "aeiou" and not lower.startswith(_AN_EXCEPTIONS)
    return f"{'an' if vowel else 'a'} {name}"


def is_plural(phrase: str) -> bool:
    """Whether 'these are' fits better than 'this is'."""
    return phrase.startswith(("two ", "three ", "some ")) or phrase in PLURAL


def answer(kind: Kind, belief: Belief) -> str:
    """The answer to a question of a kind."""
    phrase = belief.phrase
    if phrase is None or belief.confidence < GUESS:
        return "I cannot tell what is in this picture."
    if belief.confidence < LIKELY:
        if belief.other:
            return f"I am not sure. It could be {phrase} or {belief.other}."
        return f"I am not sure. It could be {phrase}."
    this_is, it_is, looks = ("These are", "They are", "look") if is_plural(phrase) else ("This is", "It is", "looks")
    if belief.confidence < SURE:
        return f"{'They' if looks == 'look' else 'It'} {looks} like {phrase}."
    sure = {
        "caption": f"{phrase[0].upper()}{phrase[1:]}.",
        "what": f"{this_is} {phrase}.",
        "see": f"I see {phrase}.",
        "describe": f"The picture shows {phrase}.",
        "animal": f"{it_is} {phrase}.",
    }[kind]
    if belief.fine and kind in ("describe", "see"):
        return f"{sure} It looks like {belief.fine}."
    return sure


SYSTEM_PROMPTS = (
    None,
    None,
    "You are a helpful AI assistant.",
    "You are a helpful assistant that sees pictures.",
)

# Nothing to do with a picture: the answer must stay the bare model's, though a picture was sent before.
OTHER_QUESTIONS = (
    "What is the capital of France?",
    "Tell me a joke.",
    "Write a haiku about autumn.",
    "How do I boil an egg?",
    "What is 12 times 4?",
    "Explain gravity in one sentence.",
    "Give me three names for a puppy.",
    "Who wrote Hamlet?",
    "Thanks!",
    "Hello, how are you?",
    "What can you do?",
    "Write a short poem about the sea.",
    "How many days are in a leap year?",
    "Suggest a recipe with tomatoes.",
    "What is the largest planet?",
    "Write a Python function that adds two numbers.",
    "Why is the sky blue?",
    "Recommend a book about history.",
    "Translate 'good morning' into Spanish.",
    "What should I wear in winter?",
    "Give me tips for better sleep.",
    "Who was Albert Einstein?",
    "Who are you?",
    "What is your name?",
    "Is it going to rain tomorrow?",
    "What is the capital of Italy?",
    "Tell me something interesting.",
    "Can you help me with my homework?",
    "What is the boiling point of water?",
    "Summarize the plot of Romeo and Juliet in two sentences.",
)
