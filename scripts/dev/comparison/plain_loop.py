"""A peer for the benchmark: the plain Lightning loop that documentation teaches, in a process of its own.

The frozen network is in eval mode and under `no_grad`; everything else is as it comes: float32, Pillow, 2 workers,
every epoch through the network. It reads what to do as JSON from its standard
input and prints seconds for training and validating one epoch.
"""

import json
import sys
import time
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from headstart.machine import quiet
from headstart.specs import from_spec
from project import BACKBONES

BATCH_SIZE, WORKERS, LR = 64, 2, 1e-3


class Images(Dataset[tuple[Tensor, int]]):
    """Pillow, and a float32 image from every worker."""

    def __init__(self, samples: list[tuple[str, int]], preprocessing: dict[str, Any]) -> None:
        self.samples = samples
        self.transform = v2.Compose(
            [
                v2.Resize(preprocessing["resize"], v2.InterpolationMode(preprocessing["interpolation"])),
                v2.CenterCrop(preprocessing["crop"]),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(preprocessing["mean"], preprocessing["std"]),
            ]
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.samples[index]
        with Image.open(path) as image:
            return self.transform(image.convert("RGB")), label


class PlainLoop(LightningModule):
    """A frozen network and a linear layer."""

    def __init__(self, network: nn.Module, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.head = nn.Linear(num_features, num_classes)
        self.seconds = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """Logits for normalised images."""
        self.network.eval()
        with torch.no_grad():
            features = self.network(images)
        return self.head(features)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One step of gradient descent."""
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Accuracy on the validation images."""
        self.log("val/accuracy", (self(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, on the head."""
        return torch.optim.Adam(self.head.parameters(), lr=LR)

    def on_train_epoch_start(self) -> None:
        """Start the watch."""
        self.seconds = -time.perf_counter()

    def on_train_epoch_end(self) -> None:
        """Stop it; validation is over by now."""
        self.seconds += time.perf_counter()


def main() -> None:
    """Train one epoch on what standard input describes."""
    task = json.load(sys.stdin)
    quiet()
    backbone = from_spec(task["backbone"], BACKBONES)()
    loaders = [
        DataLoader(Images(task[split], task["preprocessing"]), BATCH_SIZE, shuffle=split == "train",
                   num_workers=WORKERS, persistent_workers=True)
        for split in ("train", "val")
    ]  # fmt: skip
    model = PlainLoop(backbone.network, backbone.num_features, task["num_classes"])
    trainer = Trainer(
        max_epochs=1, accelerator=task["accelerator"], devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, train_dataloaders=loaders[0], val_dataloaders=loaders[1])
    print(model.seconds)  # noqa: T201 (the one thing that is asked for)


if __name__ == "__main__":
    main()
