"""MLflow: assets and a self-contained viewer as artifacts of a run."""
