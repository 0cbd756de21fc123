"""Runs: trained once, stored under the fingerprint of everything that determines them, never computed twice."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import biaskit
from biaskit._build import as_dataset
from biaskit._train import Machine, Tick, fit, machine, make_model
from biaskit.data import Dataset, coded
from biaskit.disk import files_named, new_folder, plain
from biaskit.errors import BiaskitError, DataError, StoreError
from biaskit.evaluation import evaluate
from biaskit.home import home
from biaskit.recipes import Arm, bind_arms, code_fingerprint, code_modules, fingerprint
from biaskit.rng import derive

__all__ = ["Run", "clean", "open_run", "prediction_table", "run_fingerprint", "stored_runs", "train", "train_arm"]

_DONE = "run.json"
_FILES = (_DONE, "model.safetensors", "history.csv", "predictions.parquet", "analyses")


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """One training of one recipe with one seed on one data set.

    Attributes
    ----------
    arm : str
    seed : int
    card : mapping
        The bound recipe.
    fingerprint : str
        Of card, data, seed, code, torch, device, precision and threads.
    history : DataFrame
        One row per epoch: stage, epoch, rows (that were seen), loss, seconds.
    predictions : DataFrame
        One row per image outside train: row, split, pair, label, attributes, prediction, confidence, logits.
    seconds : float
        Training time.
    stored : bool
        Whether it was there already.
    folder : Path
    where : Machine
    classes : tuple of str
    shape : tuple of int
    parameters : int
        Trained weights.
    data : str
        Fingerprint of the data set.
    """

    arm: str
    seed: int
    card: Mapping[str, Any]
    fingerprint: str
    history: pd.DataFrame
    predictions: pd.DataFrame
    seconds: float
    stored: bool
    folder: Path
    where: Machine
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    parameters: int
    data: str

    def __repr__(self) -> str:
        return f"<Run {self.arm}, seed {self.seed}: {len(self.history)} epochs, {self.folder}>"

    def logits(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """The stored logits of some rows of the data set, (len(rows), K).

        Raises
        ------
        StoreError
            The stored predictions are not those of these rows.
        """
        try:
            stored = self.predictions.set_index("row")["logits"].loc[rows.tolist()]
            if len(stored) != len(rows):
                raise KeyError("a row is there twice")
            return torch.from_numpy(np.stack(stored.to_list()))
        except (KeyError, ValueError) as error:
            path = self.folder / "predictions.parquet"
            raise StoreError(
                f"{path} does not fit its data set ({error}); remove it with: biaskit runs clean"
            ) from None

    @cached_property
    def model(self) -> nn.Module:
        """The trained network, in eval mode on the CPU."""
        model = make_model(self.card["model"], len(self.classes), self.shape, derive(self.seed, "model"))
        try:
            model.load_state_dict(load_file(self.folder / "model.safetensors"))
        except (SafetensorError, RuntimeError, OSError) as error:
            raise StoreError(f"{self.folder / 'model.safetensors'} cannot be read ({error}); remove the run") from None
        return model.eval()


def train(
    recipe: str,
    data: Dataset | str | Path,
    *,
    seed: int = 0,
    set: Sequence[str] = (),
    device: str | None = None,
    deterministic: bool = False,
    tick: Callable[[Tick], None] | None = None,
) -> Run:
    """Train one recipe with one seed, or take the stored run if there is one.

    Parameters
    ----------
    recipe : str
        The name of a shipped recipe card, or the path of a TOML file.
    data : Dataset, or a folder or name for :func:`biaskit.load`
    seed : int
        Varies initialization, order and perturbations; the data stay as they are.
    set : sequence of str
        Changes to the card: ``"stage.0.epochs=3"``.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"mps"``; default: what is there.
    deterministic : bool
        On CUDA, bit-equal repetitions at some cost of speed; on the CPU they always are at a fixed thread count.
    tick : callable, optional
        Called with a :class:`~biaskit._train.Tick` while it trains.

    Returns
    -------
    Run

    Raises
    ------
    UnknownName, SpecError, StoreError
    """
    data = as_dataset(data)
    arm = bind_arms([recipe], data, set)[0]
    return train_arm(arm, data, seed, machine(device, deterministic=deterministic), tick)


def train_arm(arm: Arm, data: Dataset, seed: int, where: Machine, tick: Callable[[Tick], None] | None = None) -> Run:
    """As :func:`train`, for an arm that is bound already."""
    key = run_fingerprint(arm, data, seed, where)
    folder = home() / "runs" / key[:16]
    if (folder / _DONE).is_file():
        return _as_asked(open_run(folder, stored=True), arm)
    with _lock(folder):
        if (folder / _DONE).is_file():
            return _as_asked(open_run(folder, stored=True), arm)
        if folder.is_dir():
            # Without run.json it is no finished run: something removed it.
            shutil.rmtree(folder)
        resume = folder.with_name(f"{folder.name}.resume")
        model = make_model(arm.card["model"], len(data.classes), data.images.shape, derive(seed, "model"))
        history = fit(model, data, arm.card, seed=seed, where=where, resume=resume, tick=tick)
        rows = np.flatnonzero((data.table["split"] != "train").to_numpy())
        logits = evaluate(model, data, rows, where.device)
        if not bool(torch.isfinite(logits).all()):
            raise BiaskitError(
                f"{arm.name}, seed {seed}: the trained network gives NaN or infinite logits, so nothing is stored; "
                "lower the rate with --set stage.0.optimizer.lr=..., or set stage.0.clip=1.0"
            )
        predictions = prediction_table(data, rows, logits)
        with new_folder(folder, holds=_FILES) as work:
            tensors = {name: one.detach().cpu().contiguous() for name, one in model.state_dict().items()}
            about = {"classes": list(data.classes), "model": dict(arm.card["model"]), "shape": list(data.images.shape)}
            _save_weights(tensors, work / "model.safetensors", {"biaskit": json.dumps(about, sort_keys=True)})
            pd.DataFrame(history).to_csv(work / "history.csv", index=False)
            predictions.to_parquet(work / "predictions.parquet", index=False)
            (work / _DONE).write_text(
                json.dumps(
                    {
                        **about,
                        "arm": arm.name,
                        "seed": seed,
                        "card": arm.card,
                        "changes": list(arm.changes),
                        "data": {"name": data.name, "fingerprint": data.fingerprint, "card": _planted(data)},
                        "fingerprint": key,
                        "seconds": sum(row["seconds"] for row in history),
                        "where": vars(where),
                        "parameters": sum(one.numel() for one in model.parameters()),
                        "code": code_modules(arm.card),
                        "biaskit": biaskit.__version__,
                        "torch": torch.__version__,
                        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    },
                    indent=1,
                    sort_keys=True,
                ),
                encoding="utf-8",
            )
        resume.unlink(missing_ok=True)
    return open_run(folder, stored=False)


def _planted(data: Dataset) -> dict[str, Any]:
    """What its card says of how the data were made."""
    keys = ("source", "labels", "limit", "builder", "seed", "set")
    return {key: plain(data.card[key]) for key in keys if key in data.card}


def _as_asked(run: Run, arm: Arm) -> Run:
    """A stored run under the arm's own name: two cards that differ in words alone share their runs."""
    return dataclasses.replace(run, arm=arm.name, card=arm.card)


