"""What the report says about the data, and what somebody else needs to get the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling import notes
from biaskit.telling.numbers import TYPOGRAPHIC
from biaskit.telling.words import brackets, stored

__all__ = ["data_facts", "facts"]

Row = Mapping[str, Any]


def data_facts(data: Row) -> list[tuple[str, str]]:
    """List what the data set is."""

    def values(names: Sequence[str]) -> str:
        return f"{len(names)}: {', '.join(names[:12])}" + (", …" if len(names) > 12 else "")

    facts = [
        ("Name", data["name"]),
        ("What", data["summary"]),
        ("Paper", data["paper"]),
        ("Source", data["source"]),
    ]
    facts.append(("Regime", data["regime"]))
    facts.append(("Shape", " \N{MULTIPLICATION SIGN} ".join(map(str, data["shape"]))))
    facts.append(("Images", ", ".join(f"{TYPOGRAPHIC.count(n)} {split}" for split, n in data["splits"].items())))
    facts.append(("Labels", values(data["label"])))
    facts += [(f"Attribute {name}", values(names)) for name, names in data["attributes"].items()]
    for row in data["association"]:
        facts.append((f"Cramér's V, {row['split']}", _tied(row)))
    facts.append(
        (
            "Twins, masks",
            f"{'twins' if data['twins'] else 'no twins'}, {'masks' if data['masks'] else 'no masks'}",
        )
    )
    facts.append(("Changes", "; ".join(data.get("changes", []))))
    facts.append(("Fingerprint", data["fingerprint"]))
    return [(name, text) for name, text in facts if text]


def _tied(row: Row) -> str:
    """Say how strongly an attribute goes with the label; of results before the correction, that it is not there."""
    size = f"n {TYPOGRAPHIC.count(row['n'])}"
    if row["v"] is None:
        return f"{row['attribute']} with the label: undefined{_why(row)}, {size}"
    value, low, high = TYPOGRAPHIC.of(row["v"], "", low=row.get("low"), high=row.get("high"))
    how = "bias-corrected" if "uncorrected" in row else "uncorrected"
    return f"{row['attribute']} with the label, {how}: {value}{brackets(low, high)}, {TYPOGRAPHIC.p(row['p'])}, {size}"


def _why(row: Row) -> str:
    return f" ({row['reason']})" if row.get("reason") else ""


def facts(result: Row) -> list[tuple[str, str]]:
    """List what somebody else needs to get the same numbers."""
    machine = result["machine"]
    before = "" if result["kind"] == "audit" else stored(result, TYPOGRAPHIC)
    facts = [
        ("Run", f"{result['created']}, {TYPOGRAPHIC.seconds(result['seconds'])}{before}"),
        *(_model(result) if result["kind"] == "audit" else _design(result)),
        (
            "Machine",
            (f"{machine['system']}, {machine['device']}, {machine['precision']}, {_threads(machine['threads'])}"),
        ),
        ("Bit-equal repeats", "yes" if machine["deterministic"] else "not promised on this machine"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in result["versions"].items())),
        ("Schema", str(result["schema_version"])),
    ]
    return [(name, text) for name, text in facts if text]


def _design(result: Row) -> list[tuple[str, str]]:
    """List what was fixed before the runs of a comparison."""
    margin, looks = result["margin"], ", ".join(map(str, result["looks"]))
    looks += " seed" if looks == "1" else " seeds"
    return [
        ("Seeds", ", ".join(map(str, result["seeds"]))),
        ("Method", notes.methods(result)),
        ("Margin", TYPOGRAPHIC.points(margin) if margin is not None else "none given"),
        ("Verdicts", f"at most {100 * result['alpha']:g} % false, Holm over all of them; looks so far: {looks}"),
        ("Reference", result.get("reference") or ""),
    ]


def _model(result: Row) -> list[tuple[str, str]]:
    """List what is known of the model of an audit; of a stored run also its seed and fingerprint."""
    arm = result["arms"][0]
    parts = [arm["model"]]
    parts += [TYPOGRAPHIC.counted(arm["parameters"], "parameter")] if arm["parameters"] is not None else []
    parts += [TYPOGRAPHIC.counted(arm["epochs"], "epoch")] if arm["epochs"] is not None else []
    runs = [f"seed {r['seed']}, {r['fingerprint']}" for r in result["runs"]]
    return [
        ("Model", ", ".join(parts)),
        ("What", arm["summary"]),
        ("Paper", arm["paper"] or ""),
        ("Stored run", "; ".join(runs)),
        ("Method", notes.methods(result)),
    ]


def _threads(count: int | None) -> str:
    return TYPOGRAPHIC.counted(count, "thread") if count is not None else "threads not known"
