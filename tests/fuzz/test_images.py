"""Image files from strangers: damaged, disguised, or built to take a decoder's time and memory."""

import io
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from PIL import Image
from tests.fuzz.hostile import HOW_MANY, spoilt, try_all, within
from tests.fuzz.test_train_csv import PARAMETERS

from steel_xai.datasets.folder import SheetFolderDataset
from steel_xai.sheets.annotations import read_annotations
from steel_xai.sheets.decoding import SheetError, decode_sheet, read_plain_file
from steel_xai.sheets.processing import ProcessedSheets, process_sheets

RAW_SIZE, TENSOR_SIZE = (64, 160), (16, 40)
MEGA = 2**20


def encode(kind: str, mode: str = "L", size: tuple[int, int] = RAW_SIZE, **options: object) -> bytes:
    rows, columns = np.mgrid[: size[0], : size[1]]
    pixels = (120 + 50 * np.sin(rows / 15) + 50 * np.cos(columns / 5)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def exif(tags: dict[int, object]) -> Image.Exif:
    made = Image.Exif()
    made.update(tags)
    return made


JPEG, PNG = encode("JPEG"), encode("PNG")
PROGRESSIVE = encode("JPEG", "RGB", progressive=True)
WHOLE = [JPEG, PROGRESSIVE, encode("JPEG", exif=exif({0x0112: 6})), PNG, encode("PNG", "RGBA"), encode("PNG", "LA")]
WHOLE.append(encode("PNG", save_all=True, append_images=[Image.new("L", RAW_SIZE[::-1], 7)]))


def process(folder: Path, staging: Path) -> ProcessedSheets:
    images = SheetFolderDataset(filepath=str(folder)).load()
    table = pd.DataFrame(columns=["ImageId", "ClassId", "EncodedPixels"], dtype="str")
    return process_sheets(
        images,
        read_annotations(table, list(images), ["chips"], RAW_SIZE),
        raw_size=RAW_SIZE,
        tensor_size=TENSOR_SIZE,
        channels=1,
        class_count=1,
        parameters=PARAMETERS,
        folder=staging,
    )


@HOW_MANY
def test_a_damaged_image_gives_a_whole_sheet_or_a_reason(cases, record_property):
    def survive(data: bytes) -> str:
        try:
            sheet = decode_sheet(data, RAW_SIZE, TENSOR_SIZE, 1)
        except SheetError as error:
            return f"refused: {str(error).split(',')[0]}" if str(error)[0].isalpha() else "refused: another size"
        assert sheet.shape == (1, *TENSOR_SIZE)
        assert sheet.dtype == np.uint8
        return "accepted"

    counts = try_all(survive, spoilt(st.sampled_from(WHOLE)), cases, record_property)
    assert counts["accepted"] > cases / 50
    assert counts.total() - counts["accepted"] > cases / 4


@pytest.mark.parametrize("whole", [JPEG, PROGRESSIVE, PNG], ids=["jpeg", "progressive", "png"])
def test_an_image_cut_short_anywhere_is_refused(whole):
    ends = {*range(0, 400), *range(0, len(whole), 97), *range(len(whole) - 40, len(whole) - 1)}
    for end in sorted(ends):
        with pytest.raises(SheetError):
            decode_sheet(whole[:end], RAW_SIZE, TENSOR_SIZE, 1)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(size: tuple[int, int], *chunks: bytes) -> bytes:
    header = size[1].to_bytes(4, "big") + size[0].to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return PNG[:8] + png_chunk(b"IHDR", header) + b"".join(chunks) + png_chunk(b"IEND", b"")


def jpeg_of_size(height: int, width: int) -> bytes:
    frame = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:frame] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + JPEG[frame + 4 :]


def after_start(data: bytes) -> bytes:
    """A JPEG with more data after its first marker."""
    return JPEG[:2] + data + JPEG[2:]


