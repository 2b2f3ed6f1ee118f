"""Files are written completely or not at all, whatever stood there before."""

import os
import stat

import pytest

from keras_initcheck.outputs.files import write_text


def test_text_is_written_in_utf_8_and_nothing_else_is_left(tmp_path):
    write_text(tmp_path / "a.html", "größe\n")
    assert (tmp_path / "a.html").read_bytes() == "größe\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_old_file_is_replaced_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("a much longer text than the new one")
    path.chmod(0o640)
    write_text(str(path), "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)


def test_new_file_has_the_permissions_that_others_have(tmp_path):
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "new", "")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_link_is_followed(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_full_disk_leaves_the_old_file_and_no_other(tmp_path, files_of_at_most):
    path = tmp_path / "a.html"
    path.write_text("old")
    with files_of_at_most(100), pytest.raises(OSError, match=r"a\.html") as caught:
        write_text(path, "x" * 10_000)
    assert caught.value.filename == str(path)
    assert (path.read_text(), len(list(tmp_path.iterdir()))) == ("old", 1)


def test_missing_folder_is_named_with_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/a\.html"):
        write_text(tmp_path / "nowhere" / "a.html", "")


def test_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
