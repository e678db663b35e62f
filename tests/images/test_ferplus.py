"""FER+: votes are read as they are, the majority is that of the published code, and rows are never mixed up."""

import csv
import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfer.exceptions import DataError, FusionferWarning, UnknownNameError
from fusionfer.images import FaceSet, FerPlus, read_faces, read_ferplus, relabel_ferplus

COLUMNS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
HEAD = ",".join(["Usage", "Image name", *COLUMNS])
ROWS = [
    "Training,fer0000000.png,0,0,0,1,9,0,0,0,0,0",  # anger
    "Training,,0,0,0,0,0,0,0,0,0,10",  # not a face
    "Training,fer0000001.png,4,0,0,4,1,0,0,0,1,0",  # no majority
    "PublicTest,fer0000002.png,5,0,0,3,1,0,0,0,1,0",  # neutral: 5 of 8 that count
    "PrivateTest,fer0000003.png,2,0,0,0,0,0,0,1,7,0",  # unknown
    "PrivateTest,fer0000004.png,0,0,1,0,0,0,0,8,0,0",  # contempt, of nine votes
]
FIT = ["a/Training_0000000.png", "a/Training_1.jpg", "b/Training_0000002.png", "PublicTest_3.png", "PrivateTest_04.png"]

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "fer2013"
REAL = pytest.mark.skipif(not (DATA / "ferplus.csv").is_file(), reason=f"{DATA / 'ferplus.csv'} is missing")


def write(path, rows=ROWS, head=HEAD, end="\n"):
    path.write_text(end.join([head, *rows, ""]), encoding="utf-8")
    return path


@pytest.fixture
def votes(tmp_path):
    return write(tmp_path / "fer2013new.csv")


def faces(ids, labels=None, splits=None, groups=None):
    return FaceSet(ids=np.array(ids), keys=tuple(ids), source=None, labels=labels, splits=splits, groups=groups)


def by_the_code(votes):
    """The rule "majority" of Microsoft's _process_data and load_folders, one row at a time, in plain words."""
    counted = [0 if vote < 1 + 2.2e-16 else vote for vote in votes]  # "remove emotions with a single vote"
    most = max(counted)
    if not most > 0.5 * sum(counted):
        return ""  # "force setting as unknown"
    return COLUMNS[counted.index(most)]


def test_votes_are_read(votes):
    """Votes, usages and names come out in the order of the rows; columns are found by name, blanks do no harm."""
    ferplus = read_ferplus(votes)
    assert ferplus.columns == tuple(COLUMNS)
    assert ferplus.emotions == tuple(COLUMNS[:8])
    assert ferplus.votes.dtype == np.int64
    assert [",".join(map(str, row)) for row in ferplus.votes.tolist()] == [row.split(",", 2)[2] for row in ROWS]
    assert ferplus.usages.tolist() == ["Training"] * 3 + ["PublicTest"] + ["PrivateTest"] * 2
    assert ferplus.images.tolist()[:2] == ["fer0000000.png", ""]
    assert len(ferplus) == 6


def test_columns_in_another_order_and_without_names(tmp_path):
    """The first release has no names; the order of the columns does not count."""
    turned = [",".join([*row.split(",")[:1:-1], row.split(",")[0]]) for row in ROWS]
    path = write(tmp_path / "x.csv", turned, ",".join([*COLUMNS[::-1], "usage"]), "\r\n")
    ferplus = read_ferplus(path)
    assert [",".join(map(str, row)) for row in ferplus.votes.tolist()] == [row.split(",", 2)[2] for row in ROWS]
    assert set(ferplus.images.tolist()) == {""}
    assert ferplus.find(FIT).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("rows", "head", "reason"),
    [
        (ROWS, HEAD.replace("contempt", "scorn"), r"is no file of FER\+: it has no column contempt\. .*anger, disgust"),
        (["0,70 80,Training"], "emotion,pixels,Usage", r"no column neutral, happiness.*The first line reads: emotion"),
        ([], HEAD, "there is no row below the header"),
        ([*ROWS, "Training,x,1,2"], HEAD, "line 8: 4 cells instead of 12"),
        ([ROWS[0].replace("9", "nine")], HEAD, "line 2: 'nine' is no number of votes"),
        ([ROWS[0].replace("9", "-9")], HEAD, "line 2: '-9' is no number of votes"),
        ([ROWS[0].replace("9", "٩")], HEAD, "is no number of votes"),
        ([ROWS[0].replace("9", "12")], HEAD, "line 2: 13 votes; there were 10 annotators"),
        ([ROWS[0].replace("1,9", "0,0")], HEAD, "line 2: 0 votes"),
        ([ROWS[0].replace("Training", "train")], HEAD, "line 2: Usage 'train' is not one of Training, PublicTest"),
        ([ROWS[0], "", ROWS[1]], HEAD, "line 3 is empty"),
        ([ROWS[0], ",,,,,,,,,,,", ROWS[1]], HEAD, "line 3 is empty"),
    ],
)
def test_files_that_are_not_ferplus(tmp_path, rows, head, reason):
    """Anything else than FER+'s own file is one error that says where; a row that is lost would shift all others."""
    with pytest.raises(DataError, match=reason):
        read_ferplus(write(tmp_path / "x.csv", rows, head))


