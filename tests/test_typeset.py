"""Tables and paragraphs to paste into a paper: complete, escaped, and the same numbers as the result."""

from __future__ import annotations

import re

import pytest
from _example_result import HOSTILE, audit, bare_audit, example, further, hostile, several, study, swept

from biaskit.telling import methods, sentences
from biaskit.telling.tables import Cell, Head, Table
from biaskit.telling.typeset import latex, markdown, tex, typeset

EVERY = {
    "usual": example,
    "further": further,
    "hostile": hostile,
    "audit": audit,
    "several": several,
    "bare": bare_audit,
    "sweep": swept,
    "study": study,
    "one seed": lambda: example(seeds=1),
    "one arm": lambda: example(arms=["plain"]),
    "many groups": lambda: example(labels=[f"c{i}" for i in range(30)], colors=[f"v{i}" for i in range(20)]),
}


def rows_of(text):
    """The cells of a Markdown table; an escaped bar is part of its cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize("name", EVERY)
def test_every_table_is_whole(name):
    found = typeset(EVERY[name]())
    stems = {one.rpartition(".")[0] for one in found}
    assert stems
    assert set(found) == {f"{stem}.{ending}" for stem in stems for ending in ("md", "tex")}
    for file, text in found.items():
        assert re.fullmatch(r"[\w-]+\.(md|tex)", file), "a name that tries to be a path is none"
        assert not re.search(r"\b(nan|None)\b", text)
        assert "\N{MINUS SIGN}" not in text, "files hold ASCII signs"
        if file.endswith(".md"):
            rows = rows_of(text)
            assert len({len(row) for row in rows}) == 1, file
            assert rows[1] == ["---"] * len(rows[0])
            assert len(rows) > 2
        else:
            check_latex(text)


def check_latex(text):
    """Balanced, and nothing but the commands that we write."""
    body = text.split("\n", 1)[1]
    bare = re.sub(r"\\[\\&%$#_{}]", "", body)
    depth = 0
    for one in bare:
        depth += {"{": 1, "}": -1}.get(one, 0)
        assert depth >= 0
    assert depth == 0
    commands = set(re.findall(r"\\([A-Za-z]+)", bare))
    ours = {"begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "times"}
    ours |= {"textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"}
    assert commands <= ours | {"textperiodcentered"}
    assert not re.search(r"[%#~^_]", bare.replace("tab:", "").replace(re.search(r"\\label\{.*?\}", bare)[0], ""))
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1])
    lines = re.findall(r"^(.*) \\\\$", body, re.M)
    assert len(lines) > 1
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {columns - 1}
    assert not any(line.startswith("[") for line in lines), "that would be an option of the row end before it"


def test_numbers_are_those_of_the_result_with_n_and_seeds():
    result = example()
    rows = rows_of(typeset(result)["headline.md"])
    assert rows[0] == ["Arm", "flip rate, %", "accuracy, %", "gap, points", "worst group, %", "nDS\\, level 1".replace(
        "\\", ""), "n", "Seeds"]  # fmt: skip
    row = next(r for r in result["headline"] if r["metric"] == "average_accuracy" and r["arm"] == "plain")
    value, low, high = (f"{100 * row[key]:.1f}" for key in ("value", "low", "high"))
    assert rows[2][2] == f"{value} [{low}, {high}]"
    assert rows[2][-2:] == ["4,000", "5"]
    differences = rows_of(typeset(result)["differences.md"])
    assert differences[0][-2:] == ["n", "Seeds"]
    assert differences[2][-2:] == ["4,000", "5"]
    estimate = f"{100 * result['differences'][0]['estimate']:.1f}"
    assert estimate.startswith("-")
    assert differences[2][2].startswith(f"{estimate} [")
    latex_ = typeset(result)["differences.tex"]
    assert f"$-${estimate[1:]} [$-$" in latex_
    assert "colormnist, 5 seeds per arm" in typeset(result)["groups.md"]
    assert "colormnist, one model" in typeset(audit())["groups.md"]
    assert "insufficient (n=" in typeset(audit(images=60))["groups.md"]


def test_the_gap_of_every_attribute_is_there():
    rows = rows_of(typeset(several())["gaps.md"])
    assert [row[0] for row in rows[2:]] == ["color", "cloth of the coat", "room"]
    assert rows[3][2] == "6.1 [2.0, 11.0]"
    assert rows[4][2] == "every test image is hall"


def test_differences_name_no_verdict_once_and_dashes_are_dashes():
    result = example()
    found = typeset(result)
    for ending in ("md", "tex"):
        text = found[f"differences.{ending}"]
        assert "empty where no verdict was asked" in text
        assert "no verdict asked" not in text
    assert tex("gap, aligned - conflicting, -0.5") == "gap, aligned -- conflicting, -0.5"


def test_methods_paste_as_they_read():
    result = audit()
    result["arms"][0]["name"] = "resnet_small"
    for row in [*result["headline"], *result["gaps"], *result["groups"]]:
        row["arm"] = "resnet_small"
    for row in [*result["headline"], *result["gaps"]]:
        row |= {"p": 0.0001} if row.get("p") is not None else {}
    written = methods.methods_markdown(result)
    assert "resnet_small" in written
    assert "p < 0.001" in written
    assert not re.search(r"[\\&]", written)


def test_hostile_names_stay_text():
    found = typeset(hostile())
    for name in (HOSTILE[0], HOSTILE[1]):
        assert any(tex(name) in text for file, text in found.items() if file.endswith(".tex"))
    for file, text in found.items():
        if file.endswith(".md"):
            assert not re.search(r"<(?=[A-Za-z/!?])", text), "no tag"
    one = Table("t", "", "a_b", [Head("x & y", False)], [[Cell("[red] \\input{/etc/passwd} 50% $x$ #1 ~^")]])
    assert r"{}[red] \textbackslash{}input\{/etc/passwd\} 50\% \$x\$ \#1 \textasciitilde{}\textasciicircum{}" in latex(
        one, "n"
    )
    assert markdown(one).splitlines()[-1].startswith("| \\[red\\] ")


def test_a_result_of_another_kind_has_no_tables_of_ours():
    assert typeset({"kind": "diff", "arms": []}) == {}
    assert methods.methods_markdown({"kind": "diff"}) == ""


# paragraphs


@pytest.mark.parametrize("name", EVERY)
def test_every_paragraph_is_whole(name):
    result = EVERY[name]()
    told = dict(methods.paragraphs(result))
    assert "Methods" in told
    for text in told.values():
        text = text.replace(HOSTILE[7], "")
        assert not re.search(r"\b(nan|None|unfair|unbiased|significant\w*)\b|[{}]|  ", text)
        assert text.endswith(".")
    written = methods.methods_markdown(result)
    assert written.startswith("## Methods\n\n")
    assert not re.search(r"<(?=[A-Za-z/!?])", written), "no tag"


def test_a_comparison_says_how_it_was_measured_and_what_was_found():
    result = example()
    ways, found = (text for _, text in methods.paragraphs(result))
    assert ways.startswith(
        "We compared plain, aug and semcont on colormnist (digits on a red or blue background; 6,000 training and 4,000"
        " test images; 20 groups of label x color; a counterfactual twin of 4,000 test images), with 5 trainings per"
        " arm (seed 0, 1, 2, 3, 4) on one build of the data. Every arm trained resnet18 (11,173,962 parameters) for 2"
        " epochs; the checkpoint is the last epoch of every arm."
    )
    assert (
        "Verdicts on flip rate and accuracy keep the chance of any false one at 5 % over all 6 comparisons (Holm,"
        " 1979); differences shown to be smaller than 0.5 points, a margin fixed before the run, are called equal (two"
        " one-sided tests; Schuirmann, 1987)."
    ) in ways
    assert "tested by shuffling the attribute within each label (9,999 draws" in ways
    assert "integrated gradients from a black image (32 steps" in ways
    assert ways.endswith("biaskit 0.1.0 with torch 2.15.0 on cpu, 32; the fingerprint of the data is 5d0c91e7a3f2.")
    assert found.startswith(sentences.verdict(result)[0])
    assert "aug against plain: " in found
    works = methods.references(result)
    assert [one.split(",")[0] for one in works] == [
        "Korn", "Howe", "Holm", "Schuirmann", "Berger", "Phipson", "Sundararajan",
    ]  # fmt: skip


def test_what_was_not_done_is_not_said():
    one = dict(methods.paragraphs(example(seeds=1)))["Methods"]
    for word in ("Holm", "paired", "Korn"):
        assert word not in one
    assert "this training on other images" in one
    looked = example() | {"looks": [3, 5], "margin": None}
    text = dict(methods.paragraphs(looked))["Methods"]
    assert "divided by the 2 looks taken, at 3 and 5 seeds" in text
    assert "Schuirmann" not in text
    alone = dict(methods.paragraphs(audit()))["Methods"]
    assert alone.startswith("We audited one model, plain, on colormnist (")
    assert "Wilson (1927) for rates" in alone
    assert not re.search(r"\b(arms?|seeds?)\b", alone)
    assert "with Holm over the attributes" in dict(methods.paragraphs(several()))["Methods"]
    bare = dict(methods.paragraphs(bare_audit()))["Methods"]
    assert "gap" not in bare
    changed = example()
    changed["arms"][1] |= {"changes": ["stage.0.epochs=3"], "epochs": 3}
    text = dict(methods.paragraphs(changed))["Methods"]
    assert "epochs: plain 2, aug 3, semcont 2; changed from its recipe: aug with stage.0.epochs=3;" in text


def test_papers_of_data_and_recipes_are_cited_first():
    result = example()
    result["data"]["paper"] = "Li and Vasconcelos 2019"
    result["arms"][2]["paper"] = "Wu 2021"
    assert methods.references(result)[:2] == ["Li and Vasconcelos 2019", "Wu 2021"]
    assert "- Wu 2021\n" in methods.methods_markdown(result)
