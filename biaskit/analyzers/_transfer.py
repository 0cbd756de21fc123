from __future__ import annotations

import copy
import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from biaskit._train import fit, machine
from biaskit.analyzers._targets import Target, target
from biaskit.errors import BiaskitError, DataError, SpecError, UnsupportedModel
from biaskit.features import features, find_layer, redraw
from biaskit.features import head as find_head
from biaskit.registry import bind
from biaskit.results import Column, Result
from biaskit.rng import derive, scoped
from biaskit.stats import wilson
from biaskit.subject import Subject

__all__ = ["transfer"]

COLUMNS = (
    Column("target", "the data set the model was transferred to", key=True),
    Column("mode", "probe = a linear classifier on frozen features; finetune = every layer trained on", key=True),
    Column("n", "test images of the target"),
    Column("accuracy", "share of right answers after the transfer", "share", "higher"),
    Column("low", "95 % Wilson interval of the accuracy, this model and other images"),
    Column("high", "95 % Wilson interval of the accuracy, this model and other images"),
    Column("untrained", "accuracy of the same network drawn anew and transferred the same way", "share", ""),
    Column("n_flips", "pairs of image and twin, which differ in the target's attribute alone"),
    Column("flip_rate", "share of pairs with two different answers after the transfer", "share", "lower"),
    Column("flip_rate_low", "95 % Wilson interval of the flip rate, this model and other images"),
    Column("flip_rate_high", "95 % Wilson interval of the flip rate, this model and other images"),
    Column("flip_rate_untrained", "flip rate of the network drawn anew and transferred the same way", "share", ""),
)
#: The rest of the step rule of a fine-tuning.
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
#: Inverse strength of the probe's L2 penalty, on the sum of the losses, and the most steps of its solver.
PROBE_C, PROBE_STEPS = 1.0, 2000

Answers = npt.NDArray[np.int64]
#: Answers of networks drawn anew by all that determines them: every run of a comparison asks for the same.
_KNOWN: dict[tuple[object, ...], Answers] = {}


def transfer(
    subject: Subject,
    *,
    to: Annotated[tuple[str, ...], Field(min_length=1)] = ("colordigits-parity",),
    modes: Annotated[tuple[Literal["probe", "finetune"], ...], Field(min_length=1)] = ("probe", "finetune"),
    epochs: PositiveInt = 10,
    batch_size: PositiveInt = 64,
    lr: PositiveFloat = 0.01,
    images: PositiveInt = 1000,
    test_images: PositiveInt = 1000,
    untrained: bool = True,
    head: str = "",
) -> Result:
    """How well the features serve another task, and whether a learned shortcut comes along.

    A copy of the model gets a new linear head for the target's labels. ``probe``: only the head is fitted, on frozen
    features; ``finetune``: every layer is trained on. What the first training taught shows against ``untrained``, the
    same network drawn anew and transferred the same way. Where the target has twins, the flip rate tells whether the
    answers follow the attribute: in a target that does not reward it, such as the default, a shortcut that still flips
    answers was brought along.

    Parameters
    ----------
    subject : Subject
        Its model is copied, never changed; its data set gives the image size alone.
    to : tuple of str
        Data sets with train and test, as for :func:`biaskit.load`. Images are resized to the subject's (bilinear with
        antialiasing; the ratio of the sides is not kept) and gray ones repeated for three channels; ``notes`` say so.
        The default needs no download.
    modes : tuple of "probe" and "finetune"
    epochs, batch_size, lr
        Of the fine-tuning: SGD with Nesterov momentum 0.9 and weight decay 5e-4, the rate falling to 0 by a cosine,
        in the precision of every training here. The default is a small budget for small sets: 160 steps. 30 epochs in
        batches of 128 suit a whole set.
    images, test_images : int
        At most so many of the target's train and test, drawn once for all models.
    untrained : bool
        Whether the network drawn anew is transferred too, which doubles the time; NaN without, and where no layer
        below the head can be drawn anew.
    head : str
        The linear layer to replace, as in :func:`biaskit.features.find_layer`. Empty: the last one whose output is the
        logits.

    Returns
    -------
    Result
        A row per target and mode. ``samples`` has ``row``, which counts in the *target's* table, ``target``, ``mode``,
        ``correct``, and ``flipped`` (NaN without a twin).

    Raises
    ------
    DataError, UnknownName
        A target that cannot be loaded. All are loaded before anything is trained, and one that is missing fails the
        whole: a table without it would be stored and taken for complete later.
    UnsupportedModel
        No linear layer gives the logits; a model that takes gray images alone, or that cannot be trained.
    SpecError
        A target or a mode that is named twice; an option outside its range.

    Notes
    -----
    The probe is multinomial logistic regression on the input of the head, each feature standardized over the training
    images, with scikit-learn's L2 penalty at C = 1 and its L-BFGS solver: deterministic, and not tuned on the test
    set. Order of the images, the new head and the untrained network are drawn from seed 0 for every model, so that the
    models of a comparison differ by their first training alone: its seeds are the repetitions. The untrained network is
    transferred once per process for all of them, unless it holds what cannot be compared (pickled).

    References
    ----------
    Wu et al., An Experimental Study of Semantic Continuity, arXiv 2011.09789, Table 3, fine-tunes all layers; its
    hyper-parameters are not published, so these, the probe and the flips are ours.
    """
    options = {
        "to": to,
        "modes": modes,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "images": images,
        "test_images": test_images,
        "untrained": untrained,
        "head": head,
    }
    options = bind(transfer, options, "transfer")
    for option, given in (("to", to), ("modes", modes)):
        if len(set(given)) < len(given):
            raise SpecError(f"transfer: {option} = {', '.join(given)} names one twice")
    _, height, width = subject.dataset.images.shape
    targets = [target(name, (3, height, width), images, test_images) for name in to]
    name = _head(subject, targets[0], head)
    anew = _untrained(subject.model) if untrained else None
    made_of = None if anew is None else _made_of(anew)
    notes = [f"the head {name} is replaced", *(one.note for one in targets)]
    if untrained and anew is None:
        notes.append("no layer below the head can be drawn anew: no untrained network")
    rows, samples = [], []
    for one in targets:
        card = _card(one.name, epochs, batch_size, lr)
        for mode in modes:
            found = [_scores(one, _answers(subject.model, name, one, subject.device, mode, card))]
            if anew is not None:
                asked = (one.fingerprint, images, test_images, height, width, name, mode, json.dumps(card))
                key = (made_of, *asked, machine(subject.device))
                if made_of is None or key not in _KNOWN:
                    _KNOWN[key] = _answers(anew, name, one, subject.device, mode, card)
                found.append(_scores(one, _KNOWN[key]))
            rows.append({"target": one.name, "mode": mode, **_row(*found)})
            samples.append(found[0].assign(target=one.name, mode=mode))
    return Result(
        "transfer",
        pd.DataFrame(rows, columns=[column.name for column in COLUMNS]),
        COLUMNS,
        options,
        pd.concat(samples, ignore_index=True)[["row", "target", "mode", "correct", "flipped"]],
        notes=tuple(notes),
        reads={one.name: one.fingerprint for one in targets},
    )