def test_no_file(tmp_path):
    """A file that is missing, and a folder, are errors with a name."""
    with pytest.raises(DataError, match=r"none\.csv cannot be read: No such file"):
        read_ferplus(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_ferplus(tmp_path)


@given(st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10), min_size=1, max_size=20))
def test_majority_is_that_of_the_code(votes):
    """On any votes, ties and single votes among them, the label is the one of the published rule."""
    ferplus = FerPlus(np.array(votes), np.array(["Training"] * len(votes)), np.array([""] * len(votes)))
    assert ferplus.majority().tolist() == [by_the_code(row) for row in votes]


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ([6, 0, 0, 4, 0, 0, 0, 0, 0, 0], "neutral"),
        ([5, 0, 0, 5, 0, 0, 0, 0, 0, 0], ""),  # half is not more than half
        ([4, 1, 1, 1, 1, 1, 1, 0, 0, 0], "neutral"),  # single votes do not count
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], ""),
        ([3, 0, 0, 0, 0, 0, 0, 0, 2, 2], ""),
        ([0, 0, 0, 0, 0, 0, 0, 0, 6, 4], "unknown"),
        ([0, 0, 0, 0, 0, 0, 0, 0, 4, 6], "NF"),
    ],
)
def test_majority_by_hand(row, label):
    """Cases at the edge of the rule, worked out by hand."""
    assert FerPlus(np.array([row]), np.array(["Training"]), np.array([""])).majority().tolist() == [label]


def test_faces_take_the_labels(votes):
    """Faces with an emotion stay, with their ids, splits, groups and pictures; the others are counted in a note."""
    splits = ["train", "train", "train", "validation", "test", "test"]
    ids = [*FIT, "fer2013:5"]
    given = faces(ids, ["angry", "sad", "sad", "sad", "", "sad"], splits, list("abcdef"))
    found = relabel_ferplus(given, votes)
    assert found.ids.tolist() == [ids[0], ids[3], ids[5]]
    assert found.keys == (ids[0], ids[3], ids[5])
    assert found.labels.tolist() == ["anger", "neutral", "contempt"]
    assert found.splits.tolist() == ["train", "validation", "test"]
    assert found.groups.tolist() == ["a", "d", "f"]
    assert found.notes == (
        "Labels of FER+ by majority: 3 of 6 faces; left out: no majority 1, unknown 1, not a face 1.",
        "33.3% of them keep their emotion; 11.1% would by chance.",
    )
    assert given.labels.tolist()[0] == "angry"


def test_pictures_of_microsofts_script(votes):
    """They are named by the column of names, not by rows; where there is no split, the usage is it."""
    ids = ["FER2013Valid/fer0000002.png", "FER2013Train/fer0000000.png", "FER2013Test/fer0000004.jpg"]
    found = relabel_ferplus(faces(ids), votes)
    assert found.labels.tolist() == ["neutral", "anger", "contempt"]
    assert found.splits.tolist() == ["validation", "train", "test"]
    assert len(found.notes) == 1  # no labels to compare with


