"""Sentences: the five wordings, the reasons, grouping, and that no sentence contradicts its verdict."""

from __future__ import annotations

import re

import pytest
from _example_result import audit, bare_audit, example, hostile, settled

from biaskit.telling import notes, sentences
from biaskit.telling.numbers import ASCII, TYPOGRAPHIC
from biaskit.telling.words import interval

RESULT = example()


def test_verdict_groups_arms_that_share_a_finding():
    found = sentences.verdict(settled(RESULT, aug_plain="better", semcont_plain="better", semcont_aug="inconclusive"))
    assert found[:2] == [
        "aug and semcont both lean less on the background color than plain.",
        "Whether semcont adds anything to aug is inconclusive.",
    ]
    assert "accura" in found[-1], "accuracy stands beside every verdict on reliance"


@pytest.mark.parametrize(
    ("verdicts", "lead"),
    [
        (
            {"aug_plain": "better", "semcont_plain": "better", "semcont_aug": "better"},
            [
                "aug leans less on the background color than plain.",
                "semcont leans less on it than plain and aug.",
            ],
        ),
        (
            {"aug_plain": "worse", "semcont_plain": "worse", "semcont_aug": "no relevant difference"},
            [
                "aug and semcont both lean more on the background color than plain.",
                "aug and semcont lean on it equally, as far as it matters.",
            ],
        ),
        (
            dict.fromkeys(("aug_plain", "semcont_plain", "semcont_aug"), "inconclusive"),
            ["No arm is shown to lean less on the background color than another: "
             "all 3 comparisons are inconclusive."],
        ),
        (
            dict.fromkeys(("aug_plain", "semcont_plain", "semcont_aug"), "no relevant difference"),
            ["plain, aug and semcont lean on the background color equally, as far as it matters."],
        ),
    ],
)  # fmt: skip
def test_verdict_wordings(verdicts, lead):
    found = sentences.verdict(settled(RESULT, **verdicts))[:-1]
    assert [s.replace("semcont and aug", "aug and semcont") for s in found] == lead


def test_pairs_tell_size_and_accuracy():
    result = settled(RESULT, aug_plain="better", semcont_plain="worse", semcont_aug="inconclusive")
    better, worse, unsure = (p.text for p in sentences.pairs(result))
    assert better.startswith(
        "Swapping the background color changes 2.4 points fewer of its answers (1.8 to 3.0 fewer)."
    )
    assert worse.startswith("Swapping the background color changes 1.2 points more of its answers (0.6 to 1.8 more).")
    assert unsure.startswith("Anything from 0.6 points fewer to 0.1 more is possible. A difference of about ")
    assert all("ccuracy" in text for text in (better, worse, unsure))
    same = sentences.pairs(settled(RESULT, aug_plain="no relevant difference"))[0].text
    assert same.startswith("Any difference is smaller than 0.5 points (-0.3 to +0.4).")
    typographic = sentences.pairs(settled(RESULT, aug_plain="no relevant difference"), TYPOGRAPHIC)[0].text
    assert "(\N{MINUS SIGN}0.3 to +0.4)" in typographic


def test_an_interval_that_would_contradict_its_verdict_is_not_told():
    result = settled(RESULT, aug_plain="better")
    row = result["differences"][0]
    row.update(low_together=-0.05, high_together=0.002)
    assert interval(row, 0.005) == (
        row["low"],
        row["high"],
    ), "Holm settled it, the pair's own interval shows it"
    row.update(low=-0.05, high=0.001)
    assert interval(row, 0.005) is None
    assert "(" not in sentences.pairs(result)[0].text.split(" Accuracy")[0]


@pytest.mark.parametrize(("seeds", "words"), [(1, "one seed"), (2, "two seeds")])
def test_below_three_seeds_there_is_no_verdict(seeds, words):
    result = example(seeds=seeds)
    found = sentences.verdict(result)
    assert found[0] == f"No verdict: {words} cannot tell a difference from luck."
    assert {p.verdict for p in sentences.pairs(result)} == {"no verdict"}
    for row in result["differences"]:
        if row["verdict"]:
            row["verdict"] = "better"  # whatever was computed
    assert sentences.verdict(result)[0] == found[0]


