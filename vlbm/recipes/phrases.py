"""What people ask about a picture in six languages, and how a sure or unsure answer is put.

An answer is made from what is believed: a noun phrase, how sure it is, and what else it could be. In English phrases
have an article; in other languages only where the source of the phrase has one (CLDR's names have none), so answers are
worded such that both read well. Pure text: no pictures, no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vlbm.data.english import plural_already

Kind = Literal["short", "what", "describe", "alt"]

QUESTIONS: dict[str, dict[Kind, tuple[str, ...]]] = {
    "en": {
        "short": (
            "Caption the picture.",
            "Caption this image.",
            "Write a caption for this picture.",
            "Write a short caption.",
            "Give a one-line description of the image.",
            "caption",
        ),
        "what": (
            "What is this?",
            "What's this?",
            "What is it?",
            "what is that",
            "Can you tell me what this is?",
            "Identify the object in this photo.",
            "What animal is this?",
            "Name the main object.",
        ),
        "describe": (
            "What is in this picture?",
            "What is in the picture?",
            "Describe the picture.",
            "Describe this picture.",
            "Describe the image.",
            "What do you see?",
            "What can you see in this image?",
            "What does this picture show?",
            "Please describe this photo in a sentence.",
            "What's in this image?",
            "Tell me what you see.",
        ),
        "alt": ("Write an alt text for the picture.", "Give me alt text for this image.", "alt text"),
    },
    "es": {
        "short": ("Escribe un pie de foto.", "Pon un título a la imagen."),
        "what": ("¿Qué es esto?", "¿Qué es?"),
        "describe": ("¿Qué hay en la imagen?", "Describe la imagen.", "¿Qué ves en esta foto?", "¿Qué se ve aquí?"),
        "alt": ("Escribe un texto alternativo para la imagen.",),
    },
    "fr": {
        "short": ("Écris une légende pour cette image.", "Donne un titre à l'image."),
        "what": ("Qu'est-ce que c'est ?", "C'est quoi ?"),
        "describe": ("Que voit-on sur cette image ?", "Décris l'image.", "Que vois-tu sur cette photo ?"),
        "alt": ("Écris un texte alternatif pour l'image.",),
    },
    "de": {
        "short": ("Schreibe eine Bildunterschrift.", "Gib dem Bild einen Titel."),
        "what": ("Was ist das?", "Was ist das hier?"),
        "describe": ("Was ist auf dem Bild?", "Beschreibe das Bild.", "Was siehst du auf diesem Foto?"),
        "alt": ("Schreibe einen Alternativtext für das Bild.",),
    },
    "it": {
        "short": ("Scrivi una didascalia.", "Dai un titolo all'immagine."),
        "what": ("Che cos'è?", "Cos'è questo?"),
        "describe": ("Che cosa c'è nell'immagine?", "Descrivi l'immagine.", "Cosa vedi in questa foto?"),
        "alt": ("Scrivi un testo alternativo per l'immagine.",),
    },
    "pt": {
        "short": ("Escreva uma legenda.", "Dê um título à imagem."),
        "what": ("O que é isto?", "O que é isso?"),
        "describe": ("O que há na imagem?", "Descreva a imagem.", "O que você vê nesta foto?"),
        "alt": ("Escreva um texto alternativo para a imagem.",),
    },
}


@dataclass(frozen=True, slots=True)
class Wording:
    """How a language puts an answer. `{}` is the phrase; `{o}` what else it could be.

    Attributes:
        articles: what a phrase with an article begins with.
        what, describe: a sure answer to a phrase with an article, and to one without.
        likely, guess, two: an answer that is less sure, one that is a guess, and a guess between two.
        unknown: nothing is known.
        maybe: a guess in a caption.
        kind: an answer that knows no more than the kind of thing.
        both: joins the last two of several things.
    """

    articles: tuple[str, ...]
    what: tuple[str, str]
    describe: tuple[str, str]
    likely: tuple[str, str]
    guess: str
    two: str
    unknown: str
    maybe: str
    kind: str
    both: str


WORDINGS = {
    "en": Wording(
        ("a ", "an ", "the ", "two ", "three ", "some "),
        ("This is {}.", "This is {}."),
        ("The picture shows {}.", "The picture shows {}."),
        ("It looks like {}.", "It looks like {}."),
        "I am not sure. It could be {}.",
        "I am not sure. It could be {} or {o}.",
        "I cannot tell what is in this picture.",
        "Maybe {}.",
        "I am not sure what it is. It seems to be {}.",
        "and",
    ),
    "es": Wording(
        ("un ", "una ", "unos ", "unas ", "el ", "la "),
        ("Es {}.", "Esto es: {}."),
        ("La imagen muestra {}.", "La imagen muestra: {}."),
        ("Parece {}.", "Parece ser: {}."),
        "No estoy seguro. Podría ser: {}.",
        "No estoy seguro. Podría ser: {} o {o}.",
        "No puedo decir qué hay en esta imagen.",
        "Quizá {}.",
        "No sé qué es exactamente. Parece ser: {}.",
        "y",
    ),
    "fr": Wording(
        ("un ", "une ", "des ", "le ", "la ", "du "),
        ("C'est {}.", "C'est : {}."),
        ("L'image montre {}.", "L'image montre : {}."),
        ("On dirait {}.", "On dirait : {}."),
        "Je ne suis pas sûr. Ce pourrait être : {}.",
        "Je ne suis pas sûr. Ce pourrait être : {} ou {o}.",
        "Je ne peux pas dire ce qu'il y a sur cette image.",
        "Peut-être {}.",
        "Je ne sais pas exactement ce que c'est. On dirait : {}.",
        "et",
    ),
    "de": Wording(
        ("ein ", "eine ", "einen ", "der ", "die ", "das "),
        ("Das ist {}.", "Das ist: {}."),
        ("Das Bild zeigt: {}.", "Das Bild zeigt: {}."),
        ("Es sieht aus wie {}.", "Es sieht aus wie: {}."),
        "Ich bin nicht sicher. Es könnte sein: {}.",
        "Ich bin nicht sicher. Es könnte sein: {} oder {o}.",
        "Ich kann nicht sagen, was auf diesem Bild ist.",
        "Vielleicht {}.",
        "Ich weiß nicht genau, was es ist. Es ist wohl: {}.",
        "und",
    ),
    "it": Wording(
        ("un ", "uno ", "una ", "un'", "il ", "la ", "dei ", "delle "),
        ("È {}.", "Questo è: {}."),
        ("L'immagine mostra {}.", "L'immagine mostra: {}."),
        ("Sembra {}.", "Sembra: {}."),
        "Non sono sicuro. Potrebbe essere: {}.",
        "Non sono sicuro. Potrebbe essere: {} o {o}.",
        "Non so dire che cosa c'è in questa immagine.",
        "Forse {}.",
        "Non so che cosa sia di preciso. Sembra essere: {}.",
        "e",
    ),
    "pt": Wording(
        ("um ", "uma ", "uns ", "umas ", "o ", "a "),
        ("É {}.", "Isto é: {}."),
        ("A imagem mostra {}.", "A imagem mostra: {}."),
        ("Parece {}.", "Parece ser: {}."),
        "Não tenho certeza. Pode ser: {}.",
        "Não tenho certeza. Pode ser: {} ou {o}.",
        "Não consigo dizer o que há nesta imagem.",
        "Talvez {}.",
        "Não sei exatamente o que é. Parece ser: {}.",
        "e",
    ),
}

# How sure one must be: below GUESS nothing is said.
SURE, LIKELY, GUESS = 0.45, 0.22, 0.08


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of a picture.

    Attributes:
        phrase: the thing as a noun phrase of the answer's language, in English with its article; None when unknown.
        confidence: in [0,1], how well the evidence supports it.
        fine: a finer name where one is likely (English only).
        other: the next likely thing, for an unsure answer.
        kind: what kind of thing it is, where it has no name.
    """

    phrase: str | None
    confidence: float
    fine: str | None = None
    other: str | None = None
    kind: str | None = None


