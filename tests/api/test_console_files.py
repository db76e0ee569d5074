"""The console's files: all of them served, none of them from elsewhere, under a strict policy."""

from __future__ import annotations

import hashlib
import json
import re

from conftest import Api

from geotarget.console import FOLDER, SERVED, SUFFIXES

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
    ):
        assert lasting.client.get(path).status_code in {404, 405}, path


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
