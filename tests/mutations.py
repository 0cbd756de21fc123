"""Break the package on purpose, one line at a time, and see that a test notices.

Run by hand: ``python tests/mutations.py`` (about ten minutes on one core), or with words to pick some:
``python tests/mutations.py stats loss``. Every mutation is applied to a copy of the package; the fast tests named
with it are run on that copy. At least nine in ten must be killed: exit 1 otherwise.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = 0.9


@dataclass(frozen=True)
class Mutation:
    """One line, changed: ``old`` occurs exactly once in the file."""

    file: str
    old: str
    new: str
    tests: str


MUTATIONS = (
    # Losses and the loop
    Mutation("losses/_semantic_continuity.py", ".sum(dim=1).mean()", ".mean(dim=1).mean()", "test_losses.py"),
    Mutation(
        "losses/_pairs.py",
        'perturbed if gradient != "clean" else perturbed.detach()',
        "perturbed",
        "test_losses.py",
    ),
    Mutation(
        "losses/_semantic_continuity.py", "self.alpha * grown * distance", "self.alpha * distance", "test_losses.py"
    ),
    Mutation(
        "losses/_pairs.py",
        "(1.0 - share) * F.cross_entropy(images, labels)",
        "F.cross_entropy(images, labels)",
        "test_losses.py",
    ),
    Mutation("losses/_cross_entropy.py", "perturbed_share > 0.0", "perturbed_share > 0.5", "test_losses.py"),
    Mutation("losses/_group_dro.py", "self.step * (means + self.penalty)", "self.step * means", "test_mitigation.py"),
    Mutation(
        "losses/_group_dro.py", "there / there.sum()", "torch.full_like(there, 1 / len(there))", "test_mitigation.py"
    ),
    Mutation("losses/_generalized_cross_entropy.py", ".expm1() / q", ".expm1()", "test_mitigation.py"),
    Mutation("losses/_lff.py", "failed / (failed + left)", "left / (failed + left)", "test_mitigation.py"),
    Mutation("losses/_lff.py", "1.0 - self.decay", "self.decay", "test_mitigation.py"),
    Mutation("rows.py", ".clip(max=sizes - 1)", "", "test_mitigation.py"),
    Mutation(
        "rows.py", "torch.randint(len(sizes), (len(rows),)", "torch.randint(1, (len(rows),)", "test_mitigation.py"
    ),
    Mutation("_train.py", "one.requires_grad_(False)", "one.requires_grad_(True)", "test_mitigation.py"),
    Mutation("_train.py", '"history": history, "tags": tags}', '"history": history, "tags": {}}', "test_mitigation.py"),
    Mutation("_train.py", 'int(state["epoch"]) + 1', 'int(state["epoch"])', "test_train.py"),
    Mutation(
        "_train.py",
        'torch_generator(seed, "perturbation", number, epoch, device=device)',
        'torch_generator(0, "perturbation", device=device)',
        "test_train.py",
    ),
    Mutation("_train.py", "optimizer.load_state_dict(state", "dict(state", "test_train.py"),
    Mutation("runs.py", '            "seed": seed,\n            "code"', '            "code"', "test_train.py"),
    Mutation("rng.py", "with torch.random.fork_rng(devices=devices):", "if True:", "test_train.py"),
    # Analyzers and measures
    Mutation(
        "analyzers/_counterfactual_flips.py",
        '"right_to_wrong": right &',
        '"right_to_wrong": flipped &',
        "test_analyzers.py",
    ),
    Mutation("measures.py", "np.abs(total) >= seen - 1e-12", "total >= seen - 1e-12", "test_analyzers.py"),
    Mutation("evidence.py", "1.0 / test[self.groups]", "1.0 / len(self.groups)", "test_compare.py test_analyzers.py"),
    Mutation(
        "contrast.py", "weight[labels[mine]] / n[labels[mine]]", "1 / mine.sum()", "test_analyzers.py test_contrast.py"
    ),
    Mutation(
        "contrast.py",
        "codes[test] == own[labels[test]], 1, -1",
        "codes[test] == own[labels[test]], -1, 1",
        "test_planted.py",
    ),
    Mutation(
        "_differences.py",
        "stats.judge([entry[3] for entry in judged]",
        "stats.judge([entry[3] for entry in found]",
        "test_compare.py",
    ),
    # Statistics
    Mutation("stats/_pair.py", "(float((vb - va).var(ddof=1)),)", "(float((vb - va).var(ddof=0)),)", "test_stats.py"),
    Mutation("stats/_pair.py", "t = stdtrit(np.asarray(df, np.float64), tail)", "t = ndtri(tail)", "test_stats.py"),
    Mutation("stats/_pair.py", "return max(raw - noise, 0.0)", "return max(raw, 0.0)", "test_stats.py"),
    Mutation(
        "stats/_pair.py",
        "var_image = at_least(image_variance(parts, scale, strata), floor)",
        "var_image = image_variance(parts, scale, strata)",
        "test_stats.py",
    ),
    Mutation(
        "stats/_pair.py",
        "var_image = at_least(image_variance(parts, scale, strata), floor)",
        "var_image = floor",
        "test_stats.py",
    ),
    Mutation("stats/_verdicts.py", "np.maximum.accumulate(steps)", "steps", "test_stats.py"),
    Mutation("stats/_verdicts.py", "level = alpha / looks", "level = alpha", "test_stats.py test_compare.py"),
    Mutation("stats/_verdicts.py", "abs(d.b) < abs(d.a)", "abs(d.b) > abs(d.a)", "test_stats.py"),
    # Metrics, builders, perturbations, sources of images
    Mutation(
        "metrics.py",
        "hits = self._sum(axes, np.where(right, self.counts, 0))",
        "hits = self._sum(axes, self.counts)",
        "test_metrics.py",
    ),
    Mutation(
        "metrics.py",
        "np.where(known.sum(1) >= 2, spread, np.nan)",
        "np.where(known.sum(1) >= 1, spread, np.nan)",
        "test_metrics.py",
    ),
    Mutation(
        "builders/_background_color.py",
        "(1.0 - value) * self.colors",
        "self.colors",
        "test_builders.py test_contracts.py",
    ),
    Mutation(
        "builders/_planting.py",
        "rng.integers(1, len(values), len(tested))",
        "rng.integers(0, len(values), len(tested))",
        "test_contracts.py",
    ),
    Mutation(
        "builders/_planting.py", "phase[twins] = phase[pair[twins]]", "pass", "test_builders.py test_contracts.py"
    ),
    Mutation(
        "perturbations/_photometric.py",
        "GRAY = (0.2989, 0.587, 0.114)",
        "GRAY = (0.3333, 0.3333, 0.3334)",
        "test_perturbations.py",
    ),
    Mutation(
        "perturbations/_photometric.py",
        "return (images + _per_image(images, amount))",
        "return (images * (1 + _per_image(images, amount)))",
        "test_perturbations.py",
    ),
    Mutation(
        "data.py",
        "else ():\n                digest.update(np.ascontiguousarray(chunk.numpy()).data)",
        "else ():\n                digest.update(np.ascontiguousarray(chunk.numpy()[:1]).data)",
        "test_data.py test_contracts.py",
    ),
    # Attacks
    Mutation("attacks/_pgd.py", "(loss > highest)", "(loss < highest)", "test_attacks.py"),
    Mutation("attacks/_pgd.py", "found[standing] = here[standing]", "found[still] = here[still]", "test_attacks.py"),
    Mutation("attacks/_pgd.py", "last = made[active] == steps", "last = made[active] > steps", "test_attacks.py"),
    Mutation("attacks/_pgd.py", "room = full - len(active)", "room = full", "test_attacks.py"),
    Mutation("attacks/_common.py", "logits = model(images.clone())", "logits = model(images)", "test_attacks.py"),
    Mutation("attacks/_common.py", "(images - clean).clamp_(-epsilon, epsilon)", "(images - clean)", "test_attacks.py"),
    Mutation("attacks/_common.py", 'reduction="sum"', 'reduction="mean"', "test_attacks.py"),
    Mutation("attacks/_common.py", "module.training = False", "pass", "test_attacks.py"),
    Mutation(
        "attacks/_fgsm.py", 'predicted(model, clean) if label == "predicted" else truth', "truth", "test_attacks.py"
    ),
    Mutation("attacks/_least_likely.py", "here - step", "here + step", "test_attacks.py"),
    Mutation("attacks/_targeted_l2.py", "weight * 2.0**turn", "weight", "test_attacks.py"),
    Mutation("_train.py", "images[:, :channels]", "images", "test_train.py"),
    Mutation("specs.py", '"attack": "attack", "tag"', '"tag"', "test_train.py"),
    # Distortions, reliance and gradients
    Mutation(
        "distortions/_channel_shift.py",
        "green.roll((half, half), (1, 2))",
        "green.roll((pixels, pixels), (1, 2))",
        "test_distortions.py",
    ),
    Mutation("distortions/_puzzle.py", "len(blocks) if moved is None else moved", "len(blocks)", "test_distortions.py"),
    Mutation("distortions/_places.py", "(count, items), generator", "(1, items), generator", "test_distortions.py"),
    Mutation(
        "analyzers/_semantic_reliance.py",
        "float(low2 / high1), float(high2 / low1)",
        "float(low2 / low1), float(high2 / high1)",
        "test_reliance_and_gradient.py",
    ),
    Mutation(
        "analyzers/_semantic_reliance.py",
        '"retained": second / first if first else np.nan',
        '"retained": both / first if first else np.nan',
        "test_reliance_and_gradient.py",
    ),
    Mutation(
        "analyzers/_input_gradient.py",
        "squares.clamp(min=0.0).sqrt()",
        "squares.clamp(min=0.0)",
        "test_reliance_and_gradient.py",
    ),
    Mutation(
        "analyzers/_input_gradient.py",
        "if scale > 0 and not found",
        "if scale < 0 and not found",
        "test_reliance_and_gradient.py",
    ),
    # Transfer
    Mutation(
        "analyzers/_targets.py", "= place[twins], place[images]", "= place[images], place[twins]", "test_transfer.py"
    ),
    Mutation("analyzers/_transfer.py", "C=PROBE_C", "C=1e6", "test_transfer.py"),
    Mutation(
        "analyzers/_transfer.py",
        "    copied = copy.deepcopy(model)\n    copied.set_submodule",
        "    copied = model\n    copied.set_submodule",
        "test_transfer.py",
    ),
    Mutation(
        "analyzers/_transfer.py",
        "whole[twins] != whole[test], np.nan",
        "whole[twins] == whole[test], np.nan",
        "test_transfer.py",
    ),
    # Continuity
    Mutation(
        "analyzers/_neighborhoods.py", "(squared < one[:, None])", "(squared <= one[:, None])", "test_continuity.py"
    ),
    Mutation("analyzers/_neighborhoods.py", "squared.sum(dim=1) / others", "squared.mean(dim=1)", "test_continuity.py"),
    Mutation(
        "analyzers/_continuity.py", "ds[:, places].sum(axis=1)", "ds[:, places].mean(axis=1)", "test_continuity.py"
    ),
    Mutation("analyzers/_continuity_pictures.py", "ds[place].argmax()", "ds[place].argmin()", "test_continuity.py"),
    # Robustness
    Mutation(
        "analyzers/_attacked.py",
        "places = np.flatnonzero(standing)",
        "places = np.arange(len(standing))",
        "test_robustness.py",
    ),
    Mutation(
        "analyzers/_attacked.py",
        "torch.split(changed, EVAL_BATCH)",
        "torch.split(images, EVAL_BATCH)",
        "test_robustness.py",
    ),
    Mutation(
        "analyzers/_robustness_checks.py",
        "passed = large.accuracy <= TOLERATED",
        "passed = large.accuracy <= 1.0",
        "test_robustness.py",
    ),
    Mutation("analyzers/_robustness_checks.py", "through=network)", "through=bench.model)", "test_robustness.py"),
    # Attribution
    Mutation(
        "analyzers/_attribution_methods.py", 'method="riemann_middle"', 'method="riemann_left"', "test_attribution.py"
    ),
    Mutation(
        "analyzers/_attribution_methods.py",
        'interpolate_mode="bilinear"',
        'interpolate_mode="nearest"',
        "test_attribution.py",
    ),
    Mutation(
        "analyzers/_attribution_methods.py",
        'generator=torch_generator(0, "lime", int(row))',
        'generator=torch_generator(0, "lime")',
        "test_attribution.py",
    ),
    Mutation(
        "analyzers/_attribution_scores.py",
        "descending=True, stable=True",
        "descending=False, stable=True",
        "test_attribution.py",
    ),
    Mutation(
        "analyzers/_attribution_stability.py",
        "perturbed(images[there], one, 1)",
        "perturbed(images[there], one, 4)",
        "test_attribution.py",
    ),
    Mutation(
        "analyzers/_attribution.py",
        "(bits & CORE) > 0, (bits & SPURIOUS) > 0",
        "(bits & SPURIOUS) > 0, (bits & CORE) > 0",
        "test_attribution.py",
    ),
    Mutation("features.py", "return found[-1]", "return found[0]", "test_features.py"),
    # Neurons, concepts and WordNet
    Mutation("wordnet/_distances.py", "(up[rows] + steps[:, None]).min", "(up[rows]).min", "test_wordnet.py"),
    Mutation("wordnet/_distances.py", "return _hypernyms(number)[:1]", "return _hypernyms(number)", "test_wordnet.py"),
    Mutation(
        "analyzers/_consistency.py",
        "(form - active) / (active * (active - 1.0))",
        "form / np.square(active)",
        "test_neuron_consistency.py",
    ),
    Mutation(
        "analyzers/_consistency.py",
        "(float(images @ related @ images) - n) / (n * (n - 1.0))",
        "float(images @ related @ images) / n**2",
        "test_neuron_consistency.py",
    ),
    Mutation(
        "analyzers/_consistency.py",
        "(blocks - 1) / blocks * np.square",
        "1 / blocks * np.square",
        "test_neuron_consistency.py",
    ),
    # The gate
    Mutation("_gate/__init__.py", '"pass" if low >= limit', '"pass" if high >= limit', "test_gate.py"),
    Mutation(
        "_gate/__init__.py", '("fail", "inconclusive", "pass")', '("inconclusive", "fail", "pass")', "test_gate.py"
    ),
    Mutation("_gate/answers.py", "kept = n >= max(min_n, 1)", "kept = n >= 1", "test_gate.py"),
    Mutation(
        "_gate/levels.py",
        "rates.ends(TAIL / len(groups)), rates.ends(TAIL)",
        "rates.ends(TAIL), rates.ends(TAIL)",
        "test_gate.py",
    ),
    Mutation(
        "_gate/disparities.py", "else (-high, -low) if high <= 0", "else (low, high) if high <= 0", "test_gate.py"
    ),
    Mutation("_gate/changes.py", "0.05 / len(each)", "0.05", "test_gate.py"),
    Mutation("telling/gate.py", '("%", "%25"), ', "", "test_gate.py"),
    # Scores
    Mutation("counting.py", "self.missing += int(absent.sum())", "self.missing += 1", "test_score.py"),
    Mutation("counting.py", "start + int(absent.argmax())", "int(absent.argmax())", "test_score.py"),
    Mutation("counting.py", "flat = flat * size + one", "flat = flat * 2 + one", "test_score.py"),
    Mutation("_score_reading.py", 'p, side="right") - 1', 'p, side="left") - 1', "test_score.py"),
    Mutation("_score_reading.py", "whole=place < 2", "whole=False", "test_score.py"),
    Mutation("calibration.py", "cumsum(2)[:, :, ::-1][:, :, first]", "cumsum(2)[:, :, first]", "test_score.py"),
    Mutation("_score_tables.py", "np.argsort(-n.sum(0), kind", "np.argsort(n.sum(0), kind", "test_score.py"),
    Mutation("stats/_calibration.py", "estimate - noise - spread", "estimate - spread", "test_score.py"),
    Mutation("stats/_calibration.py", "0.0) + z**2)", "0.0))", "test_score.py"),
    Mutation("stats/_intervals.py", "max(high for _, high", "min(high for _, high", "test_score.py"),
    Mutation("cells.py", '"attributes": counts.attributes,', '"attributes": {},', "test_score.py"),
    # What a report tells
    Mutation("_examples.py", "np.argsort(-confidence", "np.argsort(confidence", "test_examples.py"),
    Mutation("_examples.py", "order[group[order]][:EACH]", "order[:EACH]", "test_examples.py"),
    Mutation("measures.py", "count > 2 and not follows and", "False and", "test_examples.py"),
    Mutation("telling/report.py", "result if images else without_pictures(result)", "result", "test_report.py"),
    Mutation("telling/typeset.py", "_SPECIAL.get(one, one)", "one", "test_typeset.py"),
    Mutation("telling/methods.py", 'result["margin"] is not None:', "True:", "test_typeset.py"),
    Mutation(
        "losses/_feature_matching.py", "/ self.scale.clamp(min=1e-12)", "* self.scale", "test_feature_matching.py"
    ),
    Mutation(
        "losses/_feature_matching.py",
        "mixed_cross_entropy(images, perturbed, batch.labels, 1.0 - self.alpha)",
        "mixed_cross_entropy(images, perturbed, batch.labels, self.alpha)",
        "test_feature_matching.py",
    ),
    Mutation(
        "analyzers/_dissection_counts.py",
        "found = both / (area + labeled - both)",
        "found = both / labeled",
        "test_dissection.py",
    ),
    Mutation(
        "analyzers/_dissection_counts.py",
        "if self.lite else there[image]",
        "if not self.lite else there[image]",
        "test_dissection.py",
    ),
    Mutation(
        "analyzers/_dissection_counts.py",
        "found[:, labeled == 0] = torch.nan",
        "found[:, labeled == 0] = 0.0",
        "test_dissection.py",
    ),
    Mutation("analyzers/_top_images.py", "np.argsort(-spread", "np.argsort(spread", "test_top_images.py"),
    Mutation(
        "stats/_arms.py", "found = arms.combine((arms.a[:, 0]", "found = arms.combine((arms.b[:, 0]", "test_stats.py"
    ),
    Mutation("_findings.py", "counts / counts.sum()", "counts / counts.max()", "test_studies.py"),
    # Diff, data audit, self-test
    Mutation("_diff.py", "rates[1] - rates[0]", "rates[0] - rates[1]", "test_diff.py"),
    Mutation("_diff.py", 'family = [row for row in rows if not row["note"]]', "family = rows", "test_diff.py"),
    Mutation(
        "duplicates.py",
        "places, slack = places[order], limit + 1.0",
        "places, slack = places[order], 0.1 * limit",
        "test_data_audit.py",
    ),
    Mutation("ceiling.py", '"lift": (only - lost) / n', '"lift": (only + lost) / n', "test_data_audit.py"),
    Mutation("ceiling.py", "counts.sum(1)[codes[told]] == 0", "counts.sum(1)[codes[told]] < 0", "test_data_audit.py"),
    Mutation("stats/_association.py", "_DOUBT = 4.0", "_DOUBT = 0.0", "test_data_audit.py"),
    Mutation("stats/_association.py", "- drawn.mean() + max(phi2 - chance, 0.0)", "", "test_data_audit.py"),
    Mutation("_selftest.py", "rises and clear", "rises", "test_selftest.py"),
    # Semantic robustness and semantic information
    Mutation("semantic.py", "torch.exp2(-values", "torch.exp2(values", "test_semantic.py"),
    Mutation("semantic.py", "-sin * aspect, -cos * right", "sin * aspect, -cos * right", "test_semantic.py"),
    Mutation("semantic.py", "clamp(0.0, 1.0) - images).detach()", "clamp(0.0, 1.0) - images)", "test_semantic.py"),
    Mutation("regions/_bounds.py", "gamma = 2 - beta * (2 * n - 1)", "gamma = 2 - beta", "test_regions.py"),
    Mutation("regions/_bounds.py", "grown * ((1 + half) * outer_low", "((1 + half) * outer_low", "test_regions.py"),
    Mutation("regions/_search.py", "(self.upper.clamp(0, 1)", "(self.upper", "test_regions.py"),
    Mutation("regions/_volume.py", "np.sqrt(count / (count - 1))", "1.0", "test_regions.py"),
    Mutation("cca.py", "low[part] @ white", "low[fitted][: len(part)] @ white", "test_cca.py"),
    Mutation("cca.py", "s / np.sqrt(s**2 + ridge)", "np.ones_like(s)", "test_cca.py"),
    Mutation("words.py", "np.sqrt(values[order].clip(min=0.0))", "values[order]", "test_words.py"),
    Mutation("regions/_volume.py", "count < FEWEST", "count < 2", "test_regions.py"),
    Mutation(
        "analyzers/_semantic_map.py",
        'table["confidence"] * table["n"]',
        'table["confidence"]',
        "test_semantic_analyzers.py",
    ),
    Mutation("measures.py", "found.samples[key].iloc[0]", "found.samples[key].iloc[-1]", "test_semantic_analyzers.py"),
    Mutation(
        "analyzers/_semantic_regions.py", "or set(methods) <= set(SLOPED)", "or True", "test_semantic_analyzers.py"
    ),
    Mutation("telling/curves.py", "x: sum(values) / len(values)", "x: sum(values)", "test_further.py"),
    Mutation("disk.py", "{str(options): sha256(path)}", '{str(options): ""}', "test_scarl.py"),
    Mutation("losses/_scarl.py", "count >= 2", "count >= 1", "test_scarl.py"),
    Mutation("losses/_scarl.py", " + prior.clamp_min(1e-12).log()", "", "test_scarl.py"),
    Mutation(
        "attacks/_trades.py",
        "here.detach() + step * slope.sign()",
        "here.detach() - step * slope.sign()",
        "test_scarl.py",
    ),
    Mutation("render/_rays.py", "(point[:, None])[0] + rim", "(point[:, None])[0]", "test_render.py"),
    Mutation("render/_objects.py", "odd = odd ^ one", "odd = odd | one", "test_render.py"),
    Mutation("analyzers/_class_similarity.py", "(1 + least) / (1 + draws)", "least / draws", "test_words_analyzers.py"),
)


def apply(mutation: Mutation, package: Path) -> None:
    path = package / mutation.file
    text = path.read_text(encoding="utf-8")
    found = text.count(mutation.old)
    if found != 1:
        raise SystemExit(f"{mutation.file}: {mutation.old!r} occurs {found} times; bring the list up to date")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def survives(mutation: Mutation) -> bool:
    """Whether the tests named with a mutation pass in spite of it."""
    with tempfile.TemporaryDirectory(prefix="biaskit-mutation-") as folder:
        work = Path(folder)
        for name in ("biaskit", "recipes", "datasets", "studies", "tests"):
            shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", work)
        apply(mutation, work / "biaskit")
        environment = os.environ | {
            "PYTHONPATH": str(work),
            "OMP_NUM_THREADS": "1",
            "BIASKIT_HOME": str(work / "home"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                *(f"tests/{name}" for name in mutation.tests.split()),
            ],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{mutation.file}: the tests did not run\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def main(words: list[str]) -> int:
    chosen = [one for one in MUTATIONS if not words or any(word in one.file for word in words)]
    killed = 0
    for number, mutation in enumerate(chosen, 1):
        started = time.perf_counter()
        lives = survives(mutation)
        killed += not lives
        state = "SURVIVED" if lives else "killed  "
        seconds = time.perf_counter() - started
        print(f"{number:2} of {len(chosen)}  {state} {seconds:5.1f} s  {mutation.file}: {mutation.old}", flush=True)
    print(f"{killed} of {len(chosen)} killed; needed: {NEEDED:.0%}")
    return 0 if killed >= NEEDED * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
