"""Folders and zips as places of files."""

import os
import pickle
import struct
import threading
import zipfile

import numpy as np
import pytest

from fusionfer.exceptions import DataError, ImageError
from fusionfer.images._stores import FolderStore, ZipStore, is_picture, way_out


def write(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def make_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_folder_lists_sorted_and_passes_over_system_files(tmp_path):
    """Hidden and system files are not there; other files are kept apart."""
    write(tmp_path, "b/2.JPG", "a/1.png", "a/.DS_Store", "__MACOSX/a/1.png", ".git/x.png", "a/Thumbs.db", "a/notes.txt")
    listing = FolderStore(tmp_path).list()
    assert (listing.pictures, listing.others, listing.refused) == (["a/1.png", "b/2.JPG"], ["a/notes.txt"], [])


def test_zip_lists_what_the_folder_lists(tmp_path):
    """A zip of a folder lists the same files."""
    names = ["b/2.JPG", "a/1.png", "__MACOSX/a/._1.png", "a/notes.txt", "a/.hidden.png", "desktop.ini"]
    write(tmp_path / "folder", *names)
    store = ZipStore(make_zip(tmp_path / "x.zip", {"a/": b"", **{name: name.encode() for name in names}}))
    assert store.list() == FolderStore(tmp_path / "folder").list()
    assert store.read("a/1.png") == b"a/1.png"
    assert (store.problem("a/1.png"), store.problem("a/3.png")) == ("", "no such member of the archive")


def test_links_that_leave_the_folder_are_refused(tmp_path):
    """Fault 17: links to files and folders outside are refused unless allowed; links inside are followed."""
    write(tmp_path, "outside/1.png", "root/a/1.png")
    root = tmp_path / "root"
    (root / "file.png").symlink_to(tmp_path / "outside/1.png")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "inside.png").symlink_to(root / "a/1.png")
    (root / "nothing.png").symlink_to(root / "gone")
    listing = FolderStore(root).list()
    assert listing.pictures == ["a/1.png", "inside.png"]
    assert [path for path, _ in listing.refused] == ["file.png", "folder", "nothing.png"]
    assert "leaves the folder" in listing.refused[0][1]
    allowed = FolderStore(root, allow_outside_root=True).list()
    assert allowed.pictures == ["a/1.png", "file.png", "folder/1.png", "inside.png"]


def test_links_in_a_circle_end(tmp_path):
    """A link to a folder above it is not followed for ever."""
    write(tmp_path, "a/1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert FolderStore(tmp_path).list().pictures == ["a/1.png"]


def test_problems_of_single_files(tmp_path):
    """A key is judged without listing: missing, a folder, a link that leaves, or behind such a link."""
    write(tmp_path, "outside/1.png", "root/a/1.png")
    root = tmp_path / "root"
    (root / "link.png").symlink_to(tmp_path / "outside/1.png")
    (root / "out").symlink_to(tmp_path / "outside")
    store = FolderStore(root)
    assert store.problem("a/1.png") == ""
    assert store.problem("a/2.png") == "no such file"
    assert store.problem("a") == "is not a file"
    assert "leaves the folder" in store.problem("link.png")
    assert "behind a symbolic link" in store.problem("out/1.png")
    assert FolderStore(root, allow_outside_root=True).problem("out/1.png") == ""


def test_name_that_is_no_utf8_is_refused(tmp_path):
    """Ids are stored as UTF-8, so a name in another encoding is refused."""
    with open(os.fsencode(tmp_path) + b"/\xe4.png", "wb"):
        pass
    assert FolderStore(tmp_path).list().refused == [("?.png", "the name is not valid UTF-8; rename the file")]


def test_gone_file_is_an_image_error(tmp_path):
    """A file that vanished after listing is an ImageError."""
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        FolderStore(tmp_path).read("1.png")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a/b.png", ""),
        ("a/../b.png", ""),
        ("./a", ""),
        ("..", "leads out by .."),
        ("a/../../b.png", "leads out by .."),
        ("a/../../a/b.png", "leads out by .."),
        ("/etc/passwd", "is absolute"),
        ("C:/x.png", "is absolute"),
        ("//server/share", "is a network path"),
        ("~/x.png", "begins with ~"),
        ("a\0.png", "holds a NUL"),
    ],
)
def test_ways_out(path, reason):
    """Fault 17: every way out of a folder is named, and harmless dots are not."""
    assert way_out(path) == reason


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "..\\x.png", "C:\\x.png"])
def test_zip_members_that_leave_are_refused(tmp_path, name):
    """Fault 17: members with .. or absolute names are refused, in either kind of slash."""
    listing = ZipStore(make_zip(tmp_path / "x.zip", {name: b"x", "ok.png": b"x"})).list()
    assert listing.pictures == ["ok.png"]
    assert "the member's path" in listing.refused[0][1]


