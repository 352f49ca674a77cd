"""Spec of one run, as frozen models; its canonical JSON gives the run id.

Everything here is meant to change a run's numbers; what is not (workers, device, what is measured) is elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from checkerscope.toolkit import catalog, options

#: Integers are below this in size: torch and numpy take no larger ones.
LARGEST = 2**63


class Model(BaseModel):
    """Frozen, strict, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _component(package: str) -> Any:
    """Return a validator that checks a component's name and its options against its file in the folder."""

    def check(value: ComponentSpec) -> ComponentSpec:
        found = catalog.describe_one(package, value.name)
        if found.broken:
            raise ValueError(f"{found.path.name} cannot be read: {found.broken}")
        options.check(found, value.options)
        for key, given in value.options.items():
            for item in given if isinstance(given, list) else [given]:
                if isinstance(item, int) and abs(item) >= LARGEST:
                    raise ValueError(f"{value.name}: {key}: expected an integer of 64 bits, got {str(item)[:40]}")
        return value

    return AfterValidator(check)


class ComponentSpec(Model):
    """A component by name, with its options beside the name: `{name = "transposed_conv", kernel_size = 4}`."""

    name: str
    options: dict[str, bool | int | float | str | list[int] | list[float] | list[str]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise ValueError(f"expected a name, or a table with name = and options, got {str(value)[:80]!r}")
        if "options" not in value:
            own = {k: v for k, v in value.items() if k in cls.model_fields}
            return {**own, "options": {k: v for k, v in value.items() if k not in own}}
        return value


Upsampler = Annotated[ComponentSpec, _component("checkerscope.toolkit.upsamplers")]
Initializer = Annotated[ComponentSpec, _component("checkerscope.toolkit.initializers")]
ImageSource = Annotated[ComponentSpec, _component("checkerscope.toolkit.images")]
Network = Annotated[ComponentSpec, _component("checkerscope.toolkit.networks")]


class CureSpec(ComponentSpec):
    """A remedy for a trained model: `{name = "equal_gain", order = 1, finetune = 200}`.

    `finetune` steps on the training images follow; `learning_rate` is the training's unless given.
    """

    finetune: int = Field(default=0, ge=0, le=10_000_000)
    learning_rate: float | None = Field(default=None, gt=0)


Cure = Annotated[CureSpec, _component("checkerscope.toolkit.remedies")]
#: Value of the factor `cure` that leaves a model as it was trained.
NO_CURE = "none"


class Images(Model):
    """Where the images come from."""

    source: ImageSource
    size: int = Field(ge=8, le=4096)
    seed: int = Field(default=0, ge=0, lt=LARGEST)


class Train(Model):
    """How a network is trained."""

    steps: int = Field(ge=0, le=10_000_000)
    batch_size: int = Field(ge=1, le=65536)
    learning_rate: float = Field(gt=0)
    loss: Literal["mse", "l1", "cross_entropy"] = "mse"
    precision: Literal["float32", "tf32", "bfloat16", "float64"] = "float32"
    snapshots: tuple[Annotated[int, Field(ge=0)], ...] = (0,)

    @model_validator(mode="after")
    def _snapshots_lie_within(self) -> Train:
        late = [step for step in self.snapshots if step > self.steps]
        if late:
            raise ValueError(f"snapshots: expected steps up to {self.steps}, got {late[0]}")
        return self


class RunSpec(Model):
    """Everything that is meant to change a run's numbers, and nothing that is not."""

    images: Images
    network: Network
    scale: int = Field(default=2, ge=2, le=16)
    upsampler: Upsampler
    initializer: Initializer
    train: Train
    seed: int = Field(ge=0, lt=2**31)
    cure: Cure | None = None

    @field_validator("cure", mode="before")
    @classmethod
    def _no_cure(cls, value: Any) -> Any:
        return None if value == NO_CURE else value

    @model_validator(mode="after")
    def _task_fits(self) -> RunSpec:
        if self.train.loss == "cross_entropy":
            source = catalog.describe_one("checkerscope.toolkit.images", self.images.source.name)
            network = catalog.describe_one("checkerscope.toolkit.networks", self.network.name)
            if "classes" not in source.flags or "out_channels" not in network.options:
                raise ValueError(
                    "cross_entropy: expected a source of labelled images and a network with out_channels, got"
                    f" {source.name} and {network.name}; use labelled_leaves and unet"
                )
        return self

    @property
    def canonical(self) -> str:
        """Canonical JSON: sorted keys, no spaces; no `cure` where there is none."""
        plain = self.model_dump(mode="json", exclude={"cure"} if self.cure is None else None)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def id(self) -> str:
        """Run id: the first 12 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:12]

    @property
    def base(self) -> RunSpec | None:
        """The run whose final weights are cured, or None where nothing is."""
        return None if self.cure is None else self.model_copy(update={"cure": None})

    @property
    def steps(self) -> int:
        """Optimizer steps of this run itself: those of the fine-tune where a trained model is cured."""
        return self.train.steps if self.cure is None else self.cure.finetune

    @property
    def saved_steps(self) -> tuple[int, ...]:
        """Steps whose weights are kept: the snapshots and the end; of a cure, right after it and the end."""
        if self.cure is not None:
            return tuple(sorted({0, self.steps}))
        return tuple(sorted({*self.train.snapshots, self.train.steps}))
