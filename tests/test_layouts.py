"""What is read from the folders of other tools: image, label, attribute and split of every row, and the errors."""

import json
import math
import os
import sys

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import torch
import torchvision
from PIL import Image
from test_images import encoded

import biaskit as bk
from biaskit import images
from biaskit.disk import save_dataset
from biaskit.errors import DataError, SpecError, UnknownName
from biaskit.images import EncodedImages, open_images
from biaskit.layouts import open_data
from biaskit.layouts._assemble import MOST_VALUES
from biaskit.testing import tiny


def draw(root, files, size=(6, 4)):
    """One color per file: path -> the red value of all its pixels."""
    for path, red in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (red, 0, 0)).save(root / path)
    return root


def reds(data):
    return data.images.gather(torch.arange(len(data)))[:, 0, 0, 0].tolist()


def told(data, *columns):
    """The rows as tuples of text."""
    return list(data.table[list(columns)].astype(str).itertuples(index=False, name=None))


@pytest.fixture
def pets(tmp_path):
    """Four test images in two classes, without a table."""
    return draw(tmp_path / "pets", {"cat/1.png": 1, "cat/2.png": 2, "dog/1.png": 3, "dog/3.png": 4})


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------- folders of classes


def test_folders_of_classes_are_one_test_set(pets):
    data = open_data(pets)
    assert data.name == "pets"
    assert reds(data) == [1, 2, 3, 4]
    assert told(data, "label", "split") == [("cat", "test")] * 2 + [("dog", "test")] * 2
    assert data.card["notes"] == [f"{pets} tells of no splits: all its images are test images"]
    assert (data.attributes, data.group_by, data.images.shape) == ((), (), (3, 4, 6))


def test_classes_stand_in_the_order_of_torchvision(tmp_path):
    root = draw(
        tmp_path / "x", {f"{split}/{name}/0.png": 9 for split in ("train", "test") for name in ("10", "2", "9")}
    )
    data = open_data(root)
    assert list(data.classes) == torchvision.datasets.ImageFolder(root / "train").classes == ["10", "2", "9"]
    assert told(data, "split") == [("test",)] * 3 + [("train",)] * 3
    assert "notes" not in data.card


def test_subfolders_belong_to_their_class_and_hidden_files_to_nobody(tmp_path):
    root = draw(tmp_path / "x", {"a/deep/1.png": 1, "a/2.PNG": 2, "b/3.png": 3, "b/.4.png": 4, ".git/a/5.png": 5})
    write(root / "a" / "notes.txt", "no image")
    data = open_data(root)
    assert (reds(data), told(data, "label")) == ([2, 1, 3], [("a",), ("a",), ("b",)])


def test_val_is_the_test_set_where_there_is_no_other_and_it_is_said(tmp_path):
    root = draw(tmp_path / "x", {f"{split}/{name}/0.png": 1 for split in ("train", "validation") for name in "ab"})
    data = open_data(root)
    assert data.splits == ("train", "test")
    assert data.card["notes"] == [f"{root} has no split test: val was taken"]


def test_a_split_of_three_is_chosen(tmp_path):
    files = {f"{split}/{name}/0.png": red for red, split in enumerate(("train", "val", "test")) for name in "ab"}
    root = draw(tmp_path / "x", files)
    assert open_data(root).splits == ("train", "test", "val")
    data = open_data(root, split="val")
    assert (data.splits, reds(data)) == (("train", "test"), [0, 0, 1, 1])
    assert data.card["notes"] == ["2 images of other splits (test) were left out"]
    alone = open_data(root, split="train")
    assert (alone.splits, reds(alone)) == (("test",), [0, 0])
    assert reds(open_data(root, split="validation")) == [0, 0, 1, 1]
    with pytest.raises(DataError, match=r"has no split 'extra'; its splits are test, train, val"):
        open_data(root, split="extra")


def test_train_alone_is_no_test_set(tmp_path):
    root = draw(tmp_path / "x", {"train/a/0.png": 1, "train/b/0.png": 1})
    with pytest.raises(DataError, match=r"has no split test but train; name the one to test on with split"):
        open_data(root)
    assert len(open_data(root, split="train").rows("test")) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["train/a/0.png", "test/a/0.png", "masks/a/0.png"],
            r"folders of splits \(test, train\) beside others \(masks\)",
        ),
        (["a/0.png", "b/0.png", "logo.png"], r"1 images in none of them \(logo\.png\)"),
        (["a/0.png", "a/1.png"], r"has no labels: expected a folder for each of two classes or more"),
        (["0.png", "1.png"], r"has no labels"),
        ([], r"is no data set: it has neither card\.toml nor images"),
    ],
)
def test_folders_that_say_no_labels(tmp_path, files, message):
    root = draw(tmp_path / "x", dict.fromkeys(files, 1))
    root.mkdir(exist_ok=True)
    write(root / "notes.txt", "so that it is not empty")
    with pytest.raises(DataError, match=message):
        open_data(root)


