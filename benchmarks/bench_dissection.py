"""The analyzer ``dissection`` of a layer of 512 units against the forward passes it is made of.

    python benchmarks/bench_dissection.py [--images 1000] [--side 224] [--planes 112] [--repeats 3] [--device cpu]

The layer is the last of torchvision's ResNet-18; the images are noise in patches, with 1,000 labels in six categories
at the size of ``--planes``. Natural images alone: one pass for the thresholds, one for the masks. The network counts
the images that it is shown. What is above the two passes is the analyzer's own: thresholds, masks, intersections.
"""

from __future__ import annotations

import argparse

from timing import interleaved, machine_line, print_ratio, print_table

LABELS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--planes", type=int, default=112, help="side of the segmentations")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()

    import numpy as np
    import torch
    from torchvision.models import resnet18

    from biaskit import ArrayPlanes, Concepts, Dataset, Subject
    from biaskit.analyzers import dissection
    from biaskit.concepts import CATEGORIES

    print(machine_line())
    rng, count = np.random.default_rng(0), arguments.images
    pixels = _patches(rng.integers(0, 256, (count, 14, 14, 3), dtype=np.uint8), arguments.side)
    planes = rng.integers(1, LABELS + 1, (count, len(CATEGORIES), 14, 14))
    planes[:, 4:] = planes[:, 4:, :1, :1]  # scenes and textures fill the image
    planes = _patches(planes.transpose(0, 2, 3, 1), arguments.planes).transpose(0, 3, 1, 2).astype(np.uint16)
    concepts = Concepts(
        ArrayPlanes(planes),
        tuple(f"label {number}" for number in range(LABELS)),
        tuple(CATEGORIES[number % len(CATEGORIES)] for number in range(LABELS)),
    )
    data = Dataset.from_arrays(pixels, np.arange(count) % 10, classes=range(10)).replace(concepts=concepts)
    torch.manual_seed(0)
    subject = Subject(resnet18(num_classes=10), data, device=arguments.device)
    _ = subject.logits  # once for all analyzers, and not part of this one
    shown = 0

    def counted(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal shown
        shown += len(output)

    def dissected() -> None:
        dissection(subject, layer="layer4", epsilon=0.0, images=count, pictures=0)

    def passed() -> None:
        with torch.no_grad():
            for _ in range(2):
                for _, images in subject.batches(subject.test(), 20):
                    subject.model(images).cpu()

    handle = subject.model.register_forward_hook(counted)
    dissected()
    handle.remove()
    print(f"{count:,} images with sides of {arguments.side} pixels, segmentations of {arguments.planes}")
    print(f"images shown to the network: {shown:,}, of which {shown - 2 * count:,} to find the layer's shape")
    seconds = interleaved({"dissection": dissected, "two passes": passed}, arguments.repeats)
    print_table(seconds, count=count)
    print_ratio("dissection over its two passes", seconds, "dissection", "two passes")


def _patches(small: object, side: int) -> object:
    """Blocks (N, h, w, C) as images of a side."""
    import numpy as np

    place = np.arange(side) * small.shape[1] // side
    return np.ascontiguousarray(small[:, place][:, :, place])


if __name__ == "__main__":
    main()
