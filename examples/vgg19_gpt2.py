"""VGG19's features and a GPT-2, joined by R = alpha*F + beta*M. Random weights: nothing is fetched."""

import torch
from transformers import GPT2Config

from vlbm import VLBMConfig, VLBMForConditionalGeneration

text = GPT2Config(n_layer=4, n_head=4, n_embd=128, vocab_size=1000, n_positions=128, bos_token_id=0, eos_token_id=0)
config = VLBMConfig(text_config=text, encoder="vgg19", fusion="sum_channel", fusion_layers=[1, 3])
model = VLBMForConditionalGeneration(config)
pixels = torch.rand(1, 1, 3, 224, 224)  # one picture, one view
labels = torch.tensor([[5, 6, 7, 8]])
loss = model(input_ids=labels, pixel_values=pixels, labels=labels).loss
loss.backward()
print(f"loss {loss:.3f}; alpha of the first fused layer: {tuple(model.fusions[0].alpha.grad.shape)} gradients")
print(model.generate(input_ids=labels, pixel_values=pixels, max_new_tokens=5, do_sample=False))