def test_encrypted_and_swelling_members_are_refused(tmp_path):
    """What needs a password, or unpacks to a thousand times its size, is refused before it is read."""
    path = make_zip(tmp_path / "x.zip", {"bomb.png": bytes(20 << 20), "locked.png": b"x"})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 8] |= 1
    path.write_bytes(content)
    refused = dict(ZipStore(path).list().refused)
    assert "would unpack from" in refused["bomb.png"]
    assert "encrypted" in refused["locked.png"]


def test_other_compressions_and_doubles_are_refused(tmp_path):
    """Only stored and deflated members are read, and a name stands for one member."""
    listing = ZipStore(make_zip(tmp_path / "x.zip", {"a.png": b"x" * 99}, zipfile.ZIP_LZMA)).list()
    assert "compressed by method 14" in listing.refused[0][1]
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.png", b"2")
    assert ZipStore(tmp_path / "y.zip").list().refused == [("a.png", "the archive holds two members of this name")]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_member_is_an_image_error(tmp_path, compression):
    """A changed byte in a member is found by its checksum, whatever the compression."""
    content = np.random.default_rng(0).bytes(2000)
    path = make_zip(tmp_path / "x.zip", {"a.png": content}, compression)
    store = ZipStore(path)
    assert store.read("a.png") == content
    raw = bytearray(path.read_bytes())
    raw[1000] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ImageError, match="zip"):
        store.read("a.png")


def test_lying_size_does_not_fill_the_memory(tmp_path):
    """A member that unpacks to more than its directory says is cut there and refused."""
    path = make_zip(tmp_path / "x.zip", {"a.png": bytes(1 << 20)})
    raw = bytearray(path.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<I", raw, entry + 24, 100)
    path.write_bytes(raw)
    with pytest.raises(ImageError, match="checksum differs"):
        ZipStore(path).read("a.png")


def test_mac_names_without_their_flag(tmp_path):
    """UTF-8 names that a zip does not declare as such are read as UTF-8 all the same."""
    path = make_zip(tmp_path / "x.zip", {"fröhlich/1.png": b"x"})
    raw = bytearray(path.read_bytes())
    raw[6 + 1] &= ~0x08
    raw[raw.rindex(b"PK\x01\x02") + 9] &= ~0x08
    path.write_bytes(raw)
    assert ZipStore(path).list().pictures == ["fröhlich/1.png"]


def test_no_zip(tmp_path):
    """A file that only has the ending of a zip is an error."""
    (tmp_path / "x.zip").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"x\.zip is not a zip"):
        ZipStore(tmp_path / "x.zip")


def test_zip_is_read_by_threads_and_pickles(tmp_path):
    """Several threads get the right bytes, also from a copy that travelled through pickle."""
    members = {f"{i}.png": np.random.default_rng(i).bytes(3000) for i in range(40)}
    store = pickle.loads(pickle.dumps(ZipStore(make_zip(tmp_path / "x.zip", members))))
    wrong = []

    def work():
        for _ in range(5):
            wrong.extend(name for name, content in members.items() if store.read(name) != content)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_pictures_are_known_by_their_ending():
    """The ending decides, in any case."""
    assert is_picture("a/B.JPeG")
    assert not is_picture("png")
    assert not is_picture("a.png.txt")