def test_special_reasons_are_said():
    result = settled(RESULT, aug_plain="inconclusive", semcont_plain="inconclusive", semcont_aug="inconclusive")
    rows = [r for r in result["differences"] if r["metric"] == "flip_rate"]
    rows[0]["reason"] = "identical predictions"
    rows[1]["reason"] = "the gap changed sign"
    text = sentences.verdict_sentence(result)
    assert "plain and aug gave identical answers" in text
    assert "Whether semcont leans less on" in text
    assert "changed sign" in text
    assert sentences.pairs(result)[0].text.startswith("Both arms gave identical predictions")
    rows[2].update(estimate=None, reason="no test images of red")
    assert sentences.pairs(result)[2].text.startswith("No number: no test images of red.")


def test_gap_decides_where_there_are_no_twins():
    result = settled(example(metric="gap"), aug_plain="better")
    assert "gap" in sentences.decided_by(result)
    text = sentences.pairs(result)[0].text
    assert re.match(r"The gap goes from \S+ to \S+ points \(difference -2\.4, -3\.0 to -1\.8\)\.", text)


def test_one_arm_is_described_and_not_judged():
    found = sentences.verdict_sentence(example(arms=["plain"]))
    assert found.startswith("Swapping the background color changes ")
    assert "accuracy" in found
    assert "better" not in found


def test_an_audit_speaks_of_one_model():
    result = audit()
    gap = next(r for r in result["headline"] if r["metric"] == "gap")
    gap.update(value=0.032, low=0.021, high=0.043, noise=0.008, p=0.002)
    lead, by, accuracy = sentences.verdict(result)
    assert re.fullmatch(r"Swapping the background color changes \S+ % of the answers of plain \(.* to .*\)\.", lead)
    assert by == (
        "The accuracy of plain differs by background color by more than chance: "
        "blue minus red is 3.2 points (2.1 to 4.3)."
    )
    assert re.fullmatch(r"Its accuracy is .* % \(.*\)\. The lowest group is .*, red: .* % \(.*\), n \d+\.", accuracy)
    gap.update(low=-0.003, p=0.24)
    assert sentences.verdict(result)[1] == (
        "By background color, no difference in the accuracy of plain larger than chance was found."
    )
    assert "this model on other images" in sentences.decided_by(result)
    every = " ".join([*sentences.verdict(result), sentences.decided_by(result), *sentences.gaps(result)])
    every += " ".join(text for _, text in notes.rests_on(result)) + notes.methods(result)
    assert not re.search(r"\b(arms?|seeds?|verdict|draw)\b", every), every
    result["reliance"]["metric"] = "gap"
    assert sentences.verdict(result)[0].startswith("By background color")


def test_an_audit_of_many_values_names_the_two_it_compares():
    result = audit(colors=("red", "green", "blue"))
    gap = next(r for r in result["headline"] if r["metric"] == "gap")
    gap.update(p=0.24)
    assert sentences.verdict(result)[1].startswith("Between blue and red (background color), no difference")
    readings = sentences.gaps(result)
    assert readings[0].startswith("The gap, accuracy on blue minus accuracy on red, is")
    assert readings[1].endswith("Whether these two differ by more than chance was not tested.")
    gap.update(value=None, reason="no label has both values")
    assert sentences.verdict(result)[1].endswith("cannot be told: no label has both values.")


def test_an_audit_without_attributes_says_so():
    lead, last = sentences.verdict(bare_audit())
    assert re.fullmatch(r"plain answers .* % \(.* to .*\) of the test images right\.", lead)
    assert last.endswith("The data names no attribute: by anything but the label, accuracy stays unknown.")


def test_what_an_audit_rests_on():
    result = bare_audit()
    result["groups"][0].update(n=3, note="insufficient (n=3)")
    levels, texts = zip(*notes.rests_on(result), strict=True)
    assert levels == ("failed", "failed", "failed", "note", "note", "ok", "ok")
    assert texts[0] == "parity: photos has no attribute to compare"
    assert texts[3] == "1 of 10 groups have too few test images to tell: 0 (n=3)"
    assert texts[5] == "4,000 test images in 10 groups, no twins"
    assert texts[6] == "ran: group_accuracy, continuity"
    assert ("ok", "ran: group_accuracy, counterfactual_flips, continuity") in notes.rests_on(audit())


