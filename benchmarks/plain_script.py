"""What a user would write: a plain PyTorch script with a DataLoader, default Adam and default threads.

    python benchmarks/plain_script.py [--steps 300] [--arm nearest_conv]

The same autoencoder, images, batch size and number of steps as configs/quick.toml, one model after the other. It is the
other side of the study's speed ratio, so it is kept honest: idiomatic, no needless work, nothing tuned.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from checkerscope.toolkit.images import photos

WIDTH, LATENT = 16, 16


def upsampler(arm: str, c_in: int, c_out: int) -> nn.Module:
    if arm == "nearest_conv":
        return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(c_in, c_out, 3, padding=1))
    if arm == "bilinear_conv":
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(c_in, c_out, 3, padding=1))
    if arm == "pixel_shuffle":
        return nn.Sequential(nn.Conv2d(c_in, 4 * c_out, 3, padding=1), nn.PixelShuffle(2))
    if arm == "transposed_conv_k3":
        return nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1)
    return nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1)


ARMS = ("nearest_conv", "bilinear_conv", "pixel_shuffle", "transposed_conv_k3", "transposed_conv_k4")


def autoencoder(arm: str) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2 * WIDTH, LATENT, 3, padding=1),
        upsampler(arm, LATENT, 2 * WIDTH),
        nn.ReLU(),
        upsampler(arm, 2 * WIDTH, WIDTH),
        nn.ReLU(),
        nn.Conv2d(WIDTH, 3, 3, padding=1),
    )


def train(arm: str, images: torch.Tensor, steps: int, seed: int) -> float:
    torch.manual_seed(seed)
    model = autoencoder(arm)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    criterion = nn.MSELoss()
    loader = DataLoader(TensorDataset(images), batch_size=16, shuffle=True)
    step, loss = 0, torch.zeros(())
    while step < steps:
        for (batch,) in loader:
            optimizer.zero_grad()
            loss = criterion(model(batch), batch)
            loss.backward()
            optimizer.step()
            step += 1
            if step == steps:
                break
    return loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--arm", action="append", choices=ARMS)
    arguments = parser.parse_args()
    images = photos.load("train", 64)
    for arm in arguments.arm or ARMS:
        began = time.perf_counter()
        loss = train(arm, images, arguments.steps, seed=0)
        print(f"{arm:20s} loss {loss:.4f}  {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