def answer(kind: Kind, belief: Belief, language: str = "en") -> str:
    """The answer to a question of a kind in a language."""
    wording, phrase = WORDINGS[language], belief.phrase
    caption, end = kind in ("short", "alt"), "" if kind == "alt" else "."
    if belief.kind:
        return f"{(wording.maybe if caption else wording.kind).format(belief.kind)[:-1]}{end}"
    if phrase is None or belief.confidence < GUESS:
        return wording.unknown
    if caption and belief.confidence < SURE:
        return f"{wording.maybe.format(phrase)[:-1]}{end}"
    if belief.confidence < LIKELY:
        if belief.other and belief.other != phrase:
            return wording.two.replace("{o}", belief.other).replace("{}", phrase)
        return wording.guess.format(phrase)
    bare = not phrase.lower().startswith(wording.articles)
    if belief.confidence < SURE:
        return _plural(wording.likely[bare].format(phrase), phrase, language)
    if (
        caption
    ):  # elsewhere as it stands in the evidence: with a capital, a seldom word is other tokens, and was garbled
        return f"{phrase[0].upper() if language == 'en' else phrase[0]}{phrase[1:]}{end}"
    if kind == "what":
        return _plural(wording.what[bare].format(phrase), phrase, language)
    sure = wording.describe[bare].format(phrase)
    return f"{sure} It looks like {belief.fine}." if belief.fine and language == "en" else sure


DETAILED = (
    "Describe the picture in detail.",
    "Describe this image in detail.",
    "Give a detailed description of the picture.",
    "Write a detailed caption.",
    "Describe everything you see.",
)


def _plural(text: str, phrase: str, language: str) -> str:
    several = phrase.startswith(("two ", "three ", "some ")) or plural_already(phrase)
    if language != "en" or not several:
        return text
    return text.replace("This is", "These are").replace("It looks", "They look")
