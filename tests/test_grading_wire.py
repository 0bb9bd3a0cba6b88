"""What comes out of the sandbox is read as data: whatever is forged is refused."""

import io
import re
import zipfile

import numpy as np
import pytest

from cnnlib.grading import runner, sandbox, wire


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def header_only(text, body=b""):
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


def frame(entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


JSON = npy(np.frombuffer(b"{}", np.uint8))


@pytest.mark.parametrize(
    "array", [np.zeros(()), np.zeros((2, 0)), np.arange(6.0).reshape(2, 3), np.array([True]), np.int64(3)]
)
def test_frames_come_back_as_they_were_sent(array):
    message, arrays = wire.read_frame(runner.pack({"a": [1, "b"]}, {"x": np.asarray(array)}))
    assert message == {"a": [1, "b"]}
    np.testing.assert_array_equal(arrays["x"], array)
    assert arrays["x"].dtype == np.asarray(array).dtype


ARRAY = "{'descr': '<f8', 'fortran_order': False, 'shape': SHAPE}"


def with_array(data):
    return frame({"json.npy": JSON, "x.npy": data})


def with_shape(shape, body=b""):
    return with_array(header_only(ARRAY.replace("SHAPE", shape), body))


def with_message(text):
    return frame({"json.npy": npy(np.frombuffer(text, np.uint8))})


FORGED = {
    "nothing": (b"", "BadZipFile"),
    "half a zip": (b"PK\x03\x04" + bytes(50), "BadZipFile"),
    "no message": (frame({}), "KeyError"),
    "not a dict": (with_message(b"[1]"), "expected a dict"),
    "deep json": (with_message(b"[" * 100_000), "RecursionError"),
    "broken json": (with_message(b'{"a": 1'), "JSONDecodeError"),
    "zip bomb": (frame({"json.npy": npy(np.zeros(1 << 20))}, zipfile.ZIP_DEFLATED), "expected what it holds"),
    "compressed": (frame({"json.npy": JSON}, zipfile.ZIP_DEFLATED), "is compressed"),
    "many entries": (frame({"json.npy": JSON, **{f"{i}.npy": JSON for i in range(2001)}}), "2002 entries"),
    "pickle": (with_array(npy(np.array([None]), allow_pickle=True)), "dtype is object"),
    "structure": (with_array(npy(np.zeros(2, "f8,i4"))), "expected plain numbers"),
    "text": (with_array(npy(np.array(["a"]))), "dtype is <U1"),
    "complex": (with_array(npy(np.zeros(2, complex))), "dtype is complex128"),
    "fortran": (with_array(npy(np.asfortranarray(np.ones((2, 3))))), "row-major"),
    "too short": (with_array(npy(np.ones(3))[:-1]), "expected the 23 bytes"),
    "too long": (with_array(npy(np.ones(3)) + b"0"), "expected the 25 bytes"),
    "version": (with_array(npy(np.ones(3), version=(2, 0))), "version is"),
    "expression": (with_shape("(10**12,)"), "header cannot be read"),
    "terabytes": (with_shape("(1000000000000,)"), "expected the 0 bytes"),
    "negative": (with_shape("(-1, -1)", bytes(8)), "expected the 8 bytes"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_frames_are_refused(name):
    forged, says = FORGED[name]
    with pytest.raises(wire.WireError, match=re.escape(says)):
        wire.read_frame(forged)


def test_a_frame_put_together_by_hand_is_read():
    _, arrays = wire.read_frame(with_shape("(2,)", np.array([1.0, 2.0]).tobytes()))
    np.testing.assert_array_equal(arrays["x"], [1, 2])


def test_overlapping_entries_are_refused():
    """A zip whose directory lists one stored entry a thousand times reads a thousand times its size."""
    data = frame({"x.npy": npy(np.zeros(1000))})
    directory, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[directory:end]
    tail = bytearray(data[end:])
    tail[8:10] = tail[10:12] = (1000).to_bytes(2, "little")
    tail[12:16] = (1000 * len(entry)).to_bytes(4, "little")
    with pytest.raises(wire.WireError, match="1000 entries"):
        wire.read_frame(data[:directory] + entry * 1000 + bytes(tail))


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"answers": 3},
        {"answers": []},
        {"answers": [{"arrays": ["x"]}]},
        {"answers": [{"arrays": "xx"}]},
        {"answers": [{"arrays": ["x", "y"]}]},
        {"answers": [{"arrays": [["x"], "x"]}]},
        {"answers": [None]},
        {"answers": [{"error": 3}]},
    ],
)
def test_forged_answers_are_refused(message):
    with pytest.raises(wire.WireError):
        wire.read_answers(message, {"x": np.zeros(1)}, calls=1, outputs=2)


def test_the_stream_is_cut_where_a_frame_is_not_whole():
    assert sandbox.split_frames((3).to_bytes(8, "big") + b"abc" + (9).to_bytes(8, "big") + b"ab") == [b"abc"]
    assert sandbox.split_frames(b"\xff" * 100) == []