def run_fingerprint(arm: Arm, data: Dataset, seed: int, where: Machine) -> str:
    """Of everything that determines a run; names and summaries do not."""
    files = files_named(arm.training)
    return fingerprint(
        {
            **arm.training,
            **({"files": files} if files else {}),
            "data": data.fingerprint,
            "seed": seed,
            "code": code_fingerprint(arm.card),
            "torch": torch.__version__,
            "where": vars(where) | {"device": torch.device(where.device).type},
            "processor": platform.machine(),
        }
    )


def open_run(folder: Path, *, stored: bool = True) -> Run:
    """Read a run's folder."""
    try:
        about = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        history = pd.read_csv(folder / "history.csv")
        if history.empty or not {"epoch", "loss", "seconds"} <= set(history):
            raise ValueError("history.csv holds no epochs")
        return Run(
            about["arm"],
            about["seed"],
            about["card"],
            about["fingerprint"],
            history,
            pd.read_parquet(folder / "predictions.parquet"),
            about["seconds"],
            stored,
            folder,
            Machine(**about["where"]),
            tuple(about["classes"]),
            tuple(about["shape"]),
            about["parameters"],
            about["data"]["fingerprint"],
        )
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{folder} is not a readable run ({error}); remove it with: biaskit runs clean") from None


