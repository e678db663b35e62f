"""``fusionfer extract``: bad input is one clear line or a counted skip, and nothing is half-written."""

import re
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusionfer.cache import CacheFolder, describe
from fusionfer.features import Features

PIXELS = " ".join(["7"] * 2304)


@pytest.fixture
def extract(cli, tmp_path):
    """Return a function that extracts with one small backbone into tmp_path/cache."""

    def run(data, *arguments):
        options = ["--backbone", "mobilenet_v2", "--weights", "none", "--size", 32, "--cache", tmp_path / "cache"]
        return cli("extract", data, *options, *arguments)

    return run


def refused(outcome, pattern):
    """Assert that a command was refused with one line that matches."""
    assert outcome.code == 1
    assert re.search(pattern, outcome.error), outcome.error


def nothing_written(tmp_path):
    return not (tmp_path / "cache").exists()


def huge_png():
    """The bytes of a PNG that says 30,000 x 30,000 pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def spoil(folder):
    """Put four pictures that cannot be used into a folder; return their names."""
    good = next(folder.glob("*.png")).read_bytes()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "page.jpg").write_text("<!DOCTYPE html><html><body>Not found</body></html>")
    (folder / "huge.png").write_bytes(huge_png())
    return ["cut.png", "empty.jpg", "huge.png", "page.jpg"]


def write_fer(path, *more, head="emotion,pixels,Usage", start=b"", end="\n"):
    """Write a fer2013.csv of 14 good rows, and more."""
    rows = [f"{i % 7},{PIXELS},{'Training' if i < 7 else 'PrivateTest'}" for i in range(14)]
    path.write_bytes(start + end.join([head, *rows, *more, ""]).encode())
    return path


def test_a_first_run_says_what_it_did(shared_faces, cli, small, tmp_path):
    """Faces, classes and splits are counted, each block has its file, and the next command is told."""
    folder = tmp_path / "cache"
    outcome = cli("extract", shared_faces, *small, "--cache", folder)
    assert (outcome.code, outcome.notes) == (0, "")
    assert outcome.out.splitlines()[0] == f"84 faces, 7 classes, train 56, test 28, in {folder}"
    assert "resnet34:penultimate" in outcome.out
    assert "mobilenet_v2:penultimate" in outcome.out
    assert "Computed 84 faces in" in outcome.out
    assert outcome.out.splitlines()[-1] == f"Next: fusionfer fit {folder} --head ecoc --out cache.fusionfer"
    assert list(CacheFolder(folder).default_blocks()) == ["mobilenet_v2:penultimate", "resnet34:penultimate"]


def test_a_second_run_computes_nothing(shared_faces, cli, small, cache):
    """The same images again are a hit: the files are not touched."""
    before = {path: path.stat().st_mtime_ns for path in cache.glob("*.h5")}
    outcome = cli("extract", shared_faces, *small, "--cache", cache)
    assert outcome.code == 0
    assert "Computed" not in outcome.out
    assert outcome.out.count("has all 84 rows.") == 2
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*.h5")} == before


def test_another_seed_is_another_file_beside(shared_faces, cli, small, cache):
    """Other weights are a miss that names the field, and the old files stay."""
    before = {path: path.read_bytes() for path in cache.glob("*.h5")}
    outcome = cli("extract", shared_faces, *small, "--seed", 1, "--cache", cache)
    assert outcome.code == 0
    assert outcome.out.count("weights_sha256") == 2
    assert len(CacheFolder(cache).files()) == 4
    assert {path: path.read_bytes() for path in before} == before


def test_another_precision_is_another_file_beside(shared_faces, cli, small, cache):
    """Features of bf16 are never taken for those of float32: they are computed, and both can be named."""
    before = {path: path.read_bytes() for path in cache.glob("*.h5")}
    outcome = cli("extract", shared_faces, *small, "--precision", "bf16", "--cache", cache)
    assert outcome.code == 0
    assert outcome.out.count("dtype") == 2
    assert "Computed 84 faces" in outcome.out
    assert len(CacheFolder(cache).files()) == 4
    assert {path: path.read_bytes() for path in before} == before


def test_a_batch_size_that_is_found_is_told(shared_faces, extract, tmp_path):
    """On the CPU auto is the usual size; the file holds it."""
    outcome = extract(shared_faces, "--batch-size", "auto")
    assert (outcome.code, outcome.notes) == (0, "")
    assert re.search(r"Computed 84 faces in .*faces/s, in batches of 32\)\.", outcome.out)
    (path,) = CacheFolder(tmp_path / "cache").files()
    assert describe(path).block_rows == 32


@pytest.mark.parametrize("size", ["0", "-4", "many", "1.5", "\u00b2"])
def test_a_batch_size_that_is_none(shared_faces, extract, tmp_path, size):
    """Wrong usage, with what is allowed."""
    outcome = extract(shared_faces, f"--batch-size={size}")
    assert outcome.code == 2
    assert f"{size!r} is neither a number of pictures, at least 1, nor auto." in outcome.err
    assert nothing_written(tmp_path)


def test_the_cache_is_named_after_the_data(shared_faces, cli, small, tmp_path, monkeypatch):
    """Without --cache the folder is features_cache/<name of the data>."""
    monkeypatch.chdir(tmp_path)
    outcome = cli("extract", shared_faces / "test", *small)
    assert outcome.code == 0
    assert CacheFolder("features_cache/test").files()


def test_levels_and_backbones_combine(extract, shared_faces, tmp_path):
    """--level is repeatable, and may be for one backbone."""
    assert extract(shared_faces, "--level", "logits", "--level", "mobilenet_v2=multi").code == 0
    assert list(CacheFolder(tmp_path / "cache").default_blocks()) == ["mobilenet_v2:multi"]


def test_missing_path(extract, tmp_path):
    """A path that is not there is named, and no cache is begun."""
    refused(extract(tmp_path / "nope"), r"There is no file or folder \S+nope\.$")
    assert nothing_written(tmp_path)


def test_empty_folder(extract, tmp_path):
    """An empty folder is called empty, with what was looked for."""
    (tmp_path / "empty").mkdir()
    refused(extract(tmp_path / "empty"), r"empty holds no picture \(looked for .*\.png.*\); it is empty\.")
    assert nothing_written(tmp_path)


def test_something_else(extract, tmp_path):
    """A file of another kind is refused with what is read."""
    (tmp_path / "thesis.pdf").write_bytes(b"%PDF-1.7")
    refused(extract(tmp_path / "thesis.pdf"), r"thesis\.pdf is nothing that is read as faces\. Give a folder or \.zip")
    assert nothing_written(tmp_path)


def test_one_class_is_extracted_but_fit_refuses(extract, cli, faces, tmp_path):
    """Features need no labels, so one class is no error here; fit says that it is one."""
    outcome = extract(faces / "train")  # the folders below are classes
    assert outcome.code == 0
    for folder in (faces / "train").iterdir():
        if folder.name != "happy":
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    (faces / "alone").mkdir()
    (faces / "train").rename(faces / "alone" / "train")
    outcome = cli("extract", faces / "alone", "--backbone", "mobilenet_v2", "--weights", "none", "--size", 32,
                  "--cache", tmp_path / "one")  # fmt: skip
    assert outcome.code == 0
    assert outcome.out.startswith("8 faces, happy, ")
    assert "Next:" not in outcome.out
    refused(cli("fit", tmp_path / "one", "--out", tmp_path / "m"), r"fit needs at least two classes; all 8 .*'happy'")
    assert not (tmp_path / "m").exists()


def test_bad_pictures_fail_by_default(extract, faces, tmp_path):
    """The first picture that cannot be used stops the run, named, with how to go on; no cache looks complete."""
    spoil(faces / "train" / "happy")
    outcome = extract(faces)
    refused(outcome, r"train/happy/cut\.png: The PNG is cut off after \d+ bytes\. Mend or remove it, or give")
    assert "--on-error skip" in outcome.error
    assert "on_error" not in outcome.error.replace("on_error='skip' (--on-error skip)", "")
    assert CacheFolder(tmp_path / "cache").files() == []


def test_bad_pictures_are_skipped_and_counted(extract, faces, tmp_path):
    """Each is listed with its own reason, exit 3, done + skipped = all, and the reasons stay in the cache."""
    names = spoil(faces / "train" / "happy")
    outcome = extract(faces, "--on-error", "skip")
    assert outcome.code == 3
    skips = dict(re.findall(r"^fusionfer: skipped train/happy/(\S+): (.+)$", outcome.err, re.MULTILINE))
    assert sorted(skips) == names
    patterns = {"cut.png": "cut off", "empty.jpg": "empty", "huge.png": "900,000,000 pixels", "page.jpg": "HTML"}
    for name, pattern in patterns.items():
        assert pattern in skips[name]
    assert "fusionfer: skipped 4 of 88 samples.\n" in outcome.err
    (file,) = CacheFolder(tmp_path / "cache").files()
    stored = describe(file)
    assert (stored.done, stored.failed, stored.absent, stored.rows) == (84, 4, 0, 88)
    assert sorted(stored.failures) == [f"train/happy/{name}" for name in names]


def test_skips_are_told_again_on_a_hit(extract, faces):
    """A second run computes nothing, and still says what is missing and exits with 3."""
    spoil(faces / "train" / "happy")
    first, second = extract(faces, "--on-error", "skip"), extract(faces, "--on-error", "skip")
    assert second.code == 3
    assert second.notes == first.notes
    assert "has all 88 rows, 4 of them known to fail." in second.out


def test_every_skip_is_listed(extract, faces):
    """Nobody has to look for the eleventh."""
    for i in range(14):
        (faces / "train" / "sad" / f"bad{i}.png").write_bytes(b"")
    outcome = extract(faces, "--on-error", "skip")
    assert outcome.code == 3
    assert len(re.findall(r"^fusionfer: skipped train", outcome.err, re.MULTILINE)) == 14
    assert outcome.err.splitlines()[-1] == "fusionfer: skipped 14 of 98 samples."


def test_a_flood_of_skips_is_counted(extract, tmp_path, monkeypatch):
    """Beyond the limit the number is told, of rows that the reader left out too, and nothing that is not so."""
    monkeypatch.setattr(sys.modules["fusionfer.cli.extract"], "SKIPS_SHOWN", 10)  # the name is the command's too
    data = write_fer(tmp_path / "fer2013.csv", *[f"9,{PIXELS},Training"] * 15)
    outcome = extract(data, "--on-error", "skip")
    assert outcome.code == 3
    assert len(re.findall(r"^fusionfer: skipped fer2013:", outcome.err, re.MULTILINE)) == 10
    assert outcome.err.splitlines()[-1] == "fusionfer: skipped 15 of 29 samples (the first 10 are listed)."


def test_fifteen_bad_rows_are_fifteen_lines(extract, tmp_path):
    """Rows that the reader left out are kept nowhere else, so each is listed."""
    data = write_fer(tmp_path / "fer2013.csv", *[f"9,{PIXELS},Training"] * 15)
    outcome = extract(data, "--on-error", "skip")
    assert re.findall(r"^fusionfer: skipped fer2013:(\d+)", outcome.err, re.MULTILINE) == [
        str(i) for i in range(14, 29)
    ]


def test_where_all_is_skipped_nothing_comes_next(extract, shared_faces):
    """Skip lines name options, not parameters; and no fit is proposed to which no face is left."""
    outcome = extract(shared_faces, "--on-error", "skip", "--max-pixels", 1000)
    assert outcome.code == 3
    assert outcome.err.splitlines()[-1] == "fusionfer: skipped 84 of 84 samples."
    assert "(raise --max-pixels if you trust it)" in outcome.err
    assert "max_pixels" not in outcome.err
    assert "Next:" not in outcome.out


def test_a_mended_picture_is_computed(extract, faces, tmp_path):
    """A picture that failed and is replaced is a miss for its row alone."""
    broken = faces / "train" / "sad" / "zz.png"
    broken.write_bytes(b"")
    assert extract(faces, "--on-error", "skip").code == 3
    assert cv2.imwrite(str(broken), np.full((32, 32, 3), 90, np.uint8))
    outcome = extract(faces)
    assert outcome.code == 0, outcome.err
    (file,) = CacheFolder(tmp_path / "cache").files()
    assert describe(file).done == 85


@pytest.mark.parametrize(
    ("row", "pattern"),
    [
        (f"0,{PIXELS[:-2]},Training", r"fer2013:14 \(line 16\): 2303 pixels instead of 2304"),
        (f"0,{PIXELS[:-1]}300,Training", r"fer2013:14 \(line 16\): pixel value 300 is above 255"),
        (f"7,{PIXELS},Training", r"fer2013:14 \(line 16\): emotion '7' is not one of 0 to 6"),
        (f"0,{PIXELS},", r"fer2013:14 \(line 16\): Usage is missing"),
    ],
)
def test_rows_of_fer2013_that_are_wrong(extract, tmp_path, row, pattern):
    """Refused with row and line, and how to go on; with --on-error skip they are left out, exit 3."""
    data = write_fer(tmp_path / "fer2013.csv", row)
    outcome = extract(data)
    refused(outcome, pattern)
    assert "--on-error skip" in outcome.error
    assert nothing_written(tmp_path)
    outcome = extract(data, "--on-error", "skip")
    assert outcome.code == 3
    assert re.search(f"skipped {pattern}", outcome.err)
    assert "fusionfer: skipped 1 of 15 samples." in outcome.err
    assert outcome.out.startswith("14 faces, 7 classes, train 7, test 7")


def test_fer2013_without_usage(extract, tmp_path):
    """A file without the column is told apart from a row without the value."""
    rows = [f"{i % 7},{PIXELS}" for i in range(3)]
    (tmp_path / "fer.csv").write_text("\n".join(["emotion,pixels", *rows]))
    refused(extract(tmp_path / "fer.csv"), r"no column usage \(found: emotion, pixels\)")


def test_fer2013_with_mark_and_windows_lines(extract, tmp_path):
    """A byte-order mark and CRLF change nothing but the bytes of the file, nor do they shift the line numbers."""
    data = write_fer(tmp_path / "fer2013.csv", start=b"\xef\xbb\xbf", end="\r\n")
    assert extract(data).code == 0
    assert Features.read(tmp_path / "cache").ids.tolist() == [f"fer2013:{i}" for i in range(14)]
    write_fer(data, f"9,{PIXELS},Training", start=b"\xef\xbb\xbf", end="\r\n")
    refused(extract(data), r"fer2013:14 \(line 16\): emotion '9'")


@pytest.fixture
def manifest(shared_faces, tmp_path):
    """Return a function that writes a manifest of two good rows and one more, beside a picture outside its folder."""
    root = tmp_path / "root"
    root.mkdir()
    for name, label in [("a.png", "sad"), ("b.png", "happy")]:
        (root / name).write_bytes(next((shared_faces / "train" / label).iterdir()).read_bytes())
    outside = tmp_path / "outside.png"
    outside.write_bytes(next((shared_faces / "test" / "sad").iterdir()).read_bytes())
    (root / "link.png").symlink_to(outside)

    def write(path):
        (root / "list.csv").write_text(f"path,label\na.png,sad\nb.png,happy\n{path},sad\n")
        return root / "list.csv"

    return write


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("../outside.png", r"line 4: .*'\.\./outside\.png' leads out by \.\."),
        ("../../etc/passwd", r"line 4: .* leads out by \.\."),
        ("link.png", r"line 4: link\.png.* symbolic link that leaves the folder"),
        ("{}/outside.png", r"line 4: .*outside\.png' is absolute"),
        ("gone.png", r"line 4: gone\.png: no such file"),
        ("a.png", r"line 4: a\.png was in line 2 already"),
    ],
)
def test_rows_of_a_manifest_that_are_wrong(extract, manifest, tmp_path, path, pattern):
    """Paths that leave the root, that are missing, or that come twice: the line is named, in terms of options."""
    outcome = extract(manifest(path.format(tmp_path)))
    refused(outcome, pattern)
    assert "_" not in re.sub(r"/\S+", "", outcome.error)  # no parameter of the library
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("path", ["../outside.png", "link.png", "{}/outside.png"])
def test_paths_may_leave_the_root_when_allowed(extract, manifest, tmp_path, path):
    """--allow-outside-root is the user's own word."""
    outcome = extract(manifest(path.format(tmp_path)), "--allow-outside-root")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("3 faces, 2 classes")


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["--backbone", "resnet43"], r"Unknown backbone 'resnet43'\..* Did you mean 'resnet34'\?"),
        (
            ["--level", "penultimat"],
            r"Unknown level or node 'penultimat' of mobilenet_v2\. .*penultimate, multi, logits",
        ),
        (["--backbone", "mobilenet_v2"], r"Each backbone can be named once; more than once: mobilenet_v2"),
        (["--weights", "imagnet"], r"mobilenet_v2: give one --weights, got none, imagnet"),
        (["--weights", "vgg16=x.pth"], r"Unknown backbone 'vgg16'\. Known backbones: mobilenet_v2"),
        (["--weights", "mobilenet_v2=gone.pth"], r"Cannot read the weights gone\.pth: No such file or directory"),
        (
            ["--weights", "mobilenet_v2=imagnet"],
            r"Unknown weights of mobilenet_v2 'imagnet'.* Did you mean 'imagenet'\?",
        ),
        (["--device", "gpu"], r"Device 'gpu' is not available here\. Available: .*cpu"),
        (["--precision", "fp16", "--device", "cpu"], r"The precision fp16 is for GPUs; .* Give --precision bf16\."),
        (["--precision", "bf16", "--engine", "openvino"], r"openvino .* cannot compute in bf16\. Give --engine torch"),
        (["--split", "70"], r"The split '70' is not understood"),
        (["--split", "60/60"], r"The split '60/60'"),
        (["--classes", "hapy=joy"], r"Unknown label 'hapy'\..* Did you mean 'happy'\?"),
        (["--label-column", "emotion"], r"--label-column is for manifests"),
    ],
)
def test_names_that_do_not_exist(extract, shared_faces, tmp_path, arguments, pattern):
    """What was typed, what there is, and the closest match; no cache holds anything."""
    refused(extract(shared_faces, *arguments), pattern)
    assert CacheFolder(tmp_path / "cache").files() == CacheFolder(tmp_path / "cache").parts() == []


