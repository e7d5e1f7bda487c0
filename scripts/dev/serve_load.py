"""Measure a server under load: `python scripts/dev/serve_load.py RUN IMAGES [--requests 2000] [--clients 8]`.

Starts scripts/serve.py on a free port, asks it for the class of one image a request, from as many clients as are named,
and of some one by one; and has `headstart.load` predict as many images in turns with that. IMAGES is a folder.
(All of this comes from headstart.extras.serving.)
"""

import argparse
import http.client
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from threading import local

from headstart.errors import UserError, readable_errors
from headstart.machine import prepare_process, terminal

SCRIPT = Path(__file__).parents[1] / "serve.py"
ROUNDS, ALONE = 4, 50
BOUNDARY = "----part"
_of_thread = local()


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("images", metavar="IMAGES", type=Path)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args()
    paths = sorted(str(path) for path in arguments.images.rglob("*.jp*g"))
    if not paths:
        raise UserError(f"there are no JPEG images in {arguments.images}")
    server = subprocess.Popen([sys.executable, SCRIPT, arguments.run, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        said = re.search(r"http://[^:]+:(\d+)", server.stdout.readline())
        if said is None:
            raise UserError("the server didn't start: see above")
        measure(arguments, paths, int(said[1]), server.pid)
    finally:
        server.terminate()
        server.wait()


def measure(arguments: argparse.Namespace, paths: list[str], port: int, pid: int) -> None:
    """Ask and predict in turns, and say what came of it."""
    from headstart.predictor import load

    prepare_process()
    predictor, console = load(arguments.run), terminal(soft_wrap=True)
    number = arguments.requests // ROUNDS
    some = [paths[i % len(paths)] for i in range(number)]
    list(predictor.each(some[:64]))
    seconds: list[float] = []
    speeds: dict[str, list[float]] = {"predict": [], "served": [], "one by one": []}
    for part in range(1, ROUNDS + 1):
        speeds["predict"].append(speed(lambda: list(predictor.each(some)), number))
        speeds["served"].append(speed(lambda: seconds.extend(asked(arguments.clients, port, some)), number))
        speeds["one by one"].append(speed(lambda: asked(1, port, some[:ALONE]), ALONE))
        rates = ", ".join(f"{name} {each[-1]:.1f}" for name, each in speeds.items())
        console.print(f"after {part * number:,} requests: {memory(pid):.1f} MB; images a second: {rates}")
    cuts = [1000 * one for one in statistics.quantiles(seconds, n=100)]
    ratios = [served / own for served, own in zip(speeds["served"], speeds["predict"], strict=True)]
    console.print(
        f"{len(seconds):,} requests by {arguments.clients} clients: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms"
    )
    console.print(f"images a second, served by predicted: {statistics.median(ratios):.2f} (median of {ROUNDS})")


def asked(clients: int, port: int, paths: list[str]) -> list[float]:
    """Seconds until the answer for each image, by so many clients at once."""
    with ThreadPoolExecutor(clients) as threads:
        return list(threads.map(partial(ask, port), paths))


def speed(work: Callable[[], object], images: int) -> float:
    """Images a second."""
    started = time.perf_counter()
    work()
    return images / (time.perf_counter() - started)


def ask(port: int, path: str) -> float:
    """Seconds until the answer for one image; raises RuntimeError for any but 200."""
    body, started = body_of(path), time.perf_counter()
    if not hasattr(_of_thread, "connection"):
        _of_thread.connection = http.client.HTTPConnection("127.0.0.1", port)
    connection: http.client.HTTPConnection = _of_thread.connection
    connection.request("POST", "/predict", body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {said.decode()}")
    return time.perf_counter() - started


@cache
def body_of(path: str) -> bytes:
    """What is sent for an image; of every image once, as it is the server that is measured."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{Path(path).name}"\r\n\r\n'
    return head.encode() + Path(path).read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


def memory(pid: int) -> float:
    """What a process holds of the machine's memory, in MB (on Linux)."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    with readable_errors():
        main()
