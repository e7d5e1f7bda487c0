"""A web page and a JSON endpoint for a trained model, in one process: see scripts/serve.py."""
