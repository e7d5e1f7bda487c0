"""What is answered to a request with images: classes and probabilities, or a picture of what mattered."""

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any, Protocol

from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from torch import Tensor

from ....errors import printable
from ....images.loading import threads
from .batcher import Batcher
from .decoding import decode
from .limits import Limits, RefusedError
from .metrics import TEXT, Metrics
from .uploads import Upload, Uploads

BATCH_SIZE = 64
TOP = 5
Explain = Callable[[Tensor, int], Image.Image]  # of uint8 [3, crop, crop] and a class: where the model looked


class Model(Protocol):
    """What is served, as the engine's Predictor has it."""

    classes: tuple[str, ...]
    shortest: int  # pixels that an image's shorter side needs to have

    def read(self, image: Any) -> Tensor:
        """Image to uint8 [3, crop, crop]."""
        ...

    def probabilities(self, images: Tensor) -> Tensor:
        """Of each class, float32 [batch, classes] on the CPU, for uint8 images [batch, 3, crop, crop]."""
        ...


class Service:
    """The answers to requests: JSON from `model`, and pictures from `explain`, if there is one."""

    def __init__(self, model: Model, explain: Explain | None, limits: Limits, metrics: Metrics) -> None:
        self.model, self.explain, self.limits, self.metrics = model, explain, limits, metrics
        self.classes = [printable(name) for name in model.classes]
        self.uploads, self.batches = Uploads(limits), Batcher(model.probabilities, BATCH_SIZE, limits.waiting)

    async def predict(self, request: Request) -> Response:
        """Classes and probabilities, one object for each file."""
        async with self.uploads.of(request) as uploads:
            with self.batches.room_for(len(uploads)):
                pixels = await self._decode(uploads)
                found = await asyncio.gather(*map(self.batches, pixels))
        self.metrics.images += len(uploads)
        return JSONResponse([self._answer(upload.name, one) for upload, one in zip(uploads, found, strict=True)])

    async def saliency(self, request: Request) -> Response:
        """A PNG of where the model looked, in one file."""
        if self.explain is None:
            raise RefusedError(404, "this server draws no maps", unread=True)
        async with self.uploads.of(request) as uploads:
            if len(uploads) > 1:
                raise RefusedError(400, "a map is drawn of one file: send the others in requests of their own")
            with self.batches.room_for(1):
                (pixels,) = await self._decode(uploads)
                best = int((await self.batches(pixels)).argmax())
                drawn = await self.batches.alone(self._draw, pixels, best)
        return Response(drawn, media_type="image/png")

    async def health(self, request: Request) -> Response:
        """Whether images can be computed."""
        works = self.batches.works
        return JSONResponse({"status": "ok" if works else "stopped"}, 200 if works else 503)

    async def counts(self, request: Request) -> Response:
        """What was counted."""
        return PlainTextResponse(self.metrics.text(), media_type=TEXT)

    async def _decode(self, uploads: list[Upload]) -> list[Tensor]:
        """Decode all in threads; when one is broken, that is raised once none is worked on any more."""
        loop = asyncio.get_running_loop()

        async def one(upload: Upload) -> Tensor:
            with self.batches.awaited():
                return await loop.run_in_executor(threads(), self._pixels, upload)

        outcomes = await asyncio.gather(*map(one, uploads), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, Tensor)]

    def _pixels(self, upload: Upload) -> Tensor:
        return self.model.read(decode(upload, self.limits.pixels, self.model.shortest))

    def _draw(self, pixels: Tensor, best: int) -> bytes:
        assert self.explain is not None
        file = BytesIO()
        self.explain(pixels, best).save(file, "PNG")
        return file.getvalue()

    def _answer(self, name: str, probabilities: Tensor) -> dict[str, Any]:
        values, indices = probabilities.topk(min(TOP, len(self.classes)))
        found = zip(indices.tolist(), values.tolist(), strict=True)
        top = [{"class": self.classes[index], "probability": round(value, 6)} for index, value in found]
        return {"file": name, **top[0], "top": top}
