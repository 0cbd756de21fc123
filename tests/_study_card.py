"""A small study card for tests: the 8 x 8 digits, arms that train in a tenth of a second."""

from pathlib import Path

STUDY = """
version = 1
summary = "a paper on small digits"
paper = "A. Uthor, A Paper, 2020"

[[arm]]
recipe = "plain"
paper = "P"

[[arm]]
recipe = "aug"

[[arm]]
recipe = "semcont"
paper = "C"

[preset.smoke]
summary = "small digits"
budget = "seconds"
seeds = 3
set = ["semcont:stage.0.loss.alpha=1.0"]
notes = ["tiny"]

[preset.smoke.data.objects]
card = "{data}"
label = "small digits"

[preset.smoke.analyzers]
continuity = {{ images = 60, levels = [1, 2], examples = 1, views = [] }}

[preset.full]
summary = "digits"
budget = "minutes"

[preset.full.data.objects]
card = "{data}"
label = "small digits"
same = true

[measure.accuracy]
title = "accuracy"
unit = "%"
better = "higher"
metric = "average_accuracy"

[measure.blue]
title = "accuracy on blue"
unit = "%"
better = "higher"
metric = "average_accuracy"
where = {{ color = "blue" }}

[measure.ds]
title = "DS, level 1"
unit = "logit^2"
better = "lower"
analyzer = "continuity"
column = "ds"
where = {{ perturbation = "all", level = 1 }}
ratio = true

[measure.curve]
title = "DS"
unit = "logit^2"
better = "lower"
analyzer = "continuity"
column = "ds"
where = {{ perturbation = "hue" }}

[measure.other]
title = "accuracy elsewhere"
unit = "%"
better = "higher"
metric = "average_accuracy"
presets = ["full"]

[[item]]
name = "table1"
title = "Table 1: accuracy"
about = "Accuracy and distance."
data = "objects"
original = "CIFAR-100"
arms = ["plain", "semcont"]
analyzers = ["continuity"]
measures = ["accuracy", "blue", "ds", "other"]
published_on = "CIFAR-100, one training"
notes = ["of one training"]
published = {{ accuracy = {{ plain = 0.7, semcont = 0.75 }}, other = {{ plain = 0.5 }} }}
figures = ["discontinuity"]

[[item.curve]]
panel = "hue"
measure = "curve"
x = "level"
x_title = "level"

[[item.claim]]
claim = "C is more continuous"
measure = "ds"
arm = "semcont"
than = "plain"
expect = "lower"

[[item.claim]]
claim = "C keeps the accuracy"
measure = "accuracy"
arm = "semcont"
than = "plain"
expect = "not lower"
margin = 0.5

[[item.claim]]
claim = "C is better elsewhere"
measure = "other"
arm = "semcont"
than = "plain"
expect = "higher"

[[item]]
name = "fig4"
title = "Figure 4: alpha"
about = "Against alpha."
data = "objects"
original = "CIFAR-100"
measures = ["accuracy"]
sweep = {{ recipe = "semcont", param = "stage.0.loss.alpha", values = [0.0, 1.0] }}

[[item.curve]]
panel = "accuracy"
measure = "accuracy"
x_title = "alpha"

[[item.claim]]
claim = "alpha costs accuracy"
measure = "accuracy"
arm = "semcont alpha=1"
than = "semcont alpha=0"
expect = "lower"
"""


def study_card(folder, data, *changes):
    """Write the card; ``changes`` are pairs of old and new text."""
    text = STUDY.format(data=data)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = Path(folder) / "paper.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)