def test_weights_of_another_network(extract, shared_faces, tmp_path):
    """A state dict that does not fit is refused with what is missing, before anything runs."""
    torch = pytest.importorskip("torch")
    torch.save({"strange": torch.zeros(1)}, tmp_path / "w.pth")
    outcome = extract(shared_faces, "--weights", f"mobilenet_v2={tmp_path / 'w.pth'}")
    refused(
        outcome, r"w\.pth does not fit mobilenet_v2: \d+ missing \(features\.0\.0\.weight.*1 unexpected \(strange\)"
    )
    assert CacheFolder(tmp_path / "cache").parts() == []


def test_another_data_set_in_the_same_cache(extract, shared_faces, manifest, tmp_path):
    """A folder of caches belongs to one data set; another one is refused, and nothing changes."""
    assert extract(shared_faces).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "cache").glob("*.h5*")}
    refused(extract(write_fer(tmp_path / "fer2013.csv")), r"another data set|other data set|--cache")
    assert {path: path.read_bytes() for path in (tmp_path / "cache").glob("*.h5*")} == before


def test_a_damaged_cache_is_not_written_over(extract, shared_faces, tmp_path):
    """A truncated file stops the run with what to do."""
    assert extract(shared_faces).code == 0
    (file,) = CacheFolder(tmp_path / "cache").files()
    file.write_bytes(file.read_bytes()[:5000])
    refused(extract(shared_faces), r"is damaged: .*Restore the file from a copy, mend it .* or move it away")
    assert file.stat().st_size == 5000


