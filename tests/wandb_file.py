"""What W&B keeps of an offline run, read as W&B's own messages."""

import struct
import time
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportAttributeAccessIssue]

FULL, LAST, BLOCK = 1, 4, 32 * 1024
PATIENCE = 20.0  # seconds


def wandb_records(run_dir: Path) -> list[Record]:
    """All records of a run, once W&B's own process, which a run doesn't wait for, has written the last of them."""
    (path,) = run_dir.glob("wandb/offline-run-*/run-*.wandb")
    until = time.monotonic() + PATIENCE
    while True:
        records = _read(path)
        if any(one.HasField("exit") for one in records) or time.monotonic() > until:
            return records
        time.sleep(0.05)


def _read(path: Path) -> list[Record]:
    """Read W&B's own file: 32 KiB blocks of (crc 4 bytes, length 2, type 1, data), as in LevelDB's log format.

    W&B's own reader is part of its Go program by now, and has no Python face.
    """
    content, position, data, records = path.read_bytes(), 7, b"", []  # 7 bytes of W&B's header
    while position + 7 <= len(content):
        length, kind = struct.unpack_from("<HB", content, position + 4)
        data += content[position + 7 : position + 7 + length]
        if position + 7 + length > len(content):
            break  # it is being written
        if kind in (FULL, LAST):
            records.append(Record.FromString(data))
            data = b""
        position += 7 + length
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
    return records
