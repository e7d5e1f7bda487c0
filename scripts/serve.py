"""Serve a run's model on this machine, as a page and as JSON: `python scripts/serve.py RUN [--port 8000]`.

RUN is the folder of a run, of a sweep (its best run), a checkpoint, or latest. The page is at http://127.0.0.1:8000;
`curl -F files=@1.jpg -F files=@2.jpg http://127.0.0.1:8000/predict` answers in JSON. /healthz says whether it works,
/metrics what it did, for Prometheus. --host 0.0.0.0 lets other machines ask, without a password; --port 0 takes a free
port. SIGTERM and Ctrl-C end it once the running requests are answered.
"""

import argparse
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from headstart.errors import UserError, listed, printable, readable_errors
from headstart.machine import prepare_process, quick_imports, share_freed_memory, terminal
from headstart.runs import Run, find_run

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from headstart.predictor import Predictor
    from project.model.classifier import Classifier

MAP = 240  # pixels
TURN = 0.0005  # seconds that Python runs a thread before another's turn, as the network takes one for each layer
SHOWN = ("test/accuracy", "test/f1")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    run = find_run(arguments.run)
    try:
        from headstart.extras.serving.server.process import listen
    except ModuleNotFoundError as error:
        raise UserError(f"a server needs the package {error.name}: pip install -e .[serve]") from error
    listener = listen(arguments.host, arguments.port)  # before seconds are spent on a model
    prepare_process()
    share_freed_memory()
    sys.setswitchinterval(TURN)
    with quick_imports():
        serve(run, listener)


def serve(run: Run, listener: socket.socket) -> None:
    """Load the model of a run, and serve it until a signal comes."""
    from headstart.extras.serving.server import process
    from headstart.extras.serving.server.app import make_app
    from headstart.extras.serving.server.batcher import computing
    from headstart.extras.serving.server.guard import is_loopback
    from headstart.predictor import load

    predictor, url = computing().submit(load, run.checkpoint).result(), process.url_of(listener)
    computing().submit(warm_up, predictor).result()
    title = printable((run.folder or run.checkpoint).absolute().name)
    is_local = is_loopback(listener.getsockname()[0])
    app = make_app(predictor, title, facts(run, predictor.classes), explainer(predictor.model), is_local=is_local)
    said = f"{title} at {url} ({len(predictor.classes)} classes, {predictor.device.type}); Ctrl-C ends it"
    process.serve(app, listener, lambda: terminal(soft_wrap=True).print(said))


def warm_up(predictor: "Predictor") -> None:
    """Compute a batch of the largest size: its memory is there from the start, and the first request as fast as any."""
    import torch

    from headstart.extras.serving.server.service import BATCH_SIZE

    side = predictor.preprocessing.crop
    predictor.probabilities(torch.zeros(BATCH_SIZE, 3, side, side, dtype=torch.uint8))


def facts(run: Run, classes: tuple[str, ...]) -> str:
    """What the page says of the model."""
    scores = [f"{name} {value:.3f}" for name, value in run.results.get("metrics", {}).items() if name in SHOWN]
    return f"{', '.join([f'{len(classes)} classes', *scores])}: {listed(classes, 20)}".replace("/", " ")


def explainer(model: "Classifier") -> Callable[["Tensor", int], "Image"]:
    """What draws where a classifier looked, in a uint8 image [3, crop, crop], for a class by its number."""
    import torch

    from project.reporting.saliency import overlay, saliency

    def draw(image: "Tensor", label: int) -> "Image":
        return overlay(image, saliency(model, image[None], torch.tensor([label]))[0], MAP)

    return draw


if __name__ == "__main__":
    with readable_errors():
        main()
