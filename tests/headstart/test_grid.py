"""How many of a grid's configs are composed before its first job begins."""

from headstart.grid import covering


def test_every_choice_is_composed_once_and_of_other_keys_one_value() -> None:
    heads, rates = ["head=linear", "head=mlp"], [f"model.lr={rate}" for rate in range(9)]
    batch = [(head, rate, "seed=1") for head in heads for rate in rates]
    assert covering(batch) == [batch[0], batch[9]]
    assert covering([(rate,) for rate in rates]) == [("model.lr=0",)]


def test_what_may_fail_by_its_value_is_composed_each_time() -> None:
    batch = [(f"hydra.sweep.subdir={name}",) for name in "ab"] + [("model.lr=${seed}",), ("model.lr=${oops}",)]
    assert covering(batch) == batch
    assert covering([("hydra/launcher=basic",), ("hydra/launcher=joblib",)]) == [
        ("hydra/launcher=basic",),
        ("hydra/launcher=joblib",),
    ]
