"""Size and speed of every encoder, as the table of docs/encoders.md.

    python benchmarks/encoders.py [NAME ...] [--runs 5]

Weights are random: neither size nor speed depends on them. Towers are configurations of well-known sizes. A picture is
one view, in float32, on one thread; its time is that thread's own, so that other work on the machine counts for little,
and the median of the runs after one that is not counted.
"""

import argparse
import os
import statistics
import time

import torch

import vlbm
from vlbm.encoders import EncoderSpec, encoder
from vlbm.encoders.towers import tower_spec

# isort: split
from transformers import CLIPVisionConfig, Dinov2Config, SiglipVisionConfig, ViTConfig

TOWERS = {
    "ViT-B/16": ViTConfig(),
    "CLIP ViT-B/32": CLIPVisionConfig(),
    "SigLIP B/16": SiglipVisionConfig(),
    "DINOv2 S/14, 518 pixels": Dinov2Config(hidden_size=384, num_attention_heads=6, patch_size=14, image_size=518),
}


def rows() -> dict[str, EncoderSpec]:
    """The registry, and towers."""
    registry = {name: encoder(name) for name in vlbm.list_encoders()}
    return registry | {name: tower_spec(config) for name, config in TOWERS.items()}


@torch.inference_mode()
def measure(spec: EncoderSpec, runs: int) -> tuple[int, int, float]:
    """Parameters, stages, and milliseconds a picture."""
    made = spec.build().eval()
    pixels, times = torch.randn(1, 3, spec.image_size, spec.image_size), []
    for _ in range(runs + 1):
        started = time.process_time()
        made(pixels)
        times.append(1000 * (time.process_time() - started))
    return sum(p.numel() for p in made.parameters()), len(made.stages()), statistics.median(times[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| encoder | pixels | n | d_v | stages | million parameters | ms a picture |")
    print("|---|---|---|---|---|---|---|")
    for name, spec in rows().items():
        if arguments.names and name not in arguments.names:
            continue
        parameters, stages, milliseconds = measure(spec, arguments.runs)
        sizes = f"{spec.image_size} | {spec.cells} | {spec.width} | {stages}"
        print(f"| {name} | {sizes} | {parameters / 1e6:.1f} | {milliseconds:.0f} |", flush=True)
    print(f"\none of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
