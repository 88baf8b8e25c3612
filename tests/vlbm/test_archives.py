"""Archives: fetched by a client, pinned by their digest, unpacked inside a folder, kept only when whole."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from vlbm.data import debian
from vlbm.data.archives import Archive, fetch, integrity, unpack
from vlbm.errors import DataError


def tarball(path: Path, files: dict[str, bytes]) -> Path:
    """A tarball as npm lays it out."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def client(folder: Path, script: str, name: str = "npm") -> None:
    """A command of one's own in a folder of the path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive that a client on the path "fetches", noting each call."""
    file = tarball(tmp_path / "there.tgz", {"LICENSE": b"free", "img/1.png": b"one", "img/2.png": b"two"})
    client(
        tmp_path / "bin",
        f"import shutil, sys\nopen({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"shutil.copy({str(file)!r}, 'some-name.tgz')",
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return Archive("npm", "@some/thing", "1.2.3", integrity(file), 1)


def test_an_archive_is_fetched_once(packed: Archive, tmp_path: Path) -> None:
    told = list[str]()
    file = fetch(packed, tmp_path / "downloads", told.append)
    assert file == tmp_path / "downloads" / "some-thing-1.2.3.tgz"
    assert fetch(packed, tmp_path / "downloads", told.append) == file
    assert told == ["Fetching @some/thing 1.2.3 (npm) (1 MB)"]
    assert (tmp_path / "calls").read_text() == "pack --silent --ignore-scripts @some/thing@1.2.3\n"
    file.write_bytes(b"half")
    fetch(packed, tmp_path / "downloads", told.append)
    assert integrity(file) == packed.integrity
    assert list((tmp_path / "downloads").iterdir()) == [file]


def test_what_is_not_pinned_is_refused(packed: Archive, tmp_path: Path) -> None:
    other = Archive("npm", packed.name, packed.version, "sha512-else", 1)
    with pytest.raises(DataError, match="is not what was pinned"):
        fetch(other, tmp_path / "downloads", lambda _text: None)
    assert not list((tmp_path / "downloads").iterdir())


def test_clients_that_fail_or_lack_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive("npm", "thing", "1", "sha512-", 1)
    client(tmp_path / "bin", "import sys; sys.exit('first\\nno such package')")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(DataError, match=r"`npm pack .* thing@1` failed: no such package"):
        fetch(archive, tmp_path, lambda _text: None)
    client(tmp_path / "bin", "")
    with pytest.raises(DataError, match="gave 0 files"):
        fetch(archive, tmp_path, lambda _text: None)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"npm is not here to fetch thing 1 \(npm\): install Node.js"):
        fetch(archive, tmp_path, lambda _text: None)
    client(tmp_path / "bin", "import sys; sys.exit(1)", "python")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(DataError, match="pip is not here"):
        fetch(Archive("pypi", "thing", "1", "sha512-", 1), tmp_path, lambda _text: None)


def test_only_what_is_wanted_is_unpacked(tmp_path: Path) -> None:
    file = tarball(tmp_path / "a.tgz", {"LICENSE": b"free", "img/1.png": b"one"})
    unpack(file, tmp_path / "tar", lambda name: name.startswith("img"))
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("img/1.png", "one")
        wheel.writestr("code.py", "")
    unpack(tmp_path / "a.whl", tmp_path / "zip", lambda name: name.startswith("img"))
    for kind in ("tar", "zip"):
        found = [path.relative_to(tmp_path / kind).as_posix() for path in (tmp_path / kind).rglob("*.*")]
        assert found == ["img/1.png"]


def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(tarball(tmp_path / "a.tgz", {"img/../../out.png": b""}), tmp_path / "in", lambda _name: True)
    with tarfile.open(tmp_path / "b.tgz", "w:gz") as tar:
        link = tarfile.TarInfo("package/img")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
    unpack(tmp_path / "b.tgz", tmp_path / "in", lambda _name: True)
    assert not list((tmp_path / "in").iterdir())
    assert not (tmp_path / "out.png").exists()
    (tmp_path / "c.tgz").write_bytes(b"no archive")
    (tmp_path / "c.whl").write_bytes(b"no archive")
    for name in ("c.tgz", "c.whl"):
        with pytest.raises(DataError, match=f"{name} cannot be unpacked"):
            unpack(tmp_path / name, tmp_path / "in", lambda _name: True)


def test_a_debian_package_is_fetched_and_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = debian.DebianPackage("some-data", "1 MB", Path("usr/share/some"), "*.png")
    client(tmp_path / "bin", "open('some-data_1%3a2.0-1_all.deb', 'w').write('deb')", "apt-get")
    unpacking = (
        "import gzip, os, sys\nroot = sys.argv[3]\n"
        "for name in ('usr/share/some', 'usr/share/doc/some-data'): os.makedirs(os.path.join(root, name))\n"
        "open(root + '/usr/share/some/1.png', 'w')\n"
        "open(root + '/usr/share/doc/some-data/changelog.Debian.gz', 'wb')"
        ".write(gzip.compress(b'some-data (1:2.0-1) unstable'))"
    )
    client(tmp_path / "bin", unpacking, "dpkg")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    told = list[str]()
    folder = debian.find(package, tmp_path / "cache", told.append)
    assert folder == tmp_path / "cache/some-data/usr/share/some"
    assert debian.find(package, tmp_path / "cache", told.append) == folder
    assert told == ["Fetching some-data (1 MB)", "Unpacking some-data_1%3a2.0-1_all.deb"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["some-data"]
    assert debian.version(debian.documents(package, folder)) == "1:2.0-1"
    assert debian.documents(package, tmp_path) == Path("/usr/share/doc/some-data")
    assert debian.version(tmp_path) == "unknown"
    client(tmp_path / "bin", "import sys; sys.exit('E: no network')", "apt-get")
    with pytest.raises(DataError, match="`apt-get download some-data` failed: E: no network"):
        debian.find(package, tmp_path / "other", told.append)
