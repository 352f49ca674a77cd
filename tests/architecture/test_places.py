"""Where third parties may be imported, who may write files, what stays silent; read from the syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.architecture.syntax import BENCHMARKS, FILES, ROOT, at_import, calls, dotted, file_of, imports, within

#: Third-party and standard modules that only some places may import; a place is a prefix of the path.
ONLY_IN = {
    "seaborn": ("analysis/figures/",),
    "matplotlib": ("analysis/figures/", "experiments/"),
    "click": ("experiments/cli/", "experiments/__main__.py"),
    "tqdm": ("experiments/cli/",),
    # one estimator; published metrics keep their own, some upsamplers are defined by a transform, and so are JPEG
    # blocks (distortions) and the deconvolution of a claim
    "torch.fft": ("analysis/spectra.py", "analysis/measures/published/", "toolkit/upsamplers/", "experiments/claims/"),
    "numpy.fft": ("analysis/spectra.py",),
    "scipy.fft": ("analysis/spectra.py", "analysis/distortions.py"),
    "safetensors": ("experiments/", "toolkit/training/"),
    "concurrent.futures": ("experiments/",),
    "multiprocessing": ("experiments/",),
    "subprocess": ("experiments/",),
}
#: Parts of them that only move or name frequencies.
HARMLESS = ("torch.fft.fftfreq", "torch.fft.rfftfreq", "torch.fft.fftshift", "torch.fft.ifftshift")
NOWHERE = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
#: Runs text that stands in the same file: the founding article's listings, which are what its claims are about.
RUNS_ITS_OWN_TEXT = "experiments/claims/article/_listings.py"
#: The only file that opens anything for writing.
WRITER = "experiments/store/disk.py"
WRITING_CALLS = (
    *("write_text", "write_bytes", "savefig", "imsave", "save_file", "torch.save", "numpy.save", "to_parquet"),
    *("np.save", "np.savez", "np.savez_compressed", "np.savetxt"),
    *("os.replace", "os.rename", "os.link", "os.symlink", "os.truncate"),
    *("shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree", "shutil.move"),
)
HEAVY = ("torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn", "skimage", "PIL", "pydantic", "typst")
#: Modules that the command line loads before it knows the command: `--help` must not wait for torch.
LIGHT = ("experiments/cli/root.py", "experiments/__main__.py", "toolkit/catalog.py")


def test_third_parties_stay_in_their_place() -> None:
    wrong = {
        f"{name}: {package} belongs in {' or '.join(places)}"
        for name, tree in FILES.items()
        for module in used(tree)
        for package, places in {**ONLY_IN, **dict.fromkeys(NOWHERE, ("nowhere",))}.items()
        if within(module, package) and not name.startswith(places)
    }
    assert not wrong


def used(tree: ast.AST) -> set[str]:
    """Return what a tree imports, and the attribute chains in it, such as torch.fft.rfft."""
    chains = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    chains = {chain for chain in chains if not any(harmless.startswith(chain) for harmless in HARMLESS)}
    return {*imports(tree), *(chain for chain in chains if not chain.startswith(HARMLESS))}


def test_nothing_runs_what_it_reads() -> None:
    wrong = {
        f"{name}:{call.lineno}: {ast.unparse(call)[:80]}"
        for name, tree in FILES.items()
        for function, call in calls(tree)
        if runs_code(function, call) and not (name == RUNS_ITS_OWN_TEXT and function in ("exec", "compile"))
    }
    assert not wrong


def runs_code(function: str, call: ast.Call) -> bool:
    keywords = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
    if function in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
        return True
    if function == "torch.load" or "weights_only" in keywords:
        return keywords.get("weights_only") is not True
    return keywords.get("allow_pickle", False) is not False or function.endswith(("read_pickle", "to_pickle"))


def first(call: ast.Call) -> ast.expr | None:
    return call.args[0] if call.args else None


def into_memory(call: ast.Call, tree: ast.AST) -> bool:
    """Tell whether the first argument is a variable that holds `io.BytesIO()` or `io.StringIO()`."""
    target = first(call)
    buffers = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if dotted(node.value.func).split(".")[-1] in ("BytesIO", "StringIO")
        for name in node.targets
        if isinstance(name, ast.Name)
    }
    return isinstance(target, ast.Name) and target.id in buffers


def to_the_system(call: ast.Call) -> bool:
    """Tell whether what is opened is no file of anybody's: /dev/null or a switch in /proc."""
    target = first(call)
    if isinstance(target, ast.Constant):
        return str(target.value).startswith(("/proc/", "/dev/"))
    return target is not None and dotted(target) == "os.devnull"


