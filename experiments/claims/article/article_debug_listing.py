"""The debugging listing, 224 down to 56 and back."""

from __future__ import annotations

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge
from checkerscope.toolkit.geometry import Axis

LABEL = "Debug listing"
SOURCE = "founding article, section 3.3"
KIND = "article"
STATEMENT = "The debugging listing prints every layer's size, 224, 112, 56, 112, 224, and so finds the layer at fault."


def check(budget: str) -> Verdict:
    """Run the listing."""
    names = run("3.3")
    sides = [int(size[1]) for size in names["sizes"]]
    up = [layer for layer in names["layers"] if hasattr(layer, "output_padding") and layer.transposed]
    overlap = {layer.kernel_size[0]: Axis(layer.kernel_size[0], layer.stride[0]).overlap_ratio() for layer in up}
    return Verdict(
        judge(sides == [224, 112, 56, 112, 224]),
        {f"size_{i}": exact(side, "pixels") for i, side in enumerate(sides)}
        | {f"overlap_k{k}": exact(ratio, "largest over smallest") for k, ratio in overlap.items()},
        "The sizes are as the layers intend. Both transposed convolutions have uneven overlap, against the advice of"
        " section 4.3. For whole networks with skips, `checkerscope geometry trace` marks the first layer at fault.",
        key="size_4",
    )