def test_a_folder_that_holds_itself(pets):
    (pets / "cat" / "again").symlink_to(pets)
    with pytest.raises(DataError, match="is a link to a folder it stands in"):
        open_data(pets)


def test_links_are_followed(tmp_path, pets):
    (tmp_path / "x").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "x" / name).symlink_to(pets / name)
    assert reds(open_data(tmp_path / "x")) == [1, 2, 3, 4]


# --------------------------------------------------------------------------------------------- tables of attributes

PETS = "file,color,age\ncat/1.png,red,10\ndog/1.png,blue,9\ncat/2.png,blue,10\ndog/3.png,red,9\n"


def test_attributes_are_joined_by_path(pets, tmp_path):
    data = open_data(pets, attributes=write(tmp_path / "a.csv", PETS))
    rows = [("cat", "red", "10"), ("cat", "blue", "10"), ("dog", "blue", "9"), ("dog", "red", "9")]
    assert told(data, "label", "color", "age") == rows
    assert reds(data) == [1, 2, 3, 4]
    assert (data.attributes, data.group_by) == (("color", "age"), ("color", "age"))
    assert list(data.table["age"].cat.categories) == ["9", "10"]
    assert list(data.table.columns) == ["label", "color", "age", "split", "pair", "swapped"]


@pytest.mark.parametrize(
    "rename",
    [
        lambda name, root: f"./{name}",
        lambda name, root: str(root / name),
        lambda name, root: name.replace("/", "\\"),
        lambda name, root: f"  {name} ",
    ],
    ids=["dot", "absolute", "backslash", "blanks"],
)
def test_paths_in_any_spelling(pets, tmp_path, rename):
    lines = [line.split(",") for line in PETS.splitlines()[1:]]
    text = "file,color\n" + "".join(f"{rename(name, pets)},{color}\n" for name, color, _ in lines)
    assert told(open_data(pets, attributes=write(tmp_path / "a.csv", text)), "color")[0] == ("red",)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_tables_of_every_kind(pets, tmp_path, suffix):
    frame = pd.DataFrame([line.split(",") for line in PETS.splitlines()[1:]], columns=["file", "color", "age"])
    frame["age"] = frame["age"].astype(float)
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        # The index is written too, as it often is, and a byte order mark, as Excel does.
        frame.astype({"age": int}).to_csv(path, sep="\t" if suffix == "tsv" else ",", encoding="utf-8-sig")
    assert told(open_data(pets, attributes=path), "color", "age")[1] == ("blue", "10")


def test_attributes_are_joined_by_name_where_names_tell_the_images_apart(tmp_path):
    root = draw(tmp_path / "x", {"cat/1.png": 1, "dog/2.png": 2})
    table = write(tmp_path / "a.csv", "picture,color\n2.png,blue\n1.png,red\n")
    assert told(open_data(root, attributes=table), "label", "color") == [("cat", "red"), ("dog", "blue")]


def test_names_that_several_images_have(pets, tmp_path):
    table = write(tmp_path / "a.csv", "file,color\n1.png,red\n2.png,red\n")
    with pytest.raises(DataError, match=r"names 1\.png, which is cat/1\.png, dog/1\.png; write paths below"):
        open_data(pets, attributes=table)