def _head(subject: Subject, one: Target, wanted: str) -> str:
    """The full name of the linear layer to replace."""
    model = subject.model
    images = one.dataset.images.gather(torch.zeros(1, dtype=torch.long)).to(subject.device).float().div_(255.0)
    try:
        if not wanted:
            return find_head(model, len(subject.dataset.classes), images)
        found = find_layer(model, wanted)
        features(model, images, found)
    except (RuntimeError, ValueError, TypeError) as error:
        gray = subject.dataset.images.shape[0] == 1
        remedy = "; it takes gray images alone: put x.mean(dim=1, keepdim=True) in front of it" if gray else ""
        reason = str(error).partition("\n")[0]
        raise UnsupportedModel(f"the model cannot take images {tuple(images.shape)}: {reason}{remedy}") from None
    if not isinstance(model.get_submodule(found), nn.Linear):
        raise UnsupportedModel(f"{found} is a {type(model.get_submodule(found)).__name__}, not an nn.Linear to replace")
    return found


def _untrained(model: nn.Module) -> nn.Module | None:
    """A copy drawn anew; None where only the head, which is replaced anyway, can be."""
    copied = copy.deepcopy(model)
    with scoped(derive(0, "transfer", "untrained")):
        drawn = redraw(copied)
    return copied if drawn > 1 else None


class _Contents(pickle.Pickler):
    """Tensors by their bytes: as they are pickled otherwise, they carry addresses in memory."""

    def reducer_override(self, one: Any) -> Any:
        if not isinstance(one, Tensor):
            return NotImplemented
        plain = one.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return str, (repr((one.dtype, tuple(one.shape), one.stride())).encode() + plain, "latin-1")


def _made_of(model: nn.Module) -> tuple[object, ...] | None:
    """All that a network is: its classes and what they hold; None where a part of it cannot be pickled."""
    stream = io.BytesIO()
    try:
        _Contents(stream).dump(model)
    except (pickle.PicklingError, AttributeError, TypeError, RuntimeError):
        return None
    return *(type(module) for module in model.modules()), hashlib.sha256(stream.getbuffer()).hexdigest()


