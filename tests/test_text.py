"""The terminal: answer first, nothing cut, the same characters in a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from _example_result import audit, bare_audit, example, hostile, settled, several
from rich.cells import cell_len
from rich.console import Console

from biaskit.cli._text import comparison_lines, files_of, hint_lines, print_comparison, print_lines

RESULT = settled(example(), aug_plain="better", semcont_plain="better", semcont_aug="inconclusive")


def texts(result, width=None):
    return [line.text for line in comparison_lines(result, width)]


def printed(lines, **options):
    stream = io.StringIO()
    console = Console(file=stream, markup=False, highlight=False, soft_wrap=True, **options)
    print_lines(lines, console)
    return stream.getvalue()


def test_the_answer_comes_first_and_is_ascii():
    lines = texts(RESULT)
    assert lines[0] == "aug and semcont both lean less on the background color than plain."
    assert lines[1] == "Whether semcont adds anything to aug is inconclusive."
    assert "accurac" in lines[2]
    assert all(line.isascii() for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_intervals_follow_their_values_when_there_is_room():
    row = next(line for line in texts(RESULT) if line.startswith("flip rate, %"))
    assert row.count("[") == 3
    assert row.endswith("lower")
    narrow = texts(RESULT, 99)
    at = next(i for i, line in enumerate(narrow) if line.startswith("flip rate, %"))
    assert "[" not in narrow[at]
    assert narrow[at + 1].count("[") == 3
    assert all(cell_len(line) < 100 for line in narrow)


def test_numbers_stand_under_each_other():
    lines = texts(RESULT)
    table = lines[lines.index("") + 1 :]
    rows = [r for r in table[: table.index("")] if r.startswith(("flip rate", "accuracy", "gap", "worst group"))]
    assert len({r.index(".") for r in rows}) == 1


def test_verdict_words_stand_only_where_a_verdict_was_asked_for():
    lines = texts(RESULT)
    head = next(i for i, line in enumerate(lines) if line.startswith("difference"))
    block = lines[head + 1 : lines.index("", head)]
    assert len(block) == 6
    assert all(line.endswith(("better", "worse", "inconclusive", "no relevant difference")) for line in block)
    others = lines[lines.index("", head) + 1 :]
    assert not [line for line in others if line.startswith(("gap, points", "nDS")) and "better" in line]


def test_one_seed_changes_words_and_hides_nothing():
    lines = texts(example(seeds=1))
    assert lines[0] == "No verdict: one seed cannot tell a difference from luck."
    assert sum(line.endswith("no verdict (1 seed)") for line in lines) == 6
    assert any(line.startswith("1 seed, 95 % interval over images") for line in lines)


@pytest.mark.parametrize(("arms", "blocks"), [(1, 1), (3, 1), (4, 2), (12, 4)])
def test_three_arms_side_by_side(arms, blocks):
    lines = texts(example(arms=[f"arm{i}" for i in range(arms)]))
    assert sum(line.startswith("measure ") for line in lines) == blocks
    assert any(line.startswith("difference ") for line in lines) == (arms > 1)


def test_names_are_printed_as_they_are_and_cannot_steer_the_terminal():
    out = printed(comparison_lines(hostile(), 120))
    assert "[red]" in out
    assert "=HYPERLINK(1)" in out
    assert not any(c < " " and c != "\n" for c in out)
    assert "\u202e" not in out


def test_pipe_and_terminal_get_the_same_characters():
    lines = comparison_lines(RESULT, None)
    plain = printed(lines, width=40)
    styled = printed(lines, width=40, force_terminal=True, color_system="truecolor")
    assert "\x1b[" in styled
    assert "\x1b[" not in plain
    assert plain.splitlines() == [line.text for line in lines], "soft wrap: nothing is cut or broken"
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", styled) == plain


def test_undefined_values_give_their_reason():
    result = example(colors=("red",))
    for row in result["headline"]:
        if row["metric"] == "gap":
            row.update(value=None, low=None, high=None, noise=None, p=None, reason="one attribute value only")
    assert any("- one attribute value only" in line for line in texts(result))


def test_notes_are_three_at_most_and_files_come_last(tmp_path, capsys):
    result = dict(RESULT, notes=[f"note {i}" for i in range(5)])
    (tmp_path / "report.html").write_text("x")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "groups.csv").write_text("x")
    print_comparison(result, tmp_path)
    out, err = capsys.readouterr()
    assert out.count("\nnote: ") == 4
    assert "more in the report" in out
    assert out.rstrip().splitlines()[-1].startswith("tables  ")
    assert err.startswith("hint: about 8 seeds would settle semcont - aug")
    assert err.splitlines()[-1].strip().startswith("biaskit compare")
    assert [name for name, _, _ in files_of(tmp_path)] == ["report", "tables"]


@pytest.mark.parametrize("width", [80, 100, None])
def test_an_audit_tells_its_lowest_groups_and_what_failed(width):
    lines = texts(audit(), width)
    assert lines[0].startswith("Swapping the background color changes")
    start = next(i for i, line in enumerate(lines) if line.startswith("lowest groups"))
    rows = lines[start + 1 : start + 6]
    rates = [float(row.split("[")[0].split()[-1]) for row in rows]
    assert rates == sorted(rates)
    assert len({row.index("[") for row in rows}) == 1
    assert lines[start + 6] == "15 more in the report"
    assert not any(word in "\n".join(lines) for word in ("all arms", "seed", "difference  "))
    bare = texts(bare_audit(), width)
    failed = [i for i, line in enumerate(bare) if line.startswith("failed: ")]
    assert len(failed) == 3
    assert min(i for i, line in enumerate(bare) if line.startswith("note: ")) > max(failed)
    assert bare[-1] == "ran: group_accuracy, continuity"
    few = texts(audit(labels=["a", "b"], images=20), width)
    assert any("insufficient (n=" in line for line in few)
    assert all(line.isascii() for line in lines + bare + few)
    if width:
        assert all(cell_len(line) <= width for line in lines + bare + few)


def test_long_names_push_nothing_out_of_line():
    result = example(arms=["plain", "a_recipe_whose_name_goes_on_and_on_and_on", "another_that_is_not_short"])
    lines = texts(result, 80)
    assert sum(line.startswith("measure ") for line in lines) == 3
    head = next(line for line in lines if line.startswith("difference "))
    assert head.endswith("arms"), "the only column that may break over the edge comes last"
    table = [line for line in lines if line.startswith(("measure", "flip rate, %", "accuracy, %"))]
    assert all(cell_len(line) <= 80 for line in table)


def test_no_hint_where_nothing_is_open():
    assert hint_lines(dict(RESULT, hint=None, differences=[]), None) == []


def test_an_audit_of_several_attributes_tells_the_gap_of_each():
    result = several()
    lines = texts(result)
    at = next(i for i, one in enumerate(lines) if one.startswith("gap, points") and "between" in one)
    assert lines[at].split() == ["gap,", "points", "between", "value", "95", "%", "noise", "p,", "Holm", "reading"]
    assert [one.strip() for one in lines[at + 2].split("  ") if one.strip()] == [
        "cloth of the coat", "silk minus wool, the highest and the lowest of 4", "6.1", "[2.0, 11.0]", "2.1",
        "0.003", "larger than chance",
    ]  # fmt: skip
    assert lines[at + 3].split("  ")[-1] == "every test image is hall"
    assert not any("between" in one for one in texts(audit())), "the numbers have that of one"
    assert any("differs by cloth of the coat by more than chance" in one for one in lines[:4])
    result["gaps"][1]["p_holm"] = 0.2
    lines = texts(result)
    cleared = "By cloth of the coat, no difference in accuracy larger than chance was found."
    assert any(cleared in one for one in lines[:4])
    assert any(one.endswith("not larger than chance") for one in lines)


def test_many_attributes_are_told_in_few_sentences():
    result = several()
    cloth = result["gaps"][1]
    result["gaps"] = [result["gaps"][0]] + [cloth | {"attribute": f"a{i}"} for i in range(6)]
    told = " ".join(texts(result)[:6])
    assert told.count("by more than chance: silk") == 3
    assert "It also differs by a3, a4 and a5." in told
    four = several()
    four["gaps"][0] = cloth | {"attribute": "color", "p": 0.5, "p_holm": 1.0}
    assert "By background color, no difference in the accuracy of plain larger than chance" in " ".join(texts(four)[:4])