def test_both_sides_are_counted_and_named(pets, tmp_path):
    table = write(tmp_path / "a.csv", PETS.replace("dog/3", "dog/4") + "dog/5.png,red,1\n")
    expected = (
        r"a\.csv does not fit .*pets: lines without a file: 2 \(dog/4\.png, dog/5\.png\); "
        r"files without a line: 1 \(dog/3\.png\); mend it, or give drop \(--drop on the command line\) to"
    )
    with pytest.raises(DataError, match=expected):
        open_data(pets, attributes=table)
    data = open_data(pets, attributes=table, drop=True)
    assert reds(data) == [1, 2, 3]
    assert data.card["left_out"] == {
        "dog/4.png": f"named in a.csv, not in {pets}",
        "dog/5.png": f"named in a.csv, not in {pets}",
        "dog/3.png": "has no line in a.csv",
    }
    # A terminal shows the first few notes alone.
    assert data.card["notes"][0] == (
        f"left out: named in a.csv, not in {pets}: 2 (dog/4.png, dog/5.png); has no line in a.csv: 1 (dog/3.png)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PETS.replace(",", ";"), r"a\.csv is separated by ';'; write it with ',' between the cells"),
        (PETS.replace(",", "\t"), r"a\.csv is separated by '\\t'; write it with ','"),
        ("file,color\ncat/1.png,red,\n", r"a\.csv cannot be read as a table \(.*Expected 2 fields in line 2, saw 3\)"),
        ("file,color,color\ncat/1.png,red,blue\n", r"a\.csv has two columns 'color'; rename one of them"),
        ("file,color, color\ncat/1.png,red,blue\n", r"a\.csv has two columns 'color'"),
    ],
)
def test_tables_whose_cells_cannot_be_told_apart(pets, tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        open_data(pets, attributes=write(tmp_path / "a.csv", text))


def test_the_index_that_pandas_writes_is_no_attribute(pets, tmp_path):
    lines = PETS.splitlines()
    for head in ("", "Unnamed: 0"):
        text = "\n".join([f"{head},{lines[0]}", *(f"{row},{one}" for row, one in enumerate(lines[1:]))])
        with_index = open_data(pets, attributes=write(tmp_path / "a.csv", text))
        assert with_index.attributes == open_data(pets, attributes=write(tmp_path / "b.csv", PETS)).attributes


def test_a_label_that_neither_side_has(pets, tmp_path):
    with pytest.raises(
        DataError, match=r"its classes are its folders; a\.csv has no column 'Color' either, it has file"
    ):
        open_data(pets, attributes=write(tmp_path / "a.csv", PETS), label="Color")


@pytest.mark.parametrize("empty", ["", "NaN", "NA", "  "])
def test_empty_cells_are_an_error_or_left_out(pets, tmp_path, empty):
    table = write(tmp_path / "a.csv", PETS.replace("2.png,blue", f"2.png,{empty}"))
    expected = r"color is empty for 1 images of .* \(cat/2\.png\); fill it in, or give drop \(--drop on"
    with pytest.raises(DataError, match=expected):
        open_data(pets, attributes=table)
    data = open_data(pets, attributes=table, drop=True)
    assert (reds(data), data.card["left_out"]) == ([1, 3, 4], {"cat/2.png": "color is empty"})


def test_an_attribute_of_one_value_is_said(pets, tmp_path):
    data = open_data(pets, attributes=write(tmp_path / "a.csv", PETS.replace("blue", "red")))
    assert "color is red for every image: there is no other group to compare with" in data.card["notes"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,color\na.png,red\n", r"no line of a\.csv names an image of .*begins with a\.png, the images with cat/1"),
        (PETS + "cat/1.png,red,3\n", r"a\.csv has more than one line for 1 files \(cat/1\.png\)"),
        (PETS.replace("color", "prediction"), r"an attribute cannot be called 'prediction'"),
        (PETS.replace("color", "label"), r"say different things about 'label'; to read it from the table, give label="),
        ("file,a\n,b\ncat/1.png,c\n", r"column 'file' is empty in 1 lines \(first: line 2\)"),
        ("file\ncat/1.png\ncat/2.png\ndog/1.png\ndog/3.png\n", r"has no column but 'file'"),
        ("file,color\n", r"a\.csv has no lines"),
        ('file,color\n"cat/1.png,red\n', r"a\.csv cannot be read as a table"),
        ("", r"a\.csv cannot be read as a table"),
    ],
)
def test_tables_that_do_not_fit(pets, tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        open_data(pets, attributes=write(tmp_path / "a.csv", text))


def test_a_table_that_is_none(pets, tmp_path):
    with pytest.raises(DataError, match=r"a\.xlsx is no table that is read here; give a \.csv"):
        open_data(pets, attributes=write(tmp_path / "a.xlsx", "x"))
    with pytest.raises(DataError, match=r"nowhere\.csv cannot be read as a table"):
        open_data(pets, attributes=tmp_path / "nowhere.csv")


def test_labels_may_come_from_the_table(tmp_path):
    root = draw(tmp_path / "x", {"1.png": 1, "2.png": 2, "3.png": 3})
    table = write(tmp_path / "a.csv", "name,y,sex,split\n1.png,10,f,1\n2.png,9,m,0\n3.png,9,f,2\n")
    data = open_data(root, attributes=table)
    assert (data.classes, data.attributes) == (("9", "10"), ("sex",))
    assert told(data, "label", "split") == [("10", "val"), ("9", "train"), ("9", "test")]
    other = open_data(root, attributes=table, label="sex")
    assert (other.classes, other.attributes) == (("f", "m"), ("y",))
    with pytest.raises(DataError, match=r"has no metadata file with a column 'sexx'"):
        open_data(root, attributes=table, label="sexx")


def test_labels_of_the_table_take_the_place_of_the_folders(pets, tmp_path):
    table = write(tmp_path / "a.csv", PETS.replace("color", "label"))
    data = open_data(pets, attributes=table, label="label")
    assert (data.classes, data.attributes) == (("blue", "red"), ("age",))


def test_groups_are_those_that_are_asked_for(pets, tmp_path):
    table = write(tmp_path / "a.csv", PETS)
    data = open_data(pets, attributes=table, group_by=["age"])
    assert (data.attributes, data.group_by) == (("color", "age"), ("age",))
    with pytest.raises(DataError, match=r"no attribute 'agee' to group by; did you mean age\?"):
        open_data(pets, attributes=table, group_by=["agee"])
    # A cell that is empty matters in a column that is asked for.
    holes = write(tmp_path / "b.csv", PETS.replace("2.png,blue", "2.png,"))
    kept = open_data(pets, attributes=holes, group_by=["age"])
    assert kept.attributes == ("age",)
    assert (
        "the column color was left out: it is empty for some images, and was not named in group_by"
        in (kept.card["notes"])
    )
    with pytest.raises(DataError, match="color is empty for 1 images"):
        open_data(pets, attributes=holes, group_by=["color"])


def test_an_id_is_no_attribute(tmp_path):
    count = MOST_VALUES + 1
    root = draw(tmp_path / "x", {f"{'ab'[number % 2]}/{number}.png": number for number in range(count)})
    lines = [f"{'ab'[number % 2]}/{number}.png,{number},{number % 3}" for number in range(count)]
    table = write(tmp_path / "a.csv", "file,id,color\n" + "\n".join(lines))
    data = open_data(root, attributes=table)
    assert data.attributes == ("color",)
    assert (
        f"the column id was left out: it has {count} different values, and was not named in group_by"
        in (data.card["notes"])
    )
    assert open_data(root, attributes=table, group_by=["id"]).group_shape == (2, count)


# --------------------------------------------------------------------------------------- Hugging Face's imagefolder


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_in_every_split(tmp_path, kind):
    root = draw(tmp_path / "x", {"train/a.png": 1, "train/deep/b.png": 2, "test/a.png": 3})
    for split, lines in {
        "train": [("a.png", "x", "p"), ("deep/b.png", "y", "q")],
        "test": [("a.png", "y", "p")],
    }.items():
        frame = pd.DataFrame(lines, columns=["file_name", "label", "color"])
        path = root / split / f"metadata.{kind}"
        if kind == "jsonl":
            frame.to_json(path, orient="records", lines=True)
        else:
            getattr(frame, f"to_{kind}")(path, index=False)
    data = open_data(root)
    expected = [("y", "p", "test"), ("x", "p", "train"), ("y", "q", "train")]
    assert (reds(data), told(data, "label", "color", "split")) == ([3, 1, 2], expected)


def test_metadata_in_the_root_with_classes_as_folders(pets):
    lines = [f"{name},{color}\n" for name, color, _ in (line.split(",") for line in PETS.splitlines()[1:])]
    write(pets / "metadata.csv", "file_name,color\n" + "".join(lines))
    data = open_data(pets)
    assert told(data, "label", "color") == [("cat", "red"), ("cat", "blue"), ("dog", "blue"), ("dog", "red")]
    draw(pets, {"dog/9.png": 9})
    with pytest.raises(DataError, match=r"metadata\.csv does not fit .*: files without a line: 1 \(dog/9\.png\)"):
        open_data(pets)


def test_metadata_without_file_names(pets):
    write(pets / "cat" / "metadata.csv", "picture,color\n1.png,red\n")
    with pytest.raises(DataError, match=r"cat/metadata\.csv has no column file_name; it has picture, color"):
        open_data(pets)


# ------------------------------------------------------------------------------------ WILDS, group_DRO, SubpopBench


def birds(root, head, splits=("0", "1", "2", "2"), start=""):
    """Four birds; ``head`` orders and names the columns."""
    draw(root, {f"{start}{number:03d}/{number}.jpg": 60 * number for number in range(4)})
    values = {
        "img_id": [str(number) for number in range(4)],
        "img_filename": [f"{number:03d}/{number}.jpg" for number in range(4)],
        "y": list("0110"),
        "split": list(splits),
        "place": list("0101"),
    }
    lines = [",".join(values[of][row] for of in head.values()) for row in range(4)]
    (root / "metadata.csv").write_text(",".join(head) + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return root


GROUP_DRO = {name: name for name in ("img_id", "img_filename", "y", "split", "place")}


def test_group_dro(tmp_path):
    data = open_data(birds(tmp_path / "birds", GROUP_DRO), group_by=["place"])
    assert [round(red / 60) for red in reds(data)] == [0, 1, 2, 3]
    assert told(data, "label", "place", "split") == [
        ("0", "0", "train"),
        ("1", "1", "val"),
        ("1", "0", "test"),
        ("0", "1", "test"),
    ]
    assert data.splits == ("train", "test", "val")


def test_subpopbench(tmp_path):
    # The table stands beside the folder of the images, and names files below that folder.
    head = {"id": "img_id", "filename": "img_filename", "split": "split", "y": "y", "a": "place"}
    root = birds(tmp_path / "birds", head, start="waterbird_complete95/")
    (root / "metadata.csv").rename(root / "metadata_waterbirds.csv")
    data = open_data(root, group_by=["a"])
    assert told(data, "label", "a")[3] == ("0", "1")
    assert [round(red / 60) for red in reds(data)] == [0, 1, 2, 3]


def test_splits_by_name(tmp_path):
    data = open_data(birds(tmp_path / "birds", GROUP_DRO, splits=("train", "id_val", "test", "Validation")))
    assert told(data, "split") == [("train",), ("id_val",), ("test",), ("val",)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "001/1.jpg").unlink(), r"lines without a file: 1 \(001/1\.jpg\)"),
        (lambda root: draw(root, {"004/4.jpg": 9}), r"files without a line: 1 \(004/4\.jpg\)"),
        (
            lambda root: write(root / "metadata2.csv", "img_filename,y\n"),
            r"holds metadata\.csv, metadata2\.csv; expected",
        ),
        (lambda root: write(root / "metadata.csv", "img_filename,z\n001/1.jpg,1\n"), r"no column label or y"),
        (lambda root: write(root / "metadata.csv", "photo,y\n001/1.jpg,1\n"), r"no column file_name or img_filename"),
    ],
)
def test_wilds_that_does_not_fit(tmp_path, change, message):
    root = birds(tmp_path / "birds", GROUP_DRO)
    change(root)
    with pytest.raises(DataError, match=message):
        open_data(root)