def test_repeated_seeds_are_noted():
    repeated = "aug: seed 2 has the predictions of seed 0 and was not counted"
    assert repeated in notes.notes(example() | {"repeated": [repeated]})


def test_an_interval_clear_of_zero_never_touches_it():
    assert ASCII.of(0.012, "points", low=0.0004, high=0.019, signed=True) == ("+1.20", "+0.04", "+1.90")
    assert ASCII.of(0.012, "points", low=-0.0004, high=0.019, signed=True) == ("+1.2", "0.0", "+1.9")


def test_many_arms_stay_readable():
    result = example(arms=[f"arm{i}" for i in range(12)])
    for i, row in enumerate(r for r in result["differences"] if r["metric"] == "flip_rate"):
        row["verdict"] = ("better", "worse", "inconclusive", "no relevant difference")[i % 4]
    found = sentences.verdict(result)
    assert len(found) <= 7
    assert any(s.startswith("Of the other 55 comparisons, ") for s in found)


def test_gaps_say_what_chance_gives():
    result = example()
    rows = [r for r in result["headline"] if r["metric"] == "gap"]
    rows[0].update(value=0.032, low=0.021, high=0.043, noise=0.008, p=0.002)
    rows[1].update(value=0.008, low=-0.003, high=0.019, noise=0.005, p=0.24)
    rows[2].update(value=None)
    found = sentences.gaps(result)
    assert len(found) == 2
    assert found[0].endswith("is 3.2 points (2.1 to 4.3); larger than chance (chance alone gives about 0.8, p 0.002).")
    rows[0].update(low=-0.021)
    assert sentences.gaps(result)[0].endswith("0.8, p 0.002), but other seeds may show none.")
    assert "no difference larger than chance was found (chance alone gives about 0.5, p 0.24)" in found[1]


def test_what_would_settle_it():
    result = settled(RESULT, aug_plain="better", semcont_plain="better", semcont_aug="inconclusive")
    found = notes.settle(result)
    assert found[0] == "About 8 seeds would settle semcont against aug, if the spread stays as it is."
    assert found[-1].startswith("Decide the number beforehand")
    row = next(r for r in result["differences"] if r["metric"] == "flip_rate" and r["verdict"] == "inconclusive")
    row.update(seeds_needed=None, images_needed=20_000)
    assert notes.settle(result)[0].startswith("No number of seeds would settle semcont against aug; about 20,000 test")
    row.update(images_needed=None)
    assert notes.settle(result)[0].startswith("Neither seeds nor images within reach")


def test_hint_keeps_the_arms_and_counts_the_cost():
    result = settled(RESULT, aug_plain="better", semcont_plain="better", semcont_aug="inconclusive")
    del result["hint"]
    hint = notes.hint(result)
    assert hint is not None
    assert hint["command"] == "biaskit compare plain aug semcont --on colormnist --seeds 8"
    assert hint["new_runs"] == 9
    assert notes.hint(settled(result, semcont_aug="better")) is None
    one = example(seeds=1)
    del one["hint"]
    assert notes.hint(one)["command"].endswith("--seeds 5")


def test_notes_come_first_and_once():
    result = settled(RESULT, aug_plain="better", semcont_plain="better", semcont_aug="inconclusive")
    result["notes"] *= 2
    result["looks"] = [3, 5]
    result["failed"] = [{"arm": "aug", "seed": 1, "analyzer": "continuity", "reason": "too small"}]
    levels = [level for level, _ in notes.rests_on(result)]
    assert levels == sorted(levels, key=lambda level: level == "ok")
    said = notes.notes(result)
    assert len(said) == len(set(said))
    text = "\n".join(said)
    assert "only what semcont gains beyond aug, its control arm, is its own" in text
    assert "constraint" not in text, "any pair of recipes reads this"
    assert "look 2 (at 3 and 5 seeds)" in text
    assert "continuity (aug, seed 1) failed: too small" in text
    assert "worst group rests on" in text


