"""What a command line says without saying it."""

DESCENT = ("model.lr", "model.weight_decay", "model.optimizer", "model.scheduler", "augment.mixup", "augment.cutmix")


def imply_solver(arguments: list[str]) -> list[str]:
    """Add `solver=adamw` for whoever names a learning rate, or anything else that only gradient descent has."""
    keys = [argument.split("=", maxsplit=1)[0].lstrip("+~") for argument in arguments]
    means_descent = any(f"{key}.".startswith(f"{name}.") for key in keys for name in DESCENT)
    return [*arguments, "solver=adamw"] if means_descent and "solver" not in keys else arguments