def test_a_label_of_another_name(tmp_path):
    data = open_data(birds(tmp_path / "birds", GROUP_DRO), label="place")
    assert (data.classes, data.attributes) == (("0", "1"), ("img_id", "y"))
    with pytest.raises(DataError, match=r"has no column 'plcae' for the labels; did you mean place\?"):
        open_data(tmp_path / "birds", label="plcae")


# ------------------------------------------------------------------------------------------------------- parquet


def rows_of(path, values, *, image="image", names=None, **columns):
    """Encoded images of one color, with columns; ``names`` become ClassLabels."""
    images_ = [{"bytes": encoded((value, 0, 0)), "path": None} for value in values]
    table = pyarrow.table({image: images_, **columns})
    features = {name: {"names": list(known), "_type": "ClassLabel"} for name, known in (names or {}).items()}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)


def test_parquet_with_attributes(tmp_path):
    names = {"label": ["cup", "pen"], "color": ["red", "blue", "green"]}
    rows_of(
        tmp_path / "data/train-00000-of-00001.parquet", [1, 2], names=names, label=[1, 0], color=[0, 1], age=[9, 10]
    )
    rows_of(tmp_path / "data/validation-00000-of-00001.parquet", [3], names=names, label=[1], color=[1], age=[10])
    data = open_data(tmp_path)
    assert reds(data) == [1, 2, 3]
    assert told(data, "label", "color", "age", "split") == [
        ("pen", "red", "9", "train"),
        ("cup", "blue", "10", "train"),
        ("pen", "blue", "10", "test"),
    ]
    assert data.classes == ("cup", "pen")


