"""How much of the differences between trials each parameter explains."""

import json
from pathlib import Path

import optuna
from optuna.trial import TrialState

from ...files import write_atomically

FILE = "importance.json"  # in a sweep's folder, where its page finds it
FEWEST = 4  # trials with a score, of which something can be said


def write_importance(study: optuna.Study, sweep_dir: Path) -> None:
    """Write the parameters' importances by name, the largest first, which sum to 1; nothing where none can be told.

    By PED-ANOVA (https://arxiv.org/abs/2304.10255): of the trials with a score, those with parameters that all have.
    """
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(study.directions) > 1 or len(ended) < FEWEST or len({one.value for one in ended}) == 1:
        return
    found = optuna.importance.get_param_importances(study)
    if found:
        write_atomically(sweep_dir / FILE, json.dumps(found, indent=2) + "\n")
