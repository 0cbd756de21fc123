"""Every interval, test and verdict of biaskit, from counts and per-image answers; numpy and scipy only.

=====================================================  ==============================================
job                                                    function
=====================================================  ==============================================
rate of one model, shown                               `wilson`
rate of one model that decides something               `clopper_pearson`
average of group rates, one model                      `wilson` on `kish`
gap of two rates on different images, one model        `newcombe`
two rates on the same images (twins, two models)       `bonett_price`, `mcnemar`
does an attribute matter, one model                    `attribute_gap`, `attribute_test`, `label_tests`
do two columns go together                             `association`, `independence`
what chance alone would show                           `noise_floor`
worst group, largest gap, one model                    `worst_group`, `max_min_gap`
largest difference of several rates (parity)           `largest_spread`
calibration of stated probabilities                    `calibration_error`
rate, gap, worst group of an arm over seeds            `arm_rate`, `arm_contrast`, `arm_worst_group`
difference of two arms                                 `difference`, `worst_group_difference`
ratio of distance scores                               `log_ratio`
a number that each seed has once, of two arms          `seed_difference`
words for a family of differences                      `judge`
how much more would settle it                          `seeds_needed`, `images_needed`
=====================================================  ==============================================

An interval of one model speaks of this model and other images. An interval of arms speaks of the recipe:
other seeds and other images of the same groups. Arms, metrics, seeds and images are fixed before looking.
"""

from biaskit.stats._arms import (
    Rate,
    Ratio,
    arm_contrast,
    arm_rate,
    difference,
    image_coefficients,
    log_ratio,
    seed_difference,
)
from biaskit.stats._association import Association, association, independence
from biaskit.stats._attribute import (
    ENOUGH,
    AttributeGap,
    AttributeTest,
    NoiseFloor,
    attribute_gap,
    attribute_test,
    gap_weights,
    label_gaps,
    label_tests,
    noise_floor,
)
from biaskit.stats._calibration import CalibrationError, calibration_error
from biaskit.stats._extremes import (
    Extreme,
    arm_max_min_gap,
    arm_worst_group,
    max_min_gap,
    max_min_gap_difference,
    worst_group,
    worst_group_difference,
)
from biaskit.stats._halves import half_splits
from biaskit.stats._intervals import (
    bonett_price,
    clopper_pearson,
    kish,
    largest_spread,
    mcnemar,
    newcombe,
    spread_interval,
    wilson,
    worst_interval,
)
from biaskit.stats._pair import Difference, distinct_seeds, half_width
from biaskit.stats._verdicts import (
    Verdict,
    holm,
    images_needed,
    judge,
    seeds_needed,
    smallest_detectable,
    tost,
)

__all__ = [
    "ENOUGH",
    "Association",
    "AttributeGap",
    "AttributeTest",
    "CalibrationError",
    "Difference",
    "Extreme",
    "NoiseFloor",
    "Rate",
    "Ratio",
    "Verdict",
    "arm_contrast",
    "arm_max_min_gap",
    "arm_rate",
    "arm_worst_group",
    "association",
    "attribute_gap",
    "attribute_test",
    "bonett_price",
    "calibration_error",
    "clopper_pearson",
    "difference",
    "distinct_seeds",
    "gap_weights",
    "half_splits",
    "half_width",
    "holm",
    "image_coefficients",
    "images_needed",
    "independence",
    "judge",
    "kish",
    "label_gaps",
    "label_tests",
    "largest_spread",
    "log_ratio",
    "max_min_gap",
    "max_min_gap_difference",
    "mcnemar",
    "newcombe",
    "noise_floor",
    "seed_difference",
    "seeds_needed",
    "smallest_detectable",
    "spread_interval",
    "tost",
    "wilson",
    "worst_group",
    "worst_group_difference",
    "worst_interval",
]