def test_one_parquet_file_is_a_test_set(tmp_path):
    rows_of(tmp_path / "some.parquet", [1, 2], image="img", label=["b", "a"], boxes=[[1], [2]])
    data = open_data(tmp_path / "some.parquet")
    assert told(data, "label", "split") == [("b", "test"), ("a", "test")]
    assert f"the columns boxes of {tmp_path} hold no plain values and were left out" in data.card["notes"]


def test_parquet_without_a_value(tmp_path):
    # -1 is the convention for what nobody labeled.
    rows_of(tmp_path / "test.parquet", [1, 2], names={"color": ["red"]}, label=["b", "a"], color=[0, -1])
    with pytest.raises(DataError, match=r"color is empty for 1 images of .*test\.parquet row 1"):
        open_data(tmp_path)


def test_parquet_without_images(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"label": [1], "x": [2]}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"test\.parquet has no column 'image' but label, x"):
        open_data(tmp_path)


# ---------------------------------------------------------------------------------------------- strange files


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(pets):
    (pets / "cat" / "9.png").symlink_to(pets / "gone.png")
    (pets / "cat" / "notes.txt").symlink_to(pets / "gone.txt")
    with pytest.raises(DataError, match=r"cat/9\.png: not a readable image .*skip_corrupt"):
        open_data(pets)
    data = open_data(pets, skip_corrupt=True)
    assert (len(data), list(data.card["skipped"])) == (4, ["cat/9.png"])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text(pets):
    os.rename(pets / "cat", os.fsencode(pets) + b"/c\xff")
    with pytest.raises(DataError, match=r"the name of a file or folder is no UTF-8 text; rename it"):
        open_data(pets)


