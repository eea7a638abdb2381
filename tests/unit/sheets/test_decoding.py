import io
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from steel_xai.sheets.decoding import SheetError, decode_sheet, is_image, read_plain_file

RAW_SIZE = (64, 160)
TENSOR_SIZE = (16, 40)


def encode(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None, **options: object) -> bytes:
    image = Image.fromarray(pixels)
    if mode:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(size: tuple[int, int] = RAW_SIZE) -> np.ndarray:
    """A picture that survives JPEG almost unchanged."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.asarray(120 + 50 * np.sin(rows / 15) + 50 * np.cos(columns / 25)).astype(np.uint8)


def area_mean(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Slow oracle for integer ratios: the mean of every block of pixels."""
    height, width = size
    blocks = pixels.reshape(height, pixels.shape[0] // height, width, pixels.shape[1] // width, -1)
    return np.asarray(blocks.mean(axis=(1, 3)))


JPEG, PNG = encode(smooth(), "JPEG", quality=95), encode(smooth())


def test_images_are_told_by_their_first_bytes() -> None:
    assert [is_image(data) for data in (JPEG, PNG, JPEG[:10])] == [True] * 3
    assert [is_image(data) for data in (b"", b"ImageId,ClassId", encode(smooth(), "BMP"))] == [False] * 3


@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
@pytest.mark.parametrize("tensor_size", [(64, 160), (32, 80), (16, 40), (8, 20), (4, 10), (16, 80)])
def test_a_sheet_is_averaged_over_areas(data: bytes, tensor_size: tuple[int, int]) -> None:
    sheet = decode_sheet(data, RAW_SIZE, tensor_size, 1)
    assert sheet.shape == (1, *tensor_size)
    assert sheet.dtype == np.uint8
    assert np.abs(sheet[0] - area_mean(smooth(), tensor_size)[:, :, 0]).max() < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("raw", "size"), [((200, 200), (128, 128)), ((50, 70), (64, 96)), ((101, 333), (33, 50))])
def test_sizes_need_not_divide(kind: str, raw: tuple[int, int], size: tuple[int, int]) -> None:
    sheet = decode_sheet(encode(smooth(raw), kind), raw, size, 3)
    expected = cv2.resize(smooth(raw), size[::-1], interpolation=cv2.INTER_AREA)
    assert sheet.shape == (3, *size)
    assert np.abs(sheet[0].astype(int) - expected).mean() < 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_colours_come_as_red_green_blue(kind: str) -> None:
    colour = np.full((*RAW_SIZE, 3), (200, 100, 20), dtype=np.uint8)
    sheet = decode_sheet(encode(colour, kind), RAW_SIZE, TENSOR_SIZE, 3)
    np.testing.assert_allclose(sheet.mean(axis=(1, 2)), [200, 100, 20], atol=2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_colour_becomes_luminance_for_one_channel(kind: str) -> None:
    colour = np.full((*RAW_SIZE, 3), (200, 100, 20), dtype=np.uint8)
    sheet = decode_sheet(encode(colour, kind), RAW_SIZE, TENSOR_SIZE, 1)
    assert sheet.mean() == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 20, abs=2)


@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
def test_grey_is_repeated_for_three_channels(data: bytes) -> None:
    grey, colour = decode_sheet(data, RAW_SIZE, TENSOR_SIZE, 1), decode_sheet(data, RAW_SIZE, TENSOR_SIZE, 3)
    np.testing.assert_array_equal(colour, np.repeat(grey, 3, axis=0))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_of_a_four_channel_image_is_dropped(mode: str) -> None:
    colour = np.full((*RAW_SIZE, 4), (90, 90, 90, 0), dtype=np.uint8)
    assert (decode_sheet(encode(colour, mode=mode), RAW_SIZE, TENSOR_SIZE, 1) == 90).all()


def test_alpha_of_a_colour_image_is_dropped_and_its_colours_kept() -> None:
    transparent = np.full((*RAW_SIZE, 4), (200, 100, 20, 0), dtype=np.uint8)
    sheet = decode_sheet(encode(transparent, mode="RGBA"), RAW_SIZE, TENSOR_SIZE, 3)
    assert sheet.shape == (3, *TENSOR_SIZE)
    assert [np.unique(channel).tolist() for channel in sheet] == [[200], [100], [20]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("tensor_size", [(64, 160), (32, 80), (16, 40), (8, 20)])
def test_exif_orientation_is_ignored(tensor_size: tuple[int, int], channels: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(smooth(), "JPEG", quality=95, exif=exif)
    expected = decode_sheet(JPEG, RAW_SIZE, tensor_size, channels)
    np.testing.assert_array_equal(decode_sheet(turned, RAW_SIZE, tensor_size, channels), expected)


def assert_refused(data: bytes, reason: str) -> None:
    with pytest.raises(SheetError, match=reason):
        decode_sheet(data, RAW_SIZE, TENSOR_SIZE, 1)


def test_an_empty_file_is_refused() -> None:
    assert_refused(b"", "empty file")


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_another_type_of_image_is_refused(kind: str) -> None:
    assert_refused(encode(smooth(), kind), "neither a JPEG nor a PNG")


@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.995])
def test_a_truncated_file_is_refused(data: bytes, share: float) -> None:
    assert_refused(data[: int(len(data) * share)], "truncated|header|decoded")