def test_a_cache_that_is_a_file(cli, shared_faces, tmp_path):
    """--cache names a folder."""
    (tmp_path / "cache").write_text("mine")
    outcome = cli("extract", shared_faces, "--cache", tmp_path / "cache")
    assert outcome.code == 2
    assert "is a file" in outcome.err
    assert (tmp_path / "cache").read_text() == "mine"


def test_unlabelled_pictures(extract, cli, shared_faces, tmp_path):
    """A folder without classes is extracted; fit says that it needs labels."""
    outcome = extract(shared_faces / "test" / "sad")
    assert outcome.code == 0
    assert outcome.out.startswith("4 faces, without labels, without splits, in ")
    assert "Next:" not in outcome.out
    refused(cli("fit", tmp_path / "cache", "--out", tmp_path / "m"), r"None of the 4 rows has a label; fit needs")


def test_a_split_is_drawn_and_stored(extract, shared_faces, tmp_path):
    """--split draws where the data bring none; the split is part of the features."""
    outcome = extract(Path(shared_faces) / "train", "--split", "75/25")
    assert outcome.code == 0
    assert "train 42, test 14" in outcome.out
    features = Features.read(tmp_path / "cache")
    assert np.unique(features.splits, return_counts=True)[1].tolist() == [14, 42]


