"""What Durall's radial profile cannot see."""

from __future__ import annotations

import torch

from checkerscope.analysis import distortions, spectra
from checkerscope.analysis.measures.published.durall_radial_profile import durall_radial_profile
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge
from checkerscope.toolkit.images import photos

LABEL = "The profile shows upsampling artifacts"
SOURCE = "Durall 2020, arXiv:2003.01826, released code"
KIND = "landmark"
THEIR_SETTING = "Spectra of faces made by GANs, averaged over rings by the released code."
OUR_SETTING = "Photographs of 64 x 64 with an added checkerboard or stripes of known level, the same formula."
STATEMENT = "The azimuthally averaged spectrum shows the artifacts of upsampling, the checkerboard among them."


def check(budget: str) -> Verdict:
    """Add a checkerboard and stripes to photographs and see how the profile moves, as released and with all bins."""
    x = photos.load("test", 64, images=32)
    g = torch.Generator().manual_seed(0)
    scatter = float(durall_radial_profile(x).std(0).mean())
    numbers: dict[str, Number] = {"image_to_image_deviation": exact(scatter, "profile units", n=len(x))}
    moved = {}
    for name, distort in (("checkerboard", distortions.checkerboard), ("stripes", distortions.stripes)):
        for level in (-40, -20, 0):
            y = distort(x.double(), level, g)
            released = float((durall_radial_profile(y) - durall_radial_profile(x)).abs().max())
            whole = float((_all_bins(y) - _all_bins(x)).abs().max())
            moved[name, level] = released
            numbers[f"{name}_{-level}_db_below_released"] = exact(released, "profile units")
            numbers[f"{name}_{-level}_db_below_all_bins"] = exact(whole, "dB")
    return Verdict(
        judge(*(moved["checkerboard", level] > 1e-9 for level in (-40, -20, 0)), moved["stripes", 0] > 1e-9),
        numbers,
        "The release drops the outermost ring, which at even sizes holds the frequency (1/2, 1/2) alone, so a"
        " checkerboard as strong as the image itself changes the profile by nothing. Windowed, with every bin kept,"
        " the same change is plain. Stripes at (1/2, 0) reach the release diluted by their ring.",
        "Keep every ring, the corner included; then look at the lattice lines themselves, which a ring mean dilutes.",
        key="checkerboard_0_db_below_released",
    )


def _all_bins(x: torch.Tensor) -> torch.Tensor:
    return 10 * spectra.ring_means(spectra.mean_power(x).mean(0)).log10()
