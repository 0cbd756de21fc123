"""Data sets in the layouts of other tools: read back without loss, and by those tools without our files."""

import io
import json
from glob import glob
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from pandas.testing import assert_frame_equal
from PIL import Image
from test_cli import refused, run  # noqa: F401

import biaskit as bk
from biaskit.data import Dataset
from biaskit.disk import save_dataset, written_card
from biaskit.errors import DataError, SpecError, StoreError
from biaskit.layouts import LAYOUTS, _imagefolder, convert, open_data
from biaskit.testing import tiny


def pixels(data):
    return data.images.gather(torch.arange(len(data))).permute(0, 2, 3, 1).numpy()


def hostile(**changes):
    """Everything a user's own set may have: odd names, their order, unused ones, splits of any name, gray images."""
    rng = np.random.default_rng(0)
    labels = ["b/c", "..", "a\nb", "b/c", "Ünï", "..", "a\nb", "b/c"]
    color = ["x", "y", "x", "=1+1", "y", "x", "x", "y"]
    age = ["10", "9", "9", "10", "1", "9", "10", "1"]
    options = {
        "split": ["train", "test", "id_val", "train", "test", "val", "train", "test"],
        "classes": ["b/c", "Ünï", "..", "a\nb", "unused"],
        "group_by": ["color"],
        "name": "hostile",
        **changes,
    }
    images = rng.integers(0, 256, (8, 5, 7), np.uint8)
    return Dataset.from_arrays(images, labels, {"color": color, "age": age}, **options)


SETS = {
    "twins, masks and concepts": lambda: tiny(concepts=True, train=(0.75, 0.25)),
    "two attributes and hostile names": hostile,
    "gray digits": lambda: bk.build("digits", set=["limit.train=30", "limit.test=20"]),
}


@pytest.mark.parametrize("made", SETS.values(), ids=SETS)
@pytest.mark.parametrize("to", LAYOUTS)
def test_nothing_is_lost(tmp_path, to, made):
    data = made()
    if to in ("lff", "domainbed") and not data.attributes:
        with pytest.raises(DataError, match=f"no attribute, which the layout {to} is made of; take imagefolder"):
            convert(data, tmp_path / "out", to=to)
        assert not list(tmp_path.iterdir())
        return
    folder = convert(data, tmp_path / "out", to=to)
    back = open_data(folder)
    assert np.array_equal(pixels(back), pixels(data))
    assert_frame_equal(back.table, data.table)
    assert back.group_by == data.group_by
    assert back.splits == data.splits
    assert (back.masks is None, back.concepts is None) == (data.masks is None, data.concepts is None)
    assert back.fingerprint == data.fingerprint
    assert dict(back.card) == written_card(data)
    # And once more, from what was read.
    assert open_data(convert(folder, tmp_path / "again", to=to)).fingerprint == data.fingerprint
    assert bk.load(folder).fingerprint == data.fingerprint


@pytest.mark.parametrize("to", LAYOUTS)
def test_other_tools_are_told_the_same(tmp_path, to):
    """Without our own files, label, attribute and split of every image are still there, as names or as codes."""
    data = tiny(train=(0.75, 0.25))
    folder = convert(data, tmp_path / "out", to=to)
    for path in folder.glob("biaskit*"):
        path.unlink()
    back = open_data(folder)
    if to == "wilds":  # twins have the number 3 there, which its tools know nothing of
        back = open_data(folder, split="test")
        assert "16 images of other splits (3) were left out" in back.card["notes"]
    else:
        left = "16 images in twin/ were" if to == "domainbed" else "16 images of the split twin were"
        assert any(note.startswith(f"{left} left out") for note in back.card["notes"])
    kept = data.table["split"] != "twin"
    name = {"lff": "a", "domainbed": "domain"}.get(to, "color")
    expected = rows(data, "color", codes=to in ("lff", "wilds"), kept=kept, to=to)
    assert sorted(rows(back, name, codes=True)) == sorted(expected)


def rows(data, attribute, *, codes, kept=None, to=""):
    """Label, attribute, split (but for domainbed, which has none) and pixels of every image, as text."""
    table = data.table if kept is None else data.table[kept]
    found = []
    for row in table.index:
        label, value, split = table.loc[row, ["label", attribute, "split"]].astype(str)
        if kept is not None and codes:
            label = str(data.classes.index(label))
            value = str(list(data.table[attribute].cat.categories).index(value))
        if to == "domainbed" or attribute == "domain":
            split = ""
        found.append((label, value, split, pixels(data)[row].tobytes()))
    return found