def test_a_name_that_stands_in_two_rows(tmp_path):
    """The later row counts, as the script that writes the pictures writes both to one file."""
    rows = [ROWS[0], ROWS[3].replace("fer0000002", "fer0000000")]
    assert read_ferplus(write(tmp_path / "x.csv", rows)).find(["fer0000000.png"]).tolist() == [1]


@pytest.mark.parametrize(
    ("face", "split", "reason"),
    [
        ("a/photo.png", "", r"a/photo\.png: names no row of FER-2013"),
        ("a/Training_0000000b.png", "", "names no row"),
        ("a/Training_0000006.png", "", r"there is no row 6 \(rows are 0 to 5\)"),
        ("a/PublicTest_10131363.png", "", "there is no row 10131363"),
        ("a/Training_0000003.png", "", "is of Training, but row 3 of PublicTest"),
        ("a/PublicTest_0000005.png", "test", "is of PublicTest, but row 5 of PrivateTest"),
        ("fer2013:6", "", "there is no row 6"),
        ("fer2013:5", "train", "is of train, but row 5 of PrivateTest"),
        ("a/fer2013:5", "", "names no row"),
        ("fer0000059.png", "", "names no row"),
    ],
)
def test_faces_that_fit_no_row(votes, face, split, reason):
    """A face of another data set, numbering or usage is one named error, with how many there are."""
    given = faces([FIT[0], face], splits=["train", split])
    with pytest.raises(DataError, match=rf"1 of 2 faces do not fit its 6 rows\. .*{reason}.*Training_<row>\.png"):
        relabel_ferplus(given, votes)


def test_nothing_left(votes):
    """Faces without any majority are an error that counts why."""
    with pytest.raises(DataError, match=r"none of the 2 faces .*\(no majority 1, unknown 0, not a face 1\)"):
        relabel_ferplus(faces(FIT[1:3]), votes)


