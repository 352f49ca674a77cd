"""Every claim file: what it says of itself, and what the cheap ones find at the smoke budget.

A new file in `experiments/claims` is tested here without an edit.
"""

from __future__ import annotations

import ast
import inspect
import random
import re

import pytest
import torch

from checkerscope.experiments.verdicts import judging
from checkerscope.experiments.verdicts.contract import KINDS, PACKAGE, Verdict
from checkerscope.toolkit import catalog

NAMES = catalog.names(PACKAGE)
#: Modules that train networks, or audit metrics at length: what imports them takes more than a second.
DEAR = ("_autoencoder", "_uses", "_toyset", "_audio", "metric_audit", "_detector", "gradient_tone")
#: What the founding article gets right and wrong, found by hand before any of these programs was written.
KNOWN = {
    "article_bilinear_shape": "holds",
    "article_basic_shape": "holds",
    "article_basic_overlap": "fails",
    "article_deconv_shapes": "partly",
    "article_manual_one_channel": "holds",
    "article_manual_three_channels": "fails",
    "article_manual_unequal_channels": "fails",
    "article_manual_rectangular_kernel": "fails",
    "article_manual_float64": "fails",
    "article_size_formula": "holds",
    "article_integer_scale_odd": "holds",
    "article_integer_scale_even": "fails",
    "article_example_double": "holds",
    "article_example_same": "holds",
    "article_example_dilated": "holds",
    "article_debug_listing": "holds",
    "article_unet_block": "partly",
    "article_init_bilinear": "fails",
    "article_init_rank": "fails",
    "article_adjoint": "fails",
    "aitken_icnr_start": "holds",
    "kinoshita_released_padding": "partly",
}


def cheap(name: str) -> bool:
    tree = ast.parse(catalog.find(PACKAGE, name).read_text(encoding="utf-8"))
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = [f"{node.module}.{alias.name}" for node in froms for alias in node.names]
    return not any(word in module for module in modules for word in DEAR)


def test_the_article_has_at_least_twenty_five_claims() -> None:
    kinds = [judging.describe(name)["kind"] for name in NAMES]
    assert kinds.count("article") >= 25
    assert set(kinds) == set(KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_says_what_it_is(name: str) -> None:
    said = judging.describe(name)
    assert said["kind"] in KINDS
    assert said["label"] != name, "LABEL: a short name for tables"
    assert 10 < len(said["statement"]) < 400
    assert said["statement"].endswith(".")
    module = catalog.load(PACKAGE, name)
    assert list(inspect.signature(module.check).parameters) == ["budget"]
    assert module.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_names_its_source(name: str) -> None:
    said = judging.describe(name)
    patterns = {
        "article": r"founding article, section [1-4](\.\d)?( to [1-4]\.\d)?",
        "landmark": r"[A-Z][a-z]+ \d{4}, (arXiv:\d{4}\.\d{4,5}|doi:10\.\S+)[^.]*",
        "hypothesis": r"this study, hypothesis [1-9].*",
    }
    assert re.fullmatch(patterns[said["kind"]], said["source"]), said["source"]
    assert name.startswith("article_") == (said["kind"] == "article")


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_lies_on_the_shelf_of_its_kind(name: str) -> None:
    shelves = {"article": "article", "landmark": "landmarks", "hypothesis": "hypotheses"}
    assert catalog.find(PACKAGE, name).parent.name == shelves[judging.describe(name)["kind"]]


@pytest.mark.parametrize("name", [name for name in NAMES if cheap(name)])
def test_a_cheap_claim_is_judged_and_touches_nothing(name: str) -> None:
    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    found = catalog.load(PACKAGE, name).check("smoke")
    assert isinstance(found, Verdict)
    assert found.verdict == KNOWN.get(name, found.verdict)
    assert found.as_json()["key"] in found.numbers
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), torch.get_num_threads()) == before[1:]


def test_most_claims_are_cheap_and_all_known_answers_are_tried() -> None:
    tried = {name for name in NAMES if cheap(name)}
    assert len(tried) > len(NAMES) / 2
    assert set(KNOWN) <= tried