def test_imagefolder_as_torchvision_and_hugging_face_read_it(tmp_path):
    data = tiny()
    folder = convert(data, tmp_path / "out", to="imagefolder")
    found = torchvision.datasets.ImageFolder(folder / "train")
    train = data.rows("train")
    assert found.classes == ["left", "right"]
    assert sorted(found.targets) == sorted(data.labels[train].tolist())
    lines = [json.loads(line) for line in (folder / "test" / "metadata.jsonl").read_text().splitlines()]
    assert list(lines[0]) == ["file_name", "label", "color"]
    tested = data.table.iloc[data.rows("test")]
    assert [line["color"] for line in lines] == tested["color"].tolist()
    for line, row in zip(lines, tested.index, strict=True):
        assert line["file_name"].startswith(f"{line['label']}/")
        assert np.array_equal(np.asarray(Image.open(folder / "test" / line["file_name"])), pixels(data)[row])


def test_parquet_as_pandas_reads_it(tmp_path):
    import pyarrow.parquet

    data = tiny()
    folder = convert(data, tmp_path / "out", to="parquet")
    table = pyarrow.parquet.read_table(folder / "train-00000-of-00001.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["color"] == {"names": ["red", "blue"], "_type": "ClassLabel"}
    assert features["image"] == {"_type": "Image"}
    train = data.rows("train")
    assert table.column("label").to_pylist() == data.labels[train].tolist()
    first = table.column("image")[0].as_py()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(first["bytes"]))), pixels(data)[train[0]])


def test_parquet_as_the_source_reads_it(tmp_path):
    from biaskit.sources import parquet

    source = parquet(convert(tiny(), tmp_path / "out", to="parquet"))
    assert (len(source.images), source.classes) == (32, ("left", "right"))


def test_wilds_as_group_dro_reads_it(tmp_path):
    data = hostile()
    folder = convert(data, tmp_path / "out", to="wilds")
    table = pd.read_csv(folder / "metadata.csv")
    assert list(table.columns) == ["img_filename", "y", "split", "color", "age"]
    assert table["y"].tolist() == data.labels.tolist()
    assert table["split"].tolist() == [0, 2, 3, 0, 2, 1, 0, 2]
    assert table["color"].tolist() == data.table["color"].cat.codes.tolist()
    for row, name in enumerate(table["img_filename"]):
        assert np.array_equal(np.asarray(Image.open(folder / name)), pixels(data)[row, ..., 0])


def test_lff_as_its_loaders_read_it(tmp_path):
    """The glob patterns and the last two numbers of the name, as LfF and DisEnt take them."""
    data = tiny(per_group=5, train=(0.5, 0.5))
    labels = data.labels
    color = np.where(labels == 0, "red", "blue").astype(object)
    train = data.rows("train")
    color[train[:2]] = ["blue", "red"]  # two of twenty go against their label
    table = data.table.assign(color=pd.Categorical(color, categories=["red", "blue"]))
    folder = convert(data.replace(table=table), tmp_path / "out", to="lff")
    aligned, conflicting = (glob(str(folder / "10pct" / side / "*" / "*")) for side in ("align", "conflict"))
    assert (len(aligned), len(conflicting)) == (18, 2)
    for path in aligned + conflicting:
        row, label, value = (int(part) for part in Path(path).stem.split("_"))
        assert (label, value) == (labels[row], ["red", "blue"].index(color[row]))
        assert Path(path).parent.name == str(label)
        assert (label == value) is (path in aligned)
        assert np.array_equal(np.asarray(Image.open(path)), pixels(data)[row])
    assert len(glob(str(folder / "test" / "*" / "*"))) == 20
    assert len(glob(str(folder / "10pct" / "valid" / "*"))) == 0


def test_domainbed_as_it_is_scanned(tmp_path):
    data = tiny()
    folder = convert(data, tmp_path / "out", to="domainbed")
    domains = sorted(entry.name for entry in (folder / "images").iterdir() if entry.is_dir())
    assert domains == ["blue", "red"]
    found = torchvision.datasets.ImageFolder(folder / "images" / "red")
    assert found.classes == ["left", "right"]
    red = (data.table["color"] == "red") & (data.table["split"] != "twin")
    assert len(found) == int(red.sum())


