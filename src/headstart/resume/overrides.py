"""What a command line says without saying it."""

DESCENT = ("model.lr", "model.weight_decay", "model.optimizer", "model.scheduler", "augment.mixup", "augment.cutmix")


def imply(arguments: list[str]) -> list[str]:
    """Add `solver=adamw` for whoever names a learning rate, or anything else that only gradient descent has.

    And `strategy=finetune` for whoever leaves some of the backbone unfrozen.
    """
    split = [argument.lstrip("+~").partition("=") for argument in arguments]
    values = {key: value for key, _, value in split}
    means_descent = any(f"{key}.".startswith(f"{name}.") for key in values for name in DESCENT)
    implied = ["solver=adamw"] if means_descent and "solver" not in values else []
    if values.get("backbone.freeze", "all") not in ("all", "null") and "strategy" not in values:
        implied.append("strategy=finetune")
    return [*arguments, *implied]