ONE_MEGABYTE_OF_TEXT = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MEGA - 10), 9))
EMPTY_SCAN = b"\xff\xda\0\x08\x01\x01\0\x01\x01\0"
ZEROS = zlib.compress(bytes(64 * MEGA), 9)
BOMBS = {
    "60000x60000 PNG": lambda: png((60_000, 60_000), png_chunk(b"IDAT", ZEROS)),
    "65500x65500 JPEG": lambda: jpeg_of_size(65_500, 65_500),
    "9000x9900 JPEG": lambda: jpeg_of_size(9_000, 9_900),
    "PNG of more pixels than it says": lambda: png(RAW_SIZE, png_chunk(b"IDAT", ZEROS)),
    "compressed text": lambda: PNG[:33] + ONE_MEGABYTE_OF_TEXT * 1000 + PNG[33:],
    "compressed text behind the pixels": lambda: PNG[:-12] + ONE_MEGABYTE_OF_TEXT * 1000 + PNG[-12:],
    "compressed colour profile": lambda: PNG[:33] + png_chunk(b"iCCP", b"a\0\0" + ZEROS) + PNG[33:],
    "chunks": lambda: PNG[:33] + png_chunk(b"abCd", b"") * (5 * MEGA) + PNG[33:],
    "segments": lambda: after_start(b"\xff\xe0\0\x02" * (15 * MEGA)),
    "small pieces of EXIF": lambda: after_start(b"\xff\xe1\0\x0aExif\0\0ab" * (5 * MEGA)),
    "large pieces of EXIF": lambda: after_start((b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * 1000),
    "padding": lambda: after_start(b"\xff" * (63 * MEGA)),
    "scans": lambda: PROGRESSIVE[:-2] + EMPTY_SCAN * (6 * MEGA) + PROGRESSIVE[-2:],
}
HARMLESS = {"PNG of more pixels than it says"}


def peak_memory() -> int:
    """The most memory that this process had since `forget_peak_memory`, in MiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def forget_peak_memory() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def survive_bombs() -> None:
    """Decode every bomb; write what became of it, and fail if it takes much memory or time."""
    decode_sheet(JPEG, RAW_SIZE, TENSOR_SIZE, 1)
    decode_sheet(PNG, RAW_SIZE, TENSOR_SIZE, 1)
    for name, make in BOMBS.items():
        data = make()
        forget_peak_memory()
        before, start = peak_memory(), time.process_time()
        try:
            decode_sheet(data, RAW_SIZE, TENSOR_SIZE, 1)
            outcome = "accepted"
        except SheetError as error:
            outcome = f"refused: {error}"
        memory, seconds = peak_memory() - before, time.process_time() - start
        print(f"{name}, {len(data) / MEGA:.1f} MiB: {outcome} ({memory} MiB, {seconds:.1f} s)")
        assert (outcome == "accepted") == (name in HARMLESS)
        # Pillow keeps a copy of what it was given.
        assert memory < 2 * len(data) / MEGA + 20
        assert seconds < 5


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can forget a peak of memory")
def test_bombs_are_survived_in_little_memory_and_time():
    """In a process of their own, so that nothing else takes memory."""
    code = "from tests.fuzz.test_images import survive_bombs; survive_bombs()"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=300)
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr


DISGUISES = {
    "GIF": (encode("GIF"), "neither"),
    "TIFF": (encode("TIFF"), "neither"),
    "WebP": (encode("WEBP"), "neither"),
    "BMP": (encode("BMP"), "neither"),
    "PDF": (encode("PDF"), "neither"),
    "EPS": (encode("EPS"), "neither"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "neither"),
    "HTML": (b"<html><script>alert(1)</script></html>", "neither"),
    "ZIP": (b"PK\x03\x04" + bytes(100), "neither"),
    "ELF": (b"\x7fELF" + bytes(100), "neither"),
    "pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "neither"),
    "JPEG in ZIP": (b"PK\x03\x04" + JPEG, "neither"),
    "JPEG with a PNG's start": (PNG[:8] + JPEG, "PNG"),
    "PNG with a JPEG's start": (JPEG[:3] + PNG, "JPEG|header"),
    "CMYK": (encode("JPEG", "CMYK"), "CMYK"),
    "palette": (encode("PNG", "P"), "colour mode P"),
    "one bit": (encode("PNG", "1"), "colour mode 1"),
    "16 bit": (encode("PNG", "I;16"), "16-bit"),
}


@pytest.mark.parametrize(("data", "reason"), DISGUISES.values(), ids=DISGUISES.keys())
def test_another_kind_of_file_named_jpg_is_refused_and_told(data, reason):
    with pytest.raises(SheetError, match=reason):
        decode_sheet(data, RAW_SIZE, TENSOR_SIZE, 1)


def test_a_picture_of_several_pictures_is_read_as_its_first():
    second = Image.fromarray(np.full(RAW_SIZE, 9, dtype=np.uint8))
    expected = decode_sheet(JPEG, RAW_SIZE, TENSOR_SIZE, 1)
    several = encode("MPO", save_all=True, append_images=[second])
    assert np.abs(decode_sheet(several, RAW_SIZE, TENSOR_SIZE, 1).astype(int) - expected).mean() < 2
    animated = encode("PNG", save_all=True, append_images=[second])
    np.testing.assert_array_equal(
        decode_sheet(animated, RAW_SIZE, TENSOR_SIZE, 1), decode_sheet(PNG, RAW_SIZE, TENSOR_SIZE, 1)
    )


def test_large_but_sane_metadata_changes_nothing():
    data = after_start((b"\xff\xe1\xff\xffExif\0\0" + b"\xff\xda" * 32_763 + b"\0") * 40)
    np.testing.assert_array_equal(
        decode_sheet(data, RAW_SIZE, TENSOR_SIZE, 1), decode_sheet(JPEG, RAW_SIZE, TENSOR_SIZE, 1)
    )


@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "dangling", "socket"])
def test_what_is_no_plain_file_is_refused_without_opening_it(tmp_path, monkeypatch, kind, make_special):
    make_special(tmp_path / "x.jpg", kind)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    with within(10), pytest.raises(SheetError, match="not a plain file"):
        read_plain_file(tmp_path / "x.jpg")


def test_a_link_out_of_the_folder_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "outside.jpg").write_bytes(JPEG)
    (tmp_path / "images" / "x.jpg").symlink_to(tmp_path / "outside.jpg")
    with pytest.raises(SheetError, match=r"a link, .* copy the file here, or make the whole folder a link"):
        read_plain_file(tmp_path / "images" / "x.jpg")


def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.jpg").write_bytes(JPEG)
    (tmp_path / "images").symlink_to(tmp_path / "disk")
    assert process(tmp_path / "images", tmp_path).index["image_id"].tolist() == ["x.jpg"]


def test_no_more_is_read_of_a_growing_file_than_it_had(tmp_path, monkeypatch):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"12345")
    status = path.stat()
    path.write_bytes(b"1234567")
    monkeypatch.setattr(os, "fstat", lambda _: status)
    assert read_plain_file(path) == b"12345"


def test_every_entry_of_a_hostile_folder_is_accepted_or_refused(tmp_path, make_special):
    folder = tmp_path / "images"
    folder.mkdir()
    usable = [
        "-rf.jpg",
        "a b.jpg",
        "caf\u00e9.jpg",
        "\u94a2.jpg",
        "x" * 250 + ".jpg",
        "a.jpg",
        "A.JPG",
        "=1+1.jpg",
        "no suffix",
    ]
    unusable = ["line\n.jpg", "esc\x1b.jpg", "back\\slash.jpg", os.fsdecode(b"\xff\xfe.jpg"), "\u202egpj.jpg"]
    for name in usable + unusable:
        (folder / name).write_bytes(JPEG)
    specials = ["pipe", "device", "loop", "dangling", "socket"]
    for kind in specials:
        make_special(folder / f"{kind}.jpg", kind)
    (folder / "folder.jpg").mkdir()
    (folder / "link to folder.jpg").symlink_to(tmp_path)
    (folder / "empty.jpg").touch()
    with within(60):
        result = process(folder, tmp_path)
    assert result.index["image_id"].tolist() == sorted(usable)
    refused = result.quarantine["image_id"].tolist()
    assert len(set(refused)) == len(refused) == len(unusable) + len(specials) + 2
    assert all(name.isprintable() for name in refused)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_refused_by_name(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(JPEG)
    (folder / "b.jpg").write_bytes(JPEG)
    (folder / "b.jpg").chmod(0)
    assert process(folder, tmp_path).quarantine.to_numpy().tolist() == [
        ["b.jpg", "cannot be opened (Permission denied)"]
    ]


@HOW_MANY
def test_of_folders_of_damaged_images_none_is_lost(cases, record_property):
    files = st.lists(spoilt(st.sampled_from(WHOLE)) | st.sampled_from(WHOLE) | st.binary(max_size=60), min_size=9)

    def survive(contents: list[bytes]) -> str:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name, "images")
            folder.mkdir()
            for number, content in enumerate([PNG, *contents]):
                (folder / f"{number}.jpg").write_bytes(content)
            result = process(folder, Path(name))
        found = result.index["image_id"].tolist() + result.quarantine["image_id"].tolist()
        assert sorted(found) == sorted(f"{number}.jpg" for number in range(len(contents) + 1))
        tried.update(accepted=len(result.index), refused=len(result.quarantine))
        return "folders"

    tried: Counter[str] = Counter()
    try_all(survive, files, cases // 20, record_property)
    print(f"{tried.total()} files: {tried['accepted']} accepted, {tried['refused']} refused, 0 lost")