def test_the_attribute_of_a_layout_with_room_for_one(tmp_path):
    data = hostile()
    folder = convert(data, tmp_path / "out", to="domainbed", attribute="age")
    assert sorted(one.name for one in (folder / "images").iterdir()) == ["1", "10", "9"]
    assert open_data(folder).fingerprint == data.fingerprint
    with pytest.raises(DataError, match=r"hostile has no attribute 'sex'; it has color, age"):
        convert(data, tmp_path / "other", to="lff", attribute="sex")
    with pytest.raises(SpecError, match="the layout wilds holds every attribute; leave it out"):
        convert(data, tmp_path / "other", to="wilds", attribute="age")
    with pytest.raises(DataError, match="hostile has no split train, which the layout lff is made for"):
        convert(hostile(split="test"), tmp_path / "other", to="lff")
    with pytest.raises(SpecError, match=r"no layout 'widls'; did you mean wilds\?"):
        convert(data, tmp_path / "other", to="widls")


@pytest.mark.parametrize(("to", "name"), [("imagefolder", "file_name"), ("wilds", "y"), ("parquet", "image")])
def test_an_attribute_in_the_way_of_a_column(tmp_path, to, name):
    data = Dataset.from_arrays(np.zeros((2, 4, 4), np.uint8), [0, 1], {name: ["a", "b"]})
    with pytest.raises(DataError, match=f"an attribute called '{name}' would be written over a column"):
        convert(data, tmp_path / "out", to=to)


# ------------------------------------------------------------------------------- what was changed after it was written


@pytest.fixture(params=LAYOUTS)
def written(tmp_path, request):
    return convert(tiny(), tmp_path / "out", to=request.param)


@pytest.mark.parametrize("to", LAYOUTS)
def test_an_attribute_called_as_the_column_of_paths(tmp_path, to):
    pixels = np.zeros((4, 2, 2), np.uint8)
    data = bk.Dataset.from_arrays(pixels, list("abab"), {"biaskit:file": list("xxyy")}, split=["train", "test"] * 2)
    with pytest.raises(DataError, match="an attribute called 'biaskit:file' would be written over a column"):
        convert(data, tmp_path / "out", to=to)
    assert not (tmp_path / "out").exists()


def test_a_table_that_was_changed_is_not_passed_over(tmp_path):
    for to, name in (("imagefolder", "test/metadata.jsonl"), ("wilds", "metadata.csv")):
        folder = convert(tiny(), tmp_path / to, to=to)
        path = folder / name
        path.write_text(path.read_text().replace("1", "0", 1))
        with pytest.raises(
            DataError, match=rf"{name} was changed or removed since it was written; delete biaskit\.toml"
        ):
            open_data(folder)


@pytest.mark.parametrize("to", [one for one in LAYOUTS if one != "parquet"])
def test_images_that_are_gone_or_new(tmp_path, to):
    data = tiny()
    folder = convert(data, tmp_path / "out", to=to)
    table = pd.read_parquet(folder / "biaskit.parquet")
    row = int(data.rows("test")[0])
    gone = table["biaskit:file"][row]
    (folder / gone).rename(folder / f"{gone[:-4]}-renamed.png")
    with pytest.raises(DataError, match=r"lines without a file: 1 .*; files without a line: 1 .*renamed\.png"):
        open_data(folder)
    back = open_data(folder, drop=True)
    # The image and its twin: a twin of nothing is no twin.
    twin = int(data.table["pair"][row])
    assert len(back) == len(data) - 2
    assert gone in back.card["left_out"]
    rest = [one for one in range(len(data)) if one not in (row, twin)]
    assert np.array_equal(pixels(back), pixels(data)[rest])
    assert np.array_equal(back.masks.gather(torch.arange(len(back))), data.masks.gather(torch.tensor(rest)))
    pairs = back.table["pair"].to_numpy()
    linked = np.flatnonzero(pairs >= 0)
    assert np.array_equal(pairs[pairs[linked]], linked)
    assert (back.table["label"].iloc[linked].to_numpy() == back.table["label"].iloc[pairs[linked]].to_numpy()).all()


def test_corrupt_images_take_their_twins_along(tmp_path):
    data = tiny(concepts=True)
    folder = convert(data, tmp_path / "out", to="imagefolder")
    table = pd.read_parquet(folder / "biaskit.parquet")
    row = int(data.rows("test")[3])
    (folder / table["biaskit:file"][row]).write_bytes(b"")
    back = open_data(folder, skip_corrupt=True)
    rest = [one for one in range(len(data)) if one not in (row, int(data.table["pair"][row]))]
    assert np.array_equal(pixels(back), pixels(data)[rest])
    assert list(back.card["skipped"]) == [table["biaskit:file"][row]]
    index = torch.arange(len(rest))
    assert torch.equal(back.concepts.gather(index), data.concepts.gather(torch.tensor(rest)))


