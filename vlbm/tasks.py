"""What each task asks, in words: one way for training, evaluation and use. It knows text, not models."""

from __future__ import annotations

from vlbm.data.records import Example, Task

LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "zh": "Chinese",
}


CAPTIONS = {
    "short": "Write a short caption.",
    "sentence": "Describe the picture.",
    "detailed": "Describe the picture in detail.",
    "alt": "Write an alt text for the picture.",
}


def question(task: Task, text: str = "", language: str = "en", style: str = "sentence") -> str:
    """What a user would write.

    Args:
        task: what is asked.
        text: what is to be translated, summarised or answered.
        language: of the answer, as a BCP 47 tag; one without a name here is asked for by its tag.
        style: of a caption, one of CAPTIONS.
    """
    name = LANGUAGES.get(language.partition("-")[0].lower(), language)
    if task == "translate":
        return f"Translate into {name}: {text}"
    where = "" if language == "en" else f" Answer in {name}."
    if task == "summarise":
        return f"Summarise: {text}{where}"
    if task == "chat":
        return f"{text}{where}"
    return f"{CAPTIONS[style]}{where}"


def messages(example: Example) -> list[dict[str, str]]:
    """An example's question as a conversation for a chat template."""
    return [{"role": "user", "content": question(example.task, example.text, example.language)}]
