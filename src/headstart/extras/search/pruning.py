"""Ends a search's run early when it does worse than the others did: `callbacks=[default,pruning]`."""

import logging
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import OmegaConf

from ...errors import UserError
from ...runs import SWEEP_CONFIG, job_number

log = logging.getLogger(__name__)


class Pruning(Callback):
    """Reports `monitor` after each validation to the trial that this job is, and stops it when `pruner` says so.

    What was trained by then is measured, and its checkpoint kept: the run has ended, as "pruned". Nothing happens to a
    run that belongs to no search. Where the study is kept, the sweep's folder says.
    """

    def __init__(self, monitor: str, sweep_dir: str, run_dir: str, pruner: Any) -> None:
        self.monitor, self.sweep_dir, self.run_dir, self.pruner = monitor, Path(sweep_dir), Path(run_dir), pruner
        self.trial: Any = None
        self.pruned = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the trial, in the process that speaks for all."""
        config, job = self.sweep_dir / SWEEP_CONFIG, job_number(self.run_dir)
        if stage == "fit" and trainer.is_global_zero and job is not None and config.exists():
            sweeper = OmegaConf.load(config).hydra.sweeper
            if "storage" in sweeper:
                self.trial = self._find_trial(sweeper.storage, sweeper.study_name, job)

    def _find_trial(self, storage: str | None, name: str | None, job: int) -> Any:
        import optuna

        from .study import open_storage, own_trial

        study = optuna.load_study(
            study_name=name or self.sweep_dir.absolute().name,
            storage=open_storage(storage, self.sweep_dir),
            sampler=optuna.samplers.RandomSampler(),  # nothing is drawn here
            pruner=self.pruner,
        )
        if len(study.directions) > 1:
            raise UserError("callbacks=pruning compares by one objective: leave it out, or all objectives but one")
        trial = own_trial(study, self.sweep_dir, job)
        return optuna.Trial(study, trial._trial_id) if trial else None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, and stop all devices if this one is to stop."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if self.trial:
            self.trial.report(float(trainer.callback_metrics[self.monitor]), trainer.current_epoch)
            self.pruned = self.trial.should_prune()
        self.pruned = trainer.strategy.reduce_boolean_decision(self.pruned, all=False)
        if self.pruned and not trainer.should_stop:
            log.info(f"pruned after {trainer.current_epoch + 1} epochs: other trials had come further by then")
            trainer.should_stop = True
