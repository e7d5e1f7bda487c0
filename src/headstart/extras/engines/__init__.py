"""Other runtimes that compute a frozen network's features; `headstart.engines` in pyproject.toml names them."""