def test_a_truncated_jpeg_with_a_whole_thumbnail_is_refused() -> None:
    thumbnail = encode(smooth((8, 8)), "JPEG")
    start = JPEG[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + JPEG[2:]
    assert decode_sheet(start, RAW_SIZE, TENSOR_SIZE, 1).shape == (1, *TENSOR_SIZE)
    assert_refused(start[:-100], "truncated JPEG")


@pytest.mark.parametrize("start", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"nonsense"])
def test_an_undecodable_file_is_refused(start: bytes) -> None:
    assert_refused(start + bytes(range(256)) * 4, "header|neither|truncated")


def test_a_png_with_a_broken_stream_is_refused() -> None:
    middle = PNG.index(b"IDAT") + 40
    assert_refused(PNG[:middle] + bytes(20) + PNG[middle + 20 :], "cannot be decoded")


def test_another_size_is_refused_and_named_height_by_width() -> None:
    assert_refused(encode(smooth((30, 50))), "^30x50, expected 64x160$")


def test_a_huge_image_is_refused_before_it_is_decoded() -> None:
    header = b"IHDR" + (40_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    assert_refused(b"\x89PNG\r\n\x1a\n" + chunk + PNG[33:], "larger|40000x40000")


def test_a_huge_jpeg_is_refused_before_it_is_decoded() -> None:
    frame = JPEG.index(b"\xff\xc0") + 5
    assert_refused(JPEG[:frame] + (40_000).to_bytes(2, "big") * 2 + JPEG[frame + 4 :], "larger|40000x40000")


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (encode(smooth(), "JPEG", mode="CMYK"), "CMYK"),
        (encode(smooth().astype(np.uint16) * 200), "16-bit"),
        (encode(smooth(), mode="P"), "colour mode P"),
        (encode(smooth(), mode="1"), "colour mode 1"),
    ],
    ids=["cmyk", "16-bit", "palette", "1-bit"],
)
def test_another_colour_mode_is_refused_and_named(data: bytes, mode: str) -> None:
    assert_refused(data, mode)


def test_a_16_bit_colour_png_is_refused() -> None:
    ok, data = cv2.imencode(".png", np.full((*RAW_SIZE, 3), 30_000, dtype=np.uint16))
    assert ok
    assert_refused(data.tobytes(), "16-bit RGB")


@pytest.mark.parametrize(("offset", "value", "mode"), [(4, 12, "12-bit L"), (9, 2, "of 2 channels"), (9, 0, "of 0")])
def test_a_frame_of_other_bits_or_channels_is_refused(offset: int, value: int, mode: str) -> None:
    position = JPEG.index(b"\xff\xc0") + offset
    assert_refused(JPEG[:position] + bytes([value]) + JPEG[position + 1 :], f"colour mode {mode}")


def test_a_jpeg_without_a_frame_is_refused() -> None:
    frame, scan = JPEG.index(b"\xff\xc0"), JPEG.index(b"\xff\xda")
    assert_refused(JPEG[:frame] + JPEG[scan:], "header cannot be read")


@given(
    st.sampled_from([JPEG, PNG]),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
    st.integers(0, 6000),
)
def test_damaged_bytes_give_a_sheet_or_a_sheet_error(data: bytes, changes: list[tuple[int, int]], end: int) -> None:
    damaged = bytearray(data)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    try:
        sheet = decode_sheet(bytes(damaged[:end]), RAW_SIZE, TENSOR_SIZE, 1)
    except SheetError:
        return
    assert sheet.shape == (1, *TENSOR_SIZE)


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"content")
    assert read_plain_file(tmp_path / "a.jpg") == b"content"


def test_an_empty_plain_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(SheetError, match="empty file"):
        read_plain_file(tmp_path / "a.jpg")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="cannot be opened"):
        read_plain_file(tmp_path / "a.jpg")


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "outside")
    with pytest.raises(SheetError, match="link"):
        read_plain_file(tmp_path / "a.jpg")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(SheetError, match="not a plain file"):
        read_plain_file(tmp_path / "a.jpg")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(SheetError, match="not a plain file"):
        read_plain_file(tmp_path / "a.jpg")


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(SheetError, match="larger than 64 MiB"):
        read_plain_file(tmp_path / "a.jpg")


def with_segments(segment: bytes, count: int) -> bytes:
    return JPEG[:2] + segment * count + JPEG[2:]


def test_segments_that_would_hold_up_the_decoder_are_refused() -> None:
    assert decode_sheet(with_segments(b"\xff\xe0\0\x02", 900), RAW_SIZE, TENSOR_SIZE, 1).shape == (1, *TENSOR_SIZE)
    assert_refused(with_segments(b"\xff\xe0\0\x02", 1001), "more than 1000 segments")
    assert_refused(with_segments(b"\xff\xe1\xff\xff" + bytes(65_533), 65), "more than 4 MiB of metadata")


def test_scans_that_would_hold_up_the_decoder_are_refused() -> None:
    progressive = encode(smooth(), "JPEG", progressive=True)
    scan = b"\xff\xda\0\x08\x01\x01\0\x01\x01\0"
    assert_refused(progressive[:-2] + scan * 101 + progressive[-2:], "more than 100 scans")


def test_chunks_that_would_hold_up_the_decoder_are_refused() -> None:
    chunk = bytes(4) + b"abCd" + zlib.crc32(b"abCd").to_bytes(4, "big")
    assert decode_sheet(PNG[:33] + chunk * 900 + PNG[33:], RAW_SIZE, TENSOR_SIZE, 1).shape == (1, *TENSOR_SIZE)
    assert_refused(PNG[:33] + chunk * 20_001 + PNG[33:], "more than 20000 chunks")


def test_a_segment_that_decoders_do_not_agree_on_is_refused() -> None:
    assert_refused(with_segments(b"\xff\xf0\0\x04ab", 1), "header cannot be read")
