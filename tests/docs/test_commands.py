"""Every command line in the documents is one that the package takes; the cheap ones are run."""

import argparse
import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from cvsegguide.cli import main
from cvsegguide.data.configurations import configuration_file
from helpers import documents
from helpers.documents import Block

SHELLS = ("bash", "sh", "console")
SHELL_BLOCKS = [
    block
    for page in documents.pages()
    for block in documents.blocks(page)
    if block.language in SHELLS or (not block.language and documents.commands(block))
]
LINES = [(block, line) for block in SHELL_BLOCKS for line in documents.commands(block)]
CHEAP = ("completion", "data", "localize", "segment")

UNMARKED = {
    # pages whose shell blocks call nothing of the package
    "CONTRIBUTING.md": "the steps of development, which the gate takes",
    "docs/results.md": "another tool's or script's line",
}


class _Refused(Exception):
    """A parser's objection."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise _Refused(message)


@cache
def _parser(command: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=command, allow_abbrev=False)
    main.load(command).add_arguments(parser)
    main.add_common_arguments(parser)
    return parser


@cache
def _training_parser() -> Any:
    """The parser of fit, validate, test and predict: everything but running."""
    from cvsegguide.training.command import Command

    class Parsed(Command):
        def before_instantiate_classes(self) -> None: ...

        def instantiate_classes(self) -> None: ...

        def _run_subcommand(self, subcommand: str) -> None: ...

    return Parsed(["fit", "--config", str(configuration_file("mst-small-synthcity"))]).parser


def parse(words: list[str], folder: Path) -> None:
    """Let the command's own parser read the words.

    Raises:
        _Refused: What it objects to.
    """
    command, *rest = words
    if command not in main.COMMANDS:
        raise _Refused(f"there is no command '{command}'")
    if not main.COMMANDS[command].raw:
        _parser(command).parse_args(rest)
        return
    rest = list(main.take_common_arguments(rest))
    for before, word in pairwise(rest):
        if before == "--config" and word.endswith(".yaml") and not (folder / word).exists():
            (folder / word).parent.mkdir(parents=True, exist_ok=True)
            # config.yaml of a run has the settings of the configuration that it was made from
            source = configuration_file("mst-small-synthcity").read_text(encoding="utf-8")
            (folder / word).write_text(source, encoding="utf-8")
    if main.main([command, *rest, "--print_config"]):
        raise _Refused(" ".join(rest))


def _write_yaml(page: str, folder: Path) -> None:
    """The configurations that a page shows, under the names that it gives them."""
    for block in documents.blocks(documents.REPOSITORY / page):
        if block.language == "yaml" and "model" in (yaml.safe_load(block.text) or {}):
            (folder / "my-city.yaml").write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize(("block", "line"), LINES, ids=lambda value: getattr(value, "place", ""))
def test_command_is_taken(
    block: Block, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _write_yaml(block.page, tmp_path)
    parse(shlex.split(line)[1:], tmp_path)


def test_a_wrong_command_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in (
        "locate a b",
        "localize a b --headings 3",
        "data cheque root",
        "fit --config mst-huge-synthcity",
        "fit --config mst-small-synthcity --trainer.max_epoch 3",
        "test --config mst-small-synthcity --resume",
    ):
        with pytest.raises(_Refused):
            parse(shlex.split(line), tmp_path)


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=lambda block: block.place)
def test_block_is_read_or_says_why_not(block: Block) -> None:
    if not documents.commands(block):
        assert block.mark or block.page in UNMARKED, "no line of it is parsed: say why above it"


@cache
def _options() -> frozenset[str]:
    """Every option of every command, the nested ones of training by their first two names."""
    names: set[str] = {"--version"}
    for command, entry in main.COMMANDS.items():
        if entry.raw:
            continue
        parsers = [_parser(command)]
        for parser in parsers:
            for action in parser._actions:
                names.update(action.option_strings)
                if isinstance(action, argparse._SubParsersAction):
                    parsers.extend(action.choices.values())
    for parser in _training_parser()._subcommands_action._name_parser_map.values():
        names.update(option for action in parser._actions for option in action.option_strings)
    return frozenset(names)


ELSEWHERE = {"--help", "--strict", "--pictures", "--signal", "--requeue"}
"""Options of other programs and of scripts/, which the documents mention."""


@pytest.mark.parametrize("page", documents.pages(), ids=documents.name_of)
def test_options_exist(page: Path) -> None:
    for span in documents.spans(page):
        for word in re.findall(r"(?<![\w-])--[a-z][\w.-]*", span):
            known = word in _options() or word in ELSEWHERE
            nested = re.match(r"--(data|trainer|model|optimizer)\.(\w+)", word)
            if nested:
                known = nested[0] in _options()
            assert known, f"{documents.name_of(page)} speaks of {word}"


@pytest.mark.parametrize("page", documents.pages(), ids=documents.name_of)
def test_commands_exist(page: Path) -> None:
    for span in documents.spans(page):
        match = re.match(r"cvsegguide ([a-z]+)\b", span)
        if match:
            assert match[1] in main.COMMANDS, f"{documents.name_of(page)} speaks of `{span}`"


def test_every_command_is_documented() -> None:
    spans = {
        word
        for page in (documents.REPOSITORY / "README.md", *documents.DOCS.rglob("*.md"))
        for span in documents.spans(page)
        for word in span.split()
    }
    assert not set(main.COMMANDS) - spans


def _is_cheap(block: Block, line: str, world: Path) -> bool:
    words = shlex.split(line)[1:]
    if block.mark or words[0] not in CHEAP:
        return False
    arguments = vars(_parser(words[0]).parse_args(words[1:]))
    inputs = [arguments.get(name) for name in ("overhead", "street", "root")]
    model = arguments.get("model")
    return all(value is None or (world / str(value)).exists() for value in inputs) and (
        model is None or model in ("synthcity",)
    )


def test_cheap_commands_run(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = []
    for block, line in LINES:
        if line in done or not _is_cheap(block, line, world):
            continue
        words = shlex.split(line)[1:]
        assert main.main(words) == 0, f"{block.place}: {line}\n{capsys.readouterr().err}"
        if "--out" in words and words[0] in ("localize", "segment"):
            assert (world / words[words.index("--out") + 1]).exists()
        done.append(line)
    assert {line.split()[1] for line in done} == set(CHEAP)