def test_sizes_beyond_all_memory(pets, tmp_path):
    with pytest.raises(SpecError, match=r"size=100000, resize=None: expected at most 4,096 pixels"):
        open_data(pets, size=100_000)
    with pytest.raises(SpecError, match="expected at most"):
        open_data(pets, size=224, resize=100_000)
    draw(tmp_path / "strips", {"a/0.png": 1, "b/0.png": 2}, size=(4000, 1))
    with pytest.raises(
        DataError, match=r"a/0\.png: not a readable image \(4000 x 1 pixels would become 896000 x 224\)"
    ):
        open_data(tmp_path / "strips", size=224)
    assert open_data(tmp_path / "strips", size=8).images.shape == (3, 8, 8)


def test_a_set_without_a_name():
    with pytest.raises(SpecError, match="no data set is named"):
        open_data(" ")


def test_folders_in_that_of_a_class_are_said(tmp_path):
    # Domains that lack a class are no domains: art and photo would else be labels without a word.
    root = draw(tmp_path / "x", {"art/cat/1.png": 1, "art/dog/1.png": 2, "photo/cat/1.png": 3})
    data = open_data(root)
    assert data.classes == ("art", "photo")
    assert "folders in that of a class, such as art/cat, were taken as part of it" in data.card["notes"]
    flat = draw(tmp_path / "y", {"test/art/1.png": 1, "test/photo/1.png": 3})
    assert "notes" not in open_data(flat).card


def test_of_two_columns_of_labels_one_is_said_to_be_left_out(tmp_path):
    draw(tmp_path, {f"{row}.png": row for row in range(4)})
    write(tmp_path / "metadata.csv", "filename,y,label\n0.png,a,p\n1.png,b,p\n2.png,a,q\n3.png,b,q\n")
    data = open_data(tmp_path)
    assert told(data, "label") == [("a",), ("b",), ("a",), ("b",)]
    assert "labels are the column y of metadata.csv; its column label was left out" in data.card["notes"]


# ---------------------------------------------------------------------------------------------- LfF and DomainBed


def bffhq(root):
    return draw(
        root,
        {
            "5pct/align/0/1_0_0.png": 1,
            "5pct/align/1/2_1_1.png": 2,
            "5pct/conflict/0/3_0_1.png": 3,
            "5pct/valid/4_1_0.png": 4,
            "test/1/5_1_0.png": 5,
            "test/6_0_0.png": 6,
        },
    )


@pytest.mark.parametrize("inside", ["", "5pct"])
def test_lff(tmp_path, inside):
    data = open_data(bffhq(tmp_path / "bffhq") / inside)
    found = dict(zip(reds(data), told(data, "label", "a", "split"), strict=True))
    assert found == {
        1: ("0", "0", "train"),
        2: ("1", "1", "train"),
        3: ("0", "1", "train"),
        4: ("1", "0", "val"),
        5: ("1", "0", "test"),
        6: ("0", "0", "test"),
    }
    assert data.name == "bffhq"


def test_lff_of_several_shares(tmp_path):
    root = draw(bffhq(tmp_path / "bffhq"), {"1pct/align/0/1_0_0.png": 1})
    with pytest.raises(DataError, match=r"holds 1pct, 5pct; name one of them"):
        open_data(root)
    assert len(open_data(root / "1pct")) == 3


def test_lff_with_a_file_of_another_name(tmp_path):
    root = draw(bffhq(tmp_path / "bffhq"), {"5pct/align/0/seven.png": 7})
    with pytest.raises(DataError, match=r"1 images are not of this layout \(5pct/align/0/seven\.png\)"):
        open_data(root)


