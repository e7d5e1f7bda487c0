"""Train a head on a frozen backbone: `python train.py logger=wandb`."""

import sys

import hydra
from omegaconf import DictConfig

from headstart.errors import readable_errors, readable_job
from headstart.machine import keep_imports, quick_imports
from headstart.resume.start import understand
from project import TRUSTED


@hydra.main(config_path="conf", config_name="train", execution_whitelist=TRUSTED)
def main(cfg: DictConfig) -> float:
    """Run one job and return its score, which is what a sweep compares."""
    with readable_job():
        from headstart.resume.going_on import begin  # what neither --help nor a misspelt key needs

        cfg = begin(cfg, TRUSTED)
        with quick_imports():
            from project.main import train  # torch, once the config is known to be right

        return train(cfg)


if __name__ == "__main__":
    keep_imports()
    with readable_errors():
        sys.argv[1:] = understand(sys.argv[1:])
        main()
