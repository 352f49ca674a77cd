"""The group of all commands, with `list` and `verify`; the file of any other is loaded when it is asked for."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import click

from checkerscope.experiments.cli.options import as_json
from checkerscope.experiments.cli.terminal import say, show_json, show_table

KINDS = {
    "upsamplers": "checkerscope.toolkit.upsamplers",
    "initializers": "checkerscope.toolkit.initializers",
    "images": "checkerscope.toolkit.images",
    "networks": "checkerscope.toolkit.networks",
    "remedies": "checkerscope.toolkit.remedies",
    "measures": "checkerscope.analysis.measures",
    "published": "checkerscope.analysis.measures.published",
    "figures": "checkerscope.analysis.figures",
    "tables": "checkerscope.analysis.tables",
    "claims": "checkerscope.experiments.claims",
}
#: Where each command is: a file of this folder, which has it under the command's name.
COMMANDS = {
    "audit": "audit",
    "claims": "claims",
    "collect": "study",
    "cure": "cure",
    "geometry": "geometry",
    "init": "init",
    "inspect": "inspect",
    "measure": "study",
    "metric-audit": "metric_audit",
    "paper": "study",
    "run": "study",
    "slurm-script": "slurm_script",
    "status": "study",
    "study": "study",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            module = importlib.import_module(f"checkerscope.experiments.cli.{COMMANDS[name]}")
            return getattr(module, name.replace("-", "_"))
        return super().get_command(ctx, name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from checkerscope.toolkit.catalog import closest

            known = self.list_commands(ctx)
            raise click.UsageError(f"no command {args[0]!r}; {closest(args[0], known)}", ctx) from None


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="checkerscope")
def cli() -> None:
    """Train, measure, audit and cure upsampling artifacts.

    A study is one TOML file: `checkerscope study quick` trains what is missing, measures, and ends in
    figures, tables and a PDF. Progress goes to standard error, results to standard output.
    """


@cli.command("list", short_help="List components, or configs, without importing them.")
@click.argument("kind", type=click.Choice([*KINDS, "configs"]), required=False)
@as_json
def list_components(kind: str | None, as_json: bool) -> None:
    """List the components of one KIND, or the kinds, without importing any of them."""
    from checkerscope.experiments.study import packaged
    from checkerscope.toolkit import catalog

    if kind is None:
        counts = {**{k: len(catalog.names(p)) for k, p in KINDS.items()}, "configs": len(packaged.configs())}
        show_table([{"kind": k, "components": count} for k, count in counts.items()], as_json)
    elif kind == "configs":
        show_table([{"name": name, "label": _question(path)} for name, path in packaged.configs().items()], as_json)
    else:
        described = catalog.describe(KINDS[kind])
        if as_json:
            keep = ("name", "label", "source", "flags", "options", "types", "broken")
            show_json([{key: getattr(component, key) for key in keep} for component in described])
            return
        rows = [
            {"name": c.name, "label": "(skipped)" if c.broken else c.label, "source": c.broken or c.source}
            for c in described
        ]
        show_table(rows, as_json)


@cli.command(short_help="Check every stored file under FOLDER against its digest.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("results"))
@as_json
def verify(folder: Path, as_json: bool) -> int:
    """Check every stored file under a results FOLDER against its digest; exit 1 if anything is damaged."""
    from checkerscope.experiments.store.verify import verify_folder

    checked, problems = verify_folder(folder)
    if as_json:
        show_json({"checked": checked, "problems": problems})
    else:
        for line in problems:
            say(line)
        say(f"{checked} files checked, {len(problems)} problem{'' if len(problems) == 1 else 's'}")
    return 1 if problems else 0


def _question(path: Path) -> str:
    """Return the question at the head of a config: the first comment, up to the next word at the margin."""
    found = re.match(r"# *(?:Question +)?(.*(?:\n# {3,}.*)*)", path.read_text(encoding="utf-8"))
    return re.sub(r"\s*\n# *", " ", found[1]) if found else ""
