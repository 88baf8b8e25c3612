import gzip
from pathlib import Path

import pytest
from websockets.http11 import Response

from assistant.gateway.assets import Assets, respond_text

PAGE = "<!doctype html><title>ä</title>" * 50


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / "dist"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text(PAGE, encoding="utf-8")
    (built / "assets" / "index-1a2b3c.js").write_text("console.log(1)", encoding="utf-8")
    (built / "assets" / "logo-9.png").write_bytes(b"\x89PNG")
    (built / "icon.svg").write_text("<svg/>", encoding="utf-8")
    (built / "noidea").write_bytes(b"\x00")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return built


def got(assets: Assets, path: str, accept: str = "") -> Response:
    response = assets.get(path, accept)
    assert response is not None
    return response


def test_the_page(folder: Path) -> None:
    assets = Assets(folder)
    assert assets.is_built
    for path in ("/", "/index.html"):
        response = got(assets, path)
        assert (response.status_code, response.body.decode()) == (200, PAGE)
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["Content-Length"] == str(len(response.body))


def test_only_files_with_a_hash_are_kept_by_browsers(folder: Path) -> None:
    assert "immutable" in got(Assets(folder), "/assets/index-1a2b3c.js").headers["Cache-Control"]
    assert got(Assets(folder), "/icon.svg").headers["Cache-Control"] == "no-cache"


def test_text_is_zipped_for_those_who_can(folder: Path) -> None:
    assets = Assets(folder)
    response = got(assets, "/", "br, gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["Content-Length"] == str(len(response.body))
    assert len(response.body) < len(PAGE.encode())
    assert gzip.decompress(response.body).decode() == PAGE
    assert "Content-Encoding" not in got(assets, "/", "").headers
    picture = got(assets, "/assets/logo-9.png", "gzip")
    assert (picture.body, picture.headers["Content-Type"]) == (b"\x89PNG", "image/png")
    assert "Content-Encoding" not in picture.headers


def test_gzip_that_is_refused_is_not_sent(folder: Path) -> None:
    assert "Content-Encoding" not in got(Assets(folder), "/", "gzip;q=0, identity").headers


def test_an_unknown_kind_is_plain_bytes(folder: Path) -> None:
    assert got(Assets(folder), "/noidea").headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/assets/../../secret.txt", "/assets", "/assets/", "//index.html", "", "secret.txt", "/x"],
)
def test_there_is_nothing_else(folder: Path, path: str) -> None:
    assert Assets(folder).get(path, "gzip") is None


def test_every_response_has_the_headers_that_protect_the_page(folder: Path) -> None:
    for response in (got(Assets(folder), "/"), respond_text(404, "Not Found", "nothing\n")):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert respond_text(404, "Not Found", "x").headers["Cache-Control"] == "no-store"


def test_a_client_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    assets = Assets(tmp_path / "nowhere")
    assert not assets.is_built
    response = got(assets, "/")
    assert response.status_code == 503
    assert "make run" in response.body.decode()
    assert assets.get("/index.html", "") is None
