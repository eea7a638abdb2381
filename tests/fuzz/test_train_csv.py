"""Annotation tables from strangers: every image is accepted or refused with a reason, whatever the table holds."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image
from tests.fuzz.hostile import HOW_MANY, REFUSED, damaged, named_outcome, try_all, within

from steel_xai.datasets.table import CSVDataset, RawCSVDataset
from steel_xai.parameters import DuplicateParameters, ProcessingParameters, StainDetectionParameters
from steel_xai.sheets.annotations import read_annotations
from steel_xai.sheets.processing import process_sheets

RAW_SIZE, TENSOR_SIZE = (4, 10), (2, 5)
CLASS_NAMES = ["chips", "crack", "no-go", "1"]
FORMS = [["ImageId", "ClassId", "EncodedPixels"], ["ImageId_ClassId", "EncodedPixels"], ["image_id", "label"]]
USABLE = ["a.jpg", "b.jpg", "a_1.jpg", "caf\u00e9.jpg", "-rf.jpg", "NA", "1e5"]
FILES = [*USABLE, "broken.jpg", "back\\slash.jpg", "line\n.jpg"]
PARAMETERS = ProcessingParameters.model_validate(
    {
        "n_jobs": 1,
        "batch_size": 64,
        "duplicates": dict.fromkeys(DuplicateParameters.model_fields, 1),
        "white_stains": dict.fromkeys(StainDetectionParameters.model_fields, 1),
    }
)

ODD_NAMES = ["A.JPG", " a.jpg", "a.jpg ", "cafe\u0301.jpg", "gone.jpg", "../a.jpg", "..", ".", "/etc/passwd", "C:\\a"]
ODD_NAMES += ["", " ", "back\\\\slash.jpg", "line\\n.jpg", "a\0", "a\x1b[2J", "\u202ea", "x" * 300, "=1+1", "a,b", '"']
ODD_CLASSES = ["0", "5", "", "-1", "1.0", "01", " 1 ", "+1", "1e0", "0x1", "nan", "inf", "\u0661", "9" * 30, "True"]
ODD_NUMBERS = ["0", "-1", "1.5", "1e3", "inf", "nan", "0x10", "9" * 18, "9" * 19, "9" * 400, "1_0", "\u0663", "1;2"]
ODD_PIXELS = ["", " ", "9 4 1 4", "1 2 2 2", "40 2", "1 1 1 1", "1\t1", "1 1 ", "1\n1", "1,1", "1"]
ODD_COLUMNS = [*(name for form in FORMS for name in form), "", "imageid", " ImageId", "\ufeffImageId", "x" * 300]
ODD_ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "latin-1", "cp037", "utf-7"]

NAMES = st.sampled_from(USABLE) | st.sampled_from(FILES) | st.sampled_from(ODD_NAMES) | st.text(max_size=8)
CLASSES = st.sampled_from("1234") | st.sampled_from("1234") | st.sampled_from(ODD_CLASSES) | st.text(max_size=4)
LABELS = CLASSES | st.sampled_from(["chips", "crack", "no defect", "Chips", "0"])
NUMBERS = st.integers(1, 41).map(str) | st.sampled_from(ODD_NUMBERS)
PIXELS = (
    st.sampled_from(["1 40", "1 4 9 4", "5 1", "40 1"])
    | st.sampled_from(ODD_PIXELS)
    | st.lists(NUMBERS, max_size=6).map(" ".join)
    | st.text(max_size=8)
)
CELLS = {
    "ImageId": NAMES,
    "image_id": NAMES,
    "ClassId": CLASSES,
    "label": LABELS,
    "EncodedPixels": PIXELS,
    "ImageId_ClassId": st.tuples(NAMES, CLASSES).map("_".join) | NAMES,
}


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Write a table of one of the published forms, odd in some way or not."""
    odd = draw(st.sampled_from([*["cells"] * 12, "columns", "encoding", "separator", "width"]))
    header = draw(st.permutations(draw(st.sampled_from(FORMS))))
    if odd == "columns":
        header = draw(st.lists(st.sampled_from(ODD_COLUMNS), max_size=5))
    rows = [[draw(CELLS.get(name, NAMES)) for name in header] for _ in range(draw(st.integers(0, 6)))]
    if header == ["image_id", "label"]:
        rows += [[name, draw(LABELS)] for name in USABLE]
    rows += draw(st.lists(st.sampled_from(rows), max_size=1)) if rows else []
    if odd == "width" and rows:
        rows[0] = rows[0][:-1] if draw(st.booleans()) else [*rows[0], "1"]
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"]))
    if odd == "separator":
        text = end.join(draw(st.sampled_from([",", ";", "\t", ", "])).join(row) for row in [header, *rows])
    else:
        file = io.StringIO()
        dialect = draw(st.sampled_from([csv.excel, csv.unix_dialect]))
        csv.writer(file, dialect, lineterminator=end).writerows([header, *rows])
        text = file.getvalue()
    encoding = draw(st.sampled_from(ODD_ENCODINGS if odd == "encoding" else ["utf-8", "utf-8", "utf-8-sig"]))
    return text.encode(encoding, errors="replace")


