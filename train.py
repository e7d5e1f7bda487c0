"""Train a head on a frozen backbone: `python train.py logger=wandb`."""

import sys

import hydra
from omegaconf import DictConfig

from headstart.errors import readable_errors
from headstart.resume.command_line import expand_resume
from headstart.resume.overrides import imply
from headstart.resume.typed import note_typed


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float:
    """Run one job and return its score, which is what a sweep compares."""
    from project.main import train

    return train(cfg)


if __name__ == "__main__":
    with readable_errors():
        sys.argv[1:] = imply(expand_resume(note_typed(sys.argv[1:])))
        main()
