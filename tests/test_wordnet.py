"""Distances in WordNet against NLTK, by hand and by brute force; and which noun a label stands for."""

import csv
import importlib.util
import random
import sys
from pathlib import Path

import nltk
import numpy as np
import pytest
from conftest import DATA
from hypothesis import given, settings
from hypothesis import strategies as st

import biaskit as bk
from biaskit.builders._shapes_objects import OBJECTS
from biaskit.cli import main
from biaskit.errors import DataError, SpecError
from biaskit.home import home
from biaskit.wordnet import _nltk, distances, fetch, synsets_of
from biaskit.wordnet._distances import find, paths
from biaskit.wordnet._labels import tables
from biaskit.wordnet._table import ROWS, table

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENET = tuple(tables()["imagenet"].values())

#: CIFAR-100's twenty groups of five, and a noun that each of the five must be a kind of.
GROUPS = {
    "mammal.n.01": "beaver dolphin otter seal whale camel cattle chimpanzee elephant kangaroo",
    "fish.n.01": "aquarium_fish flatfish ray shark trout",
    "vascular_plant.n.01": "orchid poppy rose sunflower tulip",
    "artifact.n.01": "bottle bowl can cup plate bridge castle house road skyscraper",
    "produce.n.01": "apple mushroom orange pear sweet_pepper",
    "instrumentality.n.03": "clock keyboard lamp telephone television",
    "furniture.n.01": "bed chair couch table wardrobe",
    "animal.n.01": "bee beetle butterfly caterpillar cockroach",
    "carnivore.n.01": "bear leopard lion tiger wolf",
    "physical_entity.n.01": "cloud forest mountain plain sea",
    "placental.n.01": "fox porcupine raccoon skunk hamster mouse rabbit shrew squirrel",
    "marsupial.n.01": "possum kangaroo",
    "invertebrate.n.01": "crab lobster snail spider worm",
    "person.n.01": "baby boy girl man woman",
    "reptile.n.01": "crocodile dinosaur lizard snake turtle",
    "tree.n.01": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "conveyance.n.03": "bicycle bus motorcycle pickup_truck train rocket streetcar tank tractor",
    "tool.n.01": "lawn_mower",
}


@pytest.fixture(scope="session")
def wordnet():
    """NLTK's own reader, set up as NLTK does it."""
    try:
        _nltk.reader()
    except DataError as error:
        pytest.skip(f"{error}")
    from nltk.corpus import wordnet as corpus

    return corpus


@pytest.fixture
def nowhere(monkeypatch):
    """A machine on which NLTK has no data."""
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(_nltk, "reader", _nltk.reader.__wrapped__)
    monkeypatch.setattr(_nltk, "_nouns", _nltk._nouns.__wrapped__)


def small_wordnet(root, version="3.0"):
    """Three nouns in WordNet's format below ``root``: blob, a kind of thing, and an instance of it called Bob."""
    folder = root / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for part in ("adj", "adv", "noun", "verb"):
        for name in (f"index.{part}", f"data.{part}", f"{part}.exc"):
            (folder / name).write_text(f"  1 WordNet {version} Copyright 2006  \n" if name == "data.adj" else "")
    (folder / "lexnames").write_text("00\tadj.all\t3\n01\tadj.pert\t3\n02\tadv.all\t4\n03\tnoun.Tops\t1\n")
    at, lines = {"thing": 0, "blob": 0, "Bob": 0}, []
    for name, pointers in (("thing", ""), ("blob", "@ {thing}"), ("Bob", "@i {blob}")):
        at[name] = sum(len(line) for line in lines)
        ups = [
            f"{one.format(**{word: f'{place:08d}' for word, place in at.items()})} n 0000" for one in [pointers] if one
        ]
        lines.append(f"{at[name]:08d} 03 n 01 {name} 0 {len(ups):03d} {' '.join(ups)} | what it is  \n")
    (folder / "data.noun").write_text("".join(lines))
    (folder / "index.noun").write_text("".join(f"{one.lower()} n 1 0 1 0 {place:08d}  \n" for one, place in at.items()))
    senses = (f"{one.lower()}%1:03:00:: {place:08d} 1 0\n" for one, place in sorted(at.items()))
    (folder / "index.sense").write_text("".join(senses))
    return folder


# ------------------------------------------------------------------------------------------------------- distances


