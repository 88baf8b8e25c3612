"""Pictures and text into what the model takes: a transformers processor.

A picture becomes views: the whole picture made square, its centred square, and both mirrored. The whole picture gives
the grid; class probabilities are averaged over all views. Text goes through the tokenizer unchanged: a picture takes no
tokens in the prompt. This module knows nothing of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, BaseImageProcessor, BatchFeature, ProcessorMixin

from vlbm.config import VLBMConfig
from vlbm.errors import ConfigError
from vlbm.pictures import centre, open_picture, to_rgb, whole

QUESTION_HEADER, ANSWER_HEADER = "<|im_start|>user\n", "<|im_start|>assistant\n"
# SmolLM2's own template, where a message's content may also be a list of parts (transformers' multimodal form): the
# text of the parts is joined, pictures leave no trace in the text.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# For models of one's own: nobody's name in the prompt.
PLAIN_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class VLBMImageProcessor(BaseImageProcessor):
    """Pictures -> pixel_values [b,v,3,size,size]."""

    model_input_names = ["pixel_values"]  # noqa: RUF012 (the base class declares it so)

    def __init__(
        self,
        image_size: int = 224,
        views: int = 4,
        image_mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        image_std: tuple[float, ...] = (0.5, 0.5, 0.5),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if views not in (1, 2, 4):
            raise ValueError(f"views must be 1, 2 or 4, got {views}")
        self.image_size, self.views = image_size, views
        self.image_mean, self.image_std = tuple(image_mean), tuple(image_std)

    def preprocess(self, images: Any, return_tensors: Any = "pt", **kwargs: Any) -> BatchFeature:
        """One picture or a list (Pillow pictures, or arrays [h,w,3] of bytes) -> pixel_values."""
        pictures = images if isinstance(images, (list, tuple)) else [images]
        flat = [inner for item in pictures for inner in (item if isinstance(item, (list, tuple)) else [item])]
        pixels = torch.stack([self.pixels(self._as_picture(item)) for item in flat])
        return BatchFeature({"pixel_values": pixels}, tensor_type=None)

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:  # type: ignore[override]
        """As `preprocess`."""
        return self.preprocess(images, *args, **kwargs)

    def pixels(self, picture: Image.Image) -> torch.Tensor:
        """One RGB picture -> its views [v,3,size,size], normalised."""
        return self.normalise(self.square(picture))

    def square(self, picture: Image.Image) -> torch.Tensor:
        """One RGB picture -> its views as bytes [v,3,size,size]."""
        made = [whole(picture, self.image_size)]
        if self.views >= 2:
            made.append(centre(picture, self.image_size))
        if self.views == 4:
            made.extend([ImageOps.mirror(view) for view in made])
        stacked = torch.from_numpy(np.stack([np.asarray(view) for view in made]))  # [v,size,size,3]
        return stacked.permute(0, 3, 1, 2)

    def normalise(self, views: torch.Tensor) -> torch.Tensor:
        """Bytes [...,3,h,w] -> what the encoder takes."""
        scaled = views.float() / 255
        mean, std = (torch.tensor(each, device=views.device) for each in (self.image_mean, self.image_std))
        return (scaled - mean[:, None, None]) / std[:, None, None]

    @staticmethod
    def _as_picture(item: Any) -> Image.Image:
        if isinstance(item, Image.Image):
            return to_rgb(item)
        if isinstance(item, bytes):
            return open_picture(item)
        return to_rgb(Image.fromarray(np.asarray(item)))


def image_processor(config: VLBMConfig) -> VLBMImageProcessor:
    """The picture processor of a configuration."""
    return VLBMImageProcessor(
        image_size=config.encoder_spec.image_size,
        views=config.image_views,
        image_mean=tuple(config.image_mean or ()),
        image_std=tuple(config.image_std or ()),
    )


def per_text(images: Any, texts: int) -> list[list[Any]]:
    """The pictures of each text: a list a text, one a text, or all of them for the only one.

    Raises:
        ValueError: it cannot be told which text a picture belongs to.
    """
    given = list(images) if isinstance(images, (list, tuple)) else [images]
    if any(isinstance(item, (list, tuple)) for item in given) or (len(given) == texts > 1):
        rows = [list(item) if isinstance(item, (list, tuple)) else [item] for item in given]
    else:
        rows = [given]
    if len(rows) != texts:
        raise ValueError(f"{len(given)} pictures for {texts} texts: give one each, or a list of pictures for each text")
    return rows


class VLBMProcessor(ProcessorMixin):
    """Text and pictures -> input_ids, attention_mask, pixel_values and fusion_from.

    Where texts have none or several pictures, also how many (`pictures`) and whether (`has_picture`).

    Args:
        picture_tokens: tokens that begin a prompt with pictures, where the fusion acts on the prompt.
        fusion_begins: where it acts otherwise: from the "answer" on, or from the "question" (see `VLBMConfig`).
        languages: of names and captions in the evidence.
    """

    attributes = ["image_processor", "tokenizer"]  # noqa: RUF012 (the base class declares it so)

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        picture_tokens: int = 0,
        fusion_begins: str = "answer",
        languages: Sequence[str] = ("en",),
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            image_processor, tokenizer, chat_template=chat_template or CHAT_TEMPLATE
        )
        self.picture_tokens, self.fusion_begins, self.languages = picture_tokens, fusion_begins, list(languages)

    def __call__(
        self, images: Any = None, text: Any = None, language: str | None = None, **kwargs: Any
    ) -> BatchFeature:
        """Tokenise text and prepare pictures.

        The fusion acts from `fusion_from` [b] on (see `fusion_start`).

        Args:
            images: a picture, or several: all for the only text, one a text, or a list for each text.
            text: a prompt or several.
            language: of the answers, where names and captions are known in several.
            kwargs: further options of the tokenizer.

        Raises:
            ConfigError: names and captions are not known in the language.
        """
        kwargs.setdefault("return_tensors", "pt")
        kwargs.pop("images_kwargs", None)
        text_kwargs = {**kwargs.pop("text_kwargs", {}), **kwargs}
        data: dict[str, Any] = {}
        if images is None:
            return BatchFeature(self.tokenizer(text, **text_kwargs))
        if text is not None:
            texts = [text] if isinstance(text, str) else list(text)
            pictures = per_text(images, len(texts))
            images = [picture for row in pictures for picture in row]
            shown = [self.pictured(one) if row else one for one, row in zip(texts, pictures, strict=True)]
            data.update(self.tokenizer(shown, **text_kwargs))
            rows = zip(data["input_ids"], data["attention_mask"], strict=True)
            data["fusion_from"] = torch.tensor([self._start(list(ids), list(mask)) for ids, mask in rows])
            if any(len(row) != 1 for row in pictures):
                data["pictures"] = torch.tensor([len(row) for row in pictures])
                data["has_picture"] = data["pictures"] > 0
        if not (isinstance(images, list) and not images):  # texts may all be without one
            data.update(self.image_processor(images))
            if language is not None:
                data["languages"] = torch.full((len(data["pixel_values"]),), self.language_number(language))
        return BatchFeature(data)

    def language_number(self, language: str) -> int:
        """Place of a language among those of names and captions; a region aside ("de-AT" is "de").

        Raises:
            ConfigError: it is none of them.
        """
        bare = language.partition("-")[0].lower()
        if bare not in self.languages:
            raise ConfigError(f"pictures cannot be spoken of in {language!r}: use one of {', '.join(self.languages)}")
        return self.languages.index(bare)

    def _start(self, ids: list[Any], mask: list[Any]) -> int:
        """Position of the fusion's start in a row that may be padded, perhaps with the very mark that is looked for."""
        padding = next((at for at, used in enumerate(mask) if used), 0)
        return padding + self.fusion_start(ids[padding:])

    @property
    def picture_token(self) -> str:
        """What stands for a picture in a prompt: the mark that begins texts, for want of one of its own."""
        mark: str = self.tokenizer.bos_token or self.tokenizer.eos_token
        return mark

    def pictured(self, text: str) -> str:
        """A prompt that has pictures: with the tokens that stand for them, where the fusion has such."""
        return self.picture_token * self.picture_tokens + text

    def fusion_start(self, ids: list[Any]) -> int:
        """Position in token ids from which the fusion acts.

        That is the header of the last answer or question, 0 without one, or the pictures' tokens.
        """
        if not self.picture_tokens:
            header = ANSWER_HEADER if self.fusion_begins == "answer" else QUESTION_HEADER
            return self._last(header, ids)
        mark = self.tokenizer.convert_tokens_to_ids(self.picture_token)
        run = [mark] * self.picture_tokens
        numbers = [int(token) for token in ids]
        return next((at for at in range(len(numbers)) if numbers[at : at + len(run)] == run), 0)

    def _last(self, header: str, ids: list[Any]) -> int:
        """Position of the last such header in token ids, or 0 without one."""
        wanted = self.tokenizer(header, add_special_tokens=False)["input_ids"]
        numbers = [int(token) for token in ids]
        for start in range(len(numbers) - len(wanted), -1, -1):
            if numbers[start : start + len(wanted)] == wanted:
                return start
        return 0


# Saved processors are loaded by name: transformers has to know the names.
AutoConfig.register(VLBMConfig.model_type, VLBMConfig, exist_ok=True)
AutoImageProcessor.register(VLBMConfig, image_processor_classes={"pil": VLBMImageProcessor}, exist_ok=True)
AutoProcessor.register(VLBMConfig, VLBMProcessor, exist_ok=True)  # type: ignore[no-untyped-call]
