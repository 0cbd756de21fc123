"""The training loop: stages of a bound card, from top to bottom, with no branch that knows a method's name."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from biaskit.data import Batch, Dataset
from biaskit.disk import disk_errors
from biaskit.errors import BiaskitError, SpecError, StoreError
from biaskit.features import head
from biaskit.images import IN_MEMORY, Images, as_array
from biaskit.registry import find
from biaskit.rng import derive, scoped, torch_generator
from biaskit.rows import epoch_order, held_out, stage_rows
from biaskit.subject import Subject

__all__ = ["Machine", "Tick", "fit", "machine", "make_model"]


@dataclass(frozen=True)
class Machine:
    """Where a run happens: everything of the hardware that changes its numbers."""

    device: str
    precision: str
    threads: int
    deterministic: bool


@dataclass(frozen=True)
class Tick:
    """A sign of life of a training, some ten times a second at most."""

    stage: int
    epoch: int
    epochs: int
    done: float
    images_per_second: float
    loss: float


def machine(device: str | None = None, *, deterministic: bool = False) -> Machine:
    """The device that is there (CUDA, then MPS, then CPU) and the precision that pays on it.

    bf16 is used where the processor multiplies it natively: on CPUs with AVX512-BF16 or AMX, and on GPUs that have it.
    Evaluation is always in float32.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda", "mps"):
        raise SpecError(f"--device {device}: expected cpu, cuda or mps")
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not torch.backends.mps.is_available()):
        raise SpecError(f"--device {device}: torch sees no such device; leave the option out to use what is there")
    fast = (kind == "cuda" and torch.cuda.is_bf16_supported()) or (kind == "cpu" and _cpu_has_bf16())
    return Machine(device, "bf16" if fast else "float32", torch.get_num_threads(), deterministic or kind == "cpu")


def _cpu_has_bf16() -> bool:
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(probe() for probe in probes if probe is not None)


def make_model(component: Mapping[str, Any], classes: int, shape: tuple[int, int, int], seed: int) -> nn.Module:
    """A network from its bound component, initialized by the seed alone.

    Raises
    ------
    SpecError
        The images are smaller than the network can take.
    """
    options = {key: value for key, value in component.items() if key != "name"}
    with scoped(derive(seed, "init")):
        model: nn.Module = find("model", component["name"])(classes, **options)
    smallest = int(getattr(model, "min_size", 1))
    if min(shape[1:]) < smallest:
        raise SpecError(
            f"{component['name']} needs images of at least {smallest} x {smallest} pixels, these are "
            f"{shape[2]} x {shape[1]}; choose another network with --set model.name=resnet_small"
        )
    return model.to(memory_format=torch.channels_last)


def fit(
    model: nn.Module,
    dataset: Dataset,
    card: Mapping[str, Any],
    *,
    seed: int,
    where: Machine,
    resume: Path | None = None,
    tick: Callable[[Tick], None] | None = None,
) -> list[dict[str, float]]:
    """Train in place on the split ``train``, stage after stage; the last epoch is the checkpoint.

    Parameters
    ----------
    model : nn.Module
        On [0, 1] pixels.
    dataset : Dataset
    card : mapping
        A bound recipe card.
    seed : int
        Draws the holdout, order, perturbations and attacks; initialization is the caller's.
    where : Machine
    resume : Path, optional
        File of the state after each epoch; a training that finds it goes on from there.
    tick : callable, optional

    Returns
    -------
    list of dict
        One row per epoch: stage, epoch, rows (that were seen), loss (mean over them), seconds.
    """
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=torch.device(where.device).type,
        devices=1,
        precision="bf16-mixed" if where.precision == "bf16" else "32-true",
    )
    device = fabric.device
    model.to(device)
    images = dataset.images if device.type == "cpu" else _on_device(dataset.images, device)
    labels, groups = torch.from_numpy(dataset.labels), torch.from_numpy(dataset.group_ids)
    # What cannot be trained so is said before anything is.
    held = held_out(dataset, card["holdout"], seed) if "holdout" in card else np.empty(0, np.int64)
    trained = [_trained_part(stage, model, dataset, device) for stage in card["stage"]]
    state = _load_state(resume, device) if resume is not None and resume.exists() else None
    history: list[dict[str, float]] = list(state["history"]) if state else []
    tags: dict[str, Tensor] = {name: marked.cpu() for name, marked in state["tags"].items()} if state else {}

    for number, stage in enumerate(card["stage"]):
        if state is not None and number < state["stage"]:
            continue
        if stage.get("fresh"):
            _initialize(model, trained[number], card, dataset, derive(seed, "fresh", number))
        rows = stage_rows(dataset, stage, held, tags)
        balanced = groups[rows] if stage.get("sampling") == "groups" else None
        with _training(model, trained[number]):
            with scoped(derive(seed, "loss", number)):  # what a loss draws, such as a projector
                one = _Stage.of(card, number, model, dataset, fabric, images, labels.to(device), groups.to(device))
            first = 0
            if state is not None and number == state["stage"]:
                one.load(state)
                first = int(state["epoch"]) + 1
            for epoch in range(first, stage["epochs"]):
                order = epoch_order(rows, balanced, torch_generator(seed, "order", number, epoch))
                started = time.perf_counter()
                mean = _epoch(one, order, number, epoch, seed, where, tick)
                seconds = time.perf_counter() - started
                if not math.isfinite(mean):
                    raise BiaskitError(
                        f"{card['name']}, seed {seed}: the loss is {mean} in epoch {epoch + 1} of stage {number}; "
                        f"lower the rate with --set stage.{number}.optimizer.lr=..., or set stage.{number}.clip=1.0"
                    )
                history.append({"stage": number, "epoch": epoch, "rows": len(order), "loss": mean, "seconds": seconds})
                if resume is not None:
                    about = {"stage": number, "epoch": epoch, "history": history, "tags": tags}
                    _save_state(resume, {**about, **one.state()})
        if "tag" in stage:
            tags[stage["tag"]["name"]] = _marked(stage["tag"], model, dataset, where)
        state = None
    model.eval()
    return history