def test_cifar10_has_its_known_distances():
    found = distances(synsets_of(CIFAR10, "cifar10"))
    at = {name: number for number, name in enumerate(CIFAR10)}
    known = {
        ("airplane", "ship"): 5,
        ("airplane", "automobile"): 8,
        ("automobile", "truck"): 2,
        ("automobile", "ship"): 7,
        ("bird", "dog"): 5,
        ("bird", "frog"): 3,
        ("cat", "dog"): 4,
        ("deer", "horse"): 6,
        ("dog", "frog"): 6,
        ("cat", "truck"): 17,
        ("deer", "truck"): 18,
    }
    assert {pair: int(found[at[pair[0]], at[pair[1]]]) for pair in known} == known
    assert found.dtype == np.int64


def test_imagenet_has_its_known_distances():
    found = distances(IMAGENET)
    apart = ~np.eye(1000, dtype=bool)
    assert (found == found.T).all()
    assert (found[~apart] == 0).all()
    assert (found.max(), found[apart].min()) == (26, 2)
    assert found[apart].mean() == pytest.approx(12.59, abs=0.005)
    assert found[IMAGENET.index("n02123394"), IMAGENET.index("n02090721")] == 7  # Persian cat, Irish wolfhound


def test_the_tree_is_a_metric_and_never_shorter():
    some = random.Random(0).sample(IMAGENET, 150)
    tree, dag = distances(some, "tree"), distances(some)
    assert (tree >= dag).all()
    assert (tree == tree.T).all()
    assert (tree[:, None, :] <= tree[:, :, None] + tree.T[None, :, :]).all()
    # What is published of all pairs: two thirds are alike, and exp(-d^2 / 8) of the tree has no negative eigenvalue.
    tree, dag = distances(IMAGENET, "tree"), distances(IMAGENET)
    assert (tree == dag)[~np.eye(1000, dtype=bool)].mean() == pytest.approx(0.66, abs=0.005)
    assert np.linalg.eigvalsh(np.exp(-(tree**2) / 8)).min() == pytest.approx(0.198, abs=0.0005)


