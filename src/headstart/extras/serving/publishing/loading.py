"""How a published model is loaded, in the words of its card."""

from ..plain import Plain
from .config import loads_in_timm
from .markdown import code
from .weights import PROGRAM, WEIGHTS

CALL = """
from load import load

model = load()  # load(calibrated=True) for probabilities that hold better
model.predict(["image.jpg"])  # [(class, probability)], for as many images as you like
"""
TRANSFORM = "transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))  # for PIL images"
WARNING = (
    f"This architecture is neither timm's nor torchvision's, so load.py runs {PROGRAM}, the whole network as "
    "torch.export writes it. PyTorch can run code out of such a file, as it can out of any load.py: take them from "
    f"people whom you trust. {WEIGHTS} holds the weights alone, which run nothing."
)


def how_to_load(repo: str | None, plain: Plain, num_classes: int) -> str:
    """The section of the card: by load.py in the folder, and by the library that has the architecture."""
    needs = {"timm": "timm, safetensors", "torchvision": "torchvision, safetensors"}
    text = (
        f"With load.py in this folder, which needs torch, {needs.get(plain.library, 'torchvision, safetensors')} and "
    )
    parts = [text + "pillow, and prepares images as in training:", code("python", _fetched(repo) + CALL)]
    if not plain.library:
        return "\n\n".join([*parts, WARNING])
    own = 'load_file("model.safetensors")'
    state = f"from safetensors.torch import load_file\n\n{plain.code}\nmodel.load_state_dict({own})\nmodel.eval()"
    said = f"With {plain.library} alone, on images that are prepared as preprocessor_config.json says:"
    if loads_in_timm(plain):
        place = f"hf-hub:{repo}" if repo else "local-dir:FOLDER"
        options = f"{place!r}, pretrained=True".replace("'", '"')
        state = f"import timm\n\nmodel = timm.create_model({options}).eval()  # {num_classes} classes\n{TRANSFORM}"
        said = "With timm alone:"
    return "\n\n".join([*parts, said, code("python", state)])


def _fetched(repo: str | None) -> str:
    if repo is None:
        return ""
    return (
        f'import sys\n\nfrom huggingface_hub import snapshot_download\n\nsys.path.append(snapshot_download("{repo}"))\n'
    )
