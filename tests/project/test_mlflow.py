"""MLflow's runs, read back by its own client; it is an extra, and tested where it is installed."""

import pytest
from runs import Train, results

from headstart.tracking.rows import read_history


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_holds_curves_score_and_hyperparameters(train: Train) -> None:
    mlflow = pytest.importorskip("mlflow", reason="an extra")
    (run_dir,) = train("logger=mlflow", "solver=adamw", "model.lr=0.01")
    client = mlflow.MlflowClient("sqlite:///logs/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'headstart'")
    (run,) = client.search_runs([experiment.experiment_id])
    curve = [one.value for one in client.get_metric_history(run.info.run_id, "val/loss")]
    assert curve == [pytest.approx(row["val/loss"]) for row in read_history(run_dir / "metrics.csv")]
    assert run.data.metrics["score"] == pytest.approx(results(run_dir)["score"])
    assert float(run.data.params["model/lr"]) == 0.01
    assert run.info.run_name == run_dir.name
