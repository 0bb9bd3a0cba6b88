"""What the tests of pages share whose tables and pictures a tool writes."""

import base64
import io

from PIL import Image

from cnnlib.plotting.base import DPI
from tools.notebook_compare import picture_differences
from tools.tables import fill, fingerprint


def assert_tables_written(text, contents, stale, copy):
    """The page holds the tables, and a `copy` of it in which they are `stale` gets them back."""
    assert stale != text
    copy.write_text(stale, "utf-8")
    fill(copy, contents)
    for name, table in contents.items():
        assert f"<!-- {name} -->\n\n{table}\n\n<!-- end of {name} -->\n" in text
    assert copy.read_text("utf-8") == text


def assert_picture_drawn(path, figure, shown):
    """The picture was drawn with the very same numbers, and looks as the figure does."""
    fresh = io.BytesIO()
    figure.savefig(fresh, dpi=DPI)
    with Image.open(path) as picture:
        assert picture.info["Description"] == fingerprint(shown)
    committed, drawn = (base64.b64encode(data).decode() for data in (path.read_bytes(), fresh.getvalue()))
    assert picture_differences(committed, drawn) == []
