import numpy as np
import pytest

from biaskit import stats
from biaskit.contrast import contrast
from biaskit.data import Dataset


def make(train, test, values=("b", "r"), classes=("0", "1"), builder=None):
    """A data set from (label, value) pairs."""
    rows = [*train, *test]
    data = Dataset.from_arrays(
        np.zeros((len(rows), 2, 2), np.uint8),
        [label for label, _ in rows],
        {"color": [value for _, value in rows]},
        split=["train"] * len(train) + ["test"] * len(test),
        classes=classes,
    )
    table = data.table.assign(color=data.table["color"].cat.set_categories(list(values)))
    return data.replace(table=table, card={"builder": builder} if builder else {})


def repeat(**counts):
    return [(key[0], key[1]) for key, n in counts.items() for _ in range(n)]


def pairs(text):
    return [tuple(one) for one in text.split()]


def test_shift_common_value_minus_rare_value():
    # Red is the commoner in train for both labels. Test: label 0 has 2 r and 1 b, label 1 has 1 r and 4 b:
    # weights 3/8 and 5/8.
    data = make(pairs("0r 0r 0b 1r 1r 1r"), pairs("0r 0r 0b 1r 1b 1b 1b 1b"))
    found = contrast(data, "color")
    assert (found.plus, found.minus) == ("r", "b")
    assert found.side.tolist() == [1, 1, -1, 1, -1, -1, -1, -1]
    expected = [3 / 16, 3 / 16, -3 / 8, 5 / 8, *[-5 / 32] * 4]
    assert found.coefficients == pytest.approx(expected)
    assert found.left_out == ()
    # Accuracy 1 on red and 0 on blue is a gap of 1, and one accuracy for all is none.
    assert found.coefficients @ (found.side > 0) == pytest.approx(1)
    assert found.coefficients.sum() == pytest.approx(0)


def test_correlated_aligned_minus_conflicting():
    # In train 0 goes with b and 1 with r.
    data = make(pairs("0b 0b 0r 1r 1r 1r 1b") * 10, pairs("0b 0r 0r 1r 1b"))
    found = contrast(data, "color")
    assert (found.plus, found.minus) == ("aligned", "conflicting")
    assert found.side.tolist() == [1, -1, -1, 1, -1]
    assert found.coefficients == pytest.approx([3 / 5, -3 / 10, -3 / 10, 2 / 5, -2 / 5])


def test_the_test_split_does_not_decide_what_is_aligned():
    # Against the label in test; aligned is what train says.
    data = make(pairs("0b 0b 0r 1r 1r 1b") * 10, pairs("0r 0r 0b 1b 1b 1r"))
    assert contrast(data, "color").side.tolist() == [-1, -1, 1, -1, -1, 1]


@pytest.mark.parametrize(("regime", "plus"), [("shift", "b"), ("correlated", "aligned")])
def test_what_was_planted_goes_before_what_is_seen(regime, plus):
    # By counts alone 0 goes with b and 1 with r; a shift set says that this is chance.
    builder = [{"name": "background_color", "attribute": "color", "regime": regime}]
    data = make(pairs("0b 0b 0b 1r 1r 1b") * 10, pairs("0b 0r 1b 1r"), builder=builder)
    assert contrast(data, "color").plus == plus


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        ([[98, 102], [104, 96]], 0.5485),  # nothing to do with the label: chi2 = .36
        ([[90, 110], [109, 91]], 0.0574),  # chi2 = 3.61
        ([[90, 110], [110, 90]], 0.0455),  # chi2 = 4
    ],
)
def test_an_attribute_follows_the_label_where_train_is_no_chance(counts, p):
    (a, b), (c, d) = counts
    data = make(repeat(**{"0b": a, "0r": b, "1b": c, "1r": d}), pairs("0b 0r 1b 1r"))
    found = contrast(data, "color")
    assert stats.independence(counts, np.random.default_rng(0)) == pytest.approx(p, abs=1e-4)
    assert stats.independence(counts, np.random.default_rng(0)) == stats.association(counts, np.random.default_rng(0)).p
    # Else the commoner value minus the rarer.
    plain = ("b", "r") if a + c >= b + d else ("r", "b")
    assert (found.plus, found.minus) == (("aligned", "conflicting") if p <= 0.05 else plain)


def test_a_few_images_are_no_proof_that_an_attribute_follows_the_label():
    # Of the 20 ways to give three of six images a color two are as one-sided: p = .1.
    assert contrast(make(pairs("0b 0b 0b 1r 1r 1r"), pairs("0b 0r 1b 1r")), "color").plus == "b"
    builder = [{"name": "background_color", "attribute": "color", "regime": "correlated"}]
    planted = make(pairs("0b 0b 0b 1r 1r 1r"), pairs("0b 0r 1b 1r"), builder=builder)
    assert contrast(planted, "color").plus == "aligned"


def test_a_builder_that_does_not_say_how_it_plants():
    train, test = pairs("0b 0b 0r 1r 1r 1b") * 10, pairs("0b 0r 1b 1r")
    for builder in ([{"name": "dots", "size": 3}], [{"name": "dots", "attribute": "color"}]):
        assert contrast(make(train, test, builder=builder), "color").plus == "aligned"


def test_a_label_that_lacks_a_side_is_left_out():
    data = make(pairs("0r 0r 0b 1r 1r 2r 2r"), pairs("0r 0b 1r 1r 2b 2r 2r"), classes="012")
    found = contrast(data, "color")
    assert found.left_out == ("1",)
    # The weights of the others, 2 and 3 of 5, make up for it.
    assert found.coefficients == pytest.approx([2 / 5, -2 / 5, 0, 0, -3 / 5, 3 / 10, 3 / 10])
    # A class without images is not left out: it has nothing to say.
    absent = make(pairs("0r 0r 0b"), pairs("0r 0b"), classes="0123")
    assert contrast(absent, "color").left_out == ()


def test_three_values_the_one_between_is_on_no_side():
    data = make(repeat(**{"0r": 5, "0g": 3, "0b": 1}), pairs("0r 0g 0b"), values=("b", "g", "r"), classes="0")
    found = contrast(data, "color")
    assert (found.plus, found.minus) == ("r", "b")
    assert found.side.tolist() == [1, 0, -1]
    assert found.coefficients == pytest.approx([1, 0, -1])


def test_a_tie_still_has_two_sides():
    data = make(pairs("0b 0r 1b 1r"), pairs("0b 0r 1b 1r"))
    found = contrast(data, "color")
    assert (found.plus, found.minus) == ("b", "r")


def test_without_a_training_split_first_and_last():
    data = make([], pairs("0b 0g 0r 1b 1r"), values=("b", "g", "r"))
    found = contrast(data, "color")
    assert (found.plus, found.minus) == ("b", "r")
    assert found.side.tolist() == [1, 0, -1, 1, -1]


def test_no_label_with_both_sides_gives_no_gap():
    found = contrast(make(pairs("0r 0r 0b"), pairs("0r 1b")), "color")
    assert found.left_out == ("0", "1")
    assert not found.coefficients.any()


def test_a_label_without_training_images_takes_no_side():
    data = make(pairs("0b 0b 0r 1r 1r 1b") * 10, pairs("0b 0r 1r 1b 2r 2b"), classes="012")
    found = contrast(data, "color")
    assert found.side.tolist() == [1, -1, 1, -1, 0, 0]