def test_rows_that_are_mixed_up_are_warned_of(tmp_path):
    """Numbers that are rows, but others than the pictures', agree by chance only; the right ones are silent."""
    rng = np.random.default_rng(0)
    emotions = rng.integers(0, 8, 200)
    rows = [f"Training,,{','.join('9' if k == emotion else '0' for k in range(10))}" for emotion in emotions]
    path = write(tmp_path / "x.csv", rows)
    names = np.array(["Neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"])[emotions]
    ids = [f"Training_{i}.png" for i in range(200)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert relabel_ferplus(faces(ids, names), path).notes[-1].startswith("100.0% of them keep their emotion")
        relabel_ferplus(faces(ids, ["x"] * 200), path)  # no emotions: nothing to compare
    with pytest.warns(FusionferWarning, match="no more than by chance .* rows of fer2013.csv"):
        relabel_ferplus(faces(ids, np.roll(names, 1)), path)


def test_read_faces_relabels_before_it_maps_and_draws(tmp_path, votes):
    """Classes to map or drop are those of FER+, and the official CSV is found by its rows."""
    pixels = " ".join(["7"] * 2304)
    path = tmp_path / "data" / "fer2013.csv"
    path.parent.mkdir()
    usages = [row.split(",")[0] for row in ROWS]
    path.write_text("\n".join(["emotion,pixels,Usage", *(f"0,{pixels},{usage}" for usage in usages), ""]))
    found = read_faces(path, labels=votes, classes={"contempt": ""})
    assert found.ids.tolist() == ["fer2013:0", "fer2013:3"]
    assert found.labels.tolist() == ["anger", "neutral"]
    moved = path.read_text().replace("PublicTest", "Training")
    path.write_text(moved)
    with pytest.raises(DataError, match="fer2013:3: is of train, but row 3 of PublicTest"):
        read_faces(path, labels=votes)


@REAL
def test_the_published_file():
    """All 35,887 rows: sizes of FER-2013, the rule written out over the raw file, and how many have an emotion."""
    path = DATA / "ferplus.csv"
    ferplus = read_ferplus(path)
    with path.open(newline="") as file:
        raw = list(csv.reader(file))[1:]
    assert Counter(ferplus.usages.tolist()) == {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
    expected = [by_the_code([int(cell) for cell in row[2:]]) for row in raw]
    labels = ferplus.majority()
    assert labels.tolist() == expected
    emotion = np.isin(labels, ferplus.emotions)
    sizes = Counter(ferplus.usages[emotion].tolist())
    assert sizes == {"Training": 25_060, "PublicTest": 3_199, "PrivateTest": 3_153}
    assert Counter(labels[emotion].tolist()) == {
        "neutral": 11_012, "happiness": 9_045, "surprise": 3_960, "sadness": 3_749, "anger": 2_660, "disgust": 161,
        "fear": 677, "contempt": 148,
    }  # fmt: skip


def test_votes_for_classes(votes):
    """In the order asked for, by FER-2013's names or FER+'s; other names are unknown."""
    ferplus = read_ferplus(votes)
    assert ferplus.votes_for(["sad", "anger", "Angry"], ["fer2013:0", "fer2013:3"]).tolist() == [[1, 9, 9], [3, 1, 1]]
    with pytest.raises(UnknownNameError, match=r"emotion of FER\+ 'sadnes'.*Did you mean 'sadness'"):
        ferplus.votes_for(["sadnes"], ["fer2013:0"])


def test_the_ceiling_of_some_faces(votes):
    """Votes for what can be answered count: of row 2, four of nine for neutral and for sadness; all predicted right."""
    found = read_ferplus(votes).ceiling(["neutral", "sad", "angry"], ["fer2013:2"], predictions=["sad"])
    assert found.answered == {"predictions": pytest.approx(4 / 9)}
    assert found.highest == pytest.approx(4 / 9)
    with pytest.raises(UnknownNameError, match="Unknown answer 'sadness'"):
        read_ferplus(votes).ceiling(["neutral", "sad"], ["fer2013:2"], labels=["sadness"])


@pytest.mark.parametrize("rule", ["probabilistic", "multi-target"])
def test_training_faces_without_a_majority_keep_their_votes(votes, rule):
    """They stay in train, labelled with the first of the largest; other splits go by the majority alone."""
    given = faces(FIT, ["x"] * 5)
    found = relabel_ferplus(given, votes, rule)
    assert found.ids.tolist() == [FIT[i] for i in (0, 2, 3)]
    assert found.labels.tolist() == ["anger", "neutral", "neutral"]
    assert found.notes[0].endswith(f"1 of them train by their votes ({rule}), without a majority.")
    soft = read_ferplus(votes).soft_labels(found, rule)
    assert soft.take(found.ids, ["anger", "neutral", "sadness"])[1].tolist() == [0.0, 0.5, 0.5]
    judged = faces(FIT, ["x"] * 5, splits=["test"] * 5)
    assert relabel_ferplus(judged, votes, rule).ids.tolist() == [FIT[0], FIT[3]]


@pytest.mark.real
@REAL
def test_the_published_numbers_of_faces():
    """By the majority as many faces as the authors train on (25,060, 3,199 and 3,153); by votes more."""
    ferplus = read_ferplus(DATA / "ferplus.csv")
    for rule, n in [("majority", [25_060, 3_199, 3_153]), ("probabilistic", [27_956, 3_505, 3_505])]:
        known = ferplus.shares(rule).sum(axis=1) > 0
        assert [known[ferplus.usages == usage].sum() for usage in ("Training", "PublicTest", "PrivateTest")] == n


@pytest.mark.real
@REAL
@pytest.mark.skipif(not (DATA / "fer2013.zip").is_file(), reason="fer2013.zip is missing")
def test_the_real_faces():
    """The rows fit the pictures: two faces of three keep their emotion, and with names moved by one row a fifth do."""
    found = read_faces(DATA / "fer2013.zip", labels=DATA / "ferplus.csv")
    assert Counter(found.splits.tolist()) == {"train": 25_058, "validation": 3_199, "test": 3_151}
    assert found.notes[-1].startswith("67.6% of them keep their emotion; 19.1% would by chance")
    given = read_faces(DATA / "fer2013.zip")
    trained = given.take(given.splits == "train")
    ids = [re.sub(r"\d+", lambda m: f"{(int(m[0]) + 1) % 28_709:07d}", name) for name in trained.ids.tolist()]
    moved = FaceSet(ids=np.array(ids), keys=trained.keys, source=trained.source, labels=trained.labels)
    with pytest.warns(FusionferWarning, match="no more than by chance"):
        relabel_ferplus(moved, DATA / "ferplus.csv")
