"""The server of headstart.extras.serving: what it answers, and to whom."""

import re
import runpy
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from runs import ROOT
from serving import Colours, ask, form, image, predict, served

from headstart.errors import UserError
from headstart.extras.serving.server.metrics import Metrics
from headstart.extras.serving.server.process import listen, url_of


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(Colours()) as number:
        yield number


def test_each_file_gets_its_classes_in_order(port: int) -> None:
    status, (red, blue) = predict(port, ("1.png", image("red")), ("dé.jpg", image("blue", "JPEG")))
    assert status == 200
    assert (red["file"], red["class"], blue["file"], blue["class"]) == ("1.png", "red", "dé.jpg", "blue")
    assert red["top"][0] == {"class": "red", "probability": red["probability"]}
    assert red["probability"] > 0.99
    assert sum(one["probability"] for one in red["top"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PNG", "PPM", "TIFF", "WEBP"])
def test_every_usual_format_is_taken(port: int, kind: str) -> None:
    assert predict(port, ("x", image("blue", kind)))[1][0]["class"] == "blue"


def test_a_name_is_said_again_in_one_line_and_touches_no_file(port: int, tmp_path: Path) -> None:
    path = tmp_path / "written.png"
    for name in (str(path), f"../../..{path}", "a" * 1000, "<img src=x onerror=alert(1)>"):
        status, (found,) = predict(port, (name, image()))
        assert (status, found["file"]) == (200, name[:200])
    assert not path.exists()
    assert predict(port, ("", image()))[1][0]["file"] == "image 1"


def test_nothing_of_a_large_upload_goes_to_the_disk(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    content = image("blue", "BMP", side=1500)
    assert len(content) > 6_000_000
    assert predict(port, ("large.bmp", content))[0] == 200


def test_requests_that_come_together_are_computed_together() -> None:
    model = Colours()
    with served(model) as port, ThreadPoolExecutor(9) as clients:
        model.gate.clear()
        first = clients.submit(predict, port, ("x", image("blue")))
        assert model.begun.wait(5)
        colours = ["red", "blue"] * 4
        others = [clients.submit(predict, port, ("x", image(colour))) for colour in colours]
        while (
            b'serve_requests_total{path="/metrics",status="200"} 20' not in ask(port, path="/metrics", method="GET")[1]
        ):
            pass  # they are on the way meanwhile
        model.gate.set()
        assert [one.result()[1][0]["class"] for one in others] == colours
        assert first.result()[1][0]["class"] == "blue"
    assert model.batches[0] == 1
    assert sum(model.batches) == 9
    assert len(model.batches) <= 4, model.batches


def test_a_bug_is_said_to_be_one_and_the_server_goes_on() -> None:
    model = Colours()
    with served(model) as port:
        model.error = RuntimeError("of the network")
        assert predict(port, ("x", image()))[0] == 500
        model.error = None
        assert predict(port, ("x", image()))[0] == 200
        assert ask(port, path="/healthz", method="GET")[:2] == (200, {"status": "ok"})


def test_a_map_is_a_picture(port: int) -> None:
    status, content, header = ask(port, form([("x", image("blue"))]), "/saliency")
    assert (status, header["content-type"], Image.open(BytesIO(content)).size) == (200, "image/png", (8, 8))
    status, said, _ = ask(port, form([("x", image())] * 2), "/saliency")
    assert (status, said["error"]) == (400, "a map is drawn of one file: send the others in requests of their own")


def test_the_page_needs_nothing_from_elsewhere_and_says_names_as_text(port: int) -> None:
    status, page, header = ask(port, path="/", method="GET")
    text = page.decode()
    assert status == 200
    assert "<h1>a &lt;run&gt;</h1>" in text
    assert not re.findall(r"https?:|//\w|@import|url\(|innerHTML|insertAdjacent|document\.write", text)
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,"]
    assert "default-src 'none'; script-src 'sha256-" in header["content-security-policy"]
    assert "unsafe" not in header["content-security-policy"]
    assert (header["x-content-type-options"], header["cache-control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "[::", "127.0.0.1.x"]
)
def test_a_name_of_somebody_elses_is_no_way_in(port: int, host: str) -> None:
    assert ask(port, path="/", method="GET", headers={"host": host})[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:80", "[::1]:8000", "LOCALHOST"])
def test_this_machine_may_ask_by_its_own_names(port: int, host: str) -> None:
    assert ask(port, path="/healthz", method="GET", headers={"host": host})[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"), [("http://localhost:1", 200), ("http://evil.example", 403), ("null", 403)]
)
def test_a_page_of_another_site_can_not_ask(port: int, origin: str, status: int) -> None:
    headers = {"origin": origin, "host": "localhost:1"}
    assert ask(port, form([("x", image())]), headers=headers)[0] == status


def test_what_is_counted() -> None:
    with served(Colours()) as port:
        predict(port, ("x", image()), ("y", image()))
        predict(port, ("x", b"no image"))
        ask(port, path="/wp-login.php", method="GET")
        text = ask(port, path="/metrics", method="GET")[1].decode()
    for line in (
        'serve_requests_total{path="/predict",status="200"} 1',
        'serve_requests_total{path="/predict",status="400"} 1',
        'serve_requests_total{path="other",status="404"} 1',
        "serve_errors_total 2",
        "serve_images_total 2",
        'serve_request_seconds_bucket{path="/predict",le="+Inf"} 2',
        'serve_request_seconds_count{path="/predict"} 2',
    ):
        assert f"\n{line}\n" in text, text


def test_a_histogram_adds_up() -> None:
    metrics = Metrics(frozenset({"/"}))
    for seconds in (0.004, 0.005, 0.3, 60):
        metrics.note("/", 200, seconds)
    found = re.findall(r'le="([^"]*)"} (\d+)', metrics.text())
    assert [int(count) for _, count in found] == [2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4]


def test_an_address_that_is_taken_is_said_in_one_line() -> None:
    with listen("127.0.0.1", 0) as taken:
        number = taken.getsockname()[1]
        assert url_of(taken) == f"http://127.0.0.1:{number}"
        with pytest.raises(UserError, match=rf"^127\.0\.0\.1:{number} can't be served at \(Address already in use\)"):
            listen("127.0.0.1", number)
    for host, port in (("no.such.host.invalid", 8000), ("127.0.0.1", 70000), ("127.0.0.1", -1), ("a" * 70, 1)):
        with pytest.raises(UserError, match=rf"^{host}:{port} can't be served at"):
            listen(host, port)


def test_what_lacks_is_named(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "run/checkpoints").mkdir(parents=True)
    (workdir / "run/checkpoints/best.ckpt").touch()
    for name in [name for name in sys.modules if name.startswith("headstart.extras.serving.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(sys, "argv", ["serve.py", "run"])
    with pytest.raises(SystemExit, match=r"^error: a server needs the package uvicorn: pip install -e \.\[serve\]"):
        runpy.run_path(str(ROOT / "scripts/serve.py"), run_name="__main__")
