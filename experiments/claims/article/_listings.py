"""The founding article's listings, line breaks restored and comments left out, and how to run them.

They are kept as printed, errors included: each claim of the article runs these and nothing else.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

from torch import nn

from checkerscope.experiments.verdicts.contract import seeded

#: What every listing needs and only the first has in part.
IMPORTS = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"

LISTINGS = {
    "1.1": """
import torch.nn.functional as F
input_tensor = torch.randn(1, 3, 16, 16)
output = F.interpolate(input_tensor, scale_factor=2, mode='bilinear')
print(output.shape)
""",
    "1.2": """
class UnpoolingDemo(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool2d(2, return_indices=True)
    def forward(self, x):
        size = x.size()
        x, indices = self.pool(x)
        x = F.max_unpool2d(x, indices, 2, output_size=size)
        return x
""",
    "1.3": """
trans_conv = nn.ConvTranspose2d(
    in_channels=3, out_channels=3, kernel_size=3, stride=2, padding=1, output_padding=1
)
input = torch.randn(1, 3, 16, 16)
output = trans_conv(input)
print(output.shape)
""",
    "2.1": """
x = torch.randn(1, 1, 8, 8)
conv = nn.Conv2d(1, 1, kernel_size=3, stride=2, padding=1)
deconv = nn.ConvTranspose2d(1, 1, kernel_size=3, stride=2, padding=1)
y = conv(x)
x_recon = deconv(y)
print(f"{x.shape}")
print(f"{y.shape}")
print(f"{x_recon.shape}")
print(torch.norm(x - x_recon).item())
""",
    "2.2": """
def manual_transposed_conv(input, weight, stride=1, padding=0):
    batch, in_channels, h, w = input.shape
    out_h = (h - 1) * stride + 1
    out_w = (w - 1) * stride + 1
    interpolated = torch.zeros(batch, in_channels, out_h, out_w)
    interpolated[:, :, ::stride, ::stride] = input
    pad = weight.shape[2] - padding - 1
    padded = F.pad(interpolated, [pad, pad, pad, pad])
    rotated_weight = torch.rot90(weight, 2, dims=[2,3])
    return F.conv2d(padded, rotated_weight)
""",
    "3.2": """
trans_conv_2x = nn.ConvTranspose2d(
    in_channels=64, out_channels=64, kernel_size=4, stride=2, padding=1
)
trans_conv_same = nn.ConvTranspose2d(
    in_channels=64, out_channels=64, kernel_size=3, stride=1, padding=1, output_padding=0
)
trans_conv_dilated = nn.ConvTranspose2d(
    in_channels=64, out_channels=64, kernel_size=3, stride=1, padding=2, dilation=2
)
""",
    "3.3": """
def debug_size(input_size, layer):
    output = layer(torch.randn(1, *input_size))
    print(f"Input: {input_size} -> Output: {list(output.shape[1:])}")
    return output.shape[1:]
sizes = [(3, 224, 224)]
layers = [
    nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3),
    nn.Conv2d(64, 128, kernel_size=3, stride=2, padding=1),
    nn.ConvTranspose2d(128, 64, kernel_size=3, stride=2, padding=1, output_padding=1),
    nn.ConvTranspose2d(64, 3, kernel_size=7, stride=2, padding=3, output_padding=1)
]
for layer in layers:
    sizes.append(debug_size(sizes[-1], layer))
""",
    "4.1": """
class UNetUpBlock(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.up = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size=2, stride=2
        )
        self.conv = nn.Sequential(
            nn.Conv2d(out_channels*2, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU()
        )
    def forward(self, x, skip):
        x = self.up(x)
        x = torch.cat([x, skip], dim=1)
        return self.conv(x)
""",
    "4.2": """
def init_weights(m):
    if isinstance(m, nn.ConvTranspose2d):
        nn.init.kaiming_normal_(m.weight, mode='fan_out')
        if m.weight.data.shape[2] == 2:
            m.weight.data[:, :, 0, 0] = 0.25
            m.weight.data[:, :, 0, 1] = 0.25
            m.weight.data[:, :, 1, 0] = 0.25
            m.weight.data[:, :, 1, 1] = 0.25
        if m.bias is not None:
            nn.init.constant_(m.bias, 0)
model.apply(init_weights)
""",
    "4.3": """
class UpsampleConv(nn.Module):
    def __init__(self, in_channels, out_channels, scale=2):
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size=3, padding=1
        )
    def forward(self, x):
        x = F.interpolate(x, scale_factor=self.scale, mode='nearest')
        return self.conv(x)
""",
}


def run(section: str, *, model: nn.Module | None = None, seed: int = 0) -> dict[str, Any]:
    """Return the names that a listing leaves behind, with the imports that it leaves out; what it prints is dropped.

    Args:
        section: Of the article.
        model: What the listing of section 4.2 takes for granted.
        seed: Of torch's global generator while it runs.
    """
    names, error = attempt(section, model=model, seed=seed)
    if error is not None:
        raise error
    return names


def attempt(
    section: str, *, imports: bool = True, model: nn.Module | None = None, seed: int = 0
) -> tuple[dict[str, Any], Exception | None]:
    """Return what a listing leaves behind, up to where it raised, and what it raised."""
    names: dict[str, Any] = {} if model is None else {"model": model}
    code = (IMPORTS if imports else "") + LISTINGS[section]
    try:
        with seeded(seed), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, f"listing {section}", "exec"), names)
    except Exception as error:
        return names, error
    return names, None
