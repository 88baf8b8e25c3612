"""Questions that have nothing to do with a picture that was sent, and what may stand before a question. Text only."""

from __future__ import annotations

from vlbm.engine.request import Message

CONVERSATIONS: tuple[tuple[Message, ...], ...] = (
    (Message("system", "You are a helpful AI assistant."),),
    (),
    (Message("user", "Hello!"), Message("assistant", "Hello! How can I help you today?")),
    (
        Message("system", "You are a helpful AI assistant."),
        Message("user", "What is in this picture?"),
        Message("assistant", "The picture shows a cat."),
    ),
)

QUESTIONS = (
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
