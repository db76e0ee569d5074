"""The console's files: all of them served, none of them from elsewhere, under a strict policy."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from geotarget.api import console
from geotarget.console import FOLDER, SERVED, SUFFIXES
from tests.api.conftest import Api

TEXT = {".js", ".css", ".html", ".mjs", ".svg"}
OWN = [
    path
    for name in ("", *SERVED)
    for path in (FOLDER / name).glob("**/*" if name else "*")
    if path.is_file() and "vendor" not in path.parts and path.suffix in TEXT
]


def test_every_file_is_served(lasting: Api) -> None:
    """Without a key, with the policy, and asked for again each time."""
    for path in OWN:
        answer = lasting.client.get(
            f"/{path.relative_to(FOLDER).as_posix()}", headers={"Authorization": ""}
        )
        assert answer.status_code == 200, path
        assert answer.content == path.read_bytes(), path
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        assert answer.headers["cache-control"] == "no-cache", path


def test_what_is_not_the_consoles_is_not_served(lasting: Api) -> None:
    """Neither the module beside the files, nor what a maintainer needs, nor anything above."""
    for path in (
        "/__init__.py",
        "/vendoring/vendor.mjs",
        "/css/../__init__.py",
        "/css/%2e%2e/__init__.py",
        "/vendor/..%2f__init__.py",
        "/css",
        "/assets/0/__init__.py",
        "/assets/0/vendoring/vendor.mjs",
        "/assets/0/css/%2e%2e/__init__.py",
        "/assets/0/%2e%2e/pyproject.toml",
        "/assets/0/css/%2e%2e/%2e%2e/__init__.py",
        "/assets/0/%2e%2e/api/app.py",
        "/assets/",
    ):
        assert lasting.client.get(path).status_code in {404, 405}, path


def test_scripts_and_styles_are_kept_for_ever(lasting: Api) -> None:
    """The page names them by a digest; under that a browser never asks again, else each time."""
    anybody = {"Authorization": ""}
    page = lasting.client.get("/", headers=anybody)
    assert page.headers["cache-control"] == "no-cache"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    named = re.findall(r'<(?:link|script)[^>]* (?:href|src)="([^"]+)"', page.text)
    assets = [name for name in named if name.startswith("assets/")]
    assert set(named) - set(assets) == {"icon.svg"}
    for name in assets:
        answer = lasting.client.get(f"/{name}", headers=anybody)
        _, digest, path = name.split("/", 2)
        assert answer.content == (FOLDER / path).read_bytes(), name
        assert "immutable" in answer.headers["cache-control"], name
        old = lasting.client.get(f"/assets/{digest[::-1]}/{path}", headers=anybody)
        assert (200, "no-cache") == (old.status_code, old.headers["cache-control"]), name


def test_a_changed_file_has_a_new_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a browser keeps for ever it can't be given again under the same address."""
    (tmp_path / "css").mkdir()
    style = tmp_path / "css" / "base.css"
    style.write_text("a")
    monkeypatch.setattr(console, "FOLDER", tmp_path)
    monkeypatch.setattr(console, "SERVED", ("css",))
    served = console.ConsoleFiles()
    before = served.renew()
    assert before == served.renew()
    style.write_text("ab")
    assert before != served.renew()


def test_text_goes_compressed(lasting: Api) -> None:
    """To who takes it; the same file, a third of the bytes, and 304 as for any other."""
    path = "/vendor/maplibre-gl.mjs"
    plain = lasting.client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    small = lasting.client.get(path, headers={"Accept-Encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["vary"] == "accept-encoding"
    assert small.content == plain.content
    assert int(small.headers["content-length"]) * 3 < int(plain.headers["content-length"])
    for etag in (small.headers["etag"], plain.headers["etag"]):
        again = {"Accept-Encoding": "gzip", "If-None-Match": etag}
        assert lasting.client.get(path, headers=again).status_code == 304


def test_a_range_of_the_map_is_served(lasting: Api) -> None:
    """Maps are read in pieces."""
    answer = lasting.client.get("/data/helsinki.pmtiles", headers={"Range": "bytes=0-6"})
    assert (206, b"PMTiles") == (answer.status_code, answer.content)


def test_nothing_is_asked_of_another_host() -> None:
    """No address in our files but of names in namespaces, examples and placeholders."""
    allowed = ("http://www.w3.org/", "https://crm.example.com/", "https://example.com/")
    for path in OWN:
        for address in re.findall(r"https?://[^\s\"'`<>)\\]+", path.read_text()):
            if "$" not in address and address not in {"https://", "http://"}:
                assert address.startswith(allowed), (path, address)


def test_what_is_imported_is_there() -> None:
    """Every module that one of ours imports, and every icon that it shows."""
    sprite = (FOLDER / "vendor" / "icons.svg").read_text()
    for path in OWN:
        if path.suffix != ".js":
            continue
        text = path.read_text()
        for name in re.findall(r"(?:from|import) \"(\.[^\"]+)\"", text):
            assert (path.parent / name).is_file(), (path, name)
        for icon in re.findall(r"\bicon=\"([a-z0-9-]+)\"|<\$\{Icon\} name=\"([a-z0-9-]+)\"", text):
            (name,) = filter(None, icon)
            assert f'id="{name}"' in sprite, (path, name)


def test_what_was_vendored_is_as_it_was() -> None:
    """Each file has the hash that the maintainer's script wrote, and there is no other."""
    vendor = FOLDER / "vendor"
    files = json.loads((vendor / "manifest.json").read_text())["files"]
    there = {path.name for path in vendor.iterdir()} - {"manifest.json"}
    assert set(files) == there
    for name, digest in files.items():
        assert digest == hashlib.sha256((vendor / name).read_bytes()).hexdigest(), name


def test_files_are_of_a_size_to_be_read() -> None:
    """Our own modules obey the rule of the house; and no style stands in a page."""
    for path in OWN:
        text = path.read_text()
        assert len(text.splitlines()) <= 450, path
        if path.suffix == ".js":
            assert " style=" not in text, path
            assert "innerHTML" not in text, path
            assert text.startswith("//"), path


def test_the_suffixes_are_those_of_the_folder() -> None:
    """What lies beside the module and is no file of the console is known."""
    others = {path.name for path in FOLDER.iterdir() if path.is_file()} - {
        path.name for path in FOLDER.iterdir() if path.suffix in SUFFIXES
    }
    assert others == {"__init__.py"}


def test_what_the_first_page_needs_is_asked_for_at_once() -> None:
    """The page names all modules of the live page, so that none waits for another to name it."""
    page = (FOLDER / "index.html").read_text()
    named = set(
        re.findall(r'(?:rel="modulepreload" href|script type="module" src)="([^"]+)"', page)
    )
    needed: set[str] = set()
    found = ["app.js", "pages/live.js", "map/canvas.js"]
    while found:
        name = found.pop()
        if name in needed:
            continue
        needed.add(name)
        path = FOLDER / name
        imported = re.findall(
            r"^(?:import|export) .*\"(\.[^\"]+)\";$|^} from \"(\.[^\"]+)\";$",
            path.read_text(),
            re.MULTILINE,
        )
        if "vendor" not in path.parts:
            found += [
                str((path.parent / (one or other)).resolve().relative_to(FOLDER.resolve()))
                for one, other in imported
            ]
    assert named == needed
