"""What the engine asks of a data module of images: an owner's own is used wherever it offers this."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..backbone import Preprocessing
    from .order import Order
    from .table import ImageTable


class ImageSource(Protocol):
    """A LightningDataModule with batches of (uint8 [batch, 3, crop, crop], labels int64 [batch])."""

    batch_size: int
    preprocessing: Preprocessing | None
    trainer: Any

    @property
    def table(self) -> ImageTable | None:
        """The samples of every split, once `setup` was called."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order."""
        ...

    def setup(self, stage: str | None = None) -> None:
        """Find and check the images, once; raises UserError for what is wrong with them."""
        ...

    def train_dataloader(self) -> Any:
        """Batches of training images, from where training stands."""
        ...

    def val_dataloader(self) -> Any:
        """Batches of validation images, in the table's order."""
        ...

    def test_dataloader(self) -> Any:
        """Batches of test images, in the table's order."""
        ...

    def loader(self, split: str, view: int, rows: Sequence[int], device: str) -> Iterable[Any]:
        """Batches of some rows of a split or fold, in one view of the images, for a type of device."""
        ...

    def order(self, batch_size: int, count: int | None = None) -> Order:
        """The order of this device's training images."""
        ...

    def files_of_batch(self, epoch: int, batch_idx: int, batch_size: int | None = None) -> list[str]:
        """The files of a training batch of this device."""
        ...
