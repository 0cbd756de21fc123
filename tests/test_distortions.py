"""Distortions against np.roll and hand-made images, and what each of them must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from biaskit.distortions import center_shuffle, channel_shift, puzzle
from biaskit.distortions._places import orders
from biaskit.errors import DataError, SpecError
from biaskit.registry import bind

STILL = torch.Generator()


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count, height, width, channels=3):
    """Images in which every value says where it was: place + 1000 * channel."""
    places = torch.arange(height * width, dtype=torch.float64).view(height, width)
    one = places + 1000.0 * torch.arange(channels, dtype=torch.float64).view(-1, 1, 1)
    return one.repeat(count, 1, 1, 1)


def together(found):
    """The place each pixel came from, (B, H, W), after a look that all channels moved as one."""
    first = found[:, :1]
    expected = first + 1000.0 * torch.arange(found.shape[1], dtype=found.dtype).view(-1, 1, 1)
    assert torch.equal(found, expected)
    return first[:, 0].long()


# Shift of the channels


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (15, 15), (12, 20)])
@pytest.mark.parametrize("shift", [1 / 16, 1 / 8, 1 / 4, 0.3, 1.0])
def test_channels_roll_as_numpy_rolls_them(size, shift):
    x = np.random.default_rng(0).random((3, 3, *size))
    n = int(np.floor(shift * min(size) + 0.5))
    expected = x.copy()
    for image in range(3):
        expected[image, 0] = np.roll(x[image, 0], (n, n), axis=(0, 1))
        expected[image, 1] = np.roll(x[image, 1], (n // 2, n // 2), axis=(0, 1))
    found = channel_shift(torch.from_numpy(x), STILL, shift=shift)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_red_goes_down_and_right():
    x = torch.zeros(1, 3, 4, 4)
    x[:, :, 1, 0] = 1.0
    found = channel_shift(x, STILL, shift=0.75)  # three pixels; green one
    assert [tuple(np.argwhere(one.numpy())[0]) for one in found[0]] == [(0, 3), (2, 1), (1, 0)]


@pytest.mark.parametrize(("side", "pixels"), [(224, [7, 14, 28, 56]), (32, [1, 2, 4, 8]), (28, [1, 2, 4, 7])])
def test_the_shifts_of_the_paper_in_pixels(side, pixels):
    x = torch.zeros(1, 3, side, side)
    x[0, 0, 0, 0] = 1.0
    found = [channel_shift(x, STILL, shift=shift)[0, 0].nonzero()[0] for shift in (1 / 32, 1 / 16, 1 / 8, 1 / 4)]
    assert [one.tolist() for one in found] == [[n, n] for n in pixels]


def test_two_sides_are_no_shift_and_one_side_leaves_green_halfway():
    x = torch.rand(2, 3, 6, 6, generator=rng())
    assert torch.equal(channel_shift(x, STILL, shift=2.0), x)
    once = channel_shift(x, STILL, shift=1.0)
    assert torch.equal(once[:, [0, 2]], x[:, [0, 2]])
    assert torch.equal(once[:, 1], x[:, 1].roll((3, 3), (1, 2)))


# Shuffle of the center


@pytest.mark.parametrize(
    ("mode", "share", "size", "center"),
    [
        ("side", 0.25, (8, 8), (3, 3, 2, 2)),
        ("side", 0.5, (28, 28), (7, 7, 14, 14)),
        ("side", 0.75, (8, 8), (1, 1, 6, 6)),
        ("side", 1.0, (8, 8), (0, 0, 8, 8)),
        ("side", 0.5, (8, 12), (2, 3, 4, 6)),
        ("area", 0.25, (8, 8), (2, 2, 4, 4)),
        ("area", 0.5, (28, 28), (4, 4, 20, 20)),  # 28 * sqrt(0.5) = 19.8
        ("area", 1.0, (8, 8), (0, 0, 8, 8)),
        ("pixels", 1.0, (8, 8), (2, 2, 4, 4)),
    ],
)
def test_the_center_is_shuffled_and_nothing_else(mode, share, size, center):
    top, left, high, wide = center
    x = numbered(20, *size)
    found = together(center_shuffle(x, rng(), share=share, mode=mode))
    before = x[0, 0].long()
    inside = torch.zeros(size, dtype=torch.bool)
    inside[top : top + high, left : left + wide] = True
    assert torch.equal(found[:, ~inside], before[~inside].expand(20, -1))
    assert torch.equal(found[:, inside].sort(dim=1).values, before[inside].expand(20, -1))
    assert len({tuple(one) for one in found.flatten(1).tolist()}) > 15, "an order of its own for every image"
    assert (found[:, inside] != before[inside]).any(dim=0).all(), "every pixel of the center moves in some image"


def test_a_share_of_the_pixels_of_the_middle_half():
    x = numbered(3000, 8, 8)
    found = together(center_shuffle(x, rng(), share=0.25, mode="pixels"))
    moved = found != x[:, 0].long()
    count = moved.flatten(1).sum(dim=1)
    assert int(count.max()) == 4  # a quarter of 4 x 4
    # A uniform permutation of four leaves one in its place on average, and each place is drawn as often as the others.
    assert abs(float(count.double().mean()) - 3.0) < 0.08
    assert int(moved[:, :2].sum() + moved[:, 6:].sum() + moved[:, :, :2].sum() + moved[:, :, 6:].sum()) == 0
    assert chisquare(moved[:, 2:6, 2:6].sum(dim=0).flatten()).pvalue > 1e-4


# Puzzle


@pytest.mark.parametrize(("size", "grid"), [((8, 8), 2), ((8, 8), 8), ((28, 28), 4), ((28, 28), 8), ((9, 14), 4)])
def test_blocks_stay_whole_and_the_rim_stays(size, grid):
    (height, width), x = size, numbered(10, *size)
    high, wide = height // grid, width // grid
    top, left = (height - grid * high) // 2, (width - grid * wide) // 2
    found = together(puzzle(x, rng(), grid=grid)).numpy()
    start = np.arange(height * width).reshape(height, width)

    def cut(image):
        return [
            image[top + i * high : top + (i + 1) * high, left + j * wide : left + (j + 1) * wide]
            for i in range(grid)
            for j in range(grid)
        ]

    names = {block.tobytes(): number for number, block in enumerate(cut(start))}
    seen = set()
    for image in found:
        order = [names[np.ascontiguousarray(block).tobytes()] for block in cut(image)]
        assert sorted(order) == list(range(grid * grid))
        seen.add(tuple(order))
        rim = np.ones(size, bool)
        rim[top : top + grid * high, left : left + grid * wide] = False
        np.testing.assert_array_equal(image[rim], start[rim])
    assert len(seen) > 5


def test_a_puzzle_by_hand():
    # Place p receives block order[p]; blocks are numbered along the rows.
    order = orders(6, 4, 4, rng(3), torch.device("cpu")).tolist()
    found = together(puzzle(numbered(6, 4, 4), rng(3), grid=2)).tolist()
    blocks = [[[0, 1], [4, 5]], [[2, 3], [6, 7]], [[8, 9], [12, 13]], [[10, 11], [14, 15]]]
    for (a, b, c, d), image in zip(order, found, strict=True):
        assert image[:2] == [blocks[a][row] + blocks[b][row] for row in (0, 1)]
        assert image[2:] == [blocks[c][row] + blocks[d][row] for row in (0, 1)]


@pytest.mark.parametrize("moved", [0, 1, 2, 5, 16])
def test_only_so_many_blocks_move(moved):
    x = numbered(2000, 8, 8)
    found = together(puzzle(x, rng(), grid=4, moved=moved))
    blocks = (found != x[:, 0].long())[:, ::2, ::2].flatten(1).sum(dim=1)  # the corner of every block
    assert int(blocks.max()) <= moved
    assert abs(float(blocks.double().mean()) - max(moved - 1, 0)) < 0.12
    assert int(blocks.max()) == (moved if moved > 1 else 0)


# All of them


def test_permutations_are_uniform():
    found = orders(24_000, 4, 4, rng(), torch.device("cpu"))
    assert chisquare(torch.unique(found, dim=0, return_counts=True)[1]).pvalue > 1e-4
    pairs = orders(24_000, 4, 2, rng(), torch.device("cpu"))
    kinds, counts = torch.unique(pairs, dim=0, return_counts=True)
    assert len(kinds) == 7  # six swaps, and nothing in half of the draws
    assert chisquare(counts, [12_000 if one == [0, 1, 2, 3] else 2000 for one in kinds.tolist()]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (channel_shift, {"shift": 0.0}),
        (center_shuffle, {"share": 0.0}),
        (center_shuffle, {"share": 0.0, "mode": "area"}),
        (center_shuffle, {"share": 0.0, "mode": "pixels"}),
        (puzzle, {"grid": 1}),
        (puzzle, {"moved": 0}),
    ],
)
def test_the_neutral_amount_changes_nothing(function, given):
    x = torch.rand(4, 3, 9, 8, generator=rng())
    found = function(x, rng(), **given)
    assert torch.equal(found, x)
    assert found.data_ptr() != x.data_ptr()


@pytest.mark.parametrize(("function", "channels"), [(channel_shift, 3), (center_shuffle, 1), (puzzle, 1)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64])
def test_any_type_and_layout(function, channels, dtype):
    x = (torch.rand(4, channels, 8, 8, generator=rng()) * 255).to(dtype)
    found = function(x, rng(1))
    assert found.dtype == dtype
    assert torch.equal(found, function(x.contiguous(memory_format=torch.channels_last), rng(1)))
    assert function(x[:0], rng(1)).shape == (0, channels, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: puzzle(x[..., :4, :4], rng(), grid=8), "8 x 8 blocks needs as many pixels; the image has 4 x 4"),
        (lambda x: puzzle(x, rng(), grid=2, moved=5), "5 of 4 blocks cannot be moved"),
        (lambda x: puzzle(x, rng(), grid=0), "0 x 0 blocks"),
        (lambda x: center_shuffle(x, rng(), share=1.5), r"lies in \[0, 1\]; got 1.5"),
        (lambda x: center_shuffle(x, rng(), share=-0.1), r"lies in \[0, 1\]; got -0.1"),
        (lambda x: center_shuffle(x, rng(), share=0.05), "none to shuffle"),
        (lambda x: center_shuffle(x, rng(), share=0.05, mode="pixels"), "none to shuffle"),
        (lambda x: channel_shift(x, rng(), shift=1 / 32), "less than half a pixel; take at least 0.0625"),
        (lambda x: channel_shift(x, rng(), shift=-0.5), "at least 0; got -0.5"),
        (lambda x: channel_shift(x[:, :1], rng()), r"needs images \(B, 3, H, W\)"),
        (lambda x: puzzle(x[0], rng()), r"needs images \(B, C, H, W\)"),
    ],
)
def test_what_cannot_be_done_is_said(call, message):
    with pytest.raises(DataError, match=message):
        call(torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (channel_shift, {"shift": -1}),
        (center_shuffle, {"share": 1.01}),
        (center_shuffle, {"mode": "middle"}),
        (puzzle, {"grid": 0}),
        (puzzle, {"moved": -1}),
    ],
)
def test_options_are_checked_when_bound(function, given):
    with pytest.raises(SpecError, match=next(iter(given))):
        bind(function, given, "card.toml: distortion")
