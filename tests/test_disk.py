import errno
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tomli_w
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import biaskit as bk
from biaskit import disk
from biaskit.data import Dataset
from biaskit.disk import disk_errors, new_folder, open_dataset, save_dataset, verify
from biaskit.errors import DataError, SpecError, StoreError
from biaskit.specs import read_toml
from biaskit.testing import tiny

FILES = ["card.toml", "checksums.json", "images.npy", "masks.npy", "preview.png", "table.parquet"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small data set on disk. Tests leave it as they found it."""
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    save_dataset(tiny(), folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def edited(folder, change):
    """Rewrite card.toml."""
    content = read_toml(folder / "card.toml")
    change(content)
    (folder / "card.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
    return folder


# -------------------------------------------------------------------------------------------------- round trip


def test_what_is_written(saved):
    assert sorted(path.name for path in saved.iterdir()) == FILES
    data = tiny()
    assert np.array_equal(
        np.load(saved / "images.npy"), data.images.gather(torch.arange(48)).permute(0, 2, 3, 1).numpy()
    )
    masks = np.load(saved / "masks.npy")
    assert (masks.shape, masks.dtype) == ((48, 8, 8), np.uint8)
    assert pd.read_parquet(saved / "table.parquet").columns.tolist() == ["label", "color", "split", "pair", "swapped"]
    assert (saved.stat().st_mode & 0o777) == 0o755


def test_what_is_read_is_what_was_written(saved):
    data, back = tiny(), open_dataset(saved)
    pd.testing.assert_frame_equal(back.table, data.table)
    assert back.group_by == data.group_by
    assert back.fingerprint == data.fingerprint
    assert back.card["name"] == "tiny"
    verify(saved)
    bk.verify(saved)


def test_saving_what_was_read_gives_the_same_bytes(saved, tmp_path):
    save_dataset(open_dataset(saved), tmp_path / "again")
    assert (tmp_path / "again/checksums.json").read_bytes() == (saved / "checksums.json").read_bytes()


def test_categories_are_restored_with_their_order_and_the_unused_ones(tmp_path):
    data = Dataset.from_arrays(
        np.zeros((3, 4, 4), np.uint8), [10, 2, 10], {"color": ["b", "a", "b"]}, classes=[10, 7, 2], name="mine"
    )
    table = data.table.assign(color=data.table["color"].cat.set_categories(["c", "b", "a"]))
    data = data.replace(table=table)
    save_dataset(data, tmp_path / "out")
    assert not (tmp_path / "out/masks.npy").exists()
    back = open_dataset(tmp_path / "out")
    assert back.classes == ("10", "7", "2")
    assert list(back.table["color"].cat.categories) == ["c", "b", "a"]
    assert back.labels.tolist() == [0, 2, 0]
    assert back.masks is None
    assert len(back.groups) == 9
    assert back.fingerprint == data.fingerprint
    assert back.images.shape == (1, 4, 4)


def test_larger_files_are_mapped_and_give_the_same_pixels(saved, monkeypatch):
    held = open_dataset(saved)
    monkeypatch.setattr(disk, "IN_MEMORY", (saved / "images.npy").stat().st_size - 1)
    mapped = open_dataset(saved)
    assert isinstance(mapped.images._pixels, np.memmap)
    assert not isinstance(held.images._pixels, np.memmap)
    assert not isinstance(mapped.masks._pixels, np.memmap)  # each file by its own size
    index = torch.tensor([47, 0, 3, 3])
    assert torch.equal(mapped.images.gather(index), held.images.gather(index))
    assert mapped.fingerprint == held.fingerprint
    # What was gathered is a copy: writing to it does not reach the file.
    mapped.images.gather(index).zero_()
    verify(saved)


# ------------------------------------------------------------------------------------------------------ verify


@pytest.mark.parametrize("name", FILES)
def test_verify_finds_a_changed_byte_anywhere(name, copy):
    path = copy / name
    content = path.read_bytes()
    steps = 1 if len(content) < 1000 else len(content) // 60
    for place in [*range(0, len(content), steps), len(content) - 1]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DataError, match=str(copy)):
            verify(copy)
    path.write_bytes(content)
    verify(copy)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_verify_finds_any_change_of_any_byte(saved, name, place, change):
    path = saved / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= change
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        with pytest.raises(DataError):
            verify(saved)
    finally:
        path.write_bytes(before)
    verify(saved)


def test_verify_is_not_taken_in_by_line_ends(copy):
    path = copy / "checksums.json"
    content = path.read_bytes()
    for other in (content.replace(b"\n", b"\r"), content.replace(b"\n", b"\r\n"), content + b"\n", content[:-1]):
        path.write_bytes(other)
        with pytest.raises(DataError, match=r"checksums.json was changed"):
            verify(copy)


@pytest.mark.parametrize("text", ["", "[]", "3", '{\n "card.toml": 1\n}\n', "\xff", "{"])
def test_verify_of_checksums_that_are_none(text, copy):
    (copy / "checksums.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"checksums.json was changed; build the set again"):
        verify(copy)


def test_verify_names_what_was_cut_added_or_removed(copy):
    path = copy / "images.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"images.npy was changed"):
        verify(copy)
    path.unlink()
    with pytest.raises(DataError, match=r"images.npy is missing"):
        verify(copy)
    path.mkdir()
    with pytest.raises(DataError, match=r"images.npy is missing"):
        verify(copy)
    path.rmdir()
    path.write_bytes(content)
    verify(copy)
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"notes.txt is not part of the data set"):
        verify(copy)


def test_verify_of_something_else(tmp_path):
    with pytest.raises(DataError, match=r"has no checksums.json: not a built data set"):
        verify(tmp_path)
    with pytest.raises(DataError, match=r"nowhere is not there; build one with"):
        verify(tmp_path / "nowhere")


# ------------------------------------------------------------------------------------------ what cannot be read


def test_an_empty_or_other_folder(tmp_path):
    with pytest.raises(DataError, match=r"is empty: not a built data set; build one with: biaskit build NAME --out"):
        open_dataset(tmp_path)
    (tmp_path / "x").write_text("")
    with pytest.raises(DataError, match=r"has no card.toml: not a built data set"):
        open_dataset(tmp_path)


def test_a_newer_layout(copy):
    edited(copy, lambda card: card.update(format=disk.FORMAT + 1, biaskit="9.0"))
    with pytest.raises(DataError, match=r"has layout 2, built by a newer biaskit \(9.0\); this one reads up to 1"):
        open_dataset(copy)
    edited(copy, lambda card: card.update(format=disk.FORMAT))
    assert open_dataset(copy).fingerprint == tiny().fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("categories"), r"cannot be read \('categories'\); run: biaskit verify"),
        (lambda card: card.update(categories=["red"]), r"cannot be read"),
        (lambda card: card.update(format="one"), r"cannot be read"),
        (lambda card: card.update(group_by=3), r"cannot be read"),
        (lambda card: card["categories"].update(color=["red"]), r"column 'color' holds 'blue', which card.toml does"),
        (lambda card: card["categories"].update(shape=["round"]), r"cannot be read \('shape'\)"),
        (lambda card: card["categories"].pop("color"), r"column 'color' must be categorical"),
    ],
)
def test_a_card_that_does_not_fit(change, message, copy):
    # Parquet keeps the categories of what it was given; a table from elsewhere need not have them.
    table = pd.read_parquet(copy / "table.parquet")
    table.astype({"color": str}).to_parquet(copy / "table.parquet", index=False)
    with pytest.raises(DataError, match=message):
        open_dataset(edited(copy, change))


def test_files_that_are_damaged(copy):
    (copy / "card.toml").write_text("a = = 1")
    with pytest.raises(SpecError, match=r"card.toml: not TOML"):
        open_dataset(copy)


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "table.parquet"])
@pytest.mark.parametrize("keep", [0, 5, 200])
def test_a_truncated_file(name, keep, copy):
    (copy / name).write_bytes((copy / name).read_bytes()[:keep])
    with pytest.raises(DataError, match=r"cannot be read|do not fit|need shape"):
        open_dataset(copy)


@pytest.mark.parametrize("name", ["images.npy", "table.parquet"])
def test_a_missing_file(name, copy):
    (copy / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing; build the set again"):
        open_dataset(copy)


def test_no_pickle_is_loaded(copy):
    np.save(copy / "images.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"cannot be read"):
        open_dataset(copy)


# ----------------------------------------------------------------------------------------- a disk that says no


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def fails(code):
    def failing(*_args, **_options):
        raise OSError(code, os.strerror(code))

    return failing


def failing_later(code):
    """A chunk is written before the disk is full."""

    def chunks(images):
        yield images.gather(torch.arange(2)).permute(0, 2, 3, 1).contiguous()
        raise OSError(code, os.strerror(code))

    return chunks


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("what", ["images", "table", "card", "flush"])
def test_a_full_disk_leaves_nothing_behind(what, code, saved, tmp_path, monkeypatch):
    old = Path(shutil.copytree(saved, tmp_path / "old"))
    before = (old / "checksums.json").read_bytes()
    target, failing = {
        "images": ((disk, "chunks"), failing_later(code)),
        "table": ((pd.DataFrame, "to_parquet"), fails(code)),
        "card": ((Path, "write_text"), fails(code)),
        "flush": ((os, "fsync"), fails(code)),
    }[what]
    data = tiny()
    with monkeypatch.context() as patch:
        patch.setattr(*target, failing)
        for folder in (tmp_path / "new", old):
            with pytest.raises(StoreError, match=r"no space left|quota") as raised:
                save_dataset(data, folder)
            assert str(folder) in str(raised.value)
            assert "\n" not in str(raised.value)
    assert leftovers(tmp_path) == ["old"]
    assert (old / "checksums.json").read_bytes() == before
    verify(old)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full, the disk that is always full")
def test_a_disk_that_really_is_full():
    data = tiny()
    for write in (
        lambda: disk._write_npy(Path("/dev/full"), data.images),
        lambda: data.table.to_parquet("/dev/full"),
        lambda: Path("/dev/full").write_text("x"),
    ):
        with pytest.raises(StoreError, match="no space left on the device"), disk_errors(Path("out")):
            write()


@pytest.mark.parametrize(
    ("code", "message"), [(errno.EACCES, "not writable"), (errno.EROFS, "read-only"), (errno.EPERM, "not writable")]
)
def test_a_folder_that_is_not_writable(code, message, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "mkdtemp", fails(code))
    with pytest.raises(StoreError, match=f"out: .*{message}"):
        save_dataset(tiny(), tmp_path / "out")
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(StoreError, match=r"not writable; choose another folder with --out"):
        save_dataset(tiny(), tmp_path / "out")


def test_places_that_cannot_be_a_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    data = tiny()
    for folder, message in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "out", "a part of the path is a file"),
        (tmp_path / ("x" * 300), "the name is too long"),
    ):
        with pytest.raises(StoreError, match=message):
            save_dataset(data, folder)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder in (Path(), tmp_path / "here"):
        with pytest.raises(StoreError, match="is the current folder or a mount point"):
            save_dataset(data, folder)
    assert leftovers(tmp_path) == ["file", "here"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"out holds other files \(thesis.tex\); choose an empty or a new folder"):
        save_dataset(tiny(), tmp_path / "out")
    assert leftovers(tmp_path) == ["out"]
    assert (tmp_path / "out/thesis.tex").read_text() == "years of work"


def test_an_empty_folder_and_an_older_set_are_replaced(saved, tmp_path):
    (tmp_path / "empty").mkdir()
    save_dataset(tiny(), tmp_path / "empty")
    save_dataset(tiny(per_group=2), tmp_path / "empty")
    verify(tmp_path / "empty")
    assert len(open_dataset(tmp_path / "empty")) == 24
    save_dataset(tiny(), tmp_path / "a/b/c")
    verify(tmp_path / "a/b/c")
    assert leftovers(tmp_path) == ["a", "empty"]


def test_new_folder_appears_whole_or_not_at_all(tmp_path):
    def interrupted():
        with new_folder(tmp_path / "out", holds=("x", "a", "b")) as work:
            (work / "half").write_text("half")
            assert not (tmp_path / "out").exists()
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        interrupted()
    assert leftovers(tmp_path) == []
    with new_folder(tmp_path / "out", holds=("x", "a", "b")) as work:
        (work / "x").write_text("")
    assert leftovers(tmp_path) == ["out"]


def test_other_errors_of_the_system_stay_what_they_are():
    with pytest.raises(FileNotFoundError), disk_errors(Path("out")):
        Path("/nowhere/at/all").read_text()


def test_the_checksums_are_those_of_the_files(saved):
    sums = json.loads((saved / "checksums.json").read_text())
    assert sorted(sums) == [name for name in FILES if name != "checksums.json"]
    for name, about in sums.items():
        content = (saved / name).read_bytes()
        assert about == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
