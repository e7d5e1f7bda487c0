"""The application: which path answers what, and the page."""

import base64
import hashlib
import importlib.resources
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from jinja2 import Environment, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from .guard import Guard
from .limits import MEGABYTE, Limits
from .metrics import Measured, Metrics
from .refusal import handlers
from .service import Explain, Model, Service


def make_app(
    model: Model, title: str, facts: str, explain: Explain | None = None, limits: Limits | None = None,
    is_local: bool = True,
) -> Starlette:  # fmt: skip
    """The application that serves `model`; `title` and `facts` are what its page says of it."""
    limits = limits or Limits()
    page, policy = _page(
        title=title, facts=facts, explains=explain is not None, megabytes=limits.body_bytes // MEGABYTE
    )
    metrics = Metrics(frozenset({"/", "/predict", "/saliency", "/healthz", "/metrics"}))
    service = Service(model, explain, limits, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.batches.start()
        yield
        await service.batches.stop()

    async def index(_: Request) -> Response:
        return HTMLResponse(page)

    routes = [
        Route("/", index),
        Route("/predict", service.predict, methods=["POST"]),
        Route("/saliency", service.saliency, methods=["POST"]),
        Route("/healthz", service.health),
        Route("/metrics", service.counts),
    ]
    middleware = [Middleware(Measured, metrics), Middleware(Guard, is_local, policy)]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers(limits), lifespan=lifespan)


def _page(**said: Any) -> tuple[str, str]:
    """The page, and the policy that lets it use its own script and style, and nothing else."""
    text = importlib.resources.files(__package__ or "").joinpath("page.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(text).render(said)
    own = {tag: _digest(re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0]) for tag in ("script", "style")}
    policy = f"default-src 'none'; script-src {own['script']}; style-src {own['style']}; img-src 'self' blob: data:; "
    return page, policy + "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
