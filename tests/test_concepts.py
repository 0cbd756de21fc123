"""Concepts on images: held, stored with a data set, and in the layout of Broden."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

import biaskit as bk
from biaskit import testing
from biaskit.broden import broden_fingerprint
from biaskit.concepts import ordered
from biaskit.disk import open_dataset, save_dataset, verify
from biaskit.errors import DataError, StoreError

SIX = "image,split,ih,iw,sh,sw,color,object,material,part,scene,texture"


def everything(planes):
    return planes.gather(torch.arange(len(planes)))


def data_with(labels, names, categories, side=8):
    """Gray images with concepts given as (N, P, H, W)."""
    labels = np.asarray(labels)
    images = np.arange(len(labels) * side * side, dtype=np.uint8).reshape(len(labels), side, side)
    concepts = bk.Concepts(bk.ArrayPlanes(labels), tuple(names), tuple(categories))
    return bk.Dataset.from_arrays(images, list(range(len(labels)))).replace(concepts=concepts)


def rich():
    """Three images, three planes: 300 labels, so that one needs a second byte; a whole image, an empty plane."""
    labels = np.zeros((3, 3, 8, 8), np.uint16)
    labels[0, 0] = np.arange(64).reshape(8, 8) % 5
    labels[0, 1, 2:5, 2:5] = 299
    labels[1, 1, :4] = 257
    labels[1, 2] = 300
    labels[2, 0, 0, 0] = 255
    categories = ["color"] * 256 + ["object"] * 43 + ["scene"]
    return data_with(labels, [f"label {number}" for number in range(1, 301)], categories)


@pytest.fixture
def broden(tmp_path):
    """Two images of 4 x 6, segmentations of half the size, written by hand."""

    def png(name, red, green=0):
        pixels = np.zeros((2, 3, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = red, green
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    def write(index=None, labels=None):
        for name, value in (("one.jpg", 40), ("two.jpg", 200)):
            (tmp_path / "images" / "set").mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (6, 4), (value, value, value)).save(tmp_path / "images" / "set" / name)
        png("set/one_color.png", [[1, 1, 0], [0, 2, 2]])
        png("set/one_object.png", [[3, 0, 0], [0, 0, 0]])
        png("set/one_object_2.png", [[0, 0, 4], [0, 0, 0]])
        rows = index or [
            SIX,
            "set/one.jpg,train,4,6,2,3,set/one_color.png,set/one_object.png;set/one_object_2.png,,,,",
            "set/two.jpg,val,4,6,2,3,,3,,,5,6;7",
        ]
        (tmp_path / "index.csv").write_text("\n".join(rows) + "\n")
        listed = labels or [
            "number,name,category,frequency,coverage,syns",
            "1,red-c,color(1),1,.3,",
            "2,blue-c,color(1),1,.3,",
            "3,wood,material(9);object(2),11,.3,timber",
            "4,cup,object(1),1,.1,",
            "5,street-s,scene(1),1,1,",
            "6,striped,texture(1),1,1,",
            "7,dotted,texture(1),1,1,",
        ]
        (tmp_path / "label.csv").write_text("\n".join(listed) + "\n")
        return tmp_path

    write.png = png
    return write


def test_concepts_say_what_does_not_fit():
    planes = bk.ArrayPlanes(np.zeros((2, 1, 4, 4), np.uint8))
    with pytest.raises(DataError, match="2 labels but 1 categories"):
        bk.Concepts(planes, ("a", "b"), ("color",))
    with pytest.raises(DataError, match="two labels are called 'a'"):
        bk.Concepts(planes, ("a", "a"), ("color", "object"))
    with pytest.raises(DataError, match="label 2 has no name"):
        bk.Concepts(planes, ("a", " "), ("color", "object"))
    with pytest.raises(DataError, match="label 1 has no category"):
        bk.Concepts(planes, ("a", "b"), ("", "object"))
    with pytest.raises(DataError, match="one at least"):
        bk.Concepts(planes, (), ())
    with pytest.raises(DataError, match=r"got \(2, 4, 4\), uint8"):
        bk.ArrayPlanes(np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(DataError, match="int64"):
        bk.ArrayPlanes(np.zeros((2, 1, 4, 4), np.int64))
    tiny, two = testing.tiny(per_group=2), bk.Concepts(planes, ("a",), ("color",))
    with pytest.raises(DataError, match="concepts of 2 images for 24"):
        tiny.replace(concepts=two)


def test_a_number_that_is_no_label_is_named():
    wrong = np.zeros((3, 1, 4, 4), np.uint8)
    wrong[1, 0, 2, 2] = 7
    concepts = bk.Concepts(bk.ArrayPlanes(wrong), ("a", "b"), ("color", "color"))
    with pytest.raises(DataError, match="image 1 has a pixel of label 7, but there are labels 1 to 2"):
        list(concepts.chunks())


def test_the_order_of_categories_is_that_of_broden():
    assert ordered(("texture", "made", "color", "texture", "art")) == ("color", "texture", "art", "made")


def test_a_data_set_keeps_its_concepts(tmp_path):
    data = rich()
    save_dataset(data, tmp_path / "set")
    verify(tmp_path / "set")
    back = open_dataset(tmp_path / "set")
    assert (back.concepts.names, back.concepts.categories) == (data.concepts.names, data.concepts.categories)
    assert torch.equal(everything(back.concepts), everything(data.concepts))
    assert back.fingerprint == data.fingerprint
    assert np.load(tmp_path / "set" / "concepts.npy").dtype == np.uint16

    save_dataset(back.replace(concepts=None), tmp_path / "without")
    assert open_dataset(tmp_path / "without").concepts is None
    (tmp_path / "set" / "concepts.npy").unlink()
    with pytest.raises(DataError, match=r"concepts\.npy is missing"):
        open_dataset(tmp_path / "set")
    with pytest.raises(DataError, match=r"concepts\.npy is missing"):
        verify(tmp_path / "set")


def test_few_labels_take_a_byte_each(tmp_path):
    save_dataset(testing.tiny(concepts=True), tmp_path / "set")
    assert np.load(tmp_path / "set" / "concepts.npy").dtype == np.uint8


def test_the_fingerprint_covers_concepts():
    data = testing.tiny(concepts=True)
    planes = everything(data.concepts).numpy().astype(np.uint8)
    planes[0, 0, 0, 0] = 3 - planes[0, 0, 0, 0] % 2
    moved = bk.Concepts(bk.ArrayPlanes(planes), data.concepts.names, data.concepts.categories)
    named = bk.Concepts(data.concepts.planes, ("red", "blue", "block"), data.concepts.categories)
    prints = {one.fingerprint for one in (data, *(data.replace(concepts=one) for one in (moved, named, None)))}
    assert len(prints) == 4


# The layout of Broden


def test_what_is_written_is_read_again(tmp_path):
    data = rich()
    bk.write_broden(data, tmp_path / "broden")
    images, concepts = bk.open_broden(tmp_path / "broden")
    assert torch.equal(everything(images), everything(data.images).expand(-1, 3, -1, -1))
    assert (concepts.names, concepts.categories) == (data.concepts.names, data.concepts.categories)
    assert torch.equal(everything(concepts), everything(data.concepts))
    with (tmp_path / "broden" / "index.csv").open() as stream:
        lines = list(csv.reader(stream))
    assert lines[0] == SIX.split(",")
    assert lines[1] == [
        *("000000.png", "val", "8", "8", "8", "8"),
        *("000000_color.png", "000000_object.png", "", "", "", ""),
    ]
    assert lines[2][6:] == ["", "000001_object.png", "", "", "300", ""]


def test_the_files_beside_the_index(tmp_path):
    bk.write_broden(testing.tiny(concepts=True), tmp_path / "broden")
    found = {path.name: path.read_text().splitlines() for path in (tmp_path / "broden").glob("*.csv")}
    assert set(found) == {"index.csv", "label.csv", "category.csv", "c_color.csv", "c_object.csv"}
    # 16 test images of 64 pixels, 12 of them the square; 8 red and 8 blue.
    assert found["label.csv"] == [
        "number,name,category,frequency,coverage,syns",
        "1,red,color(8),8,6.500000,",
        "2,blue,color(8),8,6.500000,",
        "3,square,object(16),16,3.000000,",
    ]
    assert found["category.csv"] == ["name,first,last,count,frequency", "color,1,2,2,16", "object,3,3,1,16"]
    assert found["c_color.csv"] == ["code,number,name,frequency,coverage", "1,1,red,8,6.500000", "2,2,blue,8,6.500000"]


def test_a_plane_with_labels_of_two_categories_is_two_files(tmp_path):
    labels = np.ones((1, 1, 8, 8), np.uint8)
    labels[0, 0, :2] = 2
    bk.write_broden(data_with(labels, ["red", "cup"], ["color", "object"]), tmp_path / "broden")
    _, concepts = bk.open_broden(tmp_path / "broden")
    color, thing = everything(concepts)[0]
    assert concepts.planes.shape == (2, 8, 8)
    assert torch.equal(color + thing, torch.from_numpy(labels[0, 0].astype(np.int32)))
    assert not bool((color[:2] > 0).any())


def test_splits_of_a_written_set(tmp_path):
    data = testing.tiny(concepts=True)
    bk.write_broden(data, tmp_path / "broden", split="all")
    sizes = {split: len(bk.open_broden(tmp_path / "broden", split)[0]) for split in ("all", "train", "val")}
    assert sizes == {"all": 32, "train": 16, "val": 16}
    images, concepts = bk.open_broden(tmp_path / "broden", "train")
    rows = torch.from_numpy(data.rows("train"))
    assert torch.equal(everything(images), data.images.gather(rows))
    assert torch.equal(everything(concepts), data.concepts.gather(rows))


def test_writing_is_whole_or_not_at_all(tmp_path, broden):
    with pytest.raises(DataError, match="tiny has no concepts to write"):
        bk.write_broden(testing.tiny(), tmp_path / "new")
    bad = data_with(np.full((2, 1, 8, 8), 9, np.uint8), ["red"], ["color"])
    with pytest.raises(DataError, match="label 9"):
        bk.write_broden(bad, tmp_path / "new")
    assert not list(tmp_path.glob("*new*"))
    data = testing.tiny(concepts=True)
    bk.write_broden(data, tmp_path / "new")
    before = broden_fingerprint(tmp_path / "new")
    bk.write_broden(data, tmp_path / "new")  # its own folder is replaced
    assert broden_fingerprint(tmp_path / "new") != before
    with pytest.raises(StoreError, match="holds other files"):
        bk.write_broden(data, broden())  # somebody else's Broden is not


def test_a_folder_written_by_hand(broden):
    images, concepts = bk.open_broden(broden())
    assert (len(images), images.shape, concepts.planes.shape) == (2, (3, 4, 6), (6, 2, 3))
    assert images.gather(torch.tensor([1]))[0, :, 0, 0].tolist() == [200, 200, 200]
    assert concepts.names[2] == "wood"
    # One color, up to two objects, a scene, two textures; materials and parts have none.
    one, two = everything(concepts).tolist()
    assert one == [[[1, 1, 0], [0, 2, 2]], [[3, 0, 0], [0, 0, 0]], [[0, 0, 4], [0, 0, 0]], *[[[0] * 3] * 2] * 3]
    assert [plane[0][0] for plane in two] == [0, 3, 0, 5, 6, 7]
    assert all(len({number for line in plane for number in line}) == 1 for plane in two)


def test_the_category_of_a_label_is_the_one_it_covers_most_of(broden):
    folder = broden()
    assert bk.open_broden(folder)[1].categories[2] == "material"  # 9 images against 2
    codes = "code,number,name,frequency,coverage\n1,3,wood,{},{}\n"
    (folder / "c_material.csv").write_text(codes.format(9, 0.2))
    assert bk.open_broden(folder)[1].categories[2] == "material"  # one file alone says nothing
    (folder / "c_object.csv").write_text(codes.format(2, 1.5))
    assert bk.open_broden(folder)[1].categories[2] == "object"


def test_labels_have_two_bytes(broden):
    labels = ["number,name,category,frequency,coverage,syns"]
    labels += [f"{number},n{number},object(1),1,1," for number in range(1, 601)]
    folder = broden(labels=labels)
    broden.png("set/one_object.png", [[44, 0, 0], [0, 0, 0]], [[2, 0, 0], [0, 0, 1]])
    plane = everything(bk.open_broden(folder)[1])[0, 1]
    assert plane.tolist() == [[556, 0, 0], [0, 0, 256]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("set/one.jpg,val,4,6,2,3,set/gone.png,,,,,", r"row 1: .*set/gone\.png is missing"),
        ("set/gone.jpg,val,4,6,2,3,,3,,,,", r"row 1: .*set/gone\.jpg is missing"),
        ("set/one.jpg,val,4,6,2,3,,,,,8,", "row 1: label 8, but label.csv lists 1 to 7"),
        ("set/one.jpg,val,4,6,2,3,,", "row 1: not one cell for each of the 12 columns"),
        ("set/one.jpg,val,4,six,2,3,,3,,,,", "row 1: iw is 'six'; expected a whole number"),
        ("set/one.jpg,test,4,6,2,3,,3,,,,", "no rows in split 'val'; it has test"),
        ("set/one.jpg,val,4,6,2,3,,,,,,", "no image has a label in any category"),
    ],
)
def test_bad_lines_are_named(broden, line, said):
    with pytest.raises(DataError, match=said):
        bk.open_broden(broden(index=[SIX, line]), "val")


def test_bad_rows_further_down_are_named(broden):
    good = "set/one.jpg,val,4,6,2,3,,3,,,,"
    with pytest.raises(DataError, match=r"row 2: ih, iw, sh, sw are \(4, 6, 4, 6\), of the rows before"):
        bk.open_broden(broden(index=[SIX, good, "set/two.jpg,val,4,6,4,6,,3,,,,"]))
    # What is inside of a file is found when it is read, and the row counts lines of the file, not of the split.
    folder = broden(index=[SIX, good.replace("val", "train"), "set/two.jpg,val,4,6,2,3,set/two_color.png,,,,,"])
    broden.png("set/two_color.png", 9)
    with pytest.raises(DataError, match=r"row 2: .*two_color\.png has a pixel of label 9, but label\.csv lists 1 to 7"):
        everything(bk.open_broden(folder, "val")[1])
    Image.new("RGB", (3, 3)).save(folder / "images" / "set" / "two_color.png")
    with pytest.raises(DataError, match=r"row 2: .*two_color\.png is 3 x 3 pixels .*, the row says 2 x 3"):
        everything(bk.open_broden(folder)[1])
    (folder / "images" / "set" / "two.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"row 2: .*two\.jpg is not a readable image"):
        everything(bk.open_broden(folder)[0])
    (folder / "images" / "set" / "two.jpg").unlink()
    with pytest.raises(DataError, match=r"row 2: .*two\.jpg is missing"):
        bk.open_broden(folder)


def test_wrong_columns_and_labels_are_named(broden, tmp_path):
    with pytest.raises(DataError, match=r"index\.csv has no column 'sh'; it has image, split"):
        bk.open_broden(broden(index=["image,split,ih,iw,object", "set/one.jpg,val,4,6,3"]))
    with pytest.raises(DataError, match=r"label\.csv has no column 'category'"):
        bk.open_broden(broden(labels=["number,name", "1,red"]))
    with pytest.raises(DataError, match=r"label\.csv, row 2: label 3; expected labels 1, 2, 3"):
        bk.open_broden(broden(labels=["number,name,category", "1,red,color(1)", "3,blue,color(1)"]))
    with pytest.raises(DataError, match=r"label\.csv, row 1: category is 'color'"):
        bk.open_broden(broden(labels=["number,name,category", "1,red,color"]))
    folder = broden()
    (folder / "c_color.csv").write_text("code,number,name,frequency,coverage\n1,9,x,1,1\n")
    with pytest.raises(DataError, match=r"c_color\.csv, row 1: label 9, but label\.csv lists 1 to 7"):
        bk.open_broden(folder)
    with pytest.raises(DataError, match=r"label\.csv is missing; a folder in the layout of Broden"):
        bk.open_broden(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1,red,color(1)", "2,red,object(1)"], "row 2: 'red' is the name of label 1 too"),
        (["1,red,color(1)", "2, ,object(1)"], "row 2: label 2 has no name"),
        (["1,red,color;object(5)"], r"row 1: category is 'color;object\(5\)'"),
        (["1,red, (5)"], r"row 1: category is ' \(5\)'"),
        ([], r"label\.csv lists no label"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_named(broden, lines, said):
    with pytest.raises(DataError, match=said):
        bk.open_broden(broden(labels=["number,name,category", *lines]))


def test_what_would_be_read_wrongly_is_refused(broden):
    row = "set/one.jpg,val,4,6,2,3,1,3,,,,"
    with pytest.raises(DataError, match=r"index\.csv has two columns 'object'"):
        bk.open_broden(broden(index=[SIX.replace("color", "object"), row]))
    with pytest.raises(DataError, match=r"row 1: ih, iw, sh, sw are \(0, 6, 2, 3\); a side is 1 at least"):
        bk.open_broden(broden(index=[SIX, row.replace("4,6", "0,6")]))
    with pytest.raises(DataError, match=r"index\.csv has no rows$"):
        bk.open_broden(broden(index=[SIX]))
    folder = broden()
    for coverage in ("nan", "-1", "inf"):
        (folder / "c_color.csv").write_text(f"code,number,name,frequency,coverage\n1,1,red-c,1,{coverage}\n")
        with pytest.raises(DataError, match=rf"c_color\.csv, row 1: coverage is '{coverage}'"):
            bk.open_broden(folder)


def test_a_gray_segmentation_is_refused(broden):
    # Read as color, gray 1 is red 1 and green 1: label 257, which a long label.csv has.
    labels = ["number,name,category", *(f"{number},n{number},object(1)" for number in range(1, 601))]
    folder = broden(labels=labels)
    concepts = bk.open_broden(folder)[1]
    Image.fromarray(np.ones((2, 3), np.uint8)).save(folder / "images" / "set" / "one_object.png")
    with pytest.raises(DataError, match=r"row 1: .*one_object\.png has blue in it, and a label is red \+ 256 green"):
        everything(concepts)
    # An empty one is the same either way.
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(folder / "images" / "set" / "one_object.png")
    assert everything(concepts)[0, 1].max() == 0


@pytest.mark.parametrize("category", ["split", "my/part", "part;object", "part(1)"])
def test_a_category_that_the_layout_cannot_hold_is_refused(tmp_path, category):
    labels = np.ones((2, 1, 8, 8), np.uint8)
    labels[:, :, 0] = 0
    with pytest.raises(DataError, match=r"category '.*' cannot be a column"):
        bk.write_broden(data_with(labels, ["a"], [category]), tmp_path / "set", split="all")
    assert not list(tmp_path.iterdir())
    bk.write_broden(data_with(labels, ["a"], ["body part"]), tmp_path / "set", split="all")
    assert bk.open_broden(tmp_path / "set")[1].categories == ("body part",)


def test_the_fingerprint_of_a_folder_sees_every_file(broden):
    folder = broden()
    before = broden_fingerprint(folder)
    assert broden_fingerprint(folder) == before
    broden.png("set/one_color.png", [[1, 1, 0], [0, 2, 1]])
    assert broden_fingerprint(folder) != before


def test_the_command_line_writes_broden_too(tmp_path, capsys, monkeypatch):
    from biaskit.cli import main

    def run(*words):
        monkeypatch.setattr("sys.argv", ["biaskit", "build", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code

    made = testing.tiny(concepts=True)
    card = dict(made.card) | {"source": {"name": "nothing"}, "builder": []}
    monkeypatch.setattr("biaskit._build.build", lambda *_, **__: made.replace(card=card))
    out = ("--out", str(tmp_path / "data"), "--broden", str(tmp_path / "broden"))
    assert run("tiny", *out) in (0, None)
    assert "its 16 test images with segmentations" in capsys.readouterr().out
    assert len(bk.open_broden(tmp_path / "broden")[0]) == 16
    monkeypatch.setattr("biaskit._build.build", lambda *_, **__: testing.tiny())
    assert run("tiny", "--out", str(tmp_path / "other"), "--broden", str(tmp_path / "new")) == 2
    assert "tiny has no concepts to write" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