def _epoch(
    one: _Stage,
    order: Tensor,
    number: int,
    epoch: int,
    seed: int,
    where: Machine,
    tick: Callable[[Tick], None] | None,
) -> float:
    """One pass over an order of rows; the mean loss."""
    device, epochs = one.labels.device, one.card["epochs"]
    parts = max(1, math.ceil(len(order) / one.card["batch_size"]))
    generator = torch_generator(seed, "perturbation", number, epoch, device=device)
    total, seen = torch.zeros((), device=device), 0
    started = last = time.perf_counter()
    with scoped(derive(seed, "global", number, epoch)), _determinism(where):
        for part, index in enumerate(order.tensor_split(parts)):
            progress = (epoch * parts + part) / (epochs * parts)
            loss = one.step(index.to(device), progress, generator)
            total += loss * len(index)
            seen += len(index)
            now = time.perf_counter()
            if tick is not None and now - last > 0.1:
                last = now
                tick(Tick(number, epoch, epochs, (part + 1) / parts, seen / (now - started), float(loss)))
    return float(total) / len(order)


def _trained_part(stage: Mapping[str, Any], model: nn.Module, dataset: Dataset, device: torch.device) -> str:
    """The layer that a stage trains, ``""`` for the whole network."""
    if stage.get("trainable") != "head":
        return ""
    return head(model, len(dataset.classes), _pixels(dataset.images, torch.tensor([0]), device))


def _initialize(model: nn.Module, part: str, card: Mapping[str, Any], dataset: Dataset, seed: int) -> None:
    """Give a part of a network the weights of a new one."""
    new = make_model(card["model"], len(dataset.classes), dataset.images.shape, seed)
    model.get_submodule(part).load_state_dict(new.get_submodule(part).state_dict())


@contextmanager
def _training(model: nn.Module, part: str) -> Iterator[None]:
    """Train a part of a network and hold the rest as it is: no gradients there, and no statistics of batches."""
    trained = model.get_submodule(part)
    mine = set(trained.parameters())
    held = [one for one in model.parameters() if one.requires_grad and one not in mine]
    model.eval()
    trained.train()
    for one in held:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in held:
            one.requires_grad_(True)


def _marked(component: Mapping[str, Any], model: nn.Module, dataset: Dataset, where: Machine) -> Tensor:
    """The rows of a data set that a tagger marks, bool (N,)."""
    found = _part("tagger", component, Subject(model, dataset, device=where.device)).to_numpy(copy=True)
    if found.dtype != np.bool_:
        raise SpecError(
            f"the tagger {component['name']} does not mark rows, it sorts them ({found.dtype}); a stage needs one that "
            "says yes or no of each row, such as misclassified"
        )
    return torch.from_numpy(found)


def _on_device(images: Images, device: torch.device) -> Images:
    """Every image on the device, painted or decoded once, where they fit."""
    fits = len(images) * math.prod(images.shape) <= IN_MEMORY
    return as_array(images).to(device) if fits else images


