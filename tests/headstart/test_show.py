"""What loggers show, read back from their own files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.plugins.mesh.metadata import parse_plugin_metadata
from tensorboard.util.tensor_util import make_ndarray
from torch import nn

from headstart.tracking.event_files import EventFiles
from headstart.tracking.graph import graph_of
from headstart.tracking.loggers import closed_at_the_end, tensorboard
from headstart.tracking.show import Show


def shown(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "histograms": 0}).Reload()


def trainer_in(folder: Path, *others: Any) -> Trainer:
    return Trainer(
        logger=[tensorboard(str(folder)), *others], default_root_dir=folder, accelerator="cpu", barebones=False
    )


def test_tensorboard_shows_everything(tmp_path: Path) -> None:
    trainer, rng = trainer_in(tmp_path, CSVLogger(tmp_path)), torch.Generator().manual_seed(0)
    with closed_at_the_end(trainer.loggers):
        show = Show(trainer, 7)
        figure = Figure((2, 1))
        figure.subplots().plot([1, 2])
        show.figure("results/line", figure)
        show.images("some", torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
        values = torch.randn(100, 10, generator=rng)
        show.histogram("weights/a", values)
        show.histogram("weights/same", torch.ones(5))
        show.table("words", ["a|b", "c"], [["<x>", 1.5]])
        show.graph("model", nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.zeros(1, 3, 2, 2))
        show.embedding("space", torch.eye(4), ["label"], [["a"], ["b"], ["c"], ["d"]], torch.rand(4, 3, 8, 8))
        show.points("cloud", torch.eye(3), torch.full((3, 3), 9, dtype=torch.uint8))
        show.scalars("lr", {"head": 0.5})
    found = shown(tmp_path / "tensorboard")
    assert {image.step for tag in ("results/line", "some") for image in found.Images(tag)} == {7}
    assert found.Images("results/line")[0].encoded_image_string == (tmp_path / "plots/line.png").read_bytes()
    with Image.open(tmp_path / "plots/some.jpg") as image:
        assert image.size == (3 * 10 + 2, 12)
    (histogram,) = found.Histograms("weights/a")
    counts, _ = np.histogram(values.numpy(), 64)
    assert (histogram.step, histogram.histogram_value.num) == (7, 1000)
    assert list(histogram.histogram_value.bucket) == counts.tolist()
    assert sum(found.Histograms("weights/same")[0].histogram_value.bucket) == 5
    assert b"&lt;x>" in found.Tensors("words/text_summary")[0].tensor_proto.string_val[0]
    assert (tmp_path / "plots/words.csv").read_text() == "a|b,c\n<x>,1.5\n"
    graph = GraphDef.FromString(found._graph)  # pyright: ignore[reportArgumentType]
    assert [node.name for node in graph.node] == ["images", "0/flatten", "1/linear"]
    assert make_ndarray(found.Tensors("cloud_VERTEX")[0].tensor_proto).shape == (1, 3, 3)
    assert parse_plugin_metadata(found.SummaryMetadata("cloud_VERTEX").plugin_data.content).name == "cloud"
    assert "space" in (tmp_path / "tensorboard/projector_config.pbtxt").read_text()
    assert len((tmp_path / "tensorboard/00000/space/tensors.tsv").read_text().splitlines()) == 4
    assert found.Scalars("lr/head")[0].value == 0.5
    assert len(list((tmp_path / "tensorboard").glob("events*"))) == 1


def test_a_run_that_is_gone_on_with_shows_a_step_once(tmp_path: Path) -> None:
    for steps in (range(4), range(2, 5)):
        logger = tensorboard(str(tmp_path))
        assert isinstance(logger, EventFiles)
        logger.start_again_at(steps[0])
        for step in steps:
            logger.log_metrics({"loss": float(step)}, step)
            logger.experiment.add_histogram("weights", np.ones(3), step)
            logger.finalize("success")  # as Lightning does after a fit, a validation and a test
        logger.close()
    found = shown(tmp_path / "tensorboard")
    assert (
        [one.step for one in found.Scalars("loss")] == [one.step for one in found.Histograms("weights")] == [*range(5)]
    )
    assert len(list((tmp_path / "tensorboard").glob("events*"))) == 2


def test_other_loggers_and_other_devices_show_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_in(tmp_path)
    monkeypatch.setattr("lightning.pytorch.utilities.rank_zero_only.rank", 1)
    monkeypatch.setattr(type(trainer), "is_global_zero", False)
    Show(trainer, 0).images("some", torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
    assert not any(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", tiny.NETWORKS)
def test_a_graph_leads_from_the_image_to_the_features(name: str) -> None:
    network = tiny.NETWORKS[name]().eval()
    graph, _ = graph_of(network, torch.zeros(1, 3, tiny.SIDE, tiny.SIDE))
    inputs = {node.name: list(node.input) for node in graph.node}
    assert len(inputs) == len(graph.node)
    assert all(one in inputs for node in graph.node for one in node.input)
    reached, todo = set(), [graph.node[-1].name]
    while todo:
        reached |= {one := todo.pop()}
        todo += [other for other in inputs[one] if other not in reached]
    assert "images" in reached
    scopes = {node.name.split("/")[0] for node in graph.node}
    assert scopes & {name for name, _ in network.named_children()}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