def test_domainbed(tmp_path):
    files = {f"{domain}/{name}/1.png": red for red, domain in enumerate(("art", "photo")) for name in ("cat", "dog")}
    root = draw(tmp_path / "pacs", files)
    data = open_data(root)
    assert told(data, "label", "domain") == [("cat", "art"), ("dog", "art"), ("cat", "photo"), ("dog", "photo")]
    assert f"{root} was read as DOMAIN/CLASS/, with the attribute domain" in data.card["notes"]
    assert open_data(root, layout="imagefolder").classes == ("art", "photo")
    draw(root, {"photo/bird/1.png": 3})  # then the folders are classes, with folders of their own
    assert open_data(root).classes == ("art", "photo")
    assert open_data(root, layout="domainbed").classes == ("bird", "cat", "dog")


def test_domainbed_in_a_folder_of_images(tmp_path):
    files = {f"images/{domain}/{name}/1.png": 1 for domain in ("art", "photo") for name in ("cat", "dog")}
    root = draw(tmp_path / "pacs", files)
    data = open_data(root)
    assert told(data, "label", "domain") == [("cat", "art"), ("dog", "art"), ("cat", "photo"), ("dog", "photo")]
    assert f"{root} was read as images/DOMAIN/CLASS/, with the attribute domain" in data.card["notes"]
    draw(root, {"images/art/2.png": 3})
    with pytest.raises(DataError, match=r"images/art/2\.png does not lie in DOMAIN/CLASS/"):
        open_data(root, layout="domainbed")
    splits = {f"images/{split}/{name}/1.png": 1 for split in ("train", "test") for name in ("cat", "dog")}
    with pytest.raises(DataError, match="has no labels: expected a folder for each of two classes"):
        open_data(draw(tmp_path / "split", splits))


# --------------------------------------------------------------------------------------------------------- options


def test_names_and_built_sets_are_opened_as_ever(tmp_path):
    assert open_data("colordigits").fingerprint == bk.load("colordigits").fingerprint
    save_dataset(tiny(), tmp_path / "set")
    assert open_data(tmp_path / "set").fingerprint == tiny().fingerprint
    with pytest.raises(SpecError, match=r"set was built by biaskit; leave size out"):
        open_data(tmp_path / "set", size=8)
    with pytest.raises(SpecError, match=r"there is no folder colordigits; leave attributes out"):
        open_data("colordigits", attributes="a.csv")
    with pytest.raises(UnknownName, match="no folder or dataset 'colordigit'; nearest: colordigits"):
        open_data("colordigit")
    # A typo of a folder is that, whatever was said of its images.
    for options in ({}, {"attributes": "a.csv"}, {"size": 8}):
        with pytest.raises(UnknownName, match=r"^no folder or dataset 'fotos', nor .*; see: biaskit list datasets$"):
            open_data("fotos", **options)


def test_a_folder_needs_no_option_to_be_loaded(pets):
    assert bk.load(pets).fingerprint == open_data(pets).fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": 8}, "resize=8 says nothing without size"),
        ({"size": 8, "resize": 7}, "expected 1 <= size <= resize"),
        ({"size": 0}, "expected 1 <= size"),
        ({"layout": "imagefolders"}, r"no layout 'imagefolders'; did you mean imagefolder\?"),
        ({"layout": "x"}, "no layout 'x'; there are imagefolder, parquet, wilds, lff, domainbed"),
    ],
)
def test_options_that_do_not_fit(pets, options, message):
    with pytest.raises(SpecError, match=message):
        open_data(pets, **options)


def test_splits_that_nobody_told_of(pets):
    with pytest.raises(DataError, match=r"tells of no splits; leave split=val out"):
        open_data(pets, split="val")


def test_a_file_is_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"a\.zip is a file; give the folder"):
        open_data(write(tmp_path / "a.zip", "x"))


# ---------------------------------------------------------------------------------------------------------- pixels


@pytest.fixture
def photos(tmp_path):
    """JPEGs of noise, of odd sizes both ways, some of them gray or with a palette."""
    rng = np.random.default_rng(0)
    root = tmp_path / "photos"
    for number, (width, height) in enumerate([(37, 50), (61, 33), (40, 40), (33, 90), (32, 32), (41, 64)]):
        path = root / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        image.convert("L" if number == 2 else "RGB").save(path, quality=80)
    Image.fromarray(rng.integers(0, 256, (45, 45, 3), np.uint8)).convert("P").save(root / "a" / "palette.png")
    return root


