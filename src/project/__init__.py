"""The owner's package: what is trained, on what, and what is left behind."""

# What a checkpoint's backbone may be made by.
BACKBONES = (f"{__name__}.backbones.*", "headstart.extras.huggingface.backbone.*")

# What a `_target_` may name, wherever it stands: below conf/, on the command line, in the folder of a run to go on
# with, or in a checkpoint. Whatever else you want to use, add it here: "some_package.optimizers.*", or one name alone.
# Modules are better than whole packages, as a run's folder and a checkpoint may come from a stranger. Left out are
# this package's `main` and `build`, which do what their arguments say, so that a `pipe:` in them would run a command;
# `lightning.pytorch.cli` and `.strategies`, some of whose functions call, or unpickle, what their arguments say; its
# loggers that send their key to the server that an argument names; and most of the extras.
TRUSTED = (
    f"{__name__}.callbacks.*",
    f"{__name__}.data.*",
    f"{__name__}.model.*",
    f"{__name__}.reporting.sweep.*",
    *BACKBONES,
    "headstart.extras.huggingface.dataset.read_huggingface",
    "headstart.extras.launchers.*",
    "headstart.grid.GridSweeper",
    "headstart.extras.lora.add_adapters",
    "headstart.extras.search.pruning.Pruning",
    "headstart.extras.search.spaces.*",
    "headstart.extras.search.sweeper.OptunaSearch",
    "headstart.extras.shards.data.ShardData",
    "headstart.extras.torchvision_sets.*",
    "headstart.images.augmentation.*",
    "headstart.plugins.OwnPlugins",
    "headstart.resume.best_checkpoint.*",
    "headstart.resume.last_checkpoint.*",
    "headstart.resume.own_folder.OwnFolder",
    "headstart.resume.requeue.Requeue",
    "headstart.sharding.Sharded",
    "headstart.tracking.csv_rows.CsvFile",
    "headstart.tracking.loggers.*",
    "headstart.tracking.mlflow_run.*",
    "lightning.Trainer",
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks.*",
    "lightning.pytorch.loggers.CSVLogger",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.profilers.*",
    "optuna.pruners.*",
    "timm.optim.*",
    "timm.scheduler.*",
    "torch.nn.*",
    "torch.optim.*",
    "torchvision.transforms.*",
)