def test_a_control_of_two_arms():
    result = example(arms=["plain", "aug", "semcont", "other"])
    result["arms"][3]["control"] = "aug"
    for row in result["differences"]:
        if row["arm"] == "aug" and row["metric"] == "flip_rate":
            row["verdict"] = "better"
    assert "only what semcont and other gain beyond aug, their control arm, is their own" in notes.notes(result)


def test_one_arm_without_a_number_says_why():
    result = example(arms=["plain"])
    first = "The flip rate of plain could not be computed: no twin was answered."
    for row in result["headline"]:
        if row["metric"] == "flip_rate":
            row |= {"value": None, "reason": "no twin was answered"}
    assert sentences.verdict(result)[0] == first
    result["headline"] = [row for row in result["headline"] if row["metric"] != "flip_rate"]
    assert sentences.verdict(result)[0] == "The flip rate of plain could not be computed."
    result["failed"] = [{"arm": "plain", "seed": 0, "analyzer": "counterfactual_flips", "reason": "no twins"}]
    assert sentences.verdict(result)[0] == "The flip rate of plain could not be computed: no twins."
    result["reliance"] = {"metric": "gap", "attribute": "", "attribute_words": ""}
    result["headline"] = [row for row in result["headline"] if row["metric"] != "gap"]
    assert sentences.verdict(result)[0] == "The gap of plain could not be computed: the data name no attribute."


def test_a_missing_control_arm_is_noted():
    result = example(arms=["plain", "semcont"])
    missing = "aug, the control arm of semcont, is missing: what semcont adds of its own cannot be told"
    assert missing in notes.notes(result)
    result["arms"][0]["control"] = "aug"
    more = "the control arm of plain and semcont, is missing: what plain and semcont add of their own cannot be told"
    assert f"aug, {more}" in notes.notes(result)


@pytest.mark.parametrize(
    "result",
    [
        RESULT,
        hostile(),
        example(seeds=1),
        example(arms=["plain"]),
        example(metric="gap"),
        example(labels=["a"]),
        audit(),
        bare_audit(),
        audit(labels=["cat"], images=40),
    ],
)
def test_words_that_are_never_used(result):
    every = [
        *sentences.verdict(result), sentences.decided_by(result), *(p.text for p in sentences.pairs(result)),
        *sentences.gaps(result), *notes.settle(result), *(t for _, t in notes.rests_on(result)),
    ]  # fmt: skip
    for text in every:
        assert text
        assert not re.search(r"\b(fair|unfair|unbiased|significant\w*|colour)\b", text, re.IGNORECASE), text
        assert "None" not in text
        assert "nan" not in text.split()


@pytest.mark.parametrize(
    ("value", "unit", "ends", "written"),
    [
        (0.954, "%", (0.949, 0.959), ("95.4", "94.9", "95.9")),
        (0.9966, "%", (0.9961, 0.9969), ("99.66", "99.61", "99.69")),
        (-0.0004, "points", (-0.02, 0.03), ("0.0", "-2.0", "3.0")),
        (0.0814, "", (0.0761, 0.0859), ("0.081", "0.076", "0.086")),
        (0.5, "%", (None, None), ("50.0", "", "")),
    ],
)
def test_numbers(value, unit, ends, written):
    assert ASCII.of(value, unit, low=ends[0], high=ends[1]) == written


def test_small_numbers_of_the_text():
    assert ASCII.significant(3.24) == "3.2"
    assert ASCII.significant(1234.0) == "1,200"
    assert ASCII.significant(0.00001) == "1.0e-05"
    assert TYPOGRAPHIC.fixed(-1234.5, 1) == "\N{MINUS SIGN}1,234.5"
    assert ASCII.seconds(72) == "1 min 12 s"
    assert [ASCII.p(x) for x in (0.24, 0.0021, 0.0009)] == ["p 0.24", "p 0.002", "p < 0.001"]