def test_another_size_leaves_masks_out_and_says_so(written):
    back = open_data(written, size=4)
    assert (back.images.shape, back.masks) == ((3, 4, 4), None)
    assert any("masks and concepts of" in note and "were left out" in note for note in back.card["notes"])


def test_more_attributes_for_a_set_that_was_written(written, tmp_path):
    table = pd.read_parquet(written / "biaskit.parquet")
    lines = pd.DataFrame({"file": table["biaskit:file"], "odd": np.arange(len(table)) % 2})
    lines.to_csv(tmp_path / "more.csv", index=False)
    back = open_data(written, attributes=tmp_path / "more.csv")
    assert (back.attributes, back.group_by) == (("color", "odd"), ("color", "odd"))
    assert_frame_equal(back.table.drop(columns="odd"), tiny().table)
    assert open_data(written, group_by=[]).group_by == ()
    with pytest.raises(SpecError, match="knows its labels; leave label out"):
        open_data(written, label="color")


def test_a_part_that_is_missing(written):
    (written / "biaskit.parquet").unlink()
    with pytest.raises(DataError, match=r"cannot be read .*; delete biaskit\.toml and biaskit\.parquet"):
        open_data(written)


def test_a_set_written_by_a_newer_version(written):
    path = written / "biaskit.toml"
    path.write_text(path.read_text().replace("format = 1", "format = 9"))
    with pytest.raises(DataError, match="has layout 9, built by a newer biaskit"):
        open_data(written)


# ------------------------------------------------------------------------------------------- where it is written


def test_its_own_folder_is_replaced_as_a_whole_and_others_are_left_alone(tmp_path):
    folder = convert(tiny(), tmp_path / "out", to="domainbed")
    convert(hostile(), folder, to="wilds")
    assert sorted(one.name for one in folder.iterdir()) == ["biaskit.parquet", "biaskit.toml", "images", "metadata.csv"]
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds other files \(mine\.txt\)"):
        convert(tiny(), folder, to="wilds")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(b"")
    with pytest.raises(StoreError, match=r"holds other files \(1\.png\)"):
        convert(tiny(), tmp_path / "photos", to="wilds")


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    folder = convert(tiny(), tmp_path / "out", to="imagefolder")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_imagefolder, "write_images", full)
    with pytest.raises(StoreError, match="no space left"):
        convert(hostile(), folder, to="imagefolder")
    assert open_data(folder).fingerprint == tiny().fingerprint
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


# ------------------------------------------------------------------------------------------------------- the command


def test_convert_from_the_command_line(run, tmp_path):  # noqa: F811
    save_dataset(tiny(), tmp_path / "set")
    code, out, err = run("convert", tmp_path / "set", "--to", "lff", "--out", tmp_path / "out")
    assert code == 0, err
    first, *_, last = out.splitlines()
    assert first == "Converted tiny to lff: 48 images of 8 x 8 (16 train, 16 test, 16 twin), 4 groups."
    assert last.startswith(f"data     {tmp_path / 'out'}  ")
    assert err == f"hint: biaskit data-audit {tmp_path / 'out'} reads it back, and looks at it\n"
    assert open_data(tmp_path / "out").fingerprint == tiny().fingerprint


def test_convert_of_the_users_own(run, refused, tmp_path):  # noqa: F811
    rng = np.random.default_rng(0)
    for number in range(4):
        path = tmp_path / "pets" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 8 + number, 3), np.uint8)).save(path)
    (tmp_path / "a.csv").write_text("file,color\n" + "".join(f"{n}.jpg,{n // 2}\n" for n in range(5)))
    words = [
        "convert",
        tmp_path / "pets",
        "--to",
        "wilds",
        "--out",
        tmp_path / "out",
        "--attributes",
        tmp_path / "a.csv",
    ]
    assert "lines without a file: 1 (4.jpg)" in refused(*words)
    assert "give size=N" in refused(*words, "--drop")
    code, out, _ = run(*words, "--drop", "--size", 8, "--group-by", "color")
    assert code == 0
    assert f"note: left out: named in a.csv, not in {tmp_path / 'pets'}: 1 (4.jpg)" in out
    back = open_data(tmp_path / "out")
    assert (back.group_by, back.images.shape, len(back)) == (("color",), (3, 8, 8), 4)
    assert "no layout" in refused("convert", "colordigits", "--to", "x", "--out", tmp_path / "y")