CONTENTS = st.integers(0, 9).flatmap(
    lambda kind: tables() if kind < 7 else damaged(tables()) if kind < 9 else st.binary(max_size=200)
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("train_images")
    for name in FILES:
        Image.fromarray(np.full(RAW_SIZE, 9, dtype=np.uint8)).save(folder / name, "PNG")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xffbroken")
    return {name: folder / name for name in FILES}


def process(content: bytes, images: dict[str, Path], folder: Path) -> str:
    """Read and process as the pipeline does, write and read its tables as the catalog does; count the images."""
    (folder / "train.csv").write_bytes(content)
    table = RawCSVDataset(filepath=str(folder / "train.csv")).load()
    result = process_sheets(
        images,
        read_annotations(table, list(images), CLASS_NAMES, RAW_SIZE),
        raw_size=RAW_SIZE,
        tensor_size=TENSOR_SIZE,
        channels=1,
        class_count=len(CLASS_NAMES),
        parameters=PARAMETERS,
        folder=folder,
    )
    found = {}
    for name, made in (("index", result.index), ("quarantine", result.quarantine)):
        dataset = CSVDataset(filepath=str(folder / f"{name}.csv"))
        dataset.save(made)
        found[name] = dataset.load()["image_id"].tolist()
        assert found[name] == made["image_id"].tolist()

    (column,) = {"ImageId", "ImageId_ClassId", "image_id"} & set(table.columns)
    annotated = set(table[column])
    if column == "ImageId_ClassId":
        annotated = {name.rpartition("_")[0] if "_" in name else name for name in annotated}
    every = found["index"] + found["quarantine"]
    assert len(every) == len(set(every)) == len(annotated | set(images))
    assert set(found["index"]) <= set(USABLE)
    assert (result.quarantine["reason"].str.len() > 0).all()
    assert np.load(result.sheets).shape == (len(found["index"]), 1, *TENSOR_SIZE)
    return "accepted" if set(found["index"]) == set(USABLE) else "accepted but for some usable images"


@HOW_MANY
def test_whatever_the_table_holds_every_image_is_accepted_or_refused(cases, images, record_property):
    def survive(content: bytes) -> str:
        with tempfile.TemporaryDirectory() as folder:
            outcome, reason = named_outcome(lambda: process(content, images, Path(folder)))
        assert outcome != REFUSED or "train.csv" in reason or "sheets can be used" in reason
        return str(outcome)

    counts = try_all(survive, CONTENTS, cases, record_property)
    assert len(counts) == 3
    assert min(counts.values()) > cases / 20


HEADER = b"ImageId,ClassId,EncodedPixels\n"
MEGA = 2**20
HUGE = {
    "runs": HEADER + b"a.jpg,1," + b"1 1 " * 1_000_000,
    "number": HEADER + b"a.jpg,1,1 " + b"9" * (8 * MEGA),
    "class": HEADER + b"a.jpg," + b"9" * (8 * MEGA) + b",1 1\n",
    "name": HEADER + b"a" * (8 * MEGA) + b",1,1 1\n",
    "quotes": HEADER + b'"' * (2 * MEGA),
    "blank lines": HEADER + b"\n" * (8 * MEGA),
    "lines in a cell": HEADER + b'a.jpg,1,"1 1' + b"\n" * (8 * MEGA) + b'"\n',
    "reasons": HEADER + b"".join(b"a.jpg,x%d,\n" % number for number in range(20_000)),
    "column": b"a" * (8 * MEGA),
    "blank columns": b"," * 200_000 + b"\n",
    "columns": b"a," * 200_000 + b"\n",
    "columns in lines": b'"a\n' * 200_000 + b'",' + b"," * 200_000,
    "zeros": bytes(8 * MEGA),
}


@pytest.mark.parametrize("content", HUGE.values(), ids=HUGE.keys())
def test_a_huge_table_takes_no_long_time_and_gives_no_huge_reason(content, images, tmp_path):
    with within(60):
        outcome, _ = named_outcome(lambda: process(content, images, tmp_path))
    if outcome != REFUSED:
        quarantine = CSVDataset(filepath=str(tmp_path / "quarantine.csv")).load()
        assert quarantine["reason"].str.len().max() < 5000


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_table_that_is_no_plain_file_is_refused_without_waiting_for_it(tmp_path, kind, make_special):
    make_special(tmp_path / "train.csv", kind)
    with within(10):
        outcome, reason = named_outcome(RawCSVDataset(filepath=str(tmp_path / "train.csv")).load)
    assert outcome == REFUSED
    assert "train.csv is a folder, a pipe or a device" in reason