def opens_for_writing(function: str, call: ast.Call) -> bool:
    keywords = {k.arg: k.value for k in call.keywords}
    if function == "os.open":
        text = ast.unparse(call)
        return any(flag in text for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC"))
    if function in ("open", "io.open"):
        mode = keywords.get("mode", call.args[1] if len(call.args) > 1 else None)
    elif function.endswith(".open") and function not in ("Image.open", "webbrowser.open"):
        mode = keywords.get("mode", first(call))  # pathlib.Path.open(mode)
    else:
        return False
    value = getattr(mode, "value", "r" if mode is None else None)
    return isinstance(value, str) and len(value) <= 3 and bool(set(value) & set("wax+"))


def test_only_the_store_writes() -> None:
    wrong = {
        f"{name}:{call.lineno}: {ast.unparse(call)[:80]}"
        for name, tree in FILES.items()
        for function, call in calls(tree)
        if name != WRITER and writes(function, call) and not into_memory(call, tree) and not to_the_system(call)
    }
    assert not wrong, f"only {WRITER} writes files"


def writes(function: str, call: ast.Call) -> bool:
    if function.endswith((".to_csv", ".to_latex", ".to_html")):  # without a path they return text
        return bool(call.args)
    return any(within_call(function, writer) for writer in WRITING_CALLS) or opens_for_writing(function, call)


def within_call(function: str, writer: str) -> bool:
    return function == writer or function.endswith("." + writer)


def reachable(name: str) -> set[str]:
    """Return all modules that importing a file imports, through our own files."""
    found: set[str] = set()
    pending = [name]
    done: set[str] = set()
    while pending:
        current = pending.pop()
        if current in done:
            continue
        done.add(current)
        for module in at_import(FILES[current]):
            found.add(module)
            pending.extend(ours(module))
    return found


def ours(module: str) -> Iterator[str]:
    """Yield the files that importing a dotted module runs: its own, and the `__init__` of each package around it."""
    name = file_of(module)
    if name:
        yield name
        parents = name.split("/")[:-1]
        yield from ("/".join([*parents[:end], "__init__.py"]) for end in range(1, len(parents) + 1))


@pytest.mark.parametrize("name", LIGHT)
def test_the_command_line_starts_without_heavy_imports(name: str) -> None:
    heavy = {module for module in reachable(name) for package in HEAVY if within(module, package)}
    assert not heavy


def test_imports_are_followed() -> None:
    """Or nothing heavy would ever be found."""
    found = reachable("experiments/__main__.py")
    assert {"checkerscope.experiments.errors", "signal"} <= {".".join(module.split(".")[:3]) for module in found}
    assert any(within(module, "torch") for module in reachable("analysis/spectra.py"))
    assert any(within(module, "torch") for module in reachable("analysis/comparison.py"))


def test_importing_has_no_effects() -> None:
    """No module sets global state or prints when it is imported."""
    wrong = {
        f"{name}:{node.lineno}: {ast.unparse(node)[:80]}"
        for name, tree in FILES.items()
        for node in tree.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    }
    assert not wrong


def test_science_is_silent() -> None:
    wrong = {
        f"{name}:{call.lineno}"
        for name, tree in FILES.items()
        for function, call in calls(tree)
        if name.startswith(("toolkit/", "analysis/")) and function in ("print", "warnings.warn")
    }
    assert not wrong


SAMPLES = {
    "path.write_text('x')": True,
    "os.replace(a, b)": True,
    "text.replace('a', 'b')": False,
    "figure.savefig(path)": True,
    "torch.save(model, path)": True,
    "table.to_csv(path)": True,
    "table.to_csv(index=False)": False,
    "open(path, 'w')": True,
    "open(path, mode='a+b')": True,
    "open(path)": False,
    "open(path, 'rb')": False,
    "path.open('w')": True,
    "path.open()": False,
    "os.open(path, os.O_WRONLY | os.O_CREAT)": True,
    "os.open(path, os.O_RDONLY)": False,
    "VerdictStore.open(results, budget)": False,
    "Image.open(path)": False,
}


@pytest.mark.parametrize(("text", "expected"), list(SAMPLES.items()))
def test_a_write_is_recognised(text: str, expected: bool) -> None:
    ((function, call),) = calls(ast.parse(text))
    assert writes(function, call) is expected


CODE = {
    "eval(text)": True,
    "model.eval()": False,
    "torch.load(path)": True,
    "torch.load(path, weights_only=False)": True,
    "torch.load(path, weights_only=True)": False,
    "np.load(path, allow_pickle=True)": True,
    "np.load(path, allow_pickle=False)": False,
    "pd.read_pickle(path)": True,
}


@pytest.mark.parametrize(("text", "expected"), list(CODE.items()))
def test_running_what_is_read_is_recognised(text: str, expected: bool) -> None:
    ((function, call),) = calls(ast.parse(text))
    assert runs_code(function, call) is expected


def test_supported_pythons_can_parse_everything() -> None:
    assert sys.version_info >= (3, 11)
    for name in (*FILES, *BENCHMARKS):
        ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 11))


#: What components declare and the catalogue reads without importing them: anything but a literal would not be seen.
DECLARED = (
    "label",
    "source",
    "needs",
    "units",
    "needs_context",
    "layouts",
    "dims",
    "scales",
    "convex",
    "linear",
    "kind",
)


def test_what_components_declare_is_written_out() -> None:
    packages = ("toolkit/upsamplers", "toolkit/images", "analysis/measures", "analysis/figures", "analysis/tables")
    seen = 0
    for path, tree in FILES.items():
        if not path.startswith(packages) or path.rpartition("/")[2].startswith("_"):
            continue
        body = tree.body
        for node in (*body, *(inner for outer in body if isinstance(outer, ast.ClassDef) for inner in outer.body)):
            names = [target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)]
            if isinstance(node, ast.Assign) and {name.lower() for name in names} & set(DECLARED):
                seen += 1
                try:
                    ast.literal_eval(node.value)
                except ValueError:
                    pytest.fail(f"{path}: {names[0]} is no literal, so the catalogue does not see it")
    assert seen > 200