def run_names() -> list[str]:
    """The names of all finished runs in ``BIASKIT_HOME``, as ``biaskit runs list`` prints them."""
    return sorted(path.parent.name for path in (home() / "runs").glob(f"*/{_DONE}"))


def find_run(name: str) -> Path | None:
    """The folder of a stored run by its name, or by four characters or more that it begins with; None without one.

    Raises
    ------
    DataError
        Several runs begin so.
    """
    found = [one for one in run_names() if one.startswith(name)] if len(name) >= 4 else []
    if len(found) > 1:
        raise DataError(f"{name} may be any of the runs {', '.join(found)}; write more of it")
    return home() / "runs" / found[0] if found else None


def stored_runs() -> Iterator[dict[str, Any]]:
    """What every finished run in ``BIASKIT_HOME`` says about itself, oldest first, with its folder and size."""
    found = sorted((home() / "runs").glob(f"*/{_DONE}"), key=lambda path: path.stat().st_mtime)
    for path in found:
        about = {"arm": "?", "seed": -1, "data": {"name": "unreadable"}, "seconds": float("nan"), "finished": "?"}
        with contextlib.suppress(ValueError, TypeError):
            about = {**about, **json.loads(path.read_text(encoding="utf-8"))}
        size = sum(one.stat().st_size for one in path.parent.rglob("*") if one.is_file())
        yield {**about, "folder": path.parent, "bytes": size}


def clean(*, unfinished_only: bool = False) -> tuple[int, int]:
    """Remove stored runs; returns how many and how many bytes. A run that is being trained is left alone."""
    removed = size = 0
    root = home() / "runs"
    for path in sorted(root.glob("*")) if root.is_dir() else []:
        if path.suffix == ".lock" or (unfinished_only and path.is_dir() and (path / _DONE).is_file()):
            continue
        try:
            # Also what a run writes to before it is renamed: ".<run>-<random>".
            with _lock(root / path.name.lstrip(".").partition("-")[0].partition(".")[0]):
                size += (
                    sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
                    if path.is_dir()
                    else path.stat().st_size
                )
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed += 1
        except StoreError:
            continue
    return removed, size


def prediction_table(data: Dataset, rows: npt.NDArray[np.int64], logits: Tensor) -> pd.DataFrame:
    """Rows of a data set, with the row of the twin or of its original, prediction, confidence (softmax) and logits."""
    confidence, answer = logits.softmax(dim=1).max(dim=1)
    table = data.table.iloc[rows]
    frame = pd.DataFrame({"row": rows, "split": table["split"].astype(str).to_numpy()})
    frame["pair"] = table["pair"].to_numpy(np.int64)
    for name in ("label", *data.attributes):
        frame[name] = table[name].to_numpy()
    frame["prediction"] = coded(answer.numpy(), data.classes)
    frame["confidence"] = confidence.numpy()
    frame["logits"] = list(logits.numpy())
    return frame


def _save_weights(tensors: dict[str, Tensor], path: Path, about: dict[str, str]) -> None:
    try:
        save_file(tensors, path, about)
    except SafetensorError as error:
        raise StoreError(
            f"{path} cannot be written ({error}); free some space, or set BIASKIT_HOME elsewhere"
        ) from None


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"run {folder.name} is being trained by another process, which holds {lock.lock_file}; wait for it and "
            "repeat the command, which then takes the stored run"
        ) from None
    try:
        yield
    finally:
        lock.release()
        if os.name != "nt":
            Path(lock.lock_file).unlink(missing_ok=True)
