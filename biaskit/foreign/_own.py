"""Models of ours: a run's folder, or its checkpoint alone."""

from __future__ import annotations

from pathlib import Path

from biaskit._train import make_model
from biaskit.errors import BiaskitError, UnsupportedModel
from biaskit.foreign._files import about_ours, fit_weights, read_weights
from biaskit.foreign._found import Found
from biaskit.runs import open_run

__all__ = ["checkpoint", "run_folder"]


def run_folder(folder: Path) -> Found:
    """A run as ``biaskit train`` and ``compare`` store it.

    Raises
    ------
    UnsupportedModel
        The folder holds no run.
    StoreError
        A damaged one.
    """
    if not (folder / "run.json").is_file():
        raise UnsupportedModel(f"{folder} is a folder without a run.json; give a run's folder, see: biaskit runs list")
    run = open_run(folder)
    return Found(
        run.model,
        run.arm,
        f"the model is the run {run.arm}, seed {run.seed}",
        "run",
        classes=run.classes,
        size=(run.shape[1], run.shape[2]),
        source="the run was trained on that",
        normalizes=True,
        digest=run.fingerprint,
        run=run,
    )


def checkpoint(path: Path) -> Found:
    """A ``model.safetensors`` of ours, which says what network it is for.

    Raises
    ------
    UnsupportedModel
        Weights of another tool, which need a network to go into.
    """
    about = about_ours(path)
    if about is None:
        raise UnsupportedModel(
            f"{path} holds weights alone; name the network they are for, such as torchvision:resnet18 or "
            f"package.module:factory, with --weights {path}"
        )
    try:
        net = make_model(about["model"], len(about["classes"]), tuple(about["shape"]), 0)
    except (BiaskitError, TypeError, KeyError) as error:
        raise UnsupportedModel(f"{path} is for a network that cannot be built here: {error}") from None
    fit_weights(net, read_weights(path, trust_pickle=False), path)
    return Found(
        net,
        path.parent.name if path.stem == "model" and path.parent.name else path.stem,
        f"the weights are {path.name}, a checkpoint of biaskit",
        "checkpoint",
        classes=tuple(map(str, about["classes"])),
        size=(int(about["shape"][1]), int(about["shape"][2])),
        source="it was trained on that",
        normalizes=True,
    )
