"""Downloads: whole and with the right hash, or an error that says what came and where the file belongs."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fusionfer.backbones import Weights
from fusionfer.exceptions import ExtractionInterrupted, WeightsError, WeightsUnavailableError
from fusionfer.networks import fetch, published_path

CONTENT = bytes(range(256)) * 40
NAME = f"net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    def do_GET(self):
        kind = self.path.split("/")[1]
        if kind == "nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        if kind == "gone":
            self.send_error(404)
            return
        body = {"page": b"<html>Sign in</html>", "wrong": CONTENT[::-1]}.get(kind, CONTENT)
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if kind == "page" else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind == "cut":
            self.wfile.write(body[:1000])
        elif kind == "slow":
            for i in range(0, len(body), 64):  # eight seconds in all
                self.wfile.write(body[i : i + 64])
                if self.server.stop.wait(0.05):
                    return
        elif kind == "silent":
            self.server.stop.wait(10)
        else:
            self.wfile.write(body)

    def log_message(self, *_):
        """Write nothing."""


@pytest.fixture(scope="module")
def server():
    """The address of a server on this machine."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.stop = threading.Event()
    httpd.handle_error = lambda *_: None  # clients that hang up
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.stop.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def weights(server, tmp_path, monkeypatch):
    """Return a function that gives the record of one kind of answer; torch's folder is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub._hub_dir", None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return lambda kind: Weights("Net_Weights.V1", f"{server}/{kind}/{NAME}")


def unavailable(weights, **options):
    """Return the message of a download that must fail; nothing may be left behind, and no such thing be told."""
    path = published_path(weights)
    with pytest.raises(WeightsUnavailableError) as error:
        fetch(weights, **options)
    message = str(error.value)
    assert list(path.parent.iterdir()) == []
    assert message.endswith(f"Copy {NAME} (from {weights.url}) to {path}, or give --weights PATH or --weights none.")
    assert ".part" not in message
    assert "delete" not in message
    return message


def test_a_whole_file_is_kept_and_not_fetched_again(weights, tmp_path):
    """The content is what was sent, the progress ends at its length, and the second call asks no server."""
    said = []
    path = fetch(weights("whole"), progress=lambda *what: said.append(what))
    assert path == tmp_path / "hub" / "checkpoints" / NAME
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert said[-1] == (len(CONTENT), len(CONTENT), f"downloading {NAME}")
    assert fetch(weights("gone")) == path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("cut", "only 1,000 of 10,240 bytes came"),
        ("wrong", "another file, perhaps a proxy's page: 10,240 bytes of application/octet-stream, SHA-256 "),
        ("page", "another file, perhaps a proxy's page: 20 bytes of text/html, SHA-256 "),
        ("gone", "HTTP Error 404"),
        ("nonsense", "this is no HTTP"),
    ],
)
def test_what_is_not_the_file_makes_weights_unavailable(weights, kind, told):
    """Fault 24: cut off, another file, a proxy's page, an error, no HTTP: said, with where the right file belongs."""
    assert told in unavailable(weights(kind))


def test_a_server_that_says_nothing(weights):
    """The timeout counts for each silence."""
    begin = time.monotonic()
    assert "timed out" in unavailable(weights("silent"), timeout=0.2)
    assert time.monotonic() - begin < 5


def test_a_trickle_ends_at_the_deadline(weights):
    """No single silence is too long, and still it ends; without a deadline it may go on."""
    begin = time.monotonic()
    assert "of 10,240 bytes came within 0.3 s" in unavailable(weights("slow"), timeout=5.0, deadline=0.3)
    assert time.monotonic() - begin < 3


def test_a_deadline_that_has_passed(weights):
    """No time left is no time at all, and not an endless wait."""
    unavailable(weights("silent"), deadline=0.0)


def test_a_file_that_lies_there_damaged_is_not_replaced(weights):
    """Fault 24: that is another thing than no weights: the file is named, and stays for who put it there."""
    path = published_path(weights("whole"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(WeightsError, match=r"net-\w{8}\.pth: the SHA-256 .* delete it and try again") as error:
        fetch(weights("whole"))
    assert not isinstance(error.value, WeightsUnavailableError)
    assert path.read_bytes() == b"mine"


def test_a_stop_during_a_download_is_a_stop(weights):
    """ExtractionInterrupted is an OSError too, and must not be taken for a network that is down."""

    def progress(*_):
        raise ExtractionInterrupted

    with pytest.raises(ExtractionInterrupted):
        fetch(weights("whole"), progress=progress)
    assert list(published_path(weights("whole")).parent.iterdir()) == []