@pytest.mark.parametrize(("size", "resize"), [(32, None), (24, 32), (17, 29)])
def test_pixels_are_those_of_torchvision(photos, size, resize):
    data = open_data(photos, size=size, resize=resize)
    transform = torchvision.transforms.Compose(
        [torchvision.transforms.Resize(resize or size), torchvision.transforms.CenterCrop(size)]
    )
    paths = sorted(photos.rglob("*.*"), key=lambda path: path.relative_to(photos).as_posix())
    expected = [np.asarray(transform(Image.open(path).convert("RGB"))) for path in paths]
    assert np.array_equal(data.images.gather(torch.arange(len(data))).permute(0, 2, 3, 1).numpy(), np.stack(expected))


def test_images_of_different_sizes_are_named_also_when_corrupt_ones_are_skipped(photos):
    for skip in (False, True):
        with pytest.raises(DataError, match=r"is \d+ x \d+ pixels, the first image .*give size=N"):
            open_data(photos, skip_corrupt=skip)


@pytest.mark.parametrize("large", [False, True])
def test_corrupt_images_are_named_or_skipped_and_counted(tmp_path, monkeypatch, large):
    if large:
        monkeypatch.setattr(images, "IN_MEMORY", 10)
    rng = np.random.default_rng(1)
    root = tmp_path / "photos"
    for number in range(400):
        path = root / "ab"[number % 2] / f"{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(path)
    bad = [root / "a" / "000.jpg", root / "b" / "231.jpg"]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(bad[1].read_bytes()[:-100])
    with pytest.raises(
        DataError, match=r"a/000\.jpg: not a readable image \(cannot identify .*\); repair or remove it"
    ):
        open_data(root)
    data = open_data(root, skip_corrupt=True)
    assert isinstance(data.images, EncodedImages) is large
    assert (len(data), list(data.card["skipped"])) == (398, ["a/000.jpg", "b/231.jpg"])
    assert "truncated" in data.card["skipped"]["b/231.jpg"]
    assert "2 images could not be read and were skipped: a/000.jpg, b/231.jpg" in data.card["notes"]
    # The rows behind a skipped one are those of their own files.
    name = "b/399.jpg"
    last = np.asarray(Image.open(root / name).convert("RGB"))
    assert np.array_equal(data.images.gather(torch.tensor([397]))[0].permute(1, 2, 0).numpy(), last)
    assert told(data, "label")[-1] == ("b",)
    save_dataset(data, tmp_path / "kept")
    assert bk.load(tmp_path / "kept").card["skipped"] == data.card["skipped"]


def test_nothing_but_corrupt_images(pets):
    for path in pets.rglob("*.png"):
        path.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"none of the 4 images can be read; .*dog/3\.png: not a readable image"):
        open_data(pets, skip_corrupt=True)


def test_large_sets_stay_encoded(pets, monkeypatch):
    held = open_data(pets)
    monkeypatch.setattr(images, "IN_MEMORY", 10)
    lazy = open_data(pets)
    assert isinstance(lazy.images, EncodedImages)
    assert lazy.fingerprint == held.fingerprint


def test_gray_images_are_gray_when_they_are_asked_for(tmp_path):
    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(tmp_path / "x.png")
    found, skipped = open_images([tmp_path / "x.png"], channels=1)
    assert (found.shape, skipped) == ((1, 2, 3), {})
    assert found.gather(torch.tensor([0])).flatten().tolist() == list(range(6))


# ------------------------------------------------------------------------------------------------------- an audit


def test_a_model_is_audited_on_a_folder(tmp_path):
    """Accuracy by group, worked out by hand: the model calls the brighter images dog."""
    values = {"cat/1.png": 10, "cat/2.png": 200, "dog/3.png": 250, "dog/4.png": 220, "dog/5.png": 30}
    root = draw(tmp_path / "pets", values, size=(8, 8))
    lines = ["cat/1.png,in", "cat/2.png,out", "dog/3.png,out", "dog/4.png,in", "dog/5.png,in"]
    table = write(tmp_path / "a.csv", "file,place\n" + "\n".join(lines))

    class Bright(torch.nn.Module):
        def forward(self, pixels):
            red = pixels[:, 0].mean(dim=(1, 2))
            return torch.stack([0.5 - red, red - 0.5], dim=1)

    found = bk.audit(Bright(), open_data(root, attributes=table), analyzers=["group_accuracy"], device="cpu")
    groups = found["group_accuracy"].table.set_index(["label", "place"])["accuracy"].to_dict()
    assert groups == {("cat", "in"): 1.0, ("cat", "out"): 0.0, ("dog", "in"): 0.5, ("dog", "out"): 1.0}
    assert not any(math.isnan(value) for value in groups.values())
