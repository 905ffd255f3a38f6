"""Small street scenes of noise, and the few transforms of torchvision that an example asks for."""

import os

import numpy as np
import torch
from PIL import Image


def make(folder, images, masks, count=35, size=(48, 32)):
    """Write pictures and masks of the labels that they hold."""
    numbers = np.random.default_rng(0)
    for name in (images, masks):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    for index in range(count):
        mask = numbers.integers(7, 34, (size[1] // 8, size[0] // 8)).repeat(8, 0).repeat(8, 1)
        noise = numbers.integers(0, 100, (size[1], size[0], 3))
        picture = (mask[..., None] * 4 + noise).astype("uint8")
        Image.fromarray(picture).save(os.path.join(folder, images, f"{index:03}.png"))
        Image.fromarray(mask.astype("uint8")).save(os.path.join(folder, masks, f"{index:03}.png"))


class Compose:
    def __init__(self, steps):
        self.steps = steps

    def __call__(self, picture):
        for step in self.steps:
            picture = step(picture)
        return picture


class ToTensor:
    def __call__(self, picture):
        return torch.tensor(picture, dtype=torch.float32).permute(2, 0, 1) / 255


class Normalize:
    def __init__(self, mean, std):
        self.mean, self.std = (torch.tensor(part).view(-1, 1, 1) for part in (mean, std))

    def __call__(self, picture):
        return (picture - self.mean) / self.std