#: (images in three channels, labels, generator) -> the second copy of each image
Copy = Callable[[Tensor, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, eq=False)
class _Stage:
    """What the steps of one stage share."""

    card: Mapping[str, Any]
    model: nn.Module
    loss: nn.Module
    copy: Copy | None
    optimizer: torch.optim.Optimizer
    fabric: Any
    images: Images
    labels: Tensor
    groups: Tensor

    @classmethod
    def of(
        cls, card: Mapping[str, Any], number: int, model: nn.Module, dataset: Dataset, fabric: Any, *data: Any
    ) -> _Stage:
        stage = card["stage"][number]
        loss = _part("loss", stage["loss"], dataset)
        if (attach := getattr(loss, "attach", None)) is not None:
            attach(model)  # what a loss makes of the network is its own: trained, saved and resumed with it
        loss.to(fabric.device)
        copy = _perturbation(stage.get("perturbation")) or _attack(stage.get("attack"), model, dataset, fabric)
        if copy is None and getattr(loss, "needs_perturbation", False):
            raise SpecError(
                f"{card['name']}: stage.{number}.loss {stage['loss']['name']} compares images with perturbed copies; "
                f'add to the stage: perturbation = {{ name = "color" }} or attack = {{ name = "pgd" }}'
            )
        trained = [one for one in (*model.parameters(), *loss.parameters()) if one.requires_grad]
        return cls(stage, model, loss, copy, _optimizer(trained, stage["optimizer"]), fabric, *data)

    def step(self, index: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        """One step on some rows; the loss, detached."""
        clean = _pixels(self.images, index, index.device)  # only the index travels
        labels = self.labels[index]
        perturbed = self.copy(clean, labels, generator) if self.copy is not None else None
        batch = Batch(clean, perturbed, labels, self.groups[index], index, progress, generator)
        factor = 0.5 * (1 + math.cos(math.pi * progress)) if self.card["schedule"] == "cosine" else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.card["optimizer"]["lr"] * factor
        with self.fabric.autocast():
            loss: Tensor = self.loss(self.model, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if self.card.get("clip"):
            trained = [weights for group in self.optimizer.param_groups for weights in group["params"]]
            nn.utils.clip_grad_norm_(trained, self.card["clip"])
        self.optimizer.step()
        return loss.detach()

    def state(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"model": self.model, "loss": self.loss, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])


def _pixels(images: Images, index: Tensor, device: torch.device) -> Tensor:
    """Rows as a network takes them, (B, 3, H, W) in [0, 1]: gathered, scaled and spread by tensor code."""
    found = images.gather(index).to(device).float().div_(255.0)
    # Gray images have the same value in the three channels that networks and perturbations take.
    return found.expand(-1, 3, -1, -1) if found.shape[1] == 1 else found


def _part(kind: str, component: Mapping[str, Any], *arguments: Any) -> Any:
    return find(kind, component["name"])(*arguments, **_options(component))


def _perturbation(component: Mapping[str, Any] | None) -> Copy | None:
    if component is None:
        return None
    function, options = find("perturbation", component["name"]), _options(component)

    @torch.no_grad()
    def perturb(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        found: Tensor = function(images, generator, **options)
        return found

    return perturb


def _attack(component: Mapping[str, Any] | None, model: nn.Module, dataset: Dataset, fabric: Any) -> Copy | None:
    if component is None:
        return None
    function, options, channels = find("attack", component["name"]), _options(component), dataset.images.shape[0]

    def attack(images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        # The attack sees what is stored, so that gray images stay gray. Its autocast is its own: what one has cast, it
        # keeps, and in some versions of torch weights cast without a gradient would stay without one in the loss.
        with fabric.autocast():
            found: Tensor = function(model, images[:, :channels], labels, generator, **options)
        return found.expand_as(images)

    return attack


def _options(component: Mapping[str, Any]) -> dict[str, Any]:
    """What a component says beside its name; TOML has arrays where signatures have tuples."""
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in component.items() if key != "name"
    }


def _optimizer(parameters: list[nn.Parameter], options: Mapping[str, Any]) -> torch.optim.Optimizer:
    lr, decay = options["lr"], options["weight_decay"]
    if options["name"] == "sgd":
        return torch.optim.SGD(
            parameters, lr=lr, momentum=options["momentum"], weight_decay=decay, nesterov=options["momentum"] > 0
        )
    kind = torch.optim.Adam if options["name"] == "adam" else torch.optim.AdamW
    return kind(parameters, lr=lr, weight_decay=decay, fused=True)


@contextmanager
def _determinism(where: Machine) -> Iterator[None]:
    """Refuse nondeterministic CUDA kernels while a deterministic run is asked for; the CPU's are deterministic."""
    before = torch.are_deterministic_algorithms_enabled()
    if torch.device(where.device).type != "cpu" and where.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _load_state(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # damaged bytes make the reader fail in any way
        reason = str(error).partition("\n")[0]
        raise StoreError(f"{path} is no state to go on from ({reason}); remove it to train from the start") from None
    return state


def _save_state(path: Path, state: Mapping[str, Any]) -> None:
    part = path.with_suffix(".part")
    with disk_errors(path):
        torch.save(dict(state), part)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, path)
