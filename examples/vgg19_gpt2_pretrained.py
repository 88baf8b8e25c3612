"""The same with pretrained parts, for those who have a network: torchvision's VGG19 and GPT-2 from the hub."""

import sys

from PIL import Image

import vlbm

model, processor = vlbm.build("gpt2", encoder="vgg19", encoder_weights="pretrained", fusion="sum_channel")
inputs = processor(images=Image.open(sys.argv[1]), text="A picture of")
print(processor.tokenizer.decode(model.generate(**inputs, max_new_tokens=20, do_sample=False)[0]))
