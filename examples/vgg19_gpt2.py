"""VGG19's features and a GPT-2, joined by R = alpha*F + beta*M. Random weights: nothing is fetched."""

import torch
from transformers import GPT2Config

import vlbm
from vlbm.tokenizer import train_tokenizer

tokenizer = train_tokenizer(["A red disc.", "A blue square."], vocab_size=300)
gpt2 = GPT2Config(n_layer=4, n_head=4, n_embd=128, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=1)
model, processor = vlbm.build(
    gpt2, tokenizer=tokenizer, encoder="vgg19", encoder_weights="random", fusion="sum_channel"
)
inputs = processor(images=torch.zeros(224, 224, 3, dtype=torch.uint8).numpy(), text="A red disc.")
loss = model(**inputs, labels=inputs["input_ids"]).loss
loss.backward()
print(f"loss {loss:.3f}; gradients of alpha: {tuple(model.fusions[0].alpha.grad.shape)}")