def test_the_split_has_a_seed_of_its_own_if_wanted(extract, shared_faces, tmp_path):
    """--split-seed draws another split and leaves the random weights, hence the features, as they are."""
    data, splits = shared_faces / "train", []
    for more in ([], ["--split-seed", 0], ["--split-seed", 1]):
        outcome = extract(data, "--split", "75/25", *more)
        assert outcome.code == 0, outcome.err
        splits.append(Features.read(tmp_path / "cache").splits.tolist())
    assert splits[0] == splits[1] != splits[2]
    assert len(CacheFolder(tmp_path / "cache").files()) == 1


def test_published_weights_that_cannot_be_had(extract, shared_faces, tmp_path, monkeypatch):
    """Offline, the default weights are an error that says which file goes where; nothing falls back by itself."""
    from fusionfer.exceptions import WeightsUnavailableError

    def fetch(weights, **options):
        msg = f"{weights.name} is not on this machine."
        raise WeightsUnavailableError(msg)

    monkeypatch.setattr("fusionfer.networks._building.fetch", fetch)
    refused(
        extract(shared_faces, "--weights", "mobilenet_v2=imagenet"),
        r"MobileNet_V2_Weights\.IMAGENET1K_V2 is not on this",
    )
    assert CacheFolder(tmp_path / "cache").parts() == []