def _answers(model: nn.Module, name: str, one: Target, device: str, mode: str, card: Mapping[str, Any]) -> Answers:
    """Answers after a transfer to the rows outside train."""
    return _probe(model, name, one, device) if mode == "probe" else _finetune(model, name, one, device, card)


def _with_head(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """A copy of a model with another last layer."""
    copied = copy.deepcopy(model)
    copied.set_submodule(name, layer)
    return copied


def _width(model: nn.Module, name: str) -> int:
    """The number of features that go into the head."""
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    return layer.in_features


def _probe(model: nn.Module, name: str, one: Target, device: str) -> Answers:
    """Answers of a logistic regression on frozen features to the rows outside train."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    found = _penultimate(model, name, one, device)
    train, tested = one.dataset.rows("train"), one.outside
    labels = one.dataset.labels[train]
    if len(np.unique(labels)) < 2:
        raise DataError(f"{one.name}: the {len(train):,} training images drawn have a single label; raise images")
    scaler = StandardScaler().fit(found[train])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=PROBE_C, max_iter=PROBE_STEPS).fit(scaler.transform(found[train]), labels)
    return np.asarray(fitted.predict(scaler.transform(found[tested])), np.int64)


def _penultimate(model: nn.Module, name: str, one: Target, device: str) -> npt.NDArray[np.float64]:
    """What goes into the head for every image of the target, (N, features)."""
    # An identity in the place of the head gives what the head is given.
    body = Subject(_with_head(model, name, nn.Identity()), one.dataset, device=device)
    with torch.inference_mode():
        parts = [features(body.model, x, name).double().cpu() for _, x in body.batches(np.arange(len(one.dataset)))]
    found = torch.cat(parts).numpy()
    if found.shape[1:] != (_width(model, name),) or not np.isfinite(found).all():
        raise UnsupportedModel(
            f"the head {name} is given {' x '.join(map(str, found.shape[1:]))} values per image, some of them not "
            f"finite; expected {_width(model, name)} finite features"
        )
    return found


def _finetune(model: nn.Module, name: str, one: Target, device: str, card: Mapping[str, Any]) -> Answers:
    """Answers of a copy that was trained on, with a new head, to the rows outside train."""
    with scoped(derive(0, "transfer", "head")):
        layer = nn.Linear(_width(model, name), len(one.dataset.classes))
    copied = _with_head(model, name, layer).requires_grad_(True)
    try:
        fit(copied, one.dataset, card, seed=0, where=machine(device))
    except BiaskitError as error:
        # What fit proposes are keys of a recipe.
        rate = card["stage"][0]["optimizer"]["lr"]
        raise DataError(f"{str(error).partition(';')[0]}; lower lr = {rate:g}") from None
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UnsupportedModel(f"the model cannot be trained on: {reason}; modes = probe leaves it as it is") from error
    subject = Subject(copied, one.dataset, device=device)
    return subject.predictions(subject.rows)


def _card(name: str, epochs: int, batch_size: int, lr: float) -> dict[str, Any]:
    """The fine-tuning as a bound recipe."""
    stage = {
        "loss": {"name": "cross_entropy"},
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": {"name": "sgd", "lr": lr, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY},
        "schedule": "cosine",
    }
    return {"name": f"fine-tuning on {name}", "stage": [stage]}


def _scores(one: Target, answers: Answers) -> pd.DataFrame:
    """Per test image: its row in the stored set, whether the answer is right, whether the twin's differs."""
    data, test = one.dataset, one.dataset.rows("test")
    whole = np.full(len(data), -1, np.int64)
    whole[one.outside] = answers
    twins = data.table["pair"].to_numpy(np.int64)[test]
    flipped = np.where(twins >= 0, whole[twins] != whole[test], np.nan)
    return pd.DataFrame({"row": one.rows[test], "correct": whole[test] == data.labels[test], "flipped": flipped})


def _row(found: pd.DataFrame, untrained: pd.DataFrame | None = None) -> dict[str, float]:
    flips = found["flipped"].dropna()
    low, high = wilson(found["correct"].sum(), len(found))
    flips_low, flips_high = wilson(flips.sum(), len(flips))
    return {
        "n": len(found),
        "accuracy": float(found["correct"].mean()),
        "low": float(low),
        "high": float(high),
        "untrained": np.nan if untrained is None else float(untrained["correct"].mean()),
        "n_flips": len(flips),
        "flip_rate": float(flips.mean()),
        "flip_rate_low": float(flips_low),
        "flip_rate_high": float(flips_high),
        "flip_rate_untrained": np.nan if untrained is None else float(untrained["flipped"].mean()),
    }