def test_a_diamond_by_hand():
    # 0 above 1 and 2; 3 below both, first 2; 4 below 1; 5 below 3.
    above = {0: (), 1: (0,), 2: (0,), 3: (2, 1), 4: (1,), 5: (3,)}
    assert paths([5, 4, 2, 0], above.__getitem__).tolist() == [[0, 3, 2, 3], [3, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
    first = paths([5, 4, 2, 0], lambda node: above[node][:1])
    assert first.tolist() == [[0, 5, 2, 3], [5, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 7).flatmap(lambda n: st.tuples(*(st.sets(st.integers(0, i), min_size=1) for i in range(n)))))
def test_paths_are_the_shortest_of_all(parents):
    # Node i + 1 stands below any of the nodes before it; node 0 is the root.
    above = {0: (), **{node + 1: tuple(sorted(found)) for node, found in enumerate(parents)}}

    def ways(node):
        """Every way up, as the end and its length."""
        yield node, 0
        for one in above[node]:
            yield from ((end, steps + 1) for end, steps in ways(one))

    nodes = list(above)
    brute = [
        [min(a + b for end, a in ways(one) for other_end, b in ways(other) if end == other_end) for other in nodes]
        for one in nodes
    ]
    assert paths(nodes, above.__getitem__).tolist() == brute
    tree = paths(nodes, lambda node: above[node][:1])
    assert (tree[:, None, :] <= tree[:, :, None] + tree.T[None, :, :]).all()
    assert (tree >= np.array(brute)).all()


def test_no_class_one_class_and_twice_the_same():
    assert distances([]).shape == (0, 0)
    assert distances(["dog.n.01"]).tolist() == [[0]]
    assert distances(["dog.n.01", "n02084071", "Domestic dog.n.01"]).tolist() == [[0] * 3] * 3


def test_equal_to_nltk_on_5000_pairs(wordnet):
    draw = random.Random(1)
    pairs = [(draw.randrange(1000), draw.randrange(1000)) for _ in range(5000)]
    nouns = [wordnet.synset_from_pos_and_offset("n", int(one[1:])) for one in IMAGENET]
    found = distances(IMAGENET)
    assert [found[pair] for pair in pairs] == [nouns[a].shortest_path_distance(nouns[b]) for a, b in pairs]


@pytest.mark.slow
def test_equal_to_nltk_on_every_pair(wordnet):
    nouns = [wordnet.synset_from_pos_and_offset("n", int(one[1:])) for one in IMAGENET]
    found = distances(IMAGENET)
    for row, one in enumerate(nouns):
        assert found[row, row:].tolist() == [one.shortest_path_distance(other) for other in nouns[row:]], IMAGENET[row]


@pytest.mark.slow
def test_the_dag_is_no_metric():
    found, tree = (distances(IMAGENET, kind).astype(np.int16) for kind in ("dag", "tree"))
    # Published: ordered triples in which the detour is shorter.
    assert sum(int((found > row[:, None] + row).sum()) for row in found) == 161_760
    assert not any((tree > row[:, None] + row).any() for row in tree)


def test_equal_to_nltk_on_nouns_that_are_not_embedded(wordnet):
    draw = random.Random(2)
    words = sorted(set(wordnet.all_lemma_names("n")))
    nouns = [draw.choice(wordnet.synsets(draw.choice(words), "n")) for _ in range(60)]
    names = [f"n{one.offset():08d}" if draw.random() < 0.5 else one.name() for one in nouns]
    assert sum(one.offset() not in table().names for one in nouns) > 50
    assert distances(names).tolist() == [[a.shortest_path_distance(b) for b in nouns] for a in nouns]
    assert (distances(names, "tree") >= distances(names)).all()


# ------------------------------------------------------------------------------------------------- what is embedded


def test_the_table_is_what_the_script_writes(wordnet):
    place = Path(__file__).parent.parent / "scripts" / "wordnet_table.py"
    spec = importlib.util.spec_from_file_location("wordnet_table", place)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.rows(_nltk.reader()) == ROWS.read_bytes().decode("ascii")


def test_names_edges_and_senses_are_those_of_nltk(wordnet):
    known = table()
    for number, name in known.names.items():
        noun = wordnet.synset_from_pos_and_offset("n", number)
        assert noun.name() == name
        above = {one.offset() for one in noun.hypernyms() + noun.instance_hypernyms()}
        assert set(known.hypernyms[number]) == above
    for word, senses in known.senses.items():
        # The names that NLTK takes, such as domestic_dog.n.01, are read the same way.
        assert {sense: wordnet.synset(f"{word}.n.{sense:02d}").offset() for sense in senses} == senses


def test_the_table_is_closed_and_has_one_root():
    known = table()
    assert all(one in known.names for above in known.hypernyms.values() for one in above)
    assert [known.names[one] for one, above in known.hypernyms.items() if not above] == ["entity.n.01"]
    assert len(set(known.names.values())) == len(known.names)


def test_the_license_stands_beside_the_table():
    text = " ".join((ROWS.parent / "LICENSE").read_text(encoding="ascii").split())
    assert "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved." in text
    assert "Permission to use, copy, modify and distribute" in text
    assert text.endswith("Princeton University and LICENSEE agrees to preserve same.")


# ----------------------------------------------------------------------------------------------------- the labels


@pytest.mark.parametrize("source", sorted(tables()))
def test_every_table_is_embedded(source, nowhere):
    labels = tables()[source]
    names = synsets_of(list(labels), source)
    assert len(set(names)) == len(labels) == len(names)
    assert distances(names, "tree").shape == (len(labels), len(labels))


def test_the_tables_hold_the_labels_of_their_sources():
    from torchvision.datasets import FashionMNIST
    from torchvision.models import ResNet18_Weights

    from biaskit.sources import digits

    assert list(tables()["imagenet"]) == ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert list(tables()["fashionmnist"]) == FashionMNIST.classes
    assert tuple(tables()["digits"]) == digits().classes
    assert tuple(tables()["cifar10"]) == CIFAR10
    assert list(tables()["cifar100"]) == sorted({one for words in GROUPS.values() for one in words.split()})
    assert len(tables()["cifar100"]) == 100
    assert list(tables()["shapes"]) == list(OBJECTS)
    assert tables()["mnist"] == tables()["svhn"] == tables()["digits"]


def test_imagenet_has_the_published_ids():
    place = Path(DATA) / "imagenet_classes.csv"
    if not DATA or not place.is_file():
        pytest.skip(f"no imagenet_classes.csv below BIASKIT_DATA ({DATA or 'not set'})")
    with place.open(encoding="utf-8") as file:
        assert {row["name"]: row["wnid"] for row in csv.DictReader(file)} == tables()["imagenet"]


@pytest.mark.parametrize("kind", sorted(GROUPS))
def test_cifar100_means_what_its_groups_say(kind):
    known = table()

    def climb(number):
        return {number}.union(*(climb(one) for one in known.hypernyms[number]))

    for label in GROUPS[kind].split():
        assert find(kind) in climb(find(tables()["cifar100"][label])), label


def test_digits_are_as_far_from_each_other():
    found = distances(synsets_of([str(one) for one in range(10)], "mnist"))
    assert found.tolist() == (2 * (1 - np.eye(10, dtype=int))).tolist()


def test_the_mapping_comes_first_then_the_table_then_the_only_noun():
    assert synsets_of(["ray"], "cifar100") == ("ray.n.07",)
    assert synsets_of(["ray"], "cifar100", {"ray": "n01496331"}) == ("electric_ray.n.01",)
    assert synsets_of(["cat", "Goldfish", "great white shark", "n02084071", "crane.n.04"], "cifar10") == (
        "cat.n.01",
        "goldfish.n.01",
        "great_white_shark.n.01",
        "dog.n.01",
        "crane.n.04",
    )


def test_a_table_is_found_by_exactly_its_labels():
    assert synsets_of(CIFAR10[::-1], "parquet") == synsets_of(CIFAR10, "cifar10")[::-1]
    with pytest.raises(DataError, match="'cat' is more than one noun"):
        synsets_of(["bird", "cat"][1:])


def test_numbers_are_digits_only_where_the_source_says_so():
    numbers = [str(one) for one in range(10)]
    with pytest.raises(
        DataError, match=r"'0' may be a digit or the index of a class: say source='digits'.*9 more: 1, 2"
    ):
        synsets_of(numbers)
    assert synsets_of(numbers, mapping=tables()["digits"]) == synsets_of(numbers, "svhn")


def test_a_label_of_several_nouns_lists_them_with_their_glosses(wordnet):
    with pytest.raises(DataError) as caught:
        synsets_of(["goldfish", "ray", "crane"])
    message = str(caught.value)
    assert message.startswith("label 'ray' is more than one noun of WordNet: beam.n.04 (a column of light")
    assert "ray.n.07 (cartilaginous fishes" in message
    assert message.endswith('give one with mapping={"ray": ...} (and for 1 more: crane)')


def test_a_label_of_no_noun_lists_what_is_near(wordnet):
    with pytest.raises(
        DataError, match=r"'aquarium_fish' is no noun of WordNet; candidates: fish.n.01 \(any of various"
    ):
        synsets_of(["aquarium_fish"])
    with pytest.raises(DataError, match=r"'goldfich' is no noun of WordNet; candidates: .*goldfinch\.n\.0"):
        synsets_of(["goldfich"])
    with pytest.raises(DataError, match=r"'qqqq' is no noun of WordNet; candidates: none; give one"):
        synsets_of(["qqqq"])


def test_a_mapping_of_a_label_that_is_none_is_refused():
    with pytest.raises(SpecError, match="the mapping names 'rai', which is no class; nearest: ray"):
        synsets_of(["ray", "crab"], "cifar100", {"rai": "ray.n.07"})
    with pytest.raises(SpecError, match=r"mapping names 'oak', which is no class; the first classes are ray, crab$"):
        synsets_of(["ray", "crab"], "cifar100", {"oak": "ray.n.07"})
    with pytest.raises(SpecError, match=r"no synset 'ray\.n\.17' in WordNet 3\.0; 'ray' has 7 nouns"):
        synsets_of(["ray"], "cifar100", {"ray": "ray.n.17"})


def test_an_only_noun_that_is_not_embedded(wordnet):
    assert "zebra_mussel" not in table().senses
    assert synsets_of(["Zebra Mussel"]) == ("zebra_mussel.n.01",)


# ----------------------------------------------------------------------------------------------------- bad input


def test_a_synset_that_does_not_exist(wordnet):
    with pytest.raises(SpecError, match=r"no synset 'dgo\.n\.01' in WordNet 3\.0; nearest: .*dog\.n\.01"):
        distances(["cat.n.01", "dgo.n.01"])
    with pytest.raises(SpecError, match=r"'axolotl' has one noun, axolotl\.n\.01"):
        distances(["axolotl.n.02"])
    with pytest.raises(SpecError, match="no synset 'n00000007'"):
        distances(["n00000007"])
    with pytest.raises(SpecError, match="no synset 'n99999999'"):
        distances(["n99999999"])


@pytest.mark.parametrize("name", ["dog.n.08", "dog.n.00"])
def test_more_nouns_than_a_word_has_need_no_wordnet(name, nowhere):
    with pytest.raises(SpecError, match=r"no synset 'dog\.n\.0\d' in WordNet 3\.0; 'dog' has 7 nouns, dog\.n\.01 to"):
        distances([name])


@pytest.mark.parametrize("name", ["dog", "run.v.01", "2084071", "", "n2084071", "dog.n.1"])
def test_what_is_no_synset_says_how_to_write_one(name):
    with pytest.raises(SpecError, match="write an id such as n02084071 or a name such as dog"):
        distances([name])


def test_one_text_is_no_list():
    with pytest.raises(SpecError, match=r'synsets is one text, not a list of synsets: write \["dog\.n\.01"\]'):
        distances("dog.n.01")
    with pytest.raises(SpecError, match=r'classes is one text, not a list of labels: write \["cat"\]'):
        synsets_of("cat")


def test_without_wordnet_a_label_may_still_be_mapped(nowhere):
    with pytest.raises(DataError, match=r"'red' is not embedded; .*or say which noun label 'red' is, with mapping="):
        synsets_of(["red", "dog.n.01"])
    assert synsets_of(["red", "dog.n.01"], mapping={"red": "cat.n.01"}) == ("cat.n.01", "dog.n.01")


def test_an_unknown_kind():
    with pytest.raises(SpecError, match="kind = 'graph' must be one of dag, tree"):
        distances(["dog.n.01"], "graph")


def test_without_wordnet_the_error_says_what_is_missing_and_how_to_get_it(nowhere):
    remedy = "NLTK finds no WordNet: run `biaskit fetch wordnet`, or set NLTK_DATA"
    with pytest.raises(DataError, match=rf"'zebra_mussel\.n\.01' is not embedded; .*{remedy}"):
        distances(["zebra_mussel.n.01"])
    with pytest.raises(DataError, match=rf"'goldfich' is not embedded; nearest: .*goldfish\.n\.01, .*; {remedy}"):
        synsets_of(["goldfich"])
    # What is embedded of an ambiguous word is listed, and how many there are.
    with pytest.raises(
        DataError, match=r"'crab' is more than one noun of WordNet: crab\.n\.01; all 7 with `biaskit fet"
    ):
        synsets_of(["crab"])


def test_the_folder_of_biaskit_home_is_read(nowhere):
    small_wordnet(home() / "data" / "nltk_data")
    assert distances(["bob.n.01", "blob.n.01", "thing.n.01"]).tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    assert fetch() == home() / "data" / "nltk_data" / "corpora" / "wordnet"


def test_another_version_is_refused(nowhere):
    small_wordnet(home() / "data" / "nltk_data", "3.1")
    with pytest.raises(DataError, match=r"is version 3\.1; the ids are those of 3\.0"):
        distances(["blob.n.01"])


@pytest.mark.parametrize("damage", ["lexnames", "index.noun", "index.sense"])
def test_a_damaged_wordnet_is_one_error(damage, nowhere):
    folder = small_wordnet(home() / "data" / "nltk_data")
    (folder / damage).write_text("what is this\n")
    with pytest.raises(DataError, match=r"the WordNet at .* cannot be read \(.*\); delete it and run `biaskit fetch"):
        distances(["blob.n.01"])
    (folder / damage).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        distances(["blob.n.01"])


# ------------------------------------------------------------------------------------------------- biaskit fetch


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line here; returns exit code, stdout and stderr."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["biaskit", *words])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return call


def test_fetch_downloads_through_nltk(nowhere, monkeypatch, run):
    asked = []

    def download(package, folder, **options):
        asked.append(package)
        small_wordnet(Path(folder))
        return True

    monkeypatch.setattr(nltk, "download", download)
    place = home() / "data" / "nltk_data" / "corpora" / "wordnet"
    assert run("fetch", "wordnet") == (0, f"WordNet 3.0 is in {place}\n", "")
    # What is there is not downloaded again.
    assert run("fetch", "wordnet")[0] == 0
    assert asked == ["wordnet"]


def test_fetch_that_fails_is_one_line(nowhere, monkeypatch, run):
    def download(package, folder, *, print_error_to, **options):
        print("Error loading wordnet: no network", file=print_error_to)
        raise ValueError("Error loading wordnet: <urlopen error no network>")

    monkeypatch.setattr(nltk, "download", download)
    code, out, err = run("fetch", "wordnet")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: WordNet could not be downloaded to ")
    assert "no network" in err
    assert "check the network and try again" in err
    monkeypatch.setattr(nltk, "download", lambda *words, **options: False)
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch()


def test_a_download_that_leaves_nothing_is_an_error(nowhere, monkeypatch):
    monkeypatch.setattr(nltk, "download", lambda *words, **options: True)
    with pytest.raises(DataError, match="NLTK finds no WordNet"):
        fetch()


def test_it_is_reached_from_the_package():
    assert bk.wordnet.distances is distances
    assert bk.wordnet.synsets_of is synsets_of
