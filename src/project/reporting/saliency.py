"""Where a model looked when it was wrong: the gradient of what it said by the pixels, for any network."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)

from headstart.backbone import features_to_train
from headstart.images.decoding import BrokenImageError, read_image
from headstart.images.transforms import ResizeAndCrop
from headstart.sharding import is_shared_out

from .plots.images import most_confident_mistakes
from .run_folder import RunFolder, saliency_path

if TYPE_CHECKING:
    from ..model.classifier import Classifier

SIDE = 160  # pixels


def write_saliency(run: RunFolder, model: "Classifier") -> list[Path]:
    """Write a map beside each of the most confident mistakes of a run, laid over the image; returns their paths."""
    if run.split is None or is_shared_out(model):
        return []
    split, prepare, images = run.splits[run.split], ResizeAndCrop(model.preprocessing), {}
    for row in most_confident_mistakes(split).tolist():
        try:
            images[row] = prepare(read_image(str(split.paths[row])))
        except BrokenImageError:  # of images that streamed by, there is no file
            continue
    paths = [saliency_path(run.path, run.split, row) for row in images]
    for path, image in zip(paths, images.values(), strict=True):
        guess = torch.tensor([split.predicted[int(path.stem.rpartition("_")[2])]])
        path.parent.mkdir(exist_ok=True)
        overlay(image, saliency(model, image[None], guess)[0]).save(path, quality=85)
    return paths


def saliency(model: "Classifier", images: Tensor, classes: Tensor) -> Tensor:
    """How much each pixel matters for the logit of a class: float32 [images, height, width], from 0 to 1.

    That is the gradient's largest absolute value over the channels (Simonyan et al. 2014,
    https://arxiv.org/abs/1312.6034), smoothed, for uint8 `images` [images, 3, height, width].
    """
    model.eval()
    with torch.enable_grad():
        pixels = images.to(model.device, torch.float32).requires_grad_()
        logits = model.head(features_to_train(model.backbone, pixels, model.mean, model.std))
        wanted = logits.gather(1, classes.to(model.device)[:, None]).sum()
        (gradient,) = torch.autograd.grad(wanted, pixels)
    width = images.shape[-1] // 16 * 2 + 1
    strength = gradient.abs().amax(dim=1, keepdim=True)
    smooth = F.avg_pool2d(F.avg_pool2d(strength, width, 1, width // 2), width, 1, width // 2)[:, 0].cpu()
    most = smooth.amax(dim=(1, 2), keepdim=True)
    return smooth / most.clamp(min=torch.finfo(torch.float32).tiny)


def overlay(image: Tensor, strength: Tensor, side: int = SIDE) -> Image.Image:
    """A uint8 image [3, height, width] in grey, and in colour what of it matters, `side` pixels wide and high."""
    heat = colormaps["inferno"](strength.numpy())[..., :3] * 255
    grey = image.float().mean(dim=0).numpy()[..., None]
    share = 0.25 + 0.6 * strength.numpy()[..., None]
    mixed = Image.fromarray((grey * (1 - share) + heat * share).clip(0, 255).astype(np.uint8))
    return mixed.resize((side, side), Image.Resampling.BILINEAR)
