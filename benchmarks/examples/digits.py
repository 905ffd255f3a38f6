"""scikit-learn's digits in the shape of MNIST and CIFAR-10, which examples would download."""

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


class Digits(pl.LightningDataModule):
    """Grey pictures of 28 by 28; the last batch is short."""

    size = 28
    channels = 1

    def __init__(self, batch_size=32):
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage=None):
        images, labels = load_digits(return_X_y=True)
        pixels = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16
        pixels = functional.interpolate(pixels, size=self.size).repeat(1, self.channels, 1, 1)
        data = TensorDataset(pixels, torch.tensor(labels).long())
        self.parts = [
            torch.utils.data.Subset(data, range(*part))
            for part in ((0, 500), (500, 650), (650, 760))
        ]

    def train_dataloader(self):
        return DataLoader(self.parts[0], batch_size=self.batch_size)

    def val_dataloader(self):
        return DataLoader(self.parts[1], batch_size=self.batch_size)

    def test_dataloader(self):
        return DataLoader(self.parts[2], batch_size=self.batch_size)


class ColouredDigits(Digits):
    """Pictures of 32 by 32 with three equal channels."""

    size = 32
    channels = 3
